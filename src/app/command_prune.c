/* SPDX-License-Identifier: Apache-2.0 */
#include "app/care.h"
#include "app/command.h"
#include "base/json_out.h"
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

static void print_json(const struct buf *result, bool is_dry_run)
{
    static const char *const names[][2] = {
        {"messages", "messages"},      {"payloads", "payloads"},
        {"deliveries", "deliveries"},  {"attempts", "attempts"},
        {"freed_bytes", "freedBytes"}, {"older_than_s", "olderThanSeconds"},
    };
    BUF_AUTO struct buf text;
    struct json_out out;
    buf_init(&text, CARE_RESULT_BYTES_MAX);
    json_out_init(&out, &text);
    json_out_begin_object(&out);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(names); index++) {
        json_out_member_int(&out, names[index][1], care_result_number(result, names[index][0]));
    }
    json_out_member_bool(&out, "dryRun", is_dry_run);
    json_out_end_object(&out);
    (void)puts(buf_text(&text));
}

struct prune_arguments {
    const char *age;
    bool is_dry_run;
    bool is_json;
};

static int perform(const struct options *options, const struct prune_arguments *given)
{
    struct care_request request = {.kind = CARE_PRUNE, .is_dry_run = given->is_dry_run};
    struct diag diag;
    BUF_AUTO struct buf result;
    buf_init(&result, CARE_RESULT_BYTES_MAX);
    if (given->age != NULL && !duration_parse(slice_of(given->age), &request.older_than_us)) {
        command_complain("--older-than wants an age such as 30d or 12h, not \"%s\"", given->age);
        return EXIT_USAGE;
    }
    enum ph_error error = care_perform(options, &request, &diag, &result);
    if (result.len > 0 && given->is_json) { /* what was deleted before an error is told too */
        print_json(&result, request.is_dry_run);
    } else if (result.len > 0) {
        print_result(&result, request.is_dry_run);
    }
    if (error != PH_OK) {
        command_complain("%s", diag.text);
    }
    return error == PH_OK ? EXIT_DONE : EXIT_FAILED;
}

static int run_prune(int count, char **arguments);

static const struct flag_row flags[] = {
    {"--older-than", FLAG_VALUE, 0, offsetof(struct prune_arguments, age), "AGE",
     "Such as 30d or 12h; the server's retention_days when it is not given."},
    {"--dry-run", FLAG_SWITCH, 0, offsetof(struct prune_arguments, is_dry_run), NULL,
     "Only counts."},
    FLAG_JSON(struct prune_arguments, "Prints the counts as a JSON object."),
};

static const enum option_id shown_options[] = {OPTION_DATA};

const struct command command_prune = {
    .name = "prune",
    .run = run_prune,
    .flags = flags,
    .flag_count = PH_ARRAY_LENGTH(flags),
    .options = shown_options,
    .option_count = PH_ARRAY_LENGTH(shown_options),
    .help = "delete old messages and make the store smaller",
    .details = "Messages older than the age go with their payloads, deliveries and attempts, in "
               "small steps, by the running server or else by this command; those with pending "
               "deliveries stay. A SQLite file shrinks by the free pages; PostgreSQL's autovacuum "
               "does its part by itself.",
    .examples = "posthorn prune --older-than 90d --dry-run --data /var/lib/posthorn",
};

static int run_prune(int count, char **arguments)
{
    struct prune_arguments given = {0};
    struct command_line line;
    int code = EXIT_USAGE;
    if (command_read(&line, &command_prune, count, arguments, &given)) {
        code = perform(&line.options, &given);
    }
    command_line_done(&line);
    return code;
}
