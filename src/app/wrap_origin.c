/* SPDX-License-Identifier: Apache-2.0 */
#include "app/wrap_origin.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define TEXT_BYTES_MAX 2048
#define NAME_BYTES_MAX 100
#define GIT_WAIT_US (2 * CLOCK_US_PER_S)
#define SHA_DIGITS_MIN 40
/* What servers take; longer ones are left out. */
#define BRANCH_BYTES_MAX 1000
#define SHA_BYTES_MAX 128
#define LINES_MAX 2

/* A system that starts runs. Texts take variables as ${NAME}; one that is not set makes the text
 * as good as absent. */
struct provider {
    const char *mark; /* the variable that tells it */
    const char *reason;
    const char *href;
    const char *branches[2]; /* variables; the first that is set counts */
    const char *sha;
    const char *event;     /* the variable that says what started it; NULL = none */
    const char *ci;        /* its values, with `|` between and perhaps `*` at their end */
    const char *scheduled; /* likewise */
};

static const struct provider providers[] = {
    {"GITHUB_ACTIONS",
     "GitHub Actions: ${GITHUB_WORKFLOW} (${GITHUB_EVENT_NAME})",
     "${GITHUB_SERVER_URL}/${GITHUB_REPOSITORY}/actions/runs/${GITHUB_RUN_ID}",
     {"GITHUB_HEAD_REF", "GITHUB_REF_NAME"},
     "GITHUB_SHA",
     "GITHUB_EVENT_NAME",
     "pull_request*|merge_group",
     "schedule"},
    {"GITLAB_CI",
     "GitLab CI: ${CI_JOB_NAME} (${CI_PIPELINE_SOURCE})",
     "${CI_JOB_URL}",
     {"CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_REF_NAME"},
     "CI_COMMIT_SHA",
     "CI_PIPELINE_SOURCE",
     "merge_request_event|external_pull_request_event",
     "schedule"},
    {"TF_BUILD",
     "Azure Pipelines: ${BUILD_DEFINITIONNAME} (${BUILD_REASON})",
     "${SYSTEM_COLLECTIONURI}${SYSTEM_TEAMPROJECT}/_build/results?buildId=${BUILD_BUILDID}",
     {"SYSTEM_PULLREQUEST_SOURCEBRANCH", "BUILD_SOURCEBRANCH"},
     "BUILD_SOURCEVERSION",
     "BUILD_REASON",
     "PullRequest",
     "Schedule"},
    {"BITBUCKET_BUILD_NUMBER",
     "Bitbucket Pipelines: ${BITBUCKET_REPO_FULL_NAME}",
     "${BITBUCKET_GIT_HTTP_ORIGIN}/pipelines/results/${BITBUCKET_BUILD_NUMBER}",
     {"BITBUCKET_BRANCH", NULL},
     "BITBUCKET_COMMIT",
     "BITBUCKET_PR_ID",
     "*",
     NULL},
    {"CIRCLECI",
     "CircleCI: ${CIRCLE_JOB}",
     "${CIRCLE_BUILD_URL}",
     {"CIRCLE_BRANCH", NULL},
     "CIRCLE_SHA1",
     "CIRCLE_PULL_REQUEST",
     "*",
     NULL},
    {"BUILDKITE",
     "Buildkite: ${BUILDKITE_PIPELINE_SLUG} (${BUILDKITE_SOURCE})",
     "${BUILDKITE_BUILD_URL}",
     {"BUILDKITE_BRANCH", NULL},
     "BUILDKITE_COMMIT",
     "BUILDKITE_SOURCE",
     NULL,
     "schedule"},
    {"JENKINS_URL",
     "Jenkins: ${JOB_NAME}",
     "${BUILD_URL}",
     {"CHANGE_BRANCH", "GIT_BRANCH"},
     "GIT_COMMIT",
     "CHANGE_ID",
     "*",
     NULL},
    {"AIRFLOW_CTX_DAG_ID",
     "Airflow: ${AIRFLOW_CTX_DAG_ID}.${AIRFLOW_CTX_TASK_ID}",
     NULL,
     {NULL, NULL},
     NULL,
     "AIRFLOW_CTX_DAG_RUN_ID",
     NULL,
     "scheduled*"},
};

void wrap_origin_init(struct wrap_origin *origin)
{
    origin->job_type = "other";
    buf_init(&origin->reason, TEXT_BYTES_MAX);
    buf_init(&origin->href, TEXT_BYTES_MAX);
    buf_init(&origin->git_branch, BRANCH_BYTES_MAX);
    buf_init(&origin->git_sha, SHA_BYTES_MAX);
}

void wrap_origin_done(struct wrap_origin *origin)
{
    buf_done(&origin->reason);
    buf_done(&origin->href);
    buf_done(&origin->git_branch);
    buf_done(&origin->git_sha);
}

const char *wrap_origin_variable(const char *name)
{
    return secure_getenv(name);
}

/* --- variables ---------------------------------------------------------------------------------
 */

typedef const char *variable_function(const char *name);

static const char *value_of(variable_function *variable, const char *name)
{
    const char *value = name == NULL ? NULL : variable(name);
    return value == NULL || value[0] == '\0' ? NULL : value;
}

/* A name of people's, in the middle of a URL: spaces and the like. */
static void append_for_url(struct buf *text, const char *value)
{
    for (const char *at = value; *at != '\0'; at++) {
        if (*at > ' ' && *at <= '~' && strchr("\"<>\\^`{|}", *at) == NULL) {
            buf_append_byte(text, *at);
        } else {
            buf_append_format(text, "%%%02X", (unsigned char)*at);
        }
    }
}

/* Empties the text when a variable is not set, or it grows too long. */
static void expand(struct buf *text, const char *pattern, variable_function *variable, bool is_url)
{
    const char *at = pattern == NULL ? "" : pattern;
    while (*at != '\0') {
        if (strncmp(at, "${", 2) != 0) {
            buf_append_byte(text, *at++);
            continue;
        }
        size_t length = strcspn(at + 2, "}");
        char name[NAME_BYTES_MAX];
        (void)snprintf(name, sizeof name, "%.*s", (int)length, at + 2);
        const char *value = value_of(variable, name);
        if (value == NULL) {
            buf_clear(text);
            return;
        }
        if (is_url) {
            append_for_url(text, value);
        } else {
            buf_append_text(text, value);
        }
        at += length + 3;
    }
    if (text->failed) {
        buf_clear(text);
    }
}

static bool is_one_of(const char *value, const char *patterns)
{
    struct slice rest = slice_of(patterns);
    struct slice pattern;
    while (value != NULL && slice_next(&rest, '|', &pattern)) {
        bool is_prefix = pattern.len > 0 && pattern.ptr[pattern.len - 1] == '*';
        size_t length = pattern.len - (is_prefix ? 1 : 0);
        if (strncmp(value, pattern.ptr, length) == 0 && (is_prefix || value[length] == '\0')) {
            return true;
        }
    }
    return false;
}

static void append_branch(struct buf *text, const char *name)
{
    static const char prefix[] = "refs/heads/";
    bool is_full = strncmp(name, prefix, strlen(prefix)) == 0;
    buf_append_text(text, is_full ? name + strlen(prefix) : name);
}

static void read_provider(struct wrap_origin *origin, const struct provider *provider,
                          variable_function *variable)
{
    expand(&origin->reason, provider->reason, variable, false);
    expand(&origin->href, provider->href, variable, true);
    struct slice href = buf_slice(&origin->href);
    if (!slice_starts_with(href, "https://") && !slice_starts_with(href, "http://")) {
        buf_clear(&origin->href);
    }
    const char *branch = value_of(variable, provider->branches[0]);
    branch = branch != NULL ? branch : value_of(variable, provider->branches[1]);
    const char *sha = value_of(variable, provider->sha);
    const char *event = value_of(variable, provider->event);
    if (branch != NULL) {
        append_branch(&origin->git_branch, branch);
    }
    buf_append_text(&origin->git_sha, sha != NULL ? sha : "");
    if (is_one_of(event, provider->ci)) {
        origin->job_type = "ci";
    } else if (is_one_of(event, provider->scheduled)) {
        origin->job_type = "scheduled";
    }
}

void wrap_origin_read(struct wrap_origin *origin, variable_function *variable)
{
    for (size_t index = 0; index < PH_ARRAY_LENGTH(providers); index++) {
        if (value_of(variable, providers[index].mark) != NULL) {
            read_provider(origin, &providers[index], variable);
            break;
        }
    }
    char host[NAME_BYTES_MAX] = "";
    if (origin->reason.len == 0) {
        bool has_name = gethostname(host, sizeof host - 1) == 0 && host[0] != '\0';
        buf_append_format(&origin->reason, "Kicked off from the command line%s%s",
                          has_name ? " of " : "", has_name ? host : "");
    }
}

/* --- git ---------------------------------------------------------------------------------------
 */

static bool set_up_spawn(posix_spawn_file_actions_t *files, posix_spawnattr_t *attributes,
                         int output)
{
    sigset_t none;
    sigset_t all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    return posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0) == 0 &&
           posix_spawn_file_actions_adddup2(files, output, STDOUT_FILENO) == 0 &&
           posix_spawn_file_actions_addopen(files, STDERR_FILENO, "/dev/null", O_WRONLY, 0) == 0 &&
           posix_spawnattr_setsigmask(attributes, &none) == 0 &&
           posix_spawnattr_setsigdefault(attributes, &all) == 0 &&
           posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) ==
               0;
}

static bool spawn_git(const char *folder, int output, pid_t *ret_pid)
{
    PH_AUTO_FREE char *place = ph_strdup(folder);
    char program[] = "git";
    char at[] = "-C";
    char command[] = "rev-parse";
    char commit[] = "HEAD";
    char by_name[] = "--abbrev-ref";
    char *arguments[] = {program, at, place, command, commit, by_name, commit, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    PH_ASSERT(posix_spawn_file_actions_init(&files) == 0);
    PH_ASSERT(posix_spawnattr_init(&attributes) == 0);
    bool is_started = set_up_spawn(&files, &attributes, output) &&
                      posix_spawnp(ret_pid, program, &files, &attributes, arguments, environ) == 0;
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&files);
    return is_started;
}

/* Until the end of what git says, or the time is over. */
static bool read_all(int input, struct buf *text)
{
    int64_t deadline_us = clock_boot_us() + GIT_WAIT_US;
    for (;;) {
        struct pollfd ready = {.fd = input, .events = POLLIN};
        int64_t left_us = deadline_us - clock_boot_us();
        int count = left_us <= 0 ? 0 : poll(&ready, 1, (int)(left_us / CLOCK_US_PER_MS) + 1);
        if (count == 0) {
            return false;
        }
        char chunk[1024];
        ssize_t got = count < 0 ? -1 : read(input, chunk, sizeof chunk);
        if (got == 0) {
            return !text->failed;
        }
        if (got < 0 && errno != EINTR) {
            return false;
        }
        buf_append(text, chunk, got < 0 ? 0 : (size_t)got);
    }
}

/* The commit on the first line, the branch on the second; "HEAD" when there is none. */
static void take_answer(struct wrap_origin *origin, struct slice answer)
{
    struct slice lines[LINES_MAX] = {SLICE_NONE, SLICE_NONE};
    for (size_t index = 0; index < LINES_MAX; index++) {
        (void)slice_next(&answer, '\n', &lines[index]);
    }
    if (lines[0].len >= SHA_DIGITS_MIN && origin->git_sha.len == 0) {
        buf_append_slice(&origin->git_sha, lines[0]);
        if (origin->git_branch.len == 0 && !slice_equal_text(lines[1], "HEAD")) {
            buf_append_slice(&origin->git_branch, lines[1]);
        }
    }
}

void wrap_origin_ask_git(struct wrap_origin *origin, const char *folder)
{
    int ends[2];
    pid_t pid;
    if (origin->git_sha.len > 0 || pipe2(ends, O_CLOEXEC) != 0) {
        return;
    }
    BUF_AUTO struct buf answer;
    buf_init(&answer, TEXT_BYTES_MAX);
    bool is_started = spawn_git(folder, ends[1], &pid);
    (void)close(ends[1]);
    bool is_read = is_started && read_all(ends[0], &answer);
    (void)close(ends[0]);
    if (is_started) {
        int status = 0;
        if (!is_read) {
            (void)kill(pid, SIGKILL);
        }
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        if (is_read && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
            take_answer(origin, buf_slice(&answer));
        }
    }
}
