/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends messages to an endpoint again, as a background task of the server, and follows it to its
 * end. The task is the server's: when this command ends early the task goes on.
 */
#include <poll.h>

#include "app/client.h"
#include "app/command.h"
#include "app/interrupt.h"
#include "app/progress.h"
#include "app/remote.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "core/duration.h"
#include "core/scan.h"

#define TEXT_MAX 65536
#define ANSWER_MAX ((size_t)4 * 1024 * 1024)
#define MEMBERS_MAX 64
#define POLL_MIN_MS 50
#define POLL_MAX_MS 500
#define RETRY_MS 1000
#define STATUSES "success, pending, fail, sending or canceled"
#define CLASSES "0, 100, 200, 300, 400 or 500"

struct replay {
    const char *url;
    const char *token;
    const char *application;
    const char *endpoint;
    const char *since;
    const char *until;
    const char *rate;
    struct flag_values event_types;
    const char *channel;
    const char *tag;
    const char *status;
    const char *status_code_class;
    const char *followed;  /* --task */
    const char *cancelled; /* --cancel */
    bool is_missing;
    bool is_failed;
    bool is_all;
    bool is_followed;
    bool is_detached;
    bool is_json;

    const struct options *options;
    struct remote remote;
    struct progress progress;
    struct buf task; /* its id */
    struct buf answer;
    bool was_connected;
    bool is_told; /* that the connection is lost */
};

/* --- talking to the server ----------------------------------------------------------------------
 */

static enum ph_error call(struct replay *replay, const char *method, const char *url,
                          struct slice body, struct diag *diag, long *ret_status)
{
    const struct client_request request = {
        .method = method,
        .url = url,
        .token = buf_text(&replay->remote.token),
        .is_local = replay->remote.is_local,
        .body = body,
    };
    buf_clear(&replay->answer);
    return client_call(&request, &replay->answer, diag, ret_status);
}

static void write_task_url(const struct replay *replay, const char *id, const char *rest,
                           struct buf *url)
{
    buf_append_format(url, "%s/api/v1/background-task/", buf_text(&replay->remote.url));
    client_append_escaped(url, id);
    buf_append_text(url, rest);
}

/* What the answer says of a task. */
struct told {
    struct scan_member members[MEMBERS_MAX];
    size_t count;
    struct scan_member data[MEMBERS_MAX];
    size_t data_count;
};

/* False when the answer is no task. */
static bool read_task(const struct replay *replay, struct told *told)
{
    if (scan_object(buf_slice(&replay->answer), told->members, MEMBERS_MAX, &told->count, NULL,
                    NULL) != PH_OK) {
        return false;
    }
    const struct scan_member *data = scan_find(told->members, told->count, "data");
    told->data_count = 0;
    return data == NULL || scan_object(data->value, told->data, MEMBERS_MAX, &told->data_count,
                                       NULL, NULL) == PH_OK;
}

/* A text without its quotes; empty when it is not there. */
static struct slice text_of(const struct scan_member *members, size_t count, const char *key)
{
    const struct scan_member *member = scan_find(members, count, key);
    if (member == NULL || member->type != SCAN_STRING) {
        return SLICE_LITERAL("");
    }
    return (struct slice){member->value.ptr + 1, member->value.len - 2};
}

/* -1 when it is not there, or null. */
static int64_t number_of(const struct told *told, const char *key)
{
    int64_t number;
    const struct scan_member *member = scan_find(told->data, told->data_count, key);
    return member != NULL && scan_int64(member->value, &number) ? number : -1;
}

static bool is_set(const struct told *told, const char *key)
{
    const struct scan_member *member = scan_find(told->data, told->data_count, key);
    return member != NULL && member->type == SCAN_TRUE;
}

/* --- following ----------------------------------------------------------------------------------
 */

static int64_t or_zero(int64_t number)
{
    return number < 0 ? 0 : number;
}

static int tell_end(const struct replay *replay, const struct told *told)
{
    bool is_finished = slice_equal_text(text_of(told->members, told->count, "status"), "finished");
    int64_t sent = or_zero(number_of(told, "messagesSent"));
    int64_t skipped = or_zero(number_of(told, "messagesSkipped"));
    if (replay->is_json) {
        (void)puts(buf_text(&replay->answer));
    } else if (is_finished) {
        (void)printf("%lld messages sent again", (long long)sent);
        (void)(skipped > 0 && printf(", %lld have no payload any more", (long long)skipped));
        (void)(is_set(told, "capped") && printf("; more are left: start it again"));
        (void)puts("");
    } else if (is_set(told, "cancelled")) {
        command_complain("%s was cancelled after %lld messages", buf_text(&replay->task),
                         (long long)sent);
    } else {
        command_complain("%s failed after %lld messages: %.*s", buf_text(&replay->task),
                         (long long)sent,
                         SLICE_ARG(text_of(told->data, told->data_count, "error")));
    }
    return is_finished ? EXIT_DONE : EXIT_FAILED;
}

static int tell_interrupted(const struct replay *replay)
{
    command_complain("%s goes on; `posthorn replay --task %s` follows it again, `posthorn replay "
                     "--cancel %s` ends it",
                     buf_text(&replay->task), buf_text(&replay->task), buf_text(&replay->task));
    return EXIT_FAILED;
}

/* The task's answer once more. PH_IO and PH_BUSY: it may be there later. */
static enum ph_error look(struct replay *replay, struct told *told, struct diag *diag)
{
    BUF_AUTO struct buf url;
    buf_init(&url, TEXT_MAX);
    write_task_url(replay, buf_text(&replay->task), "", &url);
    long status = 0;
    enum ph_error error = call(replay, "GET", buf_text(&url), SLICE_NONE, diag, &status);
    if (error != PH_OK) {
        return error;
    }
    if (status != 200 || !read_task(replay, told)) {
        BUF_AUTO struct buf words;
        buf_init(&words, TEXT_MAX);
        remote_describe(status, buf_slice(&replay->answer), &words);
        return diag_set(diag, status >= 500 ? PH_BUSY : PH_INVALID, NULL, "%s", buf_text(&words));
    }
    return PH_OK;
}

/* After a look that failed. False when there is no sense in trying again. */
static bool may_try_again(struct replay *replay, enum ph_error error, const struct diag *diag)
{
    progress_hide(&replay->progress);
    if (error == PH_INVALID || !replay->was_connected) {
        command_complain("%s", diag->text);
        return false;
    }
    if (!replay->is_told) {
        command_complain("not connected: %s; trying again", diag->text);
        replay->is_told = true;
    }
    (void)poll(NULL, 0, RETRY_MS); /* a signal ends it */
    /* After a restart the server of a data directory may have another address. */
    struct diag ignored;
    replay->is_told = remote_find(&replay->remote, replay->options, replay->url, replay->token,
                                  &ignored) != PH_OK ||
                      replay->is_told;
    return true;
}

static int follow(struct replay *replay)
{
    int pause_ms = POLL_MIN_MS;
    while (!interrupt_came()) {
        struct diag diag = {0};
        struct told told;
        enum ph_error error = look(replay, &told, &diag);
        if (error != PH_OK) {
            if (!may_try_again(replay, error, &diag)) {
                return EXIT_FAILED;
            }
            continue;
        }
        replay->was_connected = true;
        replay->is_told = false;
        int64_t sent = or_zero(number_of(&told, "messagesSent"));
        progress_show(&replay->progress, sent + or_zero(number_of(&told, "messagesSkipped")),
                      number_of(&told, "messagesTotal"), "messages");
        if (!slice_equal_text(text_of(told.members, told.count, "status"), "running")) {
            progress_hide(&replay->progress);
            return tell_end(replay, &told);
        }
        (void)poll(NULL, 0, pause_ms); /* a signal ends it */
        pause_ms = pause_ms * 2 < POLL_MAX_MS ? pause_ms * 2 : POLL_MAX_MS;
    }
    progress_hide(&replay->progress);
    return tell_interrupted(replay);
}

/* --- what was asked for -------------------------------------------------------------------------
 */

static int cancel(struct replay *replay)
{
    BUF_AUTO struct buf url;
    buf_init(&url, TEXT_MAX);
    write_task_url(replay, replay->cancelled, "/cancel", &url);
    struct diag diag;
    long status = 0;
    struct told told;
    if (call(replay, "POST", buf_text(&url), SLICE_LITERAL("{}"), &diag, &status) != PH_OK) {
        command_complain("%s", diag.text);
        return EXIT_FAILED;
    }
    if (status != 200 || !read_task(replay, &told)) {
        return remote_complain(status, buf_slice(&replay->answer));
    }
    if (replay->is_json) {
        (void)puts(buf_text(&replay->answer));
    } else if (is_set(&told, "cancelled")) {
        (void)printf("cancelled after %lld messages\n",
                     (long long)or_zero(number_of(&told, "messagesSent")));
    } else {
        struct slice state = text_of(told.members, told.count, "status");
        command_complain("%s had ended before: %.*s", replay->cancelled, SLICE_ARG(state));
        return EXIT_FAILED;
    }
    return EXIT_DONE;
}

static void write_time(struct json_out *out, const char *key, int64_t wall_us)
{
    if (wall_us != 0) {
        json_out_member_time(out, key, wall_us);
    }
}

/* What was read of the arguments. */
struct wanted {
    int64_t since_us;
    int64_t until_us;
    int64_t rate;
    int64_t status;
    int64_t status_code_class;
};

static void write_text(struct json_out *out, const char *key, const char *text)
{
    if (text != NULL) {
        json_out_member_text(out, key, text);
    }
}

/* Each --event-type names one, or several with commas between. */
static void write_event_types(struct json_out *out, const struct flag_values *given)
{
    if (given->count == 0) {
        return;
    }
    json_out_key(out, "eventTypes");
    json_out_begin_array(out);
    for (size_t index = 0; index < given->count; index++) {
        struct slice rest = slice_of(given->items[index]);
        for (struct slice name; slice_next(&rest, ',', &name);) {
            json_out_string(out, slice_trim(name));
        }
    }
    json_out_end_array(out);
}

static void write_body(const struct replay *replay, const struct wanted *wanted,
                       struct json_out *out)
{
    json_out_begin_object(out);
    write_time(out, "since", wanted->since_us);
    write_time(out, "until", wanted->until_us);
    if (wanted->rate != 0) {
        json_out_member_int(out, "rate", wanted->rate);
    }
    write_event_types(out, &replay->event_types);
    write_text(out, "channel", replay->channel);
    write_text(out, "tag", replay->tag);
    if (replay->status != NULL) {
        json_out_member_int(out, "status", wanted->status);
    }
    if (replay->status_code_class != NULL) {
        json_out_member_int(out, "statusCodeClass", wanted->status_code_class);
    }
    json_out_end_object(out);
}

static int start(struct replay *replay, const struct wanted *wanted)
{
    BUF_AUTO struct buf url;
    BUF_AUTO struct buf body;
    struct json_out out;
    buf_init(&url, TEXT_MAX);
    buf_init(&body, TEXT_MAX);
    buf_append_format(&url, "%s/api/v1/app/", buf_text(&replay->remote.url));
    client_append_escaped(&url, replay->application);
    buf_append_text(&url, "/endpoint/");
    client_append_escaped(&url, replay->endpoint);
    buf_append_text(&url, replay->is_missing ? "/replay-missing"
                          : replay->is_all   ? "/bulk-replay"
                                             : "/recover");
    json_out_init(&out, &body);
    write_body(replay, wanted, &out);
    struct diag diag;
    long status = 0;
    struct told told;
    if (call(replay, "POST", buf_text(&url), buf_slice(&body), &diag, &status) != PH_OK) {
        command_complain("%s", diag.text);
        return EXIT_FAILED;
    }
    if (status != 202 || !read_task(replay, &told)) {
        return remote_complain(status, buf_slice(&replay->answer));
    }
    replay->was_connected = true;
    buf_append_slice(&replay->task, text_of(told.members, told.count, "id"));
    if (!replay->is_detached) {
        return follow(replay);
    }
    (void)puts(buf_text(replay->is_json ? &replay->answer : &replay->task));
    return EXIT_DONE;
}

/* A time, or an age such as 2h. False after it has told what was wrong. */
static bool read_time(const char *flag, const char *text, int64_t *ret_wall_us)
{
    int64_t age_us;
    *ret_wall_us = 0;
    if (text == NULL || clock_parse(slice_of(text), ret_wall_us)) {
        return true;
    }
    if (duration_parse(slice_of(text), &age_us)) {
        *ret_wall_us = clock_wall_us() - age_us;
        return true;
    }
    command_complain("%s wants an age such as 2h, or a time such as 2026-01-05T10:00:00Z, not "
                     "\"%s\"",
                     flag, text);
    return false;
}

/* The name of a delivery's status as the API's number. */
static bool read_status(const struct replay *replay, int64_t *ret_status)
{
    static const char *const names[] = {"success", "pending", "fail", "sending", "canceled"};
    for (size_t index = 0; replay->status != NULL && index < PH_ARRAY_LENGTH(names); index++) {
        if (strcmp(replay->status, names[index]) == 0) {
            *ret_status = (int64_t)index;
            return true;
        }
    }
    if (replay->status != NULL) {
        command_complain("--status wants " STATUSES ", not \"%s\"", replay->status);
    }
    return replay->status == NULL;
}

static bool read_filter(const struct replay *replay, struct wanted *wanted)
{
    if (!replay->is_all && (replay->status != NULL || replay->status_code_class != NULL)) {
        command_complain("--status and --status-code-class go with --all");
        return false;
    }
    if (replay->status_code_class != NULL &&
        !slice_to_int64(slice_of(replay->status_code_class), &wanted->status_code_class)) {
        command_complain("--status-code-class wants " CLASSES ", not \"%s\"",
                         replay->status_code_class);
        return false;
    }
    return read_status(replay, &wanted->status);
}

static bool read_wanted(const struct replay *replay, struct wanted *wanted)
{
    if (!read_time("--since", replay->since, &wanted->since_us) ||
        !read_time("--until", replay->until, &wanted->until_us)) {
        return false;
    }
    if (replay->rate != NULL &&
        (!slice_to_int64(slice_of(replay->rate), &wanted->rate) || wanted->rate < 1)) {
        command_complain("--rate wants messages per second, from 1, not \"%s\"", replay->rate);
        return false;
    }
    return read_filter(replay, wanted);
}

static int run_start(struct replay *replay)
{
    struct wanted wanted = {0};
    if (replay->application == NULL || replay->endpoint == NULL || replay->since == NULL) {
        command_complain("replay wants --app, --endpoint and --since (or --task, or --cancel)");
        return EXIT_USAGE;
    }
    if (!read_wanted(replay, &wanted)) {
        return EXIT_USAGE;
    }
    struct diag diag;
    if (remote_find(&replay->remote, replay->options, replay->url, replay->token, &diag) != PH_OK) {
        command_complain("%s", diag.text);
        return EXIT_FAILED;
    }
    return start(replay, &wanted);
}

static bool has_filter(const struct replay *replay)
{
    return replay->until != NULL || replay->rate != NULL || replay->event_types.count > 0 ||
           replay->channel != NULL || replay->tag != NULL || replay->status != NULL ||
           replay->status_code_class != NULL;
}

static int run_existing(struct replay *replay)
{
    struct diag diag;
    if (replay->application != NULL || replay->endpoint != NULL || replay->since != NULL ||
        has_filter(replay) || (replay->followed != NULL && replay->cancelled != NULL)) {
        command_complain("--task and --cancel name one task, and nothing else");
        return EXIT_USAGE;
    }
    if (remote_find(&replay->remote, replay->options, replay->url, replay->token, &diag) != PH_OK) {
        command_complain("%s", diag.text);
        return EXIT_FAILED;
    }
    if (replay->cancelled != NULL) {
        return cancel(replay);
    }
    buf_append_text(&replay->task, replay->followed);
    return follow(replay);
}

static int run(int count, char **arguments);

static const struct flag_row flags[] = {
    {"--app", FLAG_VALUE, 0, offsetof(struct replay, application), "ID",
     "The application, by id or uid."},
    {"--endpoint", FLAG_VALUE, 0, offsetof(struct replay, endpoint), "ID",
     "The endpoint, by id or uid."},
    {"--since", FLAG_VALUE, 0, offsetof(struct replay, since), "TIME",
     "From this time on: an age such as 2h, or an RFC 3339 time."},
    {"--until", FLAG_VALUE, 0, offsetof(struct replay, until), "TIME", "Up to this time."},
    {"--failed", FLAG_SWITCH, 0, offsetof(struct replay, is_failed), NULL,
     "Makes one attempt for each message that failed and never succeeded, at most 10 000. So it is "
     "when nothing is said."},
    {"--missing", FLAG_SWITCH, 0, offsetof(struct replay, is_missing), NULL,
     "Sends what the endpoint never got and would get now."},
    {"--all", FLAG_SWITCH, 0, offsetof(struct replay, is_all), NULL, "Sends everything again."},
    {"--event-type", FLAG_LIST, 0, offsetof(struct replay, event_types), "TYPE",
     "Only messages of this event type, or of several with commas between."},
    {"--channel", FLAG_VALUE, 0, offsetof(struct replay, channel), "NAME",
     "Only messages with this channel."},
    {"--tag", FLAG_VALUE, 0, offsetof(struct replay, tag), "NAME", "Only messages with this tag."},
    {"--status", FLAG_VALUE, 0, offsetof(struct replay, status),
     "success|pending|fail|sending|canceled", "With --all: only what stands like this now."},
    {"--status-code-class", FLAG_VALUE, 0, offsetof(struct replay, status_code_class),
     "0|100|200|300|400|500",
     "With --all: only what was answered last with a status of this class; 0 is no answer."},
    {"--rate", FLAG_VALUE, 0, offsetof(struct replay, rate), "N",
     "At most so many messages per second."},
    {"--follow", FLAG_SWITCH, 0, offsetof(struct replay, is_followed), NULL,
     "Waits for the end, as it does when nothing is said."},
    {"--detach", FLAG_SWITCH, 0, offsetof(struct replay, is_detached), NULL,
     "Prints the task's id and does not wait."},
    {"--task", FLAG_VALUE, 0, offsetof(struct replay, followed), "ID",
     "Follows a task that is under way."},
    {"--cancel", FLAG_VALUE, 0, offsetof(struct replay, cancelled), "ID", "Ends a task."},
    FLAG_JSON(struct replay, "Prints the task as the API tells it."),
    FLAG_URL(struct replay),
    FLAG_TOKEN(struct replay),
};

static const enum option_id shown_options[] = {OPTION_DATA};

const struct command command_replay = {
    .name = "replay",
    .run = run,
    .flags = flags,
    .flag_count = PH_ARRAY_LENGTH(flags),
    .options = shown_options,
    .option_count = PH_ARRAY_LENGTH(shown_options),
    .help = "send messages to an endpoint again",
    .details =
        "It wants --app, --endpoint and --since, or one task to follow or to end. The server "
        "does it in the background and heeds the endpoint's limits; the command follows it to "
        "its end, and SIGINT ends the command only. The exit code is 1 when the task failed "
        "or was cancelled.",
    .examples = "posthorn replay --app acme --endpoint mine --since 2h --data /var/lib/posthorn\n"
                "posthorn replay --app acme --endpoint mine --since 2026-01-05T00:00:00Z --all "
                "--rate 50 --detach\n"
                "posthorn replay --app acme --endpoint mine --since 2h --event-type "
                "job.failed,job.errored --channel prod",
};

static int run(int count, char **arguments)
{
    struct replay replay = {0};
    struct command_line line;
    int code = EXIT_USAGE;
    interrupt_catch();
    remote_init(&replay.remote);
    progress_init(&replay.progress);
    buf_init(&replay.task, TEXT_MAX);
    buf_init(&replay.answer, ANSWER_MAX);
    if (command_read(&line, &command_replay, count, arguments, &replay)) {
        replay.options = &line.options;
        if (replay.is_failed + replay.is_missing + replay.is_all > 1) {
            command_complain("only one of --failed, --missing and --all can be given");
        } else if (replay.is_followed && replay.is_detached) {
            command_complain("only one of --follow and --detach can be given");
        } else {
            bool is_existing = replay.followed != NULL || replay.cancelled != NULL;
            code = is_existing ? run_existing(&replay) : run_start(&replay);
        }
    }
    command_line_done(&line);
    buf_done(&replay.answer);
    buf_done(&replay.task);
    remote_done(&replay.remote);
    return code;
}
