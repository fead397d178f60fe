/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Following an application: server-sent events (HTML standard, section 9.2) of its messages and
 * attempts, from now on or from behind the event that the client saw last.
 *
 * Concurrency: the handler makes a follower and begins it; from then on its stream is the live
 * hub's thread's, and the http thread only tells the hub of room and of the client's end. That end
 * always comes, so the follower lives until the hub lets it go after it.
 */
#include "http/stream.h"

#include "api/attempt.h"
#include "api/message.h"
#include "base/clock.h"
#include "flow/live.h"

#define KEEP_ALIVE ": keep-alive\n\n"
#define KEEP_ALIVE_US (15 * CLOCK_US_PER_S)
/* Where the hub stops reading for a client, and where it goes on. */
#define FULL_BYTES ((size_t)256 * 1024)
#define ROOM_BYTES ((size_t)64 * 1024)
/* A client comes back by itself, and then its token is judged again. */
#define LIFE_S INT64_C(3600)

/* The first bytes; they bring the head along. Milliseconds after which a client comes back. */
#define OPENING "retry: 2000\n\n"

struct follower {
    struct live_subscriber *subscriber;
    struct http_stream *stream; /* NULL when it was ended */
    const struct api *api;
    const struct id_codec *codec;
    struct auth_grant grant;
    struct message_filter filter;
    struct slice *event_types; /* of the filter */
    int64_t endpoint_id;       /* only attempts to it; 0 = everything */
};

/* What the request asks for. */
struct stream_query {
    int64_t application_id;
    int64_t endpoint_id;
    int64_t after_id;
    bool has_gap; /* what came after it may be gone */
    bool with_content;
    struct message_filter filter;
};

/* --- events ----------------------------------------------------------------------------------- */

static void write_data(const struct live_event *event, struct json_out *out)
{
    const struct event_row *row = event->row;
    json_out_begin_object(out);
    if (row->is_attempt) {
        struct attempt_row attempt = row->attempt;
        attempt.response = event->content;
        attempt_write_members(out, event->codec, &attempt, event->with_content);
        json_out_member_string(out, "eventType", row->message.event_type);
    } else {
        message_write_members(out, event->codec, &row->message,
                              event->with_content ? event->content : MESSAGE_NO_CONTENT);
    }
    json_out_end_object(out);
    json_out_end_document(out);
}

static void format(const struct live_event *event, struct buf *text)
{
    char id[ID_TEXT_MAX];
    bool is_attempt = event->row->is_attempt;
    (void)id_format(event->codec, is_attempt ? ID_ATTEMPT : ID_MESSAGE, event->row->id, id);
    buf_append_format(text, "id: %s\nevent: %s\ndata: ", id, is_attempt ? "attempt" : "message");
    size_t begin = text->len;
    struct json_out out;
    json_out_init(&out, text);
    write_data(event, &out);
    /* Payloads are as they were sent; outside of texts, where they may stand, a line end is a
     * space to JSON. */
    for (size_t index = begin; index < text->len; index++) {
        if (text->data[index] == '\n' || text->data[index] == '\r') {
            text->data[index] = ' ';
        }
    }
    buf_append_text(text, "\n\n");
}

/* Where the client stands, as an id without an event: it can come back to there although it has
 * seen no event yet, or none for long. */
static void append_position(const struct follower *follower, int64_t position)
{
    char id[ID_TEXT_MAX];
    BUF_AUTO struct buf text;
    buf_init(&text, 64);
    (void)id_format(follower->codec, ID_POSITION, position, id);
    buf_append_format(&text, "id: %s\n\n", id);
    (void)http_stream_append(follower->stream, buf_slice(&text));
}

static void append_gap(struct http_stream *stream, struct slice last_event_id, int64_t after_id)
{
    BUF_AUTO struct buf text;
    struct json_out out;
    buf_init(&text, 1024);
    buf_append_text(&text, "event: gap\ndata: ");
    json_out_init(&out, &text);
    json_out_begin_object(&out);
    json_out_member_string(&out, "lastEventId", last_event_id);
    json_out_member_time(&out, "timestamp", id_time_us(after_id));
    json_out_member_text(&out, "detail",
                         "Events after this one may be missing: they are no longer kept.");
    json_out_end_object(&out);
    json_out_end_document(&out);
    buf_append_text(&text, "\n\n");
    (void)http_stream_append(stream, buf_slice(&text));
}

/* --- the hub's thread ------------------------------------------------------------------------- */

static bool wants(void *context, const struct event_row *row)
{
    const struct follower *follower = context;
    if (follower->endpoint_id != 0 &&
        (!row->is_attempt || row->attempt.endpoint_id != follower->endpoint_id)) {
        return false;
    }
    return message_filter_fits(&follower->filter, row->message.event_type, SLICE_NONE, SLICE_NONE);
}

/* The token may have been ended in the meantime. */
static enum ph_error may_stay(void *context, struct store *store, struct diag *diag, bool *ret_may)
{
    struct follower *follower = context;
    uint64_t version = atomic_load(&follower->api->tokens_version);
    return auth_grant_check(&follower->grant, store, version, clock_wall_us(), diag, ret_may);
}

static bool has_room(void *context)
{
    const struct follower *follower = context;
    return http_stream_waiting(follower->stream) < FULL_BYTES;
}

static bool give(void *context, struct slice text)
{
    const struct follower *follower = context;
    return http_stream_append(follower->stream, text);
}

static void expire(void *context, int64_t position)
{
    struct follower *follower = context;
    append_position(follower, position);
    http_stream_end(follower->stream);
    follower->stream = NULL;
}

static void free_follower(struct follower *follower)
{
    auth_grant_done(&follower->grant);
    free(follower->event_types);
    free(follower);
}

static void left(void *context)
{
    struct follower *follower = context;
    if (follower->stream != NULL) {
        http_stream_end(follower->stream);
    }
    free_follower(follower);
}

/* --- the http thread -------------------------------------------------------------------------- */

static void tell_room(void *context)
{
    live_wake(((struct follower *)context)->subscriber);
}

static void tell_closed(void *context)
{
    live_leave(((struct follower *)context)->subscriber);
}

/* The position behind the event that the client saw last; without one, the present. */
static enum ph_error read_position(struct api_call *call, struct store *store, struct diag *diag,
                                   struct stream_query *query)
{
    struct slice text = http_header(call->request, "last-event-id");
    if (text.len == 0) {
        return message_newest_id(store, diag, &query->after_id);
    }
    bool is_attempt = id_has_prefix(ID_ATTEMPT, text);
    bool is_position = id_has_prefix(ID_POSITION, text);
    enum id_kind kind = is_attempt ? ID_ATTEMPT : is_position ? ID_POSITION : ID_MESSAGE;
    if (!id_parse(call->codec, kind, text, &query->after_id)) {
        return diag_set(diag, PH_INVALID, "header.last-event-id",
                        "must be the id of an event of this stream");
    }
    bool exists = true;
    enum ph_error error = is_position ? PH_OK
                                      : event_exists(store, query->application_id, is_attempt,
                                                     query->after_id, diag, &exists);
    if (error == PH_OK) {
        const struct flow_settings *settings = flow_settings_take(call->api->flow);
        int64_t kept_us = clock_wall_us() - settings->retention_us;
        flow_settings_drop(settings);
        query->has_gap = !exists || id_time_us(query->after_id) < kept_us;
    }
    return error;
}

static enum ph_error read_query(struct api_call *call, struct diag *diag,
                                struct stream_query *ret_query)
{
    struct stream_query query = {0};
    struct store *store;
    struct slice endpoint = http_query(call->request, "endpoint_id", 0);
    struct slice *event_types;
    enum ph_error error = query_strings(call->request, "event_types", LIST_EVENT_TYPES_MAX, diag,
                                        &event_types, &query.filter.event_type_count);
    if (error == PH_OK) {
        query.filter.event_types = event_types;
        error = query_bool(call->request, "with_content", false, diag, &query.with_content);
    }
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error == PH_OK) {
        error = api_path_application(call, store, diag, &query.application_id);
    }
    if (error == PH_OK && endpoint.ptr != NULL) {
        error = endpoint_resolve(store, query.application_id, endpoint, ENDPOINT_WITH_DELETED, diag,
                                 &query.endpoint_id);
    }
    if (error == PH_OK) {
        error = read_position(call, store, diag, &query);
    }
    if (error == PH_OK) {
        *ret_query = query;
    }
    return error;
}

/* The texts in one piece of memory, behind their slices. */
static struct slice *copy_texts(const struct slice *texts, size_t count)
{
    size_t bytes = 0;
    for (size_t index = 0; index < count; index++) {
        bytes += texts[index].len;
    }
    struct slice *copies = ph_malloc(count * sizeof *copies + bytes + 1);
    char *place = (char *)(copies + count);
    for (size_t index = 0; index < count; index++) {
        memcpy(place, texts[index].ptr, texts[index].len);
        copies[index] = (struct slice){place, texts[index].len};
        place += texts[index].len;
    }
    return copies;
}

/* Boot clock. */
static int64_t end_of(const struct api_call *call)
{
    int64_t life_s = LIFE_S;
    if (call->principal.token_exp_s != 0) {
        /* It has not ended, or not by more than the tolerance. */
        int64_t left_s = call->principal.token_exp_s - clock_wall_us() / CLOCK_US_PER_S;
        if (left_s < life_s - JWT_LEEWAY_S - 1) {
            life_s = left_s + JWT_LEEWAY_S + 1;
        }
    }
    return clock_boot_us() + life_s * CLOCK_US_PER_S;
}

static enum ph_error subscribe(struct api_call *call, const struct stream_query *query,
                               struct follower *follower, struct diag *diag)
{
    const struct live_options options = {
        .application_id = query->application_id,
        .after_id = query->after_id,
        .with_content = query->with_content,
        .until_us = end_of(call),
        .format = format,
        .wants = wants,
        .may_stay = may_stay,
        .has_room = has_room,
        .give = give,
        .expire = expire,
        .left = left,
        .context = follower,
    };
    return live_subscribe(flow_live(call->api->flow), &options, diag, &follower->subscriber);
}

enum ph_error api_stream(struct api_call *call, struct diag *diag)
{
    struct stream_query query = {0};
    enum ph_error error = read_query(call, diag, &query);
    if (error != PH_OK) {
        return error;
    }
    struct follower *follower = ph_calloc(1, sizeof *follower);
    follower->event_types = copy_texts(query.filter.event_types, query.filter.event_type_count);
    follower->filter = query.filter;
    follower->filter.event_types = follower->event_types;
    follower->endpoint_id = query.endpoint_id;
    follower->api = call->api;
    follower->codec = call->codec;
    auth_grant_init(&follower->grant, &call->principal);
    error = subscribe(call, &query, follower, diag);
    if (error != PH_OK) {
        free_follower(follower);
        return error;
    }
    const struct http_stream_options options = {
        .content_type = "text/event-stream",
        .idle_text = KEEP_ALIVE,
        .idle_us = KEEP_ALIVE_US,
        .has_room = tell_room,
        .room_bytes = ROOM_BYTES,
        .closed = tell_closed,
        .context = follower,
    };
    http_add_header(call->request, "Cache-Control", "no-store");
    http_add_header(call->request, "X-Accel-Buffering", "no"); /* nginx would hold events back */
    follower->stream = http_stream_start(call->request, &options);
    if (follower->stream == NULL) {
        live_cancel(follower->subscriber);
        free_follower(follower);
        return PH_OK;
    }
    (void)http_stream_append(follower->stream, SLICE_LITERAL(OPENING));
    if (http_header(call->request, "last-event-id").len == 0) {
        append_position(follower, query.after_id);
    }
    if (query.has_gap) {
        append_gap(follower->stream, http_header(call->request, "last-event-id"), query.after_id);
    }
    live_begin(follower->subscriber);
    return PH_OK;
}
