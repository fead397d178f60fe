/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One attempt: render the headers, sign exactly the bytes that are sent, send, judge the answer,
 * and hand the record to the writer. Runs on the deliverer's thread.
 */
#include "base/clock.h"
#include "base/random.h"
#include "core/verdict.h"
#include "flow/deliver_int.h"

#define SIGNATURE_TEXT_MAX 4096

struct judgement {
    struct verdict_result verdict;
    bool is_success;
    bool is_final;
    int64_t next_attempt_at_us;
};

static void add_header(struct item *item, size_t *count, const char *name, const char *value)
{
    item->headers[(*count)++] = (struct sink_header){slice_of(name), slice_of(value)};
}

/* The three signature headers under one prefix (standard-webhooks spec section 1). */
static void add_signature_headers(struct item *item, size_t *count, const char *const names[3])
{
    const char *const values[3] = {item->id_text, item->timestamp_text, buf_text(&item->signature)};
    for (size_t index = 0; index < 3; index++) {
        add_header(item, count, names[index], values[index]);
    }
}

/* One signature per key that is valid now, the current key's first. */
static void sign(struct item *item, int64_t now_us)
{
    (void)snprintf(item->timestamp_text, sizeof item->timestamp_text, "%lld",
                   (long long)(now_us / CLOCK_US_PER_S));
    buf_init(&item->signature, SIGNATURE_TEXT_MAX);
    const struct signature_content content = {
        .id = slice_of(item->id_text),
        .timestamp_s = now_us / CLOCK_US_PER_S,
        .body = message_body_slice(item->body),
    };
    for (size_t index = 0; index < item->config->key_count; index++) {
        const struct endpoint_key *key = &item->config->keys[index];
        if (key->expires_at_us > now_us) {
            if (item->signature.len > 0) {
                buf_append_byte(&item->signature, ' ');
            }
            signing_key_sign(key->key, &content, &item->signature);
        }
    }
}

static bool has_custom_header(const struct endpoint_config *config, const char *name)
{
    for (size_t index = 0; index < config->header_count; index++) {
        if (slice_equal_nocase(config->headers[index].name, slice_of(name))) {
            return true;
        }
    }
    return false;
}

/* The publisher's trace goes on, with this attempt as the parent of what the receiver does. */
static void add_trace(struct item *item, size_t *count)
{
    const struct trace *trace = &item->body->trace;
    if (trace_exists(trace) && !has_custom_header(item->config, "traceparent")) {
        uint64_t number = random_u64() | 1; /* a span of zeros is none */
        uint8_t span[TRACE_SPAN_BYTES];
        memcpy(span, &number, sizeof span);
        trace_format_parent(trace, span, item->trace_parent);
        add_header(item, count, "traceparent", item->trace_parent);
    }
}

static size_t render_headers(struct deliverer *deliverer, struct item *item)
{
    static const char *const webhook_names[3] = {"webhook-id", "webhook-timestamp",
                                                 "webhook-signature"};
    static const char *const svix_names[3] = {"svix-id", "svix-timestamp", "svix-signature"};
    const struct endpoint_config *config = item->config;
    enum signature_headers which = deliverer->settings->signature_headers;
    item->headers =
        ph_malloc((ITEM_HEADERS_FIXED + config->header_count) * sizeof item->headers[0]);
    size_t count = 0;
    add_header(item, &count, "Content-Type", "application/json");
    if (which != SIGNATURE_HEADERS_SVIX) {
        add_signature_headers(item, &count, webhook_names);
    }
    if (which != SIGNATURE_HEADERS_WEBHOOK) {
        add_signature_headers(item, &count, svix_names);
    }
    add_trace(item, &count);
    for (size_t index = 0; index < config->header_count; index++) {
        item->headers[count++] = config->headers[index];
    }
    return count;
}

static void fail_at_once(struct deliverer *deliverer, struct item *item,
                         enum attempt_failure failure, const char *text)
{
    const struct sink_result result = {
        .user = item, .failure = failure, .error_text = slice_of(text)};
    attempt_result(deliverer, &result);
}

void attempt_start(struct deliverer *deliverer, struct item *item)
{
    int64_t now_us = clock_wall_us();
    item->config = endpoint_config_ref(item->lane->config);
    fair_started(deliverer, item->lane);
    deliverer->unrecorded++;
    if (item->attempts == 0 && item->manual_id == 0) {
        metrics_observe(deliverer->options.flow->metrics, METRIC_DELIVERY_DELAY_SECONDS,
                        now_us - item->accepted_us);
    }
    (void)id_format(&deliverer->store->codec, ID_MESSAGE, item->message_id, item->id_text);
    if (item->is_overdue) {
        fail_at_once(deliverer, item, ATTEMPT_PROTOCOL,
                     "not sent: the endpoint's circuit breaker was open until the last retry was "
                     "past");
        return;
    }
    if (item->body == NULL) {
        fail_at_once(deliverer, item, ATTEMPT_PROTOCOL, "the payload has expired or was expunged");
        return;
    }
    sign(item, now_us);
    const struct sink_request request = {
        .url = item->config->url,
        .method = endpoint_method_name(item->config->options->method),
        .headers = NULL,
        .body = message_body_slice(item->body),
        .timeout_ms = item->config->options->timeout_ms != 0
                          ? item->config->options->timeout_ms
                          : deliverer->settings->delivery_timeout_ms,
        .user = item,
    };
    struct sink_request complete = request;
    complete.header_count = render_headers(deliverer, item);
    complete.headers = item->headers;
    struct diag diag;
    if (sink_http_send(deliverer->sink, &complete, &diag) != PH_OK) {
        fail_at_once(deliverer, item, ATTEMPT_PROTOCOL, diag.text);
    }
}

/* --- judging ------------------------------------------------------------------------------------
 */

/* After this attempt, by the endpoint's own schedule if it has one. */
static bool next_delay(const struct flow_settings *settings, const struct item *item,
                       int64_t *ret_delay_us)
{
    struct retry_schedule schedule = settings->retry_schedule;
    if (item->config->options->has_retry_schedule) {
        schedule = item->config->options->retry_schedule;
        schedule.jitter = settings->retry_schedule.jitter;
    }
    return retry_next_delay_us(&schedule, (unsigned)item->attempts + 1, random_unit(),
                               ret_delay_us);
}

static struct judgement judge(const struct deliverer *deliverer, const struct item *item,
                              const struct sink_result *result)
{
    const struct flow_settings *settings = deliverer->settings;
    const struct verdict_input input = {
        .failure = result->failure,
        .status_code = result->status_code,
        .delivery_hint = result->delivery_hint,
        .disable_on_gone = settings->disable_on_gone,
    };
    struct judgement judgement = {.verdict = verdict_of_http(&input), .is_final = true};
    judgement.is_success = judgement.verdict.verdict == VERDICT_SUCCESS;
    int64_t delay_us;
    if (judgement.verdict.verdict != VERDICT_RETRY || item->manual_id != 0 || item->body == NULL ||
        item->is_overdue || !next_delay(settings, item, &delay_us)) {
        return judgement;
    }
    int64_t now_us = clock_wall_us();
    int64_t after_us;
    if (result->retry_after.ptr != NULL &&
        retry_after_parse(result->retry_after, now_us, &after_us)) {
        delay_us = retry_apply_after(delay_us, after_us, settings->retry_after_cap_us);
    }
    judgement.is_final = false;
    judgement.next_attempt_at_us = now_us + delay_us;
    return judgement;
}

/* What the outcome means for the endpoint: since when it fails, and whether it is disabled. */
static void judge_endpoint(struct deliverer *deliverer, struct item *item,
                           const struct judgement *judgement)
{
    struct lane *lane = item->lane;
    struct record_job *record = &item->record;
    bool can_disable = !lane->is_disabling && !lane->config->is_disabled;
    if (judgement->verdict.disables_endpoint && can_disable) {
        record->disable_reason = "the receiver asked for it";
        lane->is_disabling = true; /* nothing more goes out, and it is disabled once */
    }
    if (judgement->is_success) {
        record->clear_failing_since = lane->failing_since_us != 0;
        lane->failing_since_us = 0;
        return;
    }
    if (item->manual_id != 0) {
        return;
    }
    int64_t now_us = clock_wall_us();
    int64_t limit_us = deliverer->settings->disable_after_us;
    if (lane->failing_since_us == 0) {
        lane->failing_since_us = now_us;
        record->set_failing_since_us = now_us;
    } else if (limit_us > 0 && now_us - lane->failing_since_us >= limit_us && can_disable) {
        record->disable_reason = "nothing but failures for too long";
        lane->is_disabling = true;
    }
}

static void log_outcome(const struct deliverer *deliverer, const struct item *item,
                        const struct sink_result *result, const struct judgement *judgement)
{
    const struct log *log = deliverer->options.flow->log;
    enum log_event event = judgement->is_success ? LOG_ATTEMPT_SUCCEEDED
                           : judgement->is_final ? LOG_DELIVERY_FAILED
                                                 : LOG_ATTEMPT_FAILED;
    if (!log_wants(log, event) && item->record.disable_reason == NULL) {
        return;
    }
    char endpoint_text[ID_TEXT_MAX];
    (void)id_format(&deliverer->store->codec, ID_ENDPOINT, item->lane->endpoint_id, endpoint_text);
    struct log_field fields[7] = {
        LOG_TEXT("message", item->id_text),
        LOG_TEXT("endpoint", endpoint_text),
        LOG_INT("attempt", item->attempts + 1),
        LOG_INT("status", result->status_code),
        LOG_INT("duration_ms", result->duration_us / CLOCK_US_PER_MS),
        LOG_SLICE("error", result->error_text),
    };
    size_t count = 6;
    char trace_text[TRACE_ID_TEXT_MAX];
    if (item->body != NULL && trace_exists(&item->body->trace)) {
        trace_format_id(&item->body->trace, trace_text);
        fields[count++] = LOG_TEXT("trace_id", trace_text);
    }
    log_fields(log, event, fields, count);
    if (item->record.disable_reason != NULL) {
        log_write(log, LOG_ENDPOINT_DISABLED, LOG_TEXT("endpoint", endpoint_text),
                  LOG_TEXT("reason", item->record.disable_reason));
    }
}

static void fill_record(struct deliverer *deliverer, struct item *item,
                        const struct sink_result *result, const struct judgement *judgement)
{
    struct slice response = result->failure == ATTEMPT_ANSWERED ? result->body : result->error_text;
    item->response = ph_memdup_text(response.ptr, response.len);
    item->record = (struct record_job){
        .deliverer = deliverer,
        .message_id = item->message_id,
        .endpoint_id = item->lane->endpoint_id,
        .manual_id = item->manual_id,
        .state = judgement->is_success ? DELIVERY_SUCCEEDED
                 : judgement->is_final ? DELIVERY_FAILED
                                       : DELIVERY_PENDING,
        .next_attempt_at_us = judgement->next_attempt_at_us,
        .has_attempt = true,
        .order_key = item->order_key,
        .is_success = judgement->is_success,
        .status_code = result->status_code,
        .duration_ms = result->duration_us / CLOCK_US_PER_MS,
        .url = slice_of(item->config->url),
        .response = (struct slice){item->response, response.len},
    };
}

void attempt_result(void *context, const struct sink_result *result)
{
    struct deliverer *deliverer = context;
    struct item *item = result->user;
    struct lane *lane = item->lane;
    fair_ended(deliverer, lane);
    if (result->failure == ATTEMPT_CANCELLED) {
        /* Shutting down, or no memory to send it: not recorded, made again from the store. */
        breaker_give_back(&lane->breaker);
        lane_read_again(lane, item);
        deliverer_forget(deliverer, item);
        return;
    }
    metrics_observe(deliverer->options.flow->metrics, METRIC_ATTEMPT_SECONDS, result->duration_us);
    if (result->failure == ATTEMPT_BLOCKED) {
        metrics_add(deliverer->options.flow->metrics, METRIC_ATTEMPTS_BLOCKED, 1);
    }
    struct judgement judgement = judge(deliverer, item, result);
    if (item->body != NULL && !item->is_overdue) {
        health_report(deliverer, lane, result, judgement.verdict.counts_for_breaker);
    }
    fill_record(deliverer, item, result, &judgement);
    judge_endpoint(deliverer, item, &judgement);
    log_outcome(deliverer, item, result, &judgement);
    writer_submit_record(deliverer->options.writer, &item->record);
    lane_settle(deliverer, lane);
}
