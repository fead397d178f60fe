/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes before an attempt is sent: the endpoint's filter decides whether, its transform or its
 * format decides what, and an access token is had. Programs run in the pool's processes
 * (jq/pool.h), so nothing here waits: an attempt goes on when its answer is in the inbox. Runs on
 * the deliverer's thread but for `program_done`.
 *
 * Both programs run for each attempt: a transform's result is not kept, and a filter that failed
 * the last time may have been mended. An attempt that was asked for by hand is not filtered.
 */
#include "core/header_rule.h"
#include "core/scan.h"
#include "core/url.h"
#include "flow/deliver_int.h"
#include "store/message.h"

#define EVENT_ARENA_BYTES (8u << 20)
#define CHANNELS_MAX 16

/* On the pool's thread. */
static void program_done(void *context, const struct jq_result *result)
{
    struct attempt *attempt = context;
    struct deliverer *deliverer = attempt->record.deliverer;
    attempt->outcome = result->outcome;
    attempt->words = ph_strdup(result->words);
    attempt->output =
        result->output.len == 0 ? NULL : ph_memdup_text(result->output.ptr, result->output.len);
    attempt->output_len = result->output.len;
    deliverer_push_prepared(deliverer, attempt->item);
    deliverer_wake(deliverer);
}

/* Names of a stored JSON array. */
static size_t read_channels(struct slice json, struct arena *arena, struct slice *channels)
{
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    size_t count = 0;
    if (json.ptr == NULL) {
        return 0;
    }
    scan_cursor_init(&cursor, json);
    while (count < CHANNELS_MAX && scan_next_element(&cursor, &type, &value)) {
        count += scan_string(value, arena, NULL, &channels[count]) == PH_OK;
    }
    return count;
}

/* The endpoint's own headers, save those whose values are never shown. */
static size_t read_headers(const struct endpoint_config *config, struct jq_header *headers)
{
    size_t count = 0;
    for (size_t index = 0; index < config->header_count; index++) {
        const struct sink_header *header = &config->headers[index];
        if (!header_rule_is_sensitive(header->name)) {
            headers[count++] = (struct jq_header){header->name, header->value};
        }
    }
    return count;
}

/* A transform's variables stand beside the message. */
static void add_variables(struct slice variables, struct buf *json)
{
    if (variables.ptr != NULL && !json->failed) {
        PH_ASSERT(json->len > 0 && json->data[json->len - 1] == '}');
        json->len--;
        buf_append_text(json, ",\"variables\":");
        buf_append_slice(json, variables);
        buf_append_byte(json, '}');
    }
}

/* From the store: an item in memory has the bytes to send and nothing else. */
static enum ph_error find_message(struct deliverer *deliverer, const struct item *item,
                                  struct arena *arena, struct diag *diag, struct message_row *row,
                                  struct slice *payload)
{
    if (item->trial != NULL) {
        *row = (struct message_row){.event_type = item->trial->event_type};
        *payload = item->trial->payload;
        return PH_OK;
    }
    enum ph_error error = message_find(deliverer->store, item->config->application_id,
                                       item->message_id, arena, diag, row);
    return error == PH_OK
               ? message_payload(deliverer->store, item->message_id, arena, diag, payload)
               : error;
}

/* The program's input. */
static enum ph_error write_input(struct deliverer *deliverer, const struct item *item,
                                 struct diag *diag, struct buf *json)
{
    ARENA_AUTO struct arena arena;
    arena_init(&arena, EVENT_ARENA_BYTES);
    struct message_row row;
    struct slice payload;
    struct slice channels[CHANNELS_MAX];
    enum ph_error error = find_message(deliverer, item, &arena, diag, &row, &payload);
    if (error != PH_OK) {
        return error;
    }
    PH_AUTO_FREE struct jq_header *headers =
        ph_calloc(item->config->header_count + 1, sizeof *headers);
    const struct jq_event event = {
        .type = row.event_type,
        .data = payload,
        .id = slice_of(item->attempt->id_text),
        .channels = channels,
        .channel_count = read_channels(row.channels, &arena, channels),
        .timestamp_us = id_time_us(item->message_id),
        .headers = headers,
        .header_count = read_headers(item->config, headers),
    };
    jq_event_write(&event, json);
    add_variables(item->config->options->variables, json);
    return json->failed ? diag_set(diag, PH_TOO_LARGE, NULL, "the event is too large for jq")
                        : PH_OK;
}

/* Hands the item to the pool. */
static void run_program(struct deliverer *deliverer, struct item *item, struct jq_program *program,
                        enum jq_kind kind)
{
    struct diag diag;
    struct buf json;
    buf_init(&json, JQ_INPUT_BYTES_MAX);
    enum ph_error error = write_input(deliverer, item, &diag, &json);
    if (error == PH_OK) {
        struct jq_request request = {
            .program = program,
            .kind = kind,
            .owner = (uint64_t)item->config->application_id,
            .done = program_done,
            .context = item->attempt,
        };
        item->attempt->record.deliverer = deliverer;
        request.input = buf_take(&json, &request.input_len);
        error = jq_pool_submit(deliverer->options.jq, &request, &diag);
        if (error != PH_OK) {
            free(request.input);
        }
    }
    buf_done(&json);
    if (error == PH_NOT_FOUND || error == PH_TOO_LARGE || error == PH_SEALED) {
        attempt_fail_unsent(deliverer, item, diag.text);
    } else if (error != PH_OK) {
        attempt_put_off(deliverer, item);
    }
}

/* What a transform or a format gave takes the place of what would be sent. */
static void take_request(struct item *item)
{
    struct attempt *attempt = item->attempt;
    const struct jq_transformed *given = &attempt->transformed;
    if (given->url.ptr != NULL) {
        attempt->url = arena_dup(&attempt->arena, given->url);
    }
    if (given->method.ptr != NULL) {
        attempt->method = given->method;
    }
    attempt->body = message_body_new(given->body, &item->body->trace);
    attempt->is_transformed = true;
    attempt->stage = ATTEMPT_STAGE_TRANSFORMED;
}

/* The surface's own form of the message. */
static enum ph_error format_request(struct deliverer *deliverer, struct item *item,
                                    struct diag *diag)
{
    struct attempt *attempt = item->attempt;
    const struct endpoint_config *config = item->config;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, EVENT_ARENA_BYTES);
    struct message_row row;
    struct slice payload;
    enum ph_error error = find_message(deliverer, item, &arena, diag, &row, &payload);
    if (error != PH_OK) {
        return error;
    }
    const struct format_event event = {
        .codec = &deliverer->store->codec,
        .message_id = item->message_id,
        .endpoint_id = config->id,
        .event_type = row.event_type,
        .event_id = row.event_id,
        .payload = payload,
        .config = config->options->format_config,
        .attempts = item->attempts,
    };
    error = config->format->render(&event, &attempt->arena, diag, &attempt->transformed);
    if (error == PH_OK) {
        take_request(item);
    } else {
        attempt->transformed = (struct jq_transformed){0};
    }
    return error;
}

void prepare(struct deliverer *deliverer, struct item *item)
{
    struct diag diag;
    struct attempt *attempt = item->attempt;
    const struct endpoint_config *config = item->config;
    if (attempt->stage == ATTEMPT_STAGE_NEW && config->filter != NULL && item->manual_id == 0) {
        run_program(deliverer, item, config->filter, JQ_FILTER);
    } else if (attempt->stage != ATTEMPT_STAGE_TRANSFORMED && config->transform != NULL) {
        attempt->stage = ATTEMPT_STAGE_FILTERED;
        run_program(deliverer, item, config->transform, JQ_TRANSFORM);
    } else if (attempt->stage != ATTEMPT_STAGE_TRANSFORMED && config->format != NULL &&
               format_request(deliverer, item, &diag) != PH_OK) {
        attempt_fail_unsent(deliverer, item, diag.text);
    } else if (token_is_ready(deliverer, item)) {
        attempt_send(deliverer, item);
    }
}

/* The program's words for the record: whose they are, and what they say. */
static void fail(struct deliverer *deliverer, struct item *item, const char *program,
                 const char *words)
{
    char text[JQ_WORDS_MAX + 32];
    (void)snprintf(text, sizeof text, "%s: %s", program, words);
    attempt_fail_unsent(deliverer, item, text);
}

/* Scheme, host and port. */
static bool is_same_origin(struct slice left, struct slice right)
{
    struct url_parts a;
    struct url_parts b;
    return url_split(left, &a) && url_split(right, &b) && a.is_https == b.is_https &&
           a.port == b.port && slice_equal(a.host, b.host);
}

/* Whether something would go along that is meant for the endpoint's own server alone. */
static bool has_secrets(const struct endpoint_config *config)
{
    for (size_t index = 0; index < config->header_count; index++) {
        if (header_rule_is_sensitive(config->headers[index].name)) {
            return true;
        }
    }
    return config->credentials != NULL && config->credentials->auth != ENDPOINT_AUTH_NONE;
}

/* Reads what the transform gave. Who may write a transform need not know the credentials, so it
 * cannot send them elsewhere. */
static void take_transformed(struct deliverer *deliverer, struct item *item)
{
    struct attempt *attempt = item->attempt;
    struct slice output = {attempt->output, attempt->output_len};
    struct jq_transformed *transformed = &attempt->transformed;
    struct diag diag;
    if (jq_transformed_read(output, &attempt->arena, &diag, transformed) != PH_OK) {
        *transformed = (struct jq_transformed){0};
        fail(deliverer, item, diag.field[0] != '\0' ? diag.field : "transform", diag.text);
        return;
    }
    if (transformed->url.ptr != NULL && has_secrets(item->config) &&
        !is_same_origin(transformed->url, slice_of(item->config->url))) {
        *transformed = (struct jq_transformed){0};
        attempt_fail_unsent(deliverer, item,
                            "transform.url: not the endpoint's own scheme, host and port, to which "
                            "its credentials belong");
        return;
    }
    take_request(item);
    prepare(deliverer, item);
}

void prepare_result(struct deliverer *deliverer, struct item *item)
{
    struct attempt *attempt = item->attempt;
    bool is_filter = attempt->stage == ATTEMPT_STAGE_NEW;
    const char *program = is_filter ? "filter" : "transform";
    PH_AUTO_FREE char *words = attempt->words;
    attempt->words = NULL;
    switch (attempt->outcome) {
    case JQ_OK:
        if (is_filter) {
            attempt->stage = ATTEMPT_STAGE_FILTERED;
            prepare(deliverer, item);
        } else {
            take_transformed(deliverer, item);
        }
        return;
    case JQ_FALSE:
    case JQ_NULL:
        attempt_drop(deliverer, item);
        return;
    case JQ_PROGRAM_ERROR:
    case JQ_LIMIT:
        fail(deliverer, item, program, words);
        return;
    case JQ_UNAVAILABLE:
        attempt_put_off(deliverer, item);
        return;
    }
}
