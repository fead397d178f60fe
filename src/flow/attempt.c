/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One attempt: have it rendered and signed, send, judge the answer, and hand the record to the
 * writer. Runs on the deliverer's thread.
 */
#include "base/clock.h"
#include "base/random.h"
#include "core/verdict.h"
#include "flow/deliver_int.h"

/* Of a transform's headers and URL; its body stays where it is. */
#define TRANSFORM_ARENA_BYTES (8u << 20)
#define METHOD_TEXT_MAX 16

struct judgement {
    struct verdict_result verdict;
    bool is_success;
    bool is_final;
    int64_t next_attempt_at_us;
};

/* Nothing was sent, so the breaker has learnt nothing. */
static void give_probe_back(struct item *item)
{
    if (item->manual_id == 0 && !item->is_overdue) {
        breaker_give_back(&item->lane->breaker);
    }
}

static void fail_at_once(struct deliverer *deliverer, struct item *item,
                         enum attempt_failure failure, const char *text)
{
    const struct sink_result result = {
        .user = &item->attempt->sent, .failure = failure, .error_text = slice_of(text)};
    attempt_result(deliverer, &result);
}

void attempt_fail_unsent(struct deliverer *deliverer, struct item *item, const char *words)
{
    item->attempt->is_unsent = true;
    fail_at_once(deliverer, item, ATTEMPT_PROTOCOL, words);
}

void attempt_put_off(struct deliverer *deliverer, struct item *item)
{
    fail_at_once(deliverer, item, ATTEMPT_CANCELLED, "");
}

void attempt_drop(struct deliverer *deliverer, struct item *item)
{
    struct lane *lane = item->lane;
    if (item->trial != NULL) {
        fail_at_once(deliverer, item, ATTEMPT_PROTOCOL, "not sent: the transform gives nothing");
        return;
    }
    fair_ended(deliverer, lane);
    give_probe_back(item);
    item->attempt->record = (struct record_job){
        .deliverer = deliverer,
        .message_id = item->message_id,
        .endpoint_id = lane->endpoint_id,
        .manual_id = item->manual_id,
        .state = DELIVERY_CANCELLED,
        .reason = DELIVERY_REASON_FILTER,
        .order_key = item->order_key,
    };
    writer_submit_record(deliverer->options.writer, &item->attempt->record);
    lane_settle(deliverer, lane);
}

void attempt_start(struct deliverer *deliverer, struct item *item)
{
    int64_t now_us = clock_wall_us();
    struct attempt *attempt = ph_calloc(1, sizeof *attempt);
    attempt->item = item;
    arena_init(&attempt->arena, TRANSFORM_ARENA_BYTES);
    item->attempt = attempt;
    item->config = endpoint_config_ref(item->lane->config);
    attempt->method = slice_of(endpoint_method_name(item->config->options->method));
    fair_started(deliverer, item->lane);
    deliverer->unrecorded++;
    if (item->attempts == 0 && item->manual_id == 0) {
        metrics_observe(deliverer->options.flow->metrics, METRIC_DELIVERY_DELAY_SECONDS,
                        now_us - item->accepted_us);
    }
    (void)id_format(&deliverer->store->codec, ID_MESSAGE, item->message_id, attempt->id_text);
    if (item->is_overdue) {
        attempt_fail_unsent(deliverer, item,
                            "not sent: the endpoint's circuit breaker was open until the last "
                            "retry was past");
    } else if (item->is_unreadable) {
        attempt_fail_unsent(deliverer, item,
                            "not sent: the payload is sealed and cannot be opened; `posthorn key "
                            "check` says why");
    } else if (item->body == NULL) {
        attempt_fail_unsent(deliverer, item, "the payload has expired or was expunged");
    } else {
        prepare(deliverer, item);
    }
}

void attempt_send(struct deliverer *deliverer, struct item *item)
{
    struct attempt *attempt = item->attempt;
    const struct endpoint_options *options = item->config->options;
    char method[METHOD_TEXT_MAX];
    (void)snprintf(method, sizeof method, "%.*s", (int)attempt->method.len, attempt->method.ptr);
    struct sink_request request = {
        .url = attempt->url != NULL ? attempt->url : item->config->url,
        .method = method,
        .timeout_ms = options->timeout_ms != 0 ? options->timeout_ms
                                               : deliverer->settings->delivery_timeout_ms,
        .policy = item->config->policy,
        .user = &attempt->sent,
    };
    if (item->trial != NULL && item->trial->timeout_ms != 0 &&
        item->trial->timeout_ms < request.timeout_ms) {
        request.timeout_ms = item->trial->timeout_ms;
    }
    struct diag diag;
    enum ph_error error = render(deliverer, attempt, &request, &diag);
    if (error == PH_OK) {
        error = sink_http_send(deliverer->sink, &request, &diag);
    }
    if (error == PH_BUSY) {
        attempt_put_off(deliverer, item); /* no means of our own just now */
    } else if (error != PH_OK) {
        attempt_fail_unsent(deliverer, item, diag.text);
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
        .disable_on_gone = settings->disable_on_gone && !item->config->options->is_steady,
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
        int64_t cap_us = item->config->options->is_steady ? delay_us : settings->retry_after_cap_us;
        delay_us = retry_apply_after(delay_us, after_us, cap_us);
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
    struct record_job *record = &item->attempt->record;
    bool can_disable =
        !lane->is_disabling && !lane->config->is_disabled && !item->config->options->is_steady;
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
    if (!log_wants(log, event) && item->attempt->record.disable_reason == NULL) {
        return;
    }
    char endpoint_text[ID_TEXT_MAX];
    (void)id_format(&deliverer->store->codec, ID_ENDPOINT, item->lane->endpoint_id, endpoint_text);
    struct log_field fields[7] = {
        LOG_TEXT("message", item->attempt->id_text),
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
    if (item->attempt->record.disable_reason != NULL) {
        log_write(log, LOG_ENDPOINT_DISABLED, LOG_TEXT("endpoint", endpoint_text),
                  LOG_TEXT("reason", item->attempt->record.disable_reason));
    }
}

/* Why a delivery ends failed, when its schedule still had attempts or it was not sent at all. */
static enum delivery_reason end_reason(const struct item *item, const struct judgement *judgement)
{
    if (judgement->is_success || !judgement->is_final) {
        return DELIVERY_REASON_NONE;
    }
    if (item->is_overdue) {
        return DELIVERY_REASON_BREAKER;
    }
    if (item->is_unreadable) {
        return DELIVERY_REASON_ABORTED;
    }
    if (item->body == NULL) {
        return DELIVERY_REASON_EXPUNGED;
    }
    return judgement->verdict.verdict == VERDICT_RETRY ? DELIVERY_REASON_NONE
                                                       : DELIVERY_REASON_ABORTED;
}

static void fill_record(struct deliverer *deliverer, struct item *item,
                        const struct sink_result *result, const struct judgement *judgement)
{
    struct slice response = result->failure == ATTEMPT_ANSWERED ? result->body : result->error_text;
    item->attempt->response = ph_memdup_text(response.ptr, response.len);
    item->attempt->record = (struct record_job){
        .deliverer = deliverer,
        .application_id = item->config->application_id,
        .message_id = item->message_id,
        .endpoint_id = item->lane->endpoint_id,
        .attempts = item->attempts,
        .manual_id = item->manual_id,
        .state = judgement->is_success ? DELIVERY_SUCCEEDED
                 : judgement->is_final ? DELIVERY_FAILED
                                       : DELIVERY_PENDING,
        .reason = end_reason(item, judgement),
        .next_attempt_at_us = judgement->next_attempt_at_us,
        .has_attempt = true,
        .order_key = item->order_key,
        .format = item->config->format,
        .is_success = judgement->is_success,
        .status_code = result->status_code,
        .duration_ms = result->duration_us / CLOCK_US_PER_MS,
        .url = slice_of(item->attempt->url != NULL ? item->attempt->url : item->config->url),
        .response = (struct slice){item->attempt->response, response.len},
    };
}

void attempt_result(void *context, const struct sink_result *result)
{
    struct deliverer *deliverer = context;
    struct sent *sent = result->user;
    if (sent->is_token) {
        token_result(deliverer, sent, result);
        return;
    }
    struct attempt *attempt = PH_CONTAINER_OF(sent, struct attempt, sent);
    struct item *item = attempt->item;
    struct lane *lane = item->lane;
    fair_ended(deliverer, lane);
    if (item->trial != NULL) {
        trial_result(deliverer, item, result);
        return;
    }
    if (result->failure == ATTEMPT_CANCELLED) {
        /* Shutting down, or no memory to send it: not recorded, made again from the store. */
        give_probe_back(item);
        lane_read_again(lane, item);
        deliverer_forget(deliverer, item);
        return;
    }
    metrics_observe(deliverer->options.flow->metrics, METRIC_ATTEMPT_SECONDS, result->duration_us);
    if (result->failure == ATTEMPT_BLOCKED) {
        metrics_add(deliverer->options.flow->metrics, METRIC_ATTEMPTS_BLOCKED, 1);
    }
    if (result->status_code == 401) {
        token_forget(lane->token); /* perhaps it was revoked */
    }
    struct judgement judgement = judge(deliverer, item, result);
    if (attempt->is_unsent) {
        give_probe_back(item);
    } else {
        health_report(deliverer, lane, result,
                      judgement.verdict.counts_for_breaker && !item->config->options->is_steady);
    }
    fill_record(deliverer, item, result, &judgement);
    judge_endpoint(deliverer, item, &judgement);
    log_outcome(deliverer, item, result, &judgement);
    writer_submit_record(deliverer->options.writer, &item->attempt->record);
    lane_settle(deliverer, lane);
}
