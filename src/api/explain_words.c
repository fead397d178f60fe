/* SPDX-License-Identifier: Apache-2.0 */
/* An explanation in words. */
#include "api/explain.h"
#include "base/clock.h"
#include "core/scan.h"

/* Names of a list that are told; the others are counted. */
#define NAMES_TOLD 5
#define NAME_BYTES_MAX 1024
/* Of an answer's error text. */
#define ERROR_BYTES_MAX 200

/* --- pieces ----------------------------------------------------------------------------------- */

static void append_time(struct buf *words, int64_t wall_us)
{
    char text[CLOCK_TEXT_MAX];
    clock_format(wall_us, text);
    buf_append_text(words, text);
}

/* "a, b and 3 more" of a stored JSON array; "none" without one. */
static void append_names(struct buf *words, struct slice json)
{
    ARENA_AUTO struct arena arena;
    arena_init(&arena, NAME_BYTES_MAX);
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    size_t count = 0;
    if (json.ptr != NULL) {
        scan_cursor_init(&cursor, json);
        for (; scan_next_element(&cursor, &type, &value); count++) {
            struct slice name;
            if (count < NAMES_TOLD && scan_string(value, &arena, NULL, &name) == PH_OK) {
                buf_append_text(words, count == 0 ? "" : ", ");
                buf_append_slice(words, name);
            }
        }
    }
    if (count == 0) {
        buf_append_text(words, "none");
    } else if (count > NAMES_TOLD) {
        buf_append_format(words, " and %zu more", count - NAMES_TOLD);
    }
}

/* "it was answered 503", "it had no answer: could not connect". */
static void append_answer(struct buf *words, const struct explain_attempt *latest)
{
    if (latest->response_code != 0) {
        buf_append_format(words, "was answered %lld", (long long)latest->response_code);
        return;
    }
    struct slice text = latest->response;
    text.len = text.len < ERROR_BYTES_MAX ? text.len : ERROR_BYTES_MAX;
    buf_append_text(words, "had no answer");
    if (text.len > 0) {
        buf_append_text(words, ": ");
        buf_append_slice(words, text);
    }
}

/* "the only attempt failed, it was answered 503", "all 3 attempts failed, the last one …". */
static void append_failures(struct buf *words, const struct explain_row *row)
{
    if (row->attempts == 0) {
        buf_append_text(words, "it failed");
        return;
    }
    if (row->attempts == 1) {
        buf_append_text(words, "one attempt failed, it ");
    } else {
        buf_append_format(words, "%lld attempts failed, the last one ", (long long)row->attempts);
    }
    append_answer(words, &row->latest);
}

/* What was tried before it came to wait or to end otherwise. */
static void append_tried(struct buf *words, const struct explain_row *row)
{
    if (row->attempts > 0 && !row->latest.is_success) {
        buf_append_text(words, "; ");
        append_failures(words, row);
    }
}

/* --- decisions -------------------------------------------------------------------------------- */

static void tell_delivered(const struct explain_row *row, struct buf *words)
{
    const struct explain_attempt *latest = &row->latest;
    if (latest->is_success && latest->is_manual) {
        buf_append_text(words, "delivered by an attempt that was asked for by hand");
    } else if (row->attempts > 1) {
        buf_append_format(words, "delivered, %lld attempts were made", (long long)row->attempts);
    } else {
        buf_append_text(words, "delivered by the first attempt");
    }
    if (latest->is_success) {
        buf_append_format(words, "; it was answered %lld", (long long)latest->response_code);
    }
}

static void tell_failed(const struct explain_row *row, enum explain_reason reason,
                        struct buf *words)
{
    if (reason == EXPLAIN_BREAKER) {
        buf_append_text(words, "given up: the endpoint's circuit breaker was open until the time "
                               "of the last retry was past");
        return;
    }
    append_failures(words, row);
    if (reason == EXPLAIN_ABORTED) {
        buf_append_text(words, "; the receiver asked for no more");
    } else if (reason == EXPLAIN_EXPUNGED) {
        buf_append_text(words, "; the payload is gone");
    } else if (row->delivery.exists) {
        buf_append_text(words, "; no more will be made, unless somebody sends it again");
    } else {
        buf_append_text(words, "; it was sent by hand, the endpoint would not have got it");
    }
}

static void tell_held(const struct explain_facts *facts, enum explain_reason reason,
                      struct buf *words)
{
    const struct hold *hold = &facts->hold;
    if (reason == EXPLAIN_BREAKER && hold->until_us == 0) {
        buf_append_text(words,
                        "the endpoint's circuit breaker is open, because it kept failing; an "
                        "attempt that probes it is under way");
    } else if (reason == EXPLAIN_BREAKER) {
        buf_append_text(words,
                        "the endpoint's circuit breaker is open, because it kept failing; the "
                        "next attempt probes it at ");
        append_time(words, hold->until_us);
    } else if (hold->kind == HOLD_THROTTLE) {
        buf_append_format(words,
                          "it is due and waits for its turn: the endpoint takes %lld a second "
                          "(throttleRate)",
                          (long long)facts->row->endpoint.throttle_rate);
    } else {
        buf_append_text(words, "it is due and waits for its turn: the application's throttleRate "
                               "lets no more go at a time");
    }
}

static void tell_resends(const struct explain_row *row, struct buf *words)
{
    if (row->resends == 1) {
        buf_append_text(words,
                        "an attempt that was asked for (resend or recover) is being made, or "
                        "waits for its turn");
    } else {
        buf_append_format(
            words,
            "%lld attempts that were asked for (resend or recover) are being made, or "
            "wait for their turn",
            (long long)row->resends);
    }
}

static void tell_pending(const struct explain_facts *facts, enum explain_reason reason,
                         const struct id_codec *codec, struct buf *words)
{
    const struct explain_delivery *delivery = &facts->row->delivery;
    char first[ID_TEXT_MAX];
    if (!delivery->exists) {
        tell_resends(facts->row, words);
        append_tried(words, facts->row);
        return;
    }
    switch ((int)reason) {
    case EXPLAIN_ORDER:
        if (delivery->waits_for_id == 0) {
            buf_append_text(words, "it waits for its turn in the order of the endpoint");
            break;
        }
        (void)id_format(codec, ID_MESSAGE, delivery->waits_for_id, first);
        buf_append_format(words, "it waits for %s, which goes before it in the endpoint's order",
                          first);
        break;
    case EXPLAIN_DELIVER_AT:
        buf_append_text(words, "it is not to be delivered before ");
        append_time(words, delivery->next_attempt_at_us);
        break;
    case EXPLAIN_RETRY:
        append_failures(words, facts->row);
        buf_append_text(words, "; the next one is due at ");
        append_time(words, delivery->next_attempt_at_us);
        return;
    case EXPLAIN_BREAKER:
    case EXPLAIN_THROTTLED:
        tell_held(facts, reason, words);
        break;
    default:
        if (delivery->next_attempt_at_us > facts->now_us) {
            buf_append_text(words, "it is due at ");
            append_time(words, delivery->next_attempt_at_us);
        } else {
            buf_append_text(words, "it is due: it is being sent, or waits for its turn");
        }
        break;
    }
    append_tried(words, facts->row);
}

static void tell_filter(const struct explain_facts *facts, bool is_changed, struct buf *words)
{
    bool is_one = facts->has_filter != facts->has_transform;
    const char *program = !is_one             ? "filter or transform"
                          : facts->has_filter ? "filter"
                                              : "transform";
    buf_append_format(words, "the endpoint's %s did not want it", program);
    buf_append_text(words, is_changed ? "; the endpoint was changed after the message" : "");
}

static void tell_disabled(const struct explain_facts *facts, bool is_changed, struct buf *words)
{
    const struct explain_row *row = facts->row;
    const char *state = row->endpoint.is_deleted ? "deleted" : "disabled";
    if (!row->delivery.exists && is_changed) {
        buf_append_format(words,
                          "the endpoint is %s; it was changed after the message, and did not want "
                          "it then or was disabled already",
                          state);
    } else if (!row->delivery.exists) {
        buf_append_format(words, "the endpoint is %s", state);
    } else {
        bool is_on = !row->endpoint.is_deleted && !row->endpoint.is_disabled;
        buf_append_format(words, "the endpoint was %s before the message could be delivered%s",
                          state, is_on ? "; it is enabled again, which does not send it" : "");
        append_tried(words, row);
    }
}

/* The endpoint wants others. What it wants is told as of now. */
static void tell_mismatch(const struct explain_facts *facts, const struct explanation *explanation,
                          struct buf *words)
{
    const struct explain_endpoint *endpoint = &facts->row->endpoint;
    bool is_type = explanation->reason == EXPLAIN_EVENT_TYPE;
    const char *now = explanation->is_changed_since ? "now " : "";
    if (is_type) {
        buf_append_format(words, "its event types are %s", now);
        append_names(words, endpoint->event_types);
    } else {
        buf_append_format(words, "its channels are %s", now);
        append_names(words, endpoint->channels);
        buf_append_text(words, ", those of the message: ");
        append_names(words, facts->message->channels);
    }
    if (explanation->is_changed_since) {
        buf_append_text(words, "; it was changed after the message, at ");
        append_time(words, endpoint->updated_at_us);
    }
}

static void tell_skipped(const struct explain_facts *facts, const struct explanation *explanation,
                         struct buf *words)
{
    bool is_changed = explanation->is_changed_since;
    switch ((int)explanation->reason) {
    case EXPLAIN_CREATED_LATER:
        buf_append_text(words, "the endpoint was created after the message");
        break;
    case EXPLAIN_DISABLED:
        tell_disabled(facts, is_changed, words);
        break;
    case EXPLAIN_EVENT_TYPE:
    case EXPLAIN_CHANNEL:
        tell_mismatch(facts, explanation, words);
        break;
    case EXPLAIN_FILTER:
        tell_filter(facts, is_changed, words);
        break;
    case EXPLAIN_EXPUNGED:
        buf_append_text(words, "the payload was deleted before it could be delivered");
        append_tried(words, facts->row);
        break;
    case EXPLAIN_REQUESTED:
        buf_append_text(words, "somebody cancelled it");
        append_tried(words, facts->row);
        break;
    case EXPLAIN_CHANGED:
        buf_append_text(words,
                        "as it is now it would get such a message; it was changed after this "
                        "one, at ");
        append_time(words, facts->row->endpoint.updated_at_us);
        buf_append_text(words, ", and did not want it then or was disabled");
        break;
    default:
        buf_append_text(words, "the message was for another endpoint alone, as examples are");
        break;
    }
}

void explain_append_words(const struct explain_facts *facts, const struct explanation *explanation,
                          const struct id_codec *codec, struct buf *words)
{
    switch (explanation->decision) {
    case EXPLAIN_DELIVERED:
        tell_delivered(facts->row, words);
        break;
    case EXPLAIN_PENDING:
        tell_pending(facts, explanation->reason, codec, words);
        break;
    case EXPLAIN_FAILED:
        tell_failed(facts->row, explanation->reason, words);
        break;
    case EXPLAIN_SKIPPED:
        tell_skipped(facts, explanation, words);
        break;
    case EXPLAIN_DECISION_COUNT:
        PH_ASSERT(false);
    }
    bool is_told = explanation->decision == EXPLAIN_PENDING && !facts->row->delivery.exists;
    if (facts->row->resends > 0 && !is_told) {
        buf_append_text(words, "; ");
        tell_resends(facts->row, words);
    }
}
