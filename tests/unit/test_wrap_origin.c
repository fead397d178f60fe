/* SPDX-License-Identifier: Apache-2.0 */
/* What the variables of CI systems say of a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/wrap_origin.h"

/* NAME, value, NAME, value … NULL. */
static const char *const *variables;

static const char *look_up(const char *name)
{
    for (const char *const *at = variables; at != NULL && *at != NULL; at += 2) {
        if (strcmp(*at, name) == 0) {
            return at[1];
        }
    }
    return NULL;
}

struct expected {
    const char *reason;
    const char *href;
    const char *branch;
    const char *sha;
    const char *type;
};

static void expect(const char *const *given, const struct expected *expected)
{
    struct wrap_origin origin;
    variables = given;
    wrap_origin_init(&origin);
    wrap_origin_read(&origin, look_up);
    if (expected->reason != NULL) {
        assert_string_equal(buf_text(&origin.reason), expected->reason);
    }
    assert_string_equal(buf_text(&origin.href), expected->href);
    assert_string_equal(buf_text(&origin.git_branch), expected->branch);
    assert_string_equal(buf_text(&origin.git_sha), expected->sha);
    assert_string_equal(origin.job_type, expected->type);
    wrap_origin_done(&origin);
}

static void test_github(void **state)
{
    (void)state;
    const char *const given[] = {"GITHUB_ACTIONS",
                                 "true",
                                 "GITHUB_WORKFLOW",
                                 "CI",
                                 "GITHUB_EVENT_NAME",
                                 "pull_request",
                                 "GITHUB_SERVER_URL",
                                 "https://github.example",
                                 "GITHUB_REPOSITORY",
                                 "acme/shop",
                                 "GITHUB_RUN_ID",
                                 "12",
                                 "GITHUB_HEAD_REF",
                                 "feature/x",
                                 "GITHUB_REF_NAME",
                                 "5/merge",
                                 "GITHUB_SHA",
                                 "abc",
                                 NULL};
    expect(given, &(struct expected){"GitHub Actions: CI (pull_request)",
                                     "https://github.example/acme/shop/actions/runs/12",
                                     "feature/x", "abc", "ci"});
    const char *const pushed[] = {"GITHUB_ACTIONS",
                                  "true",
                                  "GITHUB_HEAD_REF",
                                  "",
                                  "GITHUB_REF_NAME",
                                  "main",
                                  "GITHUB_EVENT_NAME",
                                  "push",
                                  NULL};
    expect(pushed, &(struct expected){NULL, "", "main", "", "other"});
}

static void test_gitlab(void **state)
{
    (void)state;
    const char *const given[] = {"GITLAB_CI",
                                 "true",
                                 "CI_JOB_NAME",
                                 "build",
                                 "CI_PIPELINE_SOURCE",
                                 "schedule",
                                 "CI_JOB_URL",
                                 "https://gitlab.example/j/1",
                                 "CI_COMMIT_REF_NAME",
                                 "main",
                                 "CI_COMMIT_SHA",
                                 "abc",
                                 NULL};
    expect(given, &(struct expected){"GitLab CI: build (schedule)", "https://gitlab.example/j/1",
                                     "main", "abc", "scheduled"});
}

/* Names of people's own are fit for a URL. */
static void test_azure(void **state)
{
    (void)state;
    const char *const given[] = {"TF_BUILD",
                                 "True",
                                 "SYSTEM_COLLECTIONURI",
                                 "https://dev.azure.example/acme/",
                                 "SYSTEM_TEAMPROJECT",
                                 "Our Sh\xc3\xb6p",
                                 "BUILD_BUILDID",
                                 "5",
                                 "BUILD_REASON",
                                 "PullRequest",
                                 "BUILD_SOURCEBRANCH",
                                 "refs/heads/main",
                                 "BUILD_SOURCEVERSION",
                                 "abc",
                                 NULL};
    struct expected expected = {NULL,
                                "https://dev.azure.example/acme/Our%20Sh%C3%B6p/_build/"
                                "results?buildId=5",
                                "main", "abc", "ci"};
    expect(given, &expected);
}

static void test_others(void **state)
{
    (void)state;
    const char *const bitbucket[] = {"BITBUCKET_BUILD_NUMBER",
                                     "3",
                                     "BITBUCKET_GIT_HTTP_ORIGIN",
                                     "https://bitbucket.example/a/b",
                                     "BITBUCKET_PR_ID",
                                     "9",
                                     "BITBUCKET_BRANCH",
                                     "x",
                                     "BITBUCKET_COMMIT",
                                     "abc",
                                     NULL};
    expect(bitbucket, &(struct expected){NULL, "https://bitbucket.example/a/b/pipelines/results/3",
                                         "x", "abc", "ci"});
    const char *const jenkins[] = {"JENKINS_URL", "https://ci.example/",
                                   "JOB_NAME",    "nightly",
                                   "BUILD_URL",   "https://ci.example/job/nightly/4/",
                                   "GIT_BRANCH",  "origin/main",
                                   "GIT_COMMIT",  "abc",
                                   NULL};
    expect(jenkins, &(struct expected){"Jenkins: nightly", "https://ci.example/job/nightly/4/",
                                       "origin/main", "abc", "other"});
    const char *const airflow[] = {"AIRFLOW_CTX_DAG_ID",
                                   "shop",
                                   "AIRFLOW_CTX_TASK_ID",
                                   "dbt",
                                   "AIRFLOW_CTX_DAG_RUN_ID",
                                   "scheduled__2026-01-05T00:00:00+00:00",
                                   NULL};
    expect(airflow, &(struct expected){"Airflow: shop.dbt", "", "", "", "scheduled"});
}

static void test_what_no_server_takes_is_left_out(void **state)
{
    (void)state;
    char branch[1200];
    char sha[200];
    memset(branch, 'b', sizeof branch - 1);
    memset(sha, 'a', sizeof sha - 1);
    branch[sizeof branch - 1] = sha[sizeof sha - 1] = '\0';
    const char *const given[] = {"CIRCLECI",
                                 "true",
                                 "CIRCLE_JOB",
                                 "x",
                                 "CIRCLE_BUILD_URL",
                                 "javascript:x",
                                 "CIRCLE_BRANCH",
                                 branch,
                                 "CIRCLE_SHA1",
                                 sha,
                                 NULL};
    expect(given, &(struct expected){"CircleCI: x", "", "", "", "other"});
}

static void test_no_system_at_all(void **state)
{
    (void)state;
    struct wrap_origin origin;
    variables = NULL;
    wrap_origin_init(&origin);
    wrap_origin_read(&origin, look_up);
    assert_true(slice_starts_with(buf_slice(&origin.reason), "Kicked off from the command line"));
    assert_int_equal(origin.href.len, 0);
    /* No repository, and no such folder. */
    wrap_origin_ask_git(&origin, "/nowhere");
    assert_int_equal(origin.git_sha.len, 0);
    wrap_origin_done(&origin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_github),
        cmocka_unit_test(test_gitlab),
        cmocka_unit_test(test_azure),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_what_no_server_takes_is_left_out),
        cmocka_unit_test(test_no_system_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
