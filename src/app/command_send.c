/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "app/client.h"
#include "app/file.h"
#include "app/send.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "core/duration.h"
#include "core/scan.h"

#define KEY_MAX 200
#define DAY_US (INT64_C(86400) * CLOCK_US_PER_S)

/* --- a message -------------------------------------------------------------------------------- */

static void write_names(struct json_out *out, const char *key, const struct flag_values *names)
{
    if (names->count > 0) {
        json_out_key(out, key);
        json_out_begin_array(out);
        for (size_t index = 0; index < names->count; index++) {
            json_out_string(out, slice_of(names->items[index]));
        }
        json_out_end_array(out);
    }
}

void send_write_message(const struct send_arguments *given, struct slice payload, struct buf *body)
{
    struct json_out out;
    json_out_init(&out, body);
    json_out_begin_object(&out);
    json_out_member_text(&out, "eventType", given->type);
    if (given->event_id != NULL) {
        json_out_member_text(&out, "eventId", given->event_id);
    }
    write_names(&out, "channels", &given->channels);
    write_names(&out, "tags", &given->tags);
    if (given->deliver_at_us != 0) {
        json_out_member_time(&out, "deliverAt", given->deliver_at_us);
    }
    if (given->ordering_key != NULL) {
        json_out_member_text(&out, "orderingKey", given->ordering_key);
    }
    if (given->kept_days != 0) {
        json_out_member_int(&out, "payloadRetentionPeriod", given->kept_days);
    }
    json_out_member_raw(&out, "payload", payload);
    json_out_end_object(&out);
}

void send_write_path(const struct send_arguments *given, const char *rest, struct buf *path)
{
    buf_append_text(path, "/api/v1/app/");
    client_append_escaped(path, given->application);
    buf_append_text(path, rest);
}

/* --- one message ------------------------------------------------------------------------------ */

static int print_answer(const struct send_arguments *given, struct slice answer)
{
    struct scan_cursor cursor;
    struct scan_member member;
    struct slice id = SLICE_NONE;
    if (scan_document(answer, NULL, NULL, NULL) == PH_OK && !given->is_json) {
        scan_cursor_init(&cursor, answer);
        while (scan_next_member(&cursor, &member)) {
            id = slice_equal_text(member.key, "id") && member.type == SCAN_STRING ? member.value
                                                                                  : id;
        }
    }
    if (id.len > 2) {
        (void)printf("%.*s\n", (int)id.len - 2, id.ptr + 1);
    } else {
        (void)printf("%.*s\n", SLICE_ARG(answer));
    }
    return EXIT_DONE;
}

static int post(const struct send_arguments *given, const struct remote *remote, struct slice body)
{
    BUF_AUTO struct buf path;
    BUF_AUTO struct buf answer;
    buf_init(&path, SEND_TEXT_MAX);
    buf_init(&answer, 4 * SEND_PAYLOAD_MAX);
    send_write_path(given, "/msg", &path);
    const struct remote_request request = {
        .method = "POST",
        .path = buf_text(&path),
        .idempotency_key = given->key,
        .body = body,
    };
    struct diag diag;
    long status = 0;
    if (remote_call(remote, &request, &answer, &diag, &status) != PH_OK) {
        command_complain("%s", diag.text);
        return EXIT_FAILED;
    }
    return status == 202 ? print_answer(given, buf_slice(&answer))
                         : remote_complain(status, buf_slice(&answer));
}

static enum ph_error read_named(const char *file, struct buf *payload, struct diag *diag)
{
    return strcmp(file, "-") == 0 ? file_read_fd(STDIN_FILENO, "standard input", payload, diag)
                                  : file_read(file, payload, diag);
}

/* --payload is JSON, else it names a file; without it --file does, or it is standard input. */
static enum ph_error read_payload(const struct send_arguments *given, struct buf *payload,
                                  struct diag *diag)
{
    const char *text = given->payload;
    struct diag reason;
    enum ph_error error;
    if (text == NULL || strcmp(text, "-") == 0 || given->file != NULL) {
        const char *file = given->file != NULL ? given->file : "-";
        error = read_named(file, payload, diag);
    } else if (scan_document(slice_of(text), NULL, &reason, NULL) == PH_OK) {
        buf_append_text(payload, text);
        return PH_OK;
    } else if (text[0] == '\0' || text[0] == '{' || text[0] == '[' || text[0] == '"') {
        return diag_set(diag, PH_INVALID, NULL, "the payload is not JSON: %s", reason.text);
    } else {
        error = file_read(text, payload, diag);
        if (error == PH_NOT_FOUND) {
            return diag_set(diag, PH_INVALID, NULL,
                            "the payload \"%.80s\" is neither JSON (%s) nor a file", text,
                            reason.text);
        }
    }
    if (error == PH_OK && scan_document(buf_slice(payload), NULL, &reason, NULL) != PH_OK) {
        error = diag_set(diag, PH_INVALID, NULL, "the payload is not JSON: %s", reason.text);
    }
    return error;
}

static int send_one(const struct send_arguments *given, const struct options *options,
                    struct remote *remote)
{
    struct diag diag;
    BUF_AUTO struct buf payload;
    BUF_AUTO struct buf body;
    buf_init(&payload, SEND_PAYLOAD_MAX);
    buf_init(&body, 2 * SEND_PAYLOAD_MAX);
    enum ph_error error = read_payload(given, &payload, &diag);
    if (error == PH_OK) {
        error = remote_find(remote, options, given->url, given->token, &diag);
    }
    if (error != PH_OK) {
        command_complain("%s", diag.text);
        return EXIT_FAILED;
    }
    send_write_message(given, slice_trim(buf_slice(&payload)), &body);
    return post(given, remote, buf_slice(&body));
}

/* --- what was given --------------------------------------------------------------------------- */

/* A time, or a duration from now such as 10m. */
static bool read_time(struct send_arguments *given)
{
    int64_t delay_us;
    if (given->deliver_at == NULL ||
        clock_parse(slice_of(given->deliver_at), &given->deliver_at_us)) {
        return true;
    }
    if (duration_parse(slice_of(given->deliver_at), &delay_us)) {
        given->deliver_at_us = clock_wall_us() + delay_us;
        return true;
    }
    command_complain("--deliver-at wants a time such as 2026-01-05T10:00:00Z, or a delay such as "
                     "10m, not \"%s\"",
                     given->deliver_at);
    return false;
}

static bool read_number(const char *flag, const char *text, int64_t maximum, int64_t *ret_number)
{
    if (text == NULL || (slice_to_int64(slice_of(text), ret_number) && *ret_number >= 1 &&
                         *ret_number <= maximum)) {
        return true;
    }
    command_complain("%s wants a number from 1 to %lld, not \"%s\"", flag, (long long)maximum,
                     text);
    return false;
}

/* It goes into a header. */
static bool check_key(const char *key)
{
    for (const char *at = key; at != NULL && *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~' || at - key >= KEY_MAX) {
            command_complain("--idempotency-key wants 1 to %d printable ASCII characters without "
                             "spaces",
                             KEY_MAX);
            return false;
        }
    }
    return true;
}

static bool check_type(const struct send_arguments *given)
{
    bool says_more = given->event_id != NULL || given->deliver_at != NULL ||
                     given->ordering_key != NULL || given->keep_days != NULL ||
                     given->channels.count > 0 || given->tags.count > 0;
    if (given->batch == NULL && given->type == NULL) {
        command_complain("send wants --event-type TYPE; see `posthorn help send`");
        return false;
    }
    if (given->batch != NULL && given->type == NULL && says_more) {
        command_complain("with --batch and without --event-type each line is a whole message: what "
                         "other flags say belongs there");
        return false;
    }
    if (given->batch != NULL && (given->event_id != NULL || given->payload != NULL)) {
        command_complain(
            "--event-id and --payload are for one message; a batch comes from --file or "
            "standard input");
        return false;
    }
    return true;
}

static int run_send(struct send_arguments *given, const struct options *options,
                    struct remote *remote)
{
    if (!check_type(given) || !check_key(given->key) || !read_time(given) ||
        !read_number("--payload-retention-period", given->keep_days, 90, &given->kept_days) ||
        !read_number("--batch", given->batch, SEND_BATCH_MAX, &given->batch_size)) {
        return EXIT_USAGE;
    }
    if (given->batch != NULL) {
        return send_batches(given, options, remote);
    }
    if (given->key != NULL) {
        remote->token_made_at_us = clock_wall_us() / DAY_US * DAY_US;
    }
    return send_one(given, options, remote);
}

/* --- the command ------------------------------------------------------------------------------ */

static int run(int count, char **arguments);

static const struct flag_row flags[] = {
    {"--app", FLAG_VALUE, FLAG_REQUIRED, offsetof(struct send_arguments, application), "ID",
     "The application, by id or uid."},
    {"--event-type", FLAG_VALUE, 0, offsetof(struct send_arguments, type), "TYPE",
     "The event type; in a batch, that of all messages."},
    {"--type", FLAG_VALUE, FLAG_HIDDEN, offsetof(struct send_arguments, type), "TYPE", ""},
    {"--payload", FLAG_VALUE, 0, offsetof(struct send_arguments, payload), "JSON|FILE|-",
     "The payload: JSON, a file with it, or - for standard input, as without it."},
    {"--file", FLAG_VALUE, 0, offsetof(struct send_arguments, file), "FILE|-",
     "The payload is in FILE; in a batch, the lines."},
    {"--event-id", FLAG_VALUE, 0, offsetof(struct send_arguments, event_id), "ID",
     "An id of yours; a second message with it is refused."},
    {"--channel", FLAG_LIST, 0, offsetof(struct send_arguments, channels), "NAME",
     "A channel, which endpoints can ask for."},
    {"--tag", FLAG_LIST, 0, offsetof(struct send_arguments, tags), "NAME",
     "A tag, which lists can be filtered by."},
    {"--deliver-at", FLAG_VALUE, 0, offsetof(struct send_arguments, deliver_at), "TIME",
     "Not before then: an RFC 3339 time, or a delay such as 10m."},
    {"--ordering-key", FLAG_VALUE, 0, offsetof(struct send_arguments, ordering_key), "KEY",
     "Endpoints that keep an order by key get messages of one key one after the other."},
    {"--payload-retention-period", FLAG_VALUE, 0, offsetof(struct send_arguments, keep_days),
     "DAYS", "How long the payload is kept, 1 to 90."},
    {"--batch", FLAG_VALUE, 0, offsetof(struct send_arguments, batch), "N",
     "Sends many messages, N in each request (1 to 1000), from the lines of --file or of standard "
     "input."},
    {"--idempotency-key", FLAG_VALUE, 0, offsetof(struct send_arguments, key), "KEY",
     "A repeated call with the same key within 12 hours sends nothing and gives the first one's "
     "answer. A batch that was cut short goes on with it, see above."},
    FLAG_JSON(
        struct send_arguments,
        "Prints the whole answer; in a batch one object per line: line, status, id or error."),
    FLAG_URL(struct send_arguments),
    FLAG_TOKEN(struct send_arguments),
};

static const enum option_id shown_options[] = {OPTION_DATA};

const struct command command_send = {
    .name = "send",
    .run = run,
    .flags = flags,
    .flag_count = PH_ARRAY_LENGTH(flags),
    .options = shown_options,
    .option_count = PH_ARRAY_LENGTH(shown_options),
    .help = "send a message and print its id, or many",
    .details =
        "With --batch each line of --file is a message: its payload when --event-type is given, "
        "else an object as the API takes it, with eventType, payload and what else a message has. "
        "Empty lines are skipped; a line that is refused is told on standard error, the others are "
        "sent, and the exit code is 1.\n"
        "A batch waits for a server that is busy or away, for a minute. When it ends early it says "
        "with which --idempotency-key it goes on: the same call with that key, on the same file "
        "and "
        "with the same --batch, within 12 hours, sends nothing twice. A key of yours does the same "
        "until midnight (UTC), or always with --token or POSTHORN_TOKEN.",
    .examples =
        "posthorn send --app acme --event-type job.run.completed --payload '{\"jobId\": 1}'\n"
        "posthorn send --app acme --event-type job.run.completed --payload run.json --channel eu\n"
        "posthorn send --app acme --batch 500 --file messages.ndjson",
};

static int run(int count, char **arguments)
{
    struct send_arguments given = {0};
    struct command_line line;
    struct remote remote;
    int code = EXIT_USAGE;
    remote_init(&remote);
    if (command_read(&line, &command_send, count, arguments, &given)) {
        code = run_send(&given, &line.options, &remote);
    }
    command_line_done(&line);
    remote_done(&remote);
    return code;
}
