/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows an application's stream and prints what happens, until a signal ends it. A connection
 * that ends or breaks is made again behind the last event.
 */
#include <errno.h>
#include <poll.h>

#include "app/client.h"
#include "app/command.h"
#include "app/interrupt.h"
#include "app/preview.h"
#include "app/remote.h"
#include "core/base64.h"
#include "core/event_stream.h"
#include "core/scan.h"

#define TEXT_MAX 65536
#define ANSWER_MAX ((size_t)1024 * 1024)
#define MEMBERS_MAX 64
/* Of a payload or a response, unless all of it is wanted. */
#define PREVIEW_BYTES 100
#define LINE_MAX_BYTES ((size_t)16 * 1024 * 1024)
#define DELAY_MIN_MS 250
#define DELAY_MAX_MS 10000

struct tail {
    const struct options *options;
    const char *url;
    const char *token;
    const char *application;
    const char *event_types;
    const char *endpoint;
    const char *since;
    const char *wanted;
    bool is_json;
    bool with_content;
    int64_t left; /* events to print, -1 = no end */

    struct remote remote;
    struct event_stream stream;
    struct buf application_found;
    bool was_connected;
    bool is_connected;
    bool is_told; /* that the connection is lost */
    bool is_failed;
    int delay_ms;
};

/* --- printing --------------------------------------------------------------------------------- */

/* A member as it is shown: texts without their quotes (ids and names have no escapes). */
static struct slice member_text(const struct scan_member *members, size_t count, const char *key)
{
    const struct scan_member *member = scan_find(members, count, key);
    if (member == NULL) {
        return SLICE_LITERAL("-");
    }
    struct slice value = member->value;
    return member->type == SCAN_STRING ? (struct slice){value.ptr + 1, value.len - 2} : value;
}

/* What a message carries, or why an attempt failed, as its JSON text: that has no line breaks and
 * no control characters but escaped ones. SLICE_NONE when there is nothing to say. */
static struct slice content_of(const struct stream_event *event, const struct scan_member *members,
                               size_t count)
{
    bool is_attempt = slice_equal_text(event->name, "attempt");
    if (is_attempt && slice_equal_text(member_text(members, count, "statusText"), "success")) {
        return SLICE_NONE;
    }
    const struct scan_member *member =
        scan_find(members, count, is_attempt ? "response" : "payload");
    return member == NULL ? SLICE_NONE : member->value;
}

static void print_line(const struct tail *tail, const struct stream_event *event,
                       const struct scan_member *members, size_t count)
{
#define MEMBER(key) SLICE_ARG(member_text(members, count, key))
    BUF_AUTO struct buf line;
    buf_init(&line, LINE_MAX_BYTES);
    struct slice time = member_text(members, count, "timestamp");
    time.len = time.len > 23 ? 23 : time.len; /* to the millisecond */
    if (slice_equal_text(event->name, "attempt")) {
        bool is_manual = slice_equal_text(member_text(members, count, "triggerType"), "1");
        buf_append_format(&line, "%.*sZ attempt %.*s %.*s %.*s %.*s %.*s %.*s ms%s",
                          SLICE_ARG(time), MEMBER("eventType"), MEMBER("msgId"),
                          MEMBER("endpointId"), MEMBER("statusText"), MEMBER("responseStatusCode"),
                          MEMBER("responseDurationMs"), is_manual ? " by hand" : "");
    } else {
        buf_append_format(&line, "%.*sZ message %.*s %.*s", SLICE_ARG(time), MEMBER("eventType"),
                          MEMBER("id"));
    }
#undef MEMBER
    struct slice content = content_of(event, members, count);
    if (content.len > 0) {
        buf_append_byte(&line, ' ');
        preview_append(&line, content, tail->with_content ? SIZE_MAX : PREVIEW_BYTES);
    }
    (void)puts(buf_text(&line));
}

/* False when it was the last one. */
static bool print_event(void *context, const struct stream_event *event)
{
    struct tail *tail = context;
    struct scan_member members[MEMBERS_MAX];
    size_t count;
    if (scan_object(event->data, members, MEMBERS_MAX, &count, NULL, NULL) != PH_OK) {
        command_complain("the server sent an event that cannot be read");
        tail->is_failed = true;
        return false;
    }
    if (slice_equal_text(event->name, "gap")) {
        command_complain("events after %.*s may be missing: they are no longer kept",
                         SLICE_ARG(member_text(members, count, "lastEventId")));
        return true;
    }
    if (tail->is_json) {
        (void)fwrite(event->data.ptr, 1, event->data.len, stdout);
        (void)putchar('\n');
    } else {
        print_line(tail, event, members, count);
    }
    tail->left -= tail->left > 0;
    return fflush(stdout) == 0 && tail->left != 0;
}

/* --- the application -------------------------------------------------------------------------- */

/* An application's token says whose it is. False when it says nothing, or an organisation. */
static bool read_subject(struct slice token, struct buf *application)
{
    struct slice head;
    struct slice payload;
    uint8_t bytes[4096];
    size_t length;
    struct scan_member members[MEMBERS_MAX];
    size_t count;
    if (!slice_next(&token, '.', &head) || !slice_next(&token, '.', &payload) ||
        !base64url_decode(payload, bytes, sizeof bytes, &length) ||
        scan_object((struct slice){(char *)bytes, length}, members, MEMBERS_MAX, &count, NULL,
                    NULL) != PH_OK) {
        return false;
    }
    struct slice subject = member_text(members, count, "sub");
    if (slice_starts_with(subject, "app_")) {
        buf_append_slice(application, subject);
    }
    return application->len > 0;
}

/* The only application that there is. */
static bool find_only(const struct remote *remote, struct buf *application)
{
    BUF_AUTO struct buf url;
    BUF_AUTO struct buf answer;
    buf_init(&url, TEXT_MAX);
    buf_init(&answer, ANSWER_MAX);
    buf_append_format(&url, "%s/api/v1/app?limit=2", buf_text(&remote->url));
    const struct client_request request = {
        .method = "GET",
        .url = buf_text(&url),
        .token = buf_text(&remote->token),
        .is_local = remote->is_local,
    };
    struct diag diag;
    long status = 0;
    if (client_call(&request, &answer, &diag, &status) != PH_OK) {
        command_complain("%s", diag.text);
        return false;
    }
    struct scan_member members[MEMBERS_MAX];
    size_t count;
    if (status != 200 ||
        scan_object(buf_slice(&answer), members, MEMBERS_MAX, &count, NULL, NULL) != PH_OK) {
        (void)remote_complain(status, buf_slice(&answer));
        return false;
    }
    const struct scan_member *data = scan_find(members, count, "data");
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice first;
    struct slice second;
    scan_cursor_init(&cursor, data == NULL ? SLICE_LITERAL("[]") : data->value);
    if (!scan_next_element(&cursor, &type, &first) || scan_next_element(&cursor, &type, &second) ||
        scan_object(first, members, MEMBERS_MAX, &count, NULL, NULL) != PH_OK) {
        command_complain("give --app: there is not just one application");
        return false;
    }
    buf_append_slice(application, member_text(members, count, "id"));
    return true;
}

static bool find_application(struct tail *tail)
{
    if (tail->application == NULL) {
        if (!read_subject(buf_slice(&tail->remote.token), &tail->application_found) &&
            !find_only(&tail->remote, &tail->application_found)) {
            return false;
        }
        tail->application = buf_text(&tail->application_found);
    }
    return true;
}

/* --- following -------------------------------------------------------------------------------- */

static bool take_bytes(void *context, struct slice bytes)
{
    struct tail *tail = context;
    struct diag diag;
    if (!tail->is_connected && tail->is_told) {
        command_complain("connected again");
    }
    tail->is_connected = true;
    tail->was_connected = true;
    tail->is_told = false;
    tail->delay_ms = DELAY_MIN_MS;
    if (event_stream_feed(&tail->stream, bytes, print_event, tail, &diag) != PH_OK) {
        command_complain("%s", diag.text);
        tail->is_failed = true;
    }
    return !tail->is_failed && tail->left != 0 && !ferror(stdout) && !interrupt_came();
}

static bool goes_on(void *context)
{
    (void)context;
    return !interrupt_came();
}

static void write_url(const struct tail *tail, struct buf *url)
{
    buf_append_format(url, "%s/api/v1/app/", buf_text(&tail->remote.url));
    client_append_escaped(url, tail->application);
    /* Lines show the beginning of it. */
    bool with_content = tail->with_content || !tail->is_json;
    buf_append_format(url, "/stream?with_content=%s", with_content ? "true" : "false");
    if (tail->event_types != NULL) {
        buf_append_text(url, "&event_types=");
        client_append_escaped(url, tail->event_types);
    }
    if (tail->endpoint != NULL) {
        buf_append_text(url, "&endpoint_id=");
        client_append_escaped(url, tail->endpoint);
    }
}

/* One connection to its end. The words are of why it did not work, or broke off. */
static enum ph_error connect_once(struct tail *tail, struct diag *diag)
{
    BUF_AUTO struct buf url;
    BUF_AUTO struct buf answer;
    BUF_AUTO struct buf last_id;
    buf_init(&url, TEXT_MAX);
    buf_init(&answer, ANSWER_MAX);
    buf_init(&last_id, TEXT_MAX);
    event_stream_restart(&tail->stream);
    buf_append_slice(&last_id, event_stream_last_id(&tail->stream));
    write_url(tail, &url);
    const struct client_request request = {
        .method = "GET",
        .url = buf_text(&url),
        .token = buf_text(&tail->remote.token),
        .last_event_id = buf_text(&last_id),
        .is_local = tail->remote.is_local,
    };
    const struct client_reader reader = {take_bytes, goes_on, tail};
    long status = 0;
    tail->is_connected = false;
    enum ph_error error = client_follow(&request, &reader, &answer, diag, &status);
    if (error == PH_OK && status != 200 && status != 0) {
        BUF_AUTO struct buf words;
        buf_init(&words, TEXT_MAX);
        remote_describe(status, buf_slice(&answer), &words);
        error = diag_set(diag, status >= 500 ? PH_BUSY : PH_INVALID, NULL, "%s", buf_text(&words));
    }
    return error;
}

/* Waits, twice as long each time that there was no connection in between. */
static void pause_before_retry(struct tail *tail)
{
    (void)poll(NULL, 0, tail->delay_ms); /* a signal ends it */
    tail->delay_ms = tail->delay_ms >= DELAY_MAX_MS / 2 ? DELAY_MAX_MS : 2 * tail->delay_ms;
}

static bool is_over(const struct tail *tail)
{
    return tail->is_failed || tail->left == 0 || ferror(stdout) || interrupt_came();
}

/* Until it is over, or there is no sense in trying again. */
static int follow(struct tail *tail)
{
    for (;;) {
        struct diag diag = {0};
        enum ph_error error = connect_once(tail, &diag);
        if (is_over(tail)) {
            return tail->is_failed ? EXIT_FAILED : EXIT_DONE;
        }
        bool is_hopeless = error == PH_INVALID || (error == PH_IO && !tail->was_connected);
        if (is_hopeless) {
            command_complain("%s", diag.text);
            return EXIT_FAILED;
        }
        do {
            if (error != PH_OK && !tail->is_told) {
                command_complain("not connected: %s; trying again", diag.text);
                tail->is_told = true;
            }
            pause_before_retry(tail);
            /* After a restart the server of a data directory may have another address. */
            error = remote_find(&tail->remote, tail->options, tail->url, tail->token, &diag);
        } while (error != PH_OK && !is_over(tail));
    }
}

static int run_tail(struct tail *tail)
{
    struct diag diag;
    if (remote_find(&tail->remote, tail->options, tail->url, tail->token, &diag) != PH_OK) {
        command_complain("%s", diag.text);
        return EXIT_FAILED;
    }
    if (!find_application(tail)) {
        return EXIT_FAILED;
    }
    if (tail->since != NULL) {
        event_stream_set_last_id(&tail->stream, slice_of(tail->since));
    }
    return follow(tail);
}

static int run(int count, char **arguments);

static const struct flag_row flags[] = {
    {"--app", FLAG_VALUE, 0, offsetof(struct tail, application), "ID",
     "The application, by id or uid; may be left out when there is only one, or with an "
     "application's token."},
    {"--event-type", FLAG_VALUE, 0, offsetof(struct tail, event_types), "TYPE",
     "Only of this event type, or of several with commas between."},
    {"--endpoint", FLAG_VALUE, 0, offsetof(struct tail, endpoint), "ID",
     "Only attempts to this endpoint, by id or uid."},
    {"--since", FLAG_VALUE, 0, offsetof(struct tail, since), "ID",
     "Begins behind this message or attempt, not now."},
    {"--count", FLAG_VALUE, 0, offsetof(struct tail, wanted), "N", "Ends it after so many."},
    {"--with-content", FLAG_SWITCH, 0, offsetof(struct tail, with_content), NULL,
     "With whole payloads and responses; else a line has their beginning, and JSON nothing of "
     "them."},
    FLAG_JSON(struct tail, "Prints what the API says of each, one JSON object per line."),
    FLAG_URL(struct tail),
    FLAG_TOKEN(struct tail),
};

static const enum option_id shown_options[] = {OPTION_DATA};

const struct command command_tail = {
    .name = "tail",
    .run = run,
    .flags = flags,
    .flag_count = PH_ARRAY_LENGTH(flags),
    .options = shown_options,
    .option_count = PH_ARRAY_LENGTH(shown_options),
    .help = "follow an application's messages and attempts",
    .details =
        "One line for each, as soon as it is on disk: time, message or attempt, event type, "
        "message and the beginning of its payload; or endpoint, outcome, status, duration and, "
        "when it failed, the beginning of the answer or the error. It connects again by "
        "itself where it was; SIGINT ends it.",
    .examples = "posthorn tail --app acme --event-type job.run.completed --data /var/lib/posthorn",
};

static int run(int count, char **arguments)
{
    struct tail tail = {.left = -1, .delay_ms = DELAY_MIN_MS};
    struct command_line line;
    int code = EXIT_USAGE;
    interrupt_catch();
    remote_init(&tail.remote);
    event_stream_init(&tail.stream);
    buf_init(&tail.application_found, TEXT_MAX);
    if (command_read(&line, &command_tail, count, arguments, &tail)) {
        tail.options = &line.options;
        if (tail.wanted != NULL &&
            (!slice_to_int64(slice_of(tail.wanted), &tail.left) || tail.left < 1)) {
            command_complain("--count wants a number from 1, not \"%s\"", tail.wanted);
        } else {
            code = run_tail(&tail);
        }
    }
    command_line_done(&line);
    buf_done(&tail.application_found);
    event_stream_done(&tail.stream);
    remote_done(&tail.remote);
    return code;
}
