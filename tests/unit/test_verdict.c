/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/verdict.h"

struct row {
    enum attempt_failure failure;
    int status;
    const char *hint;
    bool disable_on_gone;
    enum verdict verdict;
    bool disables;
    bool counts;
};

static const struct row rows[] = {
    {ATTEMPT_ANSWERED, 200, NULL, true, VERDICT_SUCCESS, false, false},
    {ATTEMPT_ANSWERED, 202, NULL, true, VERDICT_SUCCESS, false, false},
    {ATTEMPT_ANSWERED, 299, NULL, true, VERDICT_SUCCESS, false, false},
    {ATTEMPT_ANSWERED, 199, NULL, true, VERDICT_RETRY, false, false},
    {ATTEMPT_ANSWERED, 300, NULL, true, VERDICT_RETRY, false, false},
    {ATTEMPT_ANSWERED, 302, NULL, true, VERDICT_RETRY, false, false},
    {ATTEMPT_ANSWERED, 400, NULL, true, VERDICT_RETRY, false, false},
    {ATTEMPT_ANSWERED, 401, NULL, true, VERDICT_RETRY, false, false},
    {ATTEMPT_ANSWERED, 404, NULL, true, VERDICT_RETRY, false, false},
    {ATTEMPT_ANSWERED, 408, NULL, true, VERDICT_RETRY, false, false},
    {ATTEMPT_ANSWERED, 410, NULL, true, VERDICT_DISABLE, true, false},
    {ATTEMPT_ANSWERED, 410, NULL, false, VERDICT_RETRY, false, false},
    {ATTEMPT_ANSWERED, 425, NULL, true, VERDICT_RETRY, false, false},
    {ATTEMPT_ANSWERED, 429, NULL, true, VERDICT_RETRY, false, true},
    {ATTEMPT_ANSWERED, 500, NULL, true, VERDICT_RETRY, false, false},
    {ATTEMPT_ANSWERED, 501, NULL, true, VERDICT_RETRY, false, false},
    {ATTEMPT_ANSWERED, 502, NULL, true, VERDICT_RETRY, false, true},
    {ATTEMPT_ANSWERED, 503, NULL, true, VERDICT_RETRY, false, true},
    {ATTEMPT_ANSWERED, 504, NULL, true, VERDICT_RETRY, false, true},
    {ATTEMPT_ANSWERED, 599, NULL, true, VERDICT_RETRY, false, false},
    {ATTEMPT_ANSWERED, 999, NULL, true, VERDICT_RETRY, false, false},
    /* The receiver's wish. */
    {ATTEMPT_ANSWERED, 200, "disable", true, VERDICT_SUCCESS, true, false},
    {ATTEMPT_ANSWERED, 200, "abort-message", true, VERDICT_SUCCESS, false, false},
    {ATTEMPT_ANSWERED, 400, "disable", false, VERDICT_DISABLE, true, false},
    {ATTEMPT_ANSWERED, 400, "abort-message", true, VERDICT_FAIL, false, false},
    {ATTEMPT_ANSWERED, 503, " Abort-Message ", true, VERDICT_FAIL, false, true},
    {ATTEMPT_ANSWERED, 400, "abort-message, disable", true, VERDICT_DISABLE, true, false},
    {ATTEMPT_ANSWERED, 410, "abort-message", true, VERDICT_DISABLE, true, false},
    {ATTEMPT_ANSWERED, 410, "abort-message", false, VERDICT_FAIL, false, false},
    {ATTEMPT_ANSWERED, 400, "disabled", true, VERDICT_RETRY, false, false},
    {ATTEMPT_ANSWERED, 400, "", true, VERDICT_RETRY, false, false},
    /* No answer: the status and the hint do not count. */
    {ATTEMPT_BLOCKED, 0, NULL, true, VERDICT_RETRY, false, false},
    {ATTEMPT_DNS, 0, NULL, true, VERDICT_RETRY, false, false},
    {ATTEMPT_CONNECT, 0, NULL, true, VERDICT_RETRY, false, true},
    {ATTEMPT_TLS, 0, NULL, true, VERDICT_RETRY, false, false},
    {ATTEMPT_TIMEOUT, 0, NULL, true, VERDICT_RETRY, false, true},
    {ATTEMPT_TIMEOUT, 200, "disable", true, VERDICT_RETRY, false, true},
    {ATTEMPT_PROTOCOL, 410, NULL, true, VERDICT_RETRY, false, false},
    {ATTEMPT_CANCELLED, 0, NULL, true, VERDICT_RETRY, false, false},
};

static void test_table(void **state)
{
    (void)state;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        const struct row *row = &rows[index];
        const struct verdict_input input = {row->failure, row->status, slice_of(row->hint),
                                            row->disable_on_gone};
        struct verdict_result result = verdict_of_http(&input);
        if (result.verdict != row->verdict || result.disables_endpoint != row->disables ||
            result.counts_for_breaker != row->counts) {
            fail_msg("row %zu: failure %d, status %d gives verdict %d", index, (int)row->failure,
                     row->status, (int)result.verdict);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
