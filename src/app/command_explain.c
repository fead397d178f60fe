/* SPDX-License-Identifier: Apache-2.0 */
/* Prints for each endpoint of an application why it got a message or did not, page by page. */
#include "app/client.h"
#include "app/command.h"
#include "app/preview.h"
#include "app/remote.h"
#include "core/scan.h"

#define TEXT_MAX 65536
#define ANSWER_MAX ((size_t)16 * 1024 * 1024)
#define ROWS_A_PAGE 250
#define MEMBERS_MAX 32

struct explain {
    const char *url;
    const char *token;
    const char *application;
    const char *message;
    const char *endpoint;
    bool is_json;

    struct remote remote;
    struct buf answer;   /* of the current page */
    struct buf iterator; /* of the next one */
    bool is_done;
    size_t count; /* rows that were printed */
};

/* --- printing --------------------------------------------------------------------------------- */

/* A text member, decoded; empty when it is null or not there. */
static struct slice text_of(const struct scan_member *members, size_t count, const char *key,
                            struct arena *arena)
{
    const struct scan_member *member = scan_find(members, count, key);
    struct slice text;
    if (member == NULL || scan_string(member->value, arena, NULL, &text) != PH_OK) {
        return SLICE_LITERAL("");
    }
    return text;
}

/* What comes from outside may hold anything: control characters stay out of the terminal. */
static void print_text(struct slice text)
{
    BUF_AUTO struct buf shown;
    buf_init(&shown, TEXT_MAX);
    preview_append(&shown, text, TEXT_MAX);
    (void)fputs(buf_text(&shown), stdout);
}

static void print_row(struct slice row)
{
    ARENA_AUTO struct arena arena;
    arena_init(&arena, TEXT_MAX);
    struct scan_member members[MEMBERS_MAX];
    size_t count = 0;
    (void)(scan_object(row, members, MEMBERS_MAX, &count, NULL, NULL) == PH_OK || (count = 0));
    struct slice uid = text_of(members, count, "endpointUid", &arena);
    const struct scan_member *deleted = scan_find(members, count, "endpointDeleted");
    (void)printf("%-9.*s  ", SLICE_ARG(text_of(members, count, "decision", &arena)));
    print_text(text_of(members, count, "endpointId", &arena));
    (void)(uid.len > 0 && printf(" (%.*s)", SLICE_ARG(uid)));
    (void)fputs("  ", stdout);
    print_text(text_of(members, count, "endpointUrl", &arena));
    (void)fputs(deleted != NULL && deleted->type == SCAN_TRUE ? "  deleted\n" : "\n", stdout);
    (void)fputs("           ", stdout);
    print_text(text_of(members, count, "detail", &arena));
    (void)putchar('\n');
}

static void print_message(const struct scan_member *members, size_t count)
{
    ARENA_AUTO struct arena arena;
    arena_init(&arena, TEXT_MAX);
    const struct scan_member *channels = scan_find(members, count, "channels");
    (void)printf("%.*s  ", SLICE_ARG(text_of(members, count, "messageId", &arena)));
    print_text(text_of(members, count, "eventType", &arena));
    (void)printf("  %.*s", SLICE_ARG(text_of(members, count, "timestamp", &arena)));
    if (channels != NULL && channels->type == SCAN_ARRAY) {
        (void)printf("  channels %.*s", SLICE_ARG(channels->value));
    }
    (void)puts("\n");
}

/* The answer's own members, up to the array of all rows. */
static void begin_json(const struct scan_member *members, size_t count)
{
    static const char *const keys[] = {"messageId", "eventType", "channels", "timestamp"};
    (void)putchar('{');
    for (size_t index = 0; index < PH_ARRAY_LENGTH(keys); index++) {
        const struct scan_member *member = scan_find(members, count, keys[index]);
        (void)(member != NULL && printf("\"%s\":%.*s,", keys[index], SLICE_ARG(member->value)));
    }
    (void)fputs("\"data\":[", stdout);
}

/* --- pages ------------------------------------------------------------------------------------ */

static enum ph_error fetch(struct explain *explain, struct diag *diag, long *ret_status)
{
    BUF_AUTO struct buf path;
    buf_init(&path, TEXT_MAX);
    buf_append_text(&path, "/api/v1/app/");
    client_append_escaped(&path, explain->application);
    buf_append_text(&path, "/msg/");
    client_append_escaped(&path, explain->message);
    buf_append_format(&path, "/explain?limit=%d", ROWS_A_PAGE);
    if (explain->endpoint != NULL) {
        buf_append_text(&path, "&endpoint_id=");
        client_append_escaped(&path, explain->endpoint);
    }
    if (explain->iterator.len > 0) {
        buf_append_text(&path, "&iterator=");
        client_append_escaped(&path, buf_text(&explain->iterator));
    }
    const struct remote_request request = {.method = "GET", .path = buf_text(&path)};
    return remote_call(&explain->remote, &request, &explain->answer, diag, ret_status);
}

/* False when the answer is none. */
static bool print_page(struct explain *explain, bool is_first)
{
    struct scan_member members[MEMBERS_MAX];
    size_t count;
    if (scan_object(buf_slice(&explain->answer), members, MEMBERS_MAX, &count, NULL, NULL) !=
        PH_OK) {
        return false;
    }
    const struct scan_member *data = scan_find(members, count, "data");
    const struct scan_member *done = scan_find(members, count, "done");
    const struct scan_member *iterator = scan_find(members, count, "iterator");
    if (data == NULL || data->type != SCAN_ARRAY || done == NULL) {
        return false;
    }
    if (is_first && explain->is_json) {
        begin_json(members, count);
    } else if (is_first) {
        print_message(members, count);
    }
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice row;
    scan_cursor_init(&cursor, data->value);
    for (; scan_next_element(&cursor, &type, &row); explain->count++) {
        if (explain->is_json) {
            (void)printf("%s%.*s", explain->count == 0 ? "" : ",", SLICE_ARG(row));
        } else {
            print_row(row);
        }
    }
    buf_clear(&explain->iterator);
    if (iterator != NULL && iterator->type == SCAN_STRING) { /* an id, without escapes */
        buf_append(&explain->iterator, iterator->value.ptr + 1, iterator->value.len - 2);
    }
    explain->is_done = done->type == SCAN_TRUE || explain->iterator.len == 0;
    return true;
}

static int run_explain(struct explain *explain, const struct options *options)
{
    struct diag diag;
    if (remote_find(&explain->remote, options, explain->url, explain->token, &diag) != PH_OK) {
        command_complain("%s", diag.text);
        return EXIT_FAILED;
    }
    for (bool is_first = true; !explain->is_done; is_first = false) {
        long status = 0;
        if (fetch(explain, &diag, &status) != PH_OK) {
            command_complain("%s", diag.text);
            return EXIT_FAILED;
        }
        if (status != 200 || !print_page(explain, is_first)) {
            return remote_complain(status, buf_slice(&explain->answer));
        }
    }
    if (explain->is_json) {
        (void)puts("]}");
    } else if (explain->count == 0) {
        (void)puts("the application has no endpoints");
    }
    return EXIT_DONE;
}

static int run(int count, char **arguments);

static const struct flag_row flags[] = {
    {"--app", FLAG_VALUE, FLAG_REQUIRED, offsetof(struct explain, application), "ID",
     "The application, by id or uid."},
    {"--msg", FLAG_VALUE, FLAG_REQUIRED, offsetof(struct explain, message), "ID",
     "The message, by its id or its eventId."},
    {"--endpoint", FLAG_VALUE, 0, offsetof(struct explain, endpoint), "ID",
     "Only this endpoint, by id or uid; a deleted one by its id."},
    FLAG_JSON(struct explain, "Prints what the API says, as one JSON object."),
    FLAG_URL(struct explain),
    FLAG_TOKEN(struct explain),
};

static const enum option_id shown_options[] = {OPTION_DATA};

const struct command command_explain = {
    .name = "explain",
    .run = run,
    .flags = flags,
    .flag_count = PH_ARRAY_LENGTH(flags),
    .options = shown_options,
    .option_count = PH_ARRAY_LENGTH(shown_options),
    .help = "say for each endpoint why it got a message or did not",
    .details =
        "Two lines for each: delivered, pending, failed or skipped, and why, with the last "
        "answer and when it goes on. Deleted endpoints are listed when they had to do with "
        "the message. Nobody keeps what an endpoint wanted in the past: it is judged by what "
        "it wants now, and where it was changed after the message the words say so.",
    .examples = "posthorn explain --app acme --msg msg_2Za8Kq1m3n5p7r9t1v3x5z7b9d1\n"
                "posthorn explain --app acme --msg order-1705 --endpoint mine --json",
};

static int run(int count, char **arguments)
{
    struct explain explain = {0};
    struct command_line line;
    int code = EXIT_USAGE;
    remote_init(&explain.remote);
    buf_init(&explain.answer, ANSWER_MAX);
    buf_init(&explain.iterator, TEXT_MAX);
    if (command_read(&line, &command_explain, count, arguments, &explain)) {
        code = run_explain(&explain, &line.options);
    }
    command_line_done(&line);
    buf_done(&explain.iterator);
    buf_done(&explain.answer);
    remote_done(&explain.remote);
    return code;
}
