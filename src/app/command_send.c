/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "app/client.h"
#include "app/command.h"
#include "app/file.h"
#include "app/remote.h"
#include "base/json_out.h"
#include "core/scan.h"

#define BODY_MAX ((size_t)2 * 1024 * 1024)
#define TEXT_MAX 65536

struct send_arguments {
    const char *url;
    const char *token;
    const char *application;
    const char *type;
    const char *payload;
    const char *file;
    const char *event_id;
    const char *key;
    bool is_json;
};

static void write_body(const struct send_arguments *given, struct slice payload, struct buf *body)
{
    struct json_out out;
    json_out_init(&out, body);
    json_out_begin_object(&out);
    json_out_member_text(&out, "eventType", given->type);
    if (given->event_id != NULL) {
        json_out_member_text(&out, "eventId", given->event_id);
    }
    json_out_member_raw(&out, "payload", payload);
    json_out_end_object(&out);
}

static int post(const struct send_arguments *given, const struct remote *remote, struct slice body)
{
    BUF_AUTO struct buf url;
    BUF_AUTO struct buf answer;
    buf_init(&url, TEXT_MAX);
    buf_init(&answer, 4 * BODY_MAX);
    buf_append_format(&url, "%s/api/v1/app/%s/msg", buf_text(&remote->url), given->application);
    const struct client_request request = {
        .method = "POST",
        .url = buf_text(&url),
        .token = buf_text(&remote->token),
        .idempotency_key = given->key,
        .is_local = remote->is_local,
        .body = body,
    };
    struct diag diag;
    long status = 0;
    if (client_call(&request, &answer, &diag, &status) != PH_OK) {
        command_complain("%s", diag.text);
        return EXIT_FAILED;
    }
    if (status != 202) {
        command_complain("the server answered %ld: %s", status, buf_text(&answer));
        return EXIT_FAILED;
    }
    const char *id = strstr(buf_text(&answer), "\"msg_");
    if (given->is_json || id == NULL) {
        (void)puts(buf_text(&answer));
    } else {
        (void)printf("%.*s\n", (int)strcspn(id + 1, "\""), id + 1);
    }
    return EXIT_DONE;
}

static int run_send(const struct options *options, const struct send_arguments *given,
                    struct remote *remote)
{
    BUF_AUTO struct buf payload;
    BUF_AUTO struct buf body;
    buf_init(&payload, BODY_MAX);
    buf_init(&body, 2 * BODY_MAX);
    struct diag diag;
    enum ph_error error = PH_OK;
    if (given->payload != NULL) {
        buf_append_text(&payload, given->payload);
    } else if (given->file != NULL) {
        error = file_read(given->file, &payload, &diag);
    } else {
        error = file_read_fd(STDIN_FILENO, "standard input", &payload, &diag);
    }
    if (error == PH_OK && scan_document(buf_slice(&payload), NULL, &diag, NULL) != PH_OK) {
        command_complain("the payload is not JSON: %s", diag.text);
        return EXIT_FAILED;
    }
    if (error != PH_OK) {
        command_complain("%s", diag.text);
        return EXIT_FAILED;
    }
    if (remote_find(remote, options, given->url, given->token, &diag) != PH_OK) {
        command_complain("%s", diag.text);
        return EXIT_FAILED;
    }
    write_body(given, slice_trim(buf_slice(&payload)), &body);
    return post(given, remote, buf_slice(&body));
}

static int run(int count, char **arguments);

static const struct flag_row flags[] = {
    {"--app", FLAG_VALUE, FLAG_REQUIRED, offsetof(struct send_arguments, application), "ID",
     "The application, by id or uid."},
    {"--event-type", FLAG_VALUE, FLAG_REQUIRED, offsetof(struct send_arguments, type), "TYPE",
     "The event type."},
    {"--type", FLAG_VALUE, FLAG_HIDDEN, offsetof(struct send_arguments, type), "TYPE", ""},
    {"--payload", FLAG_VALUE, 0, offsetof(struct send_arguments, payload), "JSON", "The payload."},
    {"--file", FLAG_VALUE, 0, offsetof(struct send_arguments, file), "FILE",
     "The payload is in FILE; without either it comes from standard input."},
    {"--event-id", FLAG_VALUE, 0, offsetof(struct send_arguments, event_id), "ID",
     "An id of yours; a second message with it is refused."},
    {"--idempotency-key", FLAG_VALUE, 0, offsetof(struct send_arguments, key), "KEY",
     "A repeated call with the same key sends nothing and gives the first one's answer."},
    FLAG_JSON(struct send_arguments, "Prints the whole answer."),
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
    .help = "send one message and print its id",
    .details = "",
    .examples =
        "posthorn send --app acme --event-type job.run.completed --payload '{\"jobId\": 1}'",
};

static int run(int count, char **arguments)
{
    struct send_arguments given = {0};
    struct command_line line;
    int code = EXIT_USAGE;
    if (command_read(&line, &command_send, count, arguments, &given)) {
        struct remote remote;
        remote_init(&remote);
        code = run_send(&line.options, &given, &remote);
        remote_done(&remote);
    }
    command_line_done(&line);
    return code;
}
