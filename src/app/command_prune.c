/* SPDX-License-Identifier: Apache-2.0 */
#include "app/care.h"
#include "app/command.h"
#include "base/clock.h"
#include "core/duration.h"

static void print_result(const struct buf *result, bool is_dry_run)
{
    (void)printf("%s older than %lld s: %lld messages, %lld payloads, %lld deliveries, %lld "
                 "attempts",
                 is_dry_run ? "would delete" : "deleted",
                 (long long)care_result_number(result, "older_than_s"),
                 (long long)care_result_number(result, "messages"),
                 (long long)care_result_number(result, "payloads"),
                 (long long)care_result_number(result, "deliveries"),
                 (long long)care_result_number(result, "attempts"));
    int64_t freed_bytes = care_result_number(result, "freed_bytes");
    (void)(freed_bytes > 0 && printf("; the store is %lld bytes smaller", (long long)freed_bytes));
    (void)puts("");
}

int command_prune(int count, char **arguments)
{
    const char *age = NULL;
    struct care_request request = {.kind = CARE_PRUNE};
    const struct command_flag flags[] = {
        {"--older-than", &age, NULL},
        {"--dry-run", NULL, &request.is_dry_run},
    };
    struct command_line line;
    int code = EXIT_USAGE;
    if (command_line_read(&line, count, arguments, flags, PH_ARRAY_LENGTH(flags), 0)) {
        if (age != NULL && !duration_parse(slice_of(age), &request.older_than_us)) {
            command_complain("--older-than wants an age such as 30d or 12h, not \"%s\"", age);
        } else {
            struct diag diag;
            BUF_AUTO struct buf result;
            buf_init(&result, CARE_RESULT_BYTES_MAX);
            enum ph_error error = care_perform(&line.options, &request, &diag, &result);
            if (result.len > 0) { /* what was deleted before an error is told too */
                print_result(&result, request.is_dry_run);
            }
            if (error != PH_OK) {
                command_complain("%s", diag.text);
            }
            code = error == PH_OK ? EXIT_DONE : EXIT_FAILED;
        }
    }
    command_line_done(&line);
    return code;
}
