/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many messages, some in each request. Every request has an idempotency key, made of the run's key
 * and the number of its first line, so that it can be repeated: now, when an answer is lost, or by
 * the next run on the same file.
 */
#include <poll.h>

#include "app/file.h"
#include "app/interrupt.h"
#include "app/progress.h"
#include "app/send.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/random.h"
#include "core/scan.h"

/* Of a request; the API takes 16 MiB. A larger line is refused there, alone. */
#define BODY_MAX ((size_t)15 * 1024 * 1024)
#define SEND_LINE_MAX ((size_t)4 * 1024 * 1024)
#define ANSWER_MAX ((size_t)16 * 1024 * 1024)
#define MEMBERS_MAX 16
/* Lines that are told of; the others are counted. */
#define TOLD_MAX 20
#define DELAY_MIN_MS 250
#define DELAY_MAX_MS 5000
#define PATIENCE_US (INT64_C(60) * CLOCK_US_PER_S)
#define KEPT_US (INT64_C(12) * 3600 * CLOCK_US_PER_S) /* how long the server knows a key */
#define DAY_US (INT64_C(86400) * CLOCK_US_PER_S)
#define KEY_BYTES 256
#define KEY_PREFIX "cli."

struct batch {
    const struct send_arguments *given;
    const struct options *options;
    struct remote *remote;
    char key[KEY_BYTES]; /* of the run */
    struct file_lines lines;
    int64_t total; /* lines, -1 = not known */
    struct progress progress;

    /* The request in the making. */
    struct buf body;
    int64_t numbers[SEND_BATCH_MAX]; /* of its lines */
    size_t count;
    struct buf answer;

    int64_t sent;
    int64_t failed;
    int64_t done_line; /* the last one that is through */
    bool was_answered; /* there is a server */
    bool is_in_doubt;  /* the last request may have been accepted */
};

/* --- the run's key ---------------------------------------------------------------------------- */

/* "cli.TIME.RANDOM": the time gives the token that is made here, so the key finds the same place on
 * the server in the next run. A key that the caller chose has the token of the day. False after it
 * has told that the key is too old. */
static bool choose_key(struct batch *batch)
{
    int64_t now_us = clock_wall_us();
    const char *given = batch->given->key;
    if (given == NULL) {
        (void)snprintf(batch->key, sizeof batch->key, KEY_PREFIX "%lld.%016llx",
                       (long long)(now_us / CLOCK_US_PER_S), (unsigned long long)random_u64());
        batch->remote->token_made_at_us = now_us / CLOCK_US_PER_S * CLOCK_US_PER_S;
        return true;
    }
    (void)snprintf(batch->key, sizeof batch->key, "%s", given);
    int64_t made_at_s = 0;
    bool is_ours = strncmp(given, KEY_PREFIX, strlen(KEY_PREFIX)) == 0;
    if (is_ours) {
        struct slice rest = slice_of(given + strlen(KEY_PREFIX));
        struct slice time;
        is_ours = slice_next(&rest, '.', &time) && slice_to_int64(time, &made_at_s) &&
                  made_at_s > 0 && made_at_s <= now_us / CLOCK_US_PER_S;
    }
    if (is_ours && now_us - made_at_s * CLOCK_US_PER_S > KEPT_US) {
        command_complain("the key %s is older than 12 hours: the server does not know it any more, "
                         "and all would be sent again",
                         given);
        return false;
    }
    batch->remote->token_made_at_us =
        is_ours ? made_at_s * CLOCK_US_PER_S : now_us / DAY_US * DAY_US;
    return true;
}

/* --- outcomes --------------------------------------------------------------------------------- */

static void print_json(int64_t number, int64_t status, const char *key, struct slice value)
{
    (void)printf("{\"line\":%lld,\"status\":%lld,\"%s\":%.*s}\n", (long long)number,
                 (long long)status, key, SLICE_ARG(value));
}

/* A line that was refused, here (status 0) or there. `error` is JSON, or the words. */
static void refuse(struct batch *batch, int64_t number, int64_t status, struct slice error,
                   bool is_json)
{
    batch->failed++;
    if (batch->given->is_json) {
        BUF_AUTO struct buf text;
        buf_init(&text, SEND_TEXT_MAX);
        if (!is_json) {
            struct json_out out;
            json_out_init(&out, &text);
            json_out_string(&out, error);
        }
        print_json(number, status, "error", is_json ? error : buf_slice(&text));
        return;
    }
    progress_hide(&batch->progress);
    if (batch->failed <= TOLD_MAX) {
        BUF_AUTO struct buf words;
        buf_init(&words, SEND_TEXT_MAX);
        if (is_json) {
            remote_describe((long)status, error, &words);
        } else {
            buf_append_slice(&words, error);
        }
        command_complain("line %lld: %s", (long long)number, buf_text(&words));
    } else if (batch->failed == TOLD_MAX + 1) {
        command_complain("more lines were refused; the end says how many");
    }
}

static struct slice id_of(const struct scan_member *message)
{
    struct scan_cursor cursor;
    struct scan_member member;
    struct slice id = SLICE_LITERAL("null");
    if (message != NULL && message->type == SCAN_OBJECT) {
        scan_cursor_init(&cursor, message->value);
        while (scan_next_member(&cursor, &member)) {
            id = slice_equal_text(member.key, "id") ? member.value : id;
        }
    }
    return id;
}

static void take_result(struct batch *batch, int64_t number, struct slice result)
{
    struct scan_member members[MEMBERS_MAX];
    size_t count = 0;
    int64_t status = 0;
    (void)(scan_object(result, members, MEMBERS_MAX, &count, NULL, NULL) == PH_OK || (count = 0));
    const struct scan_member *code = scan_find(members, count, "status");
    const struct scan_member *error = scan_find(members, count, "error");
    (void)(code != NULL && scan_int64(code->value, &status));
    if (error != NULL) {
        refuse(batch, number, status, error->value, true);
        return;
    }
    batch->sent++;
    if (batch->given->is_json) {
        print_json(number, status, "id", id_of(scan_find(members, count, "message")));
    }
}

/* False when the answer does not fit the request. */
static bool take_results(struct batch *batch)
{
    struct scan_member members[MEMBERS_MAX];
    size_t count = 0;
    if (scan_object(buf_slice(&batch->answer), members, MEMBERS_MAX, &count, NULL, NULL) != PH_OK) {
        return false;
    }
    const struct scan_member *results = scan_find(members, count, "results");
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice result;
    size_t index = 0;
    if (results == NULL || results->type != SCAN_ARRAY) {
        return false;
    }
    scan_cursor_init(&cursor, results->value);
    while (scan_next_element(&cursor, &type, &result)) {
        index++;
    }
    if (index != batch->count) {
        return false;
    }
    scan_cursor_init(&cursor, results->value);
    for (index = 0; scan_next_element(&cursor, &type, &result); index++) {
        take_result(batch, batch->numbers[index], result);
    }
    return true;
}

/* --- requests --------------------------------------------------------------------------------- */

static int tell_how_to_go_on(const struct batch *batch)
{
    if (batch->done_line == 0 && !batch->is_in_doubt) {
        return EXIT_FAILED; /* nothing was sent */
    }
    command_complain(
        "stopped behind line %lld; the same call with --idempotency-key %s goes on and "
        "sends nothing twice",
        (long long)batch->done_line, batch->key);
    return EXIT_FAILED;
}

/* Whether the same request may work a little later. */
static bool may_work_later(enum ph_error error, long status)
{
    return error != PH_OK || status == 429 || status >= 500;
}

/* Repeats the request until it is answered, or there is no sense in it. */
static enum ph_error call_patiently(struct batch *batch, const struct remote_request *request,
                                    struct diag *diag, long *ret_status)
{
    int64_t until_us = clock_boot_us() + PATIENCE_US;
    int delay_ms = DELAY_MIN_MS;
    for (;;) {
        enum ph_error error = remote_call(batch->remote, request, &batch->answer, diag, ret_status);
        batch->was_answered = batch->was_answered || error == PH_OK;
        if (!may_work_later(error, *ret_status) || !batch->was_answered ||
            clock_boot_us() > until_us || interrupt_came()) {
            return error;
        }
        (void)poll(NULL, 0, delay_ms); /* a signal ends it */
        delay_ms = delay_ms * 2 < DELAY_MAX_MS ? delay_ms * 2 : DELAY_MAX_MS;
        /* After a restart the server of a data directory may have another address. */
        struct diag ignored;
        (void)(remote_find(batch->remote, batch->options, batch->given->url, batch->given->token,
                           &ignored) == PH_OK);
    }
}

/* Sends what was gathered. False after it has told why there is no sense in going on. */
static bool flush(struct batch *batch)
{
    if (batch->count == 0) {
        return true;
    }
    char key[KEY_BYTES + 32];
    BUF_AUTO struct buf path;
    buf_init(&path, SEND_TEXT_MAX);
    send_write_path(batch->given, "/msg/batch?with_content=false", &path);
    (void)snprintf(key, sizeof key, "%s-%lld", batch->key, (long long)batch->numbers[0]);
    buf_append_text(&batch->body, "]}");
    const struct remote_request request = {
        .method = "POST",
        .path = buf_text(&path),
        .idempotency_key = key,
        .body = buf_slice(&batch->body),
    };
    struct diag diag;
    long status = 0;
    enum ph_error error = call_patiently(batch, &request, &diag, &status);
    bool is_taken = error == PH_OK && status == 202 && take_results(batch);
    if (!is_taken) {
        progress_hide(&batch->progress);
    }
    if (error != PH_OK) {
        command_complain("%s", diag.text);
    } else if (status != 202) {
        (void)remote_complain(status, buf_slice(&batch->answer));
    } else if (!is_taken) {
        command_complain("the answer does not fit: was the key %s used with another --batch or "
                         "another file?",
                         batch->key);
    }
    batch->is_in_doubt = !is_taken && batch->was_answered && may_work_later(error, status);
    batch->done_line = is_taken ? batch->numbers[batch->count - 1] : batch->done_line;
    batch->count = 0;
    buf_clear(&batch->body);
    return is_taken;
}

/* Adds a line's message to the request. False as flush. */
static bool add_line(struct batch *batch, struct slice line)
{
    enum scan_type type;
    struct diag diag;
    int64_t number = batch->lines.number;
    if (scan_document(line, &type, &diag, NULL) != PH_OK) {
        refuse(batch, number, 0, slice_of(diag.text), false);
        return true;
    }
    if (type != SCAN_OBJECT) {
        refuse(batch, number, 0, SLICE_LITERAL("not an object"), false);
        return true;
    }
    if (batch->body.len + line.len > BODY_MAX && !flush(batch)) {
        return false;
    }
    buf_append_text(&batch->body, batch->count == 0 ? "{\"messages\":[" : ",");
    if (batch->given->type != NULL) {
        send_write_message(batch->given, line, &batch->body);
    } else {
        buf_append_slice(&batch->body, line);
    }
    batch->numbers[batch->count++] = number;
    return batch->count < (size_t)batch->given->batch_size || flush(batch);
}

static int tell_end(const struct batch *batch)
{
    if (!batch->given->is_json) {
        (void)printf("%lld messages sent", (long long)batch->sent);
        (void)(batch->failed > 0 && printf(", %lld lines refused", (long long)batch->failed));
        (void)puts("");
    }
    return batch->failed == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* The next line, or the end. False as flush. */
static bool take_line(struct batch *batch, struct slice line, bool has_line)
{
    line = slice_trim(line);
    bool goes_on = !has_line ? flush(batch) : line.len == 0 || add_line(batch, line);
    if (goes_on && batch->count == 0) {
        progress_show(&batch->progress, batch->lines.number, batch->total, "lines");
    }
    return goes_on;
}

static int send_lines(struct batch *batch)
{
    struct slice line = SLICE_NONE;
    bool has_line = true;
    while (has_line) {
        struct diag diag;
        enum ph_error error = file_lines_next(&batch->lines, &diag, &line, &has_line);
        if (error == PH_BUSY && !interrupt_came()) {
            continue; /* a signal that means nothing here */
        }
        /* What was gathered when a signal comes stays unsent: the next run sends it whole. */
        bool goes_on = error == PH_OK && !interrupt_came() && take_line(batch, line, has_line);
        if (!goes_on) {
            progress_hide(&batch->progress);
            if (error != PH_OK && error != PH_BUSY) {
                command_complain("%s", diag.text);
            }
            return tell_how_to_go_on(batch);
        }
    }
    progress_hide(&batch->progress);
    return tell_end(batch);
}

int send_batches(const struct send_arguments *given, const struct options *options,
                 struct remote *remote)
{
    struct diag diag;
    const char *file = given->file == NULL ? "-" : given->file;
    struct batch *batch = ph_calloc(1, sizeof *batch);
    batch->given = given;
    batch->options = options;
    batch->remote = remote;
    int code = EXIT_FAILED;
    interrupt_catch();
    progress_init(&batch->progress);
    buf_init(&batch->body, BODY_MAX + 2 * SEND_LINE_MAX);
    buf_init(&batch->answer, ANSWER_MAX);
    if (!choose_key(batch)) {
        code = EXIT_FAILED; /* it was told why */
    } else if (remote_find(remote, options, given->url, given->token, &diag) != PH_OK ||
               file_lines_open(file, SEND_LINE_MAX, &diag, &batch->lines) != PH_OK) {
        command_complain("%s", diag.text);
    } else {
        batch->total = file_count_lines(file);
        code = send_lines(batch);
        file_lines_close(&batch->lines);
    }
    buf_done(&batch->answer);
    buf_done(&batch->body);
    free(batch);
    return code;
}
