/* SPDX-License-Identifier: Apache-2.0 */
/* What is concluded about a message at an endpoint, and in which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/explain.h"
#include "store/delivery.h"

#define TEXT(literal) SLICE_LITERAL(literal)
#define NOW_US INT64_C(1700000000000000)

static const struct id_codec codec;

struct scene {
    struct message_row message;
    struct explain_row row;
    struct explain_facts facts;
    struct explanation explanation;
    struct buf words;
};

/* An endpoint older than the message, which it wants; nothing has happened. */
static struct scene *scene_new(void)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    scene->message.id = id_floor(NOW_US) + 1;
    scene->row.endpoint.id = id_floor(NOW_US - 1000000);
    scene->row.endpoint.created_at_us = NOW_US - 1000000;
    scene->row.endpoint.updated_at_us = NOW_US - 500000;
    scene->row.endpoint.generation = 1;
    scene->row.delivery.generation = 1;
    scene->facts.row = &scene->row;
    scene->facts.message = &scene->message;
    scene->facts.match = ENDPOINT_WANTS_IT;
    scene->facts.now_us = NOW_US + 10000000;
    buf_init(&scene->words, 4096);
    return scene;
}

/* The scene's end: it must be explained like this, and these words be among the others. */
static void expect(struct scene *scene, enum explain_decision decision, enum explain_reason reason,
                   const char *words)
{
    scene->explanation = explain(&scene->facts);
    explain_append_words(&scene->facts, &scene->explanation, &codec, &scene->words);
    assert_string_equal(explain_decision_name(scene->explanation.decision),
                        explain_decision_name(decision));
    assert_int_equal(scene->explanation.reason, reason);
    if (strstr(buf_text(&scene->words), words) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", words, buf_text(&scene->words));
    }
    assert_false(scene->words.failed);
    buf_done(&scene->words);
    free(scene);
}

static struct scene *scene_delivery(enum delivery_state state, enum delivery_reason reason)
{
    struct scene *scene = scene_new();
    scene->row.delivery.exists = true;
    scene->row.delivery.state = state;
    scene->row.delivery.reason = reason;
    return scene;
}

static struct scene *scene_pending(int64_t next_attempt_at_us)
{
    struct scene *scene = scene_delivery(DELIVERY_PENDING, DELIVERY_REASON_NONE);
    scene->row.delivery.next_attempt_at_us = next_attempt_at_us;
    return scene;
}

static struct scene *with_attempts(struct scene *scene, int64_t count, int64_t code)
{
    scene->row.attempts = count;
    scene->row.delivery.attempts = count;
    scene->row.latest.id = scene->message.id + 1;
    scene->row.latest.is_success = code >= 200 && code < 300;
    scene->row.latest.response_code = code;
    scene->row.latest.response = TEXT("connection refused");
    return scene;
}

static void test_ended(void **state)
{
    (void)state;
    expect(with_attempts(scene_delivery(DELIVERY_SUCCEEDED, DELIVERY_REASON_NONE), 1, 204),
           EXPLAIN_DELIVERED, EXPLAIN_NO_REASON,
           "delivered by the first attempt; it was answered 204");
    expect(with_attempts(scene_delivery(DELIVERY_SUCCEEDED, DELIVERY_REASON_NONE), 3, 200),
           EXPLAIN_DELIVERED, EXPLAIN_NO_REASON, "delivered, 3 attempts were made");
    expect(with_attempts(scene_delivery(DELIVERY_FAILED, DELIVERY_REASON_NONE), 1, 0),
           EXPLAIN_FAILED, EXPLAIN_NO_REASON,
           "one attempt failed, it had no answer: connection refused; no more will be made");
    expect(with_attempts(scene_delivery(DELIVERY_FAILED, DELIVERY_REASON_ABORTED), 2, 410),
           EXPLAIN_FAILED, EXPLAIN_ABORTED,
           "2 attempts failed, the last one was answered 410; the receiver asked for no more");
    expect(with_attempts(scene_delivery(DELIVERY_FAILED, DELIVERY_REASON_BREAKER), 2, 503),
           EXPLAIN_FAILED, EXPLAIN_BREAKER, "circuit breaker was open until");
    expect(with_attempts(scene_delivery(DELIVERY_FAILED, DELIVERY_REASON_EXPUNGED), 2, 0),
           EXPLAIN_FAILED, EXPLAIN_EXPUNGED, "the payload is gone");
    expect(scene_delivery(DELIVERY_CANCELLED, DELIVERY_REASON_REQUESTED), EXPLAIN_SKIPPED,
           EXPLAIN_REQUESTED, "somebody cancelled it");
    expect(scene_delivery(DELIVERY_CANCELLED, DELIVERY_REASON_EXPUNGED), EXPLAIN_SKIPPED,
           EXPLAIN_EXPUNGED, "the payload was deleted");
    expect(with_attempts(scene_delivery(DELIVERY_CANCELLED, DELIVERY_REASON_GENERATION), 1, 500),
           EXPLAIN_SKIPPED, EXPLAIN_DISABLED,
           "was disabled before the message could be delivered; it is enabled again");
    expect(scene_delivery(DELIVERY_CANCELLED, DELIVERY_REASON_FILTER), EXPLAIN_SKIPPED,
           EXPLAIN_FILTER, "filter or transform did not want it");
}

/* What was asked for by hand and is not made yet is told, whatever became of the delivery. */
static void test_resends_that_wait(void **state)
{
    (void)state;
    struct scene *scene =
        with_attempts(scene_delivery(DELIVERY_FAILED, DELIVERY_REASON_NONE), 1, 500);
    scene->row.resends = 1;
    expect(scene, EXPLAIN_FAILED, EXPLAIN_NO_REASON, "; an attempt that was asked for");
    scene = with_attempts(scene_delivery(DELIVERY_SUCCEEDED, DELIVERY_REASON_NONE), 1, 200);
    scene->row.resends = 3;
    expect(scene, EXPLAIN_DELIVERED, EXPLAIN_NO_REASON, "; 3 attempts that were asked for");
    scene = with_attempts(scene_pending(NOW_US + 90000000), 1, 503);
    scene->row.resends = 1;
    expect(scene, EXPLAIN_PENDING, EXPLAIN_RETRY, "; an attempt that was asked for");
    /* The endpoint would not have got it. */
    scene = scene_new();
    scene->facts.match = ENDPOINT_WANTS_OTHER_TYPES;
    scene->row.resends = 1;
    expect(scene, EXPLAIN_PENDING, EXPLAIN_NO_REASON, "an attempt that was asked for");
    scene = with_attempts(scene_new(), 1, 200);
    scene->row.resends = 1;
    expect(scene, EXPLAIN_DELIVERED, EXPLAIN_NO_REASON, "; an attempt that was asked for");
    scene = with_attempts(scene_new(), 1, 500);
    scene->row.resends = 1;
    expect(scene, EXPLAIN_PENDING, EXPLAIN_NO_REASON, "; one attempt failed, it was answered 500");
}

static void test_waiting(void **state)
{
    (void)state;
    struct scene *scene = scene_pending(DELIVERY_WAITS_US);
    scene->row.delivery.waits_for_id = 9;
    expect(scene, EXPLAIN_PENDING, EXPLAIN_ORDER, "it waits for msg_");
    expect(scene_pending(DELIVERY_WAITS_US), EXPLAIN_PENDING, EXPLAIN_ORDER,
           "its turn in the order");
    expect(with_attempts(scene_pending(NOW_US + 90000000), 1, 503), EXPLAIN_PENDING, EXPLAIN_RETRY,
           "one attempt failed, it was answered 503; the next one is due at 2023-11-14T22:14:50");
    scene = scene_pending(NOW_US + 90000000);
    scene->message.deliver_at_us = NOW_US + 90000000;
    expect(scene, EXPLAIN_PENDING, EXPLAIN_DELIVER_AT, "not to be delivered before 2023-11-14T22");
    /* Sent by hand meanwhile: the schedule has not begun. */
    scene = with_attempts(scene_pending(NOW_US + 90000000), 1, 503);
    scene->message.deliver_at_us = NOW_US + 90000000;
    scene->row.delivery.attempts = 0;
    expect(scene, EXPLAIN_PENDING, EXPLAIN_DELIVER_AT, "one attempt failed");
    expect(scene_pending(NOW_US + 90000000), EXPLAIN_PENDING, EXPLAIN_NO_REASON, "it is due at 2");
    expect(scene_pending(NOW_US), EXPLAIN_PENDING, EXPLAIN_NO_REASON, "it is being sent");
    /* It will be cancelled. */
    scene = scene_pending(NOW_US);
    scene->row.endpoint.generation = 2;
    scene->row.endpoint.is_disabled = true;
    expect(scene, EXPLAIN_SKIPPED, EXPLAIN_DISABLED, "was disabled before");
}

static void test_held(void **state)
{
    (void)state;
    struct scene *scene = with_attempts(scene_pending(NOW_US), 2, 503);
    scene->facts.hold = (struct hold){.kind = HOLD_BREAKER, .until_us = NOW_US + 90000000};
    expect(scene, EXPLAIN_PENDING, EXPLAIN_BREAKER,
           "probes it at 2023-11-14T22:14:50.000000Z; 2 attempts failed");
    scene = scene_pending(NOW_US);
    scene->facts.hold.kind = HOLD_BREAKER;
    expect(scene, EXPLAIN_PENDING, EXPLAIN_BREAKER, "under way");
    scene = scene_pending(NOW_US);
    scene->facts.hold.kind = HOLD_THROTTLE;
    scene->row.endpoint.throttle_rate = 7;
    expect(scene, EXPLAIN_PENDING, EXPLAIN_THROTTLED, "the endpoint takes 7 a second");
    scene = scene_pending(NOW_US);
    scene->facts.hold.kind = HOLD_APPLICATION_THROTTLE;
    expect(scene, EXPLAIN_PENDING, EXPLAIN_THROTTLED, "the application's throttleRate");
    /* What is not due waits for its time, not for the breaker. */
    scene = with_attempts(scene_pending(NOW_US + 90000000), 1, 503);
    scene->facts.hold.kind = HOLD_BREAKER;
    expect(scene, EXPLAIN_PENDING, EXPLAIN_RETRY, "due at");
}

static void test_never_made(void **state)
{
    (void)state;
    expect(scene_new(), EXPLAIN_SKIPPED, EXPLAIN_NO_REASON, "for another endpoint alone");
    struct scene *scene = scene_new();
    scene->row.endpoint.id = scene->message.id + 1;
    scene->row.endpoint.is_disabled = true;
    expect(scene, EXPLAIN_SKIPPED, EXPLAIN_CREATED_LATER, "created after");
    scene = scene_new();
    scene->row.endpoint.is_disabled = true;
    scene->facts.match = ENDPOINT_WANTS_OTHER_TYPES;
    expect(scene, EXPLAIN_SKIPPED, EXPLAIN_DISABLED, "the endpoint is disabled");
    scene = scene_new();
    scene->row.endpoint.is_deleted = true;
    scene->row.endpoint.updated_at_us = NOW_US + 1;
    expect(scene, EXPLAIN_SKIPPED, EXPLAIN_DISABLED, "is deleted; it was changed after");
    scene = scene_new();
    scene->facts.match = ENDPOINT_WANTS_OTHER_TYPES;
    scene->row.endpoint.event_types = TEXT("[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\"]");
    expect(scene, EXPLAIN_SKIPPED, EXPLAIN_EVENT_TYPE,
           "its event types are a, b, c, d, e and 1 more");
    scene = scene_new();
    scene->facts.match = ENDPOINT_WANTS_OTHER_CHANNELS;
    scene->row.endpoint.channels = TEXT("[\"x\"]");
    scene->row.endpoint.updated_at_us = NOW_US + 1;
    expect(scene, EXPLAIN_SKIPPED, EXPLAIN_CHANNEL,
           "its channels are now x, those of the message: none; it was changed after the message");
    scene = scene_new();
    scene->row.endpoint.updated_at_us = NOW_US + 1;
    expect(scene, EXPLAIN_SKIPPED, EXPLAIN_CHANGED, "as it is now it would get such a message");
}

/* Changed means changed: not made a moment before the message. */
static void test_changed_since(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    scene->row.endpoint.created_at_us = NOW_US + 1;
    scene->row.endpoint.updated_at_us = NOW_US + 1;
    expect(scene, EXPLAIN_SKIPPED, EXPLAIN_NO_REASON, "");
    scene = scene_new();
    scene->row.endpoint.updated_at_us = NOW_US - 1;
    expect(scene, EXPLAIN_SKIPPED, EXPLAIN_NO_REASON, "");
    scene = scene_new();
    scene->row.endpoint.updated_at_us = NOW_US;
    expect(scene, EXPLAIN_SKIPPED, EXPLAIN_CHANGED, "");
}

static void test_by_hand(void **state)
{
    (void)state;
    struct scene *scene = with_attempts(scene_new(), 1, 200);
    scene->row.latest.is_manual = true;
    expect(scene, EXPLAIN_DELIVERED, EXPLAIN_NO_REASON, "asked for by hand");
    scene = with_attempts(scene_new(), 2, 500);
    scene->row.latest.is_manual = true;
    expect(scene, EXPLAIN_FAILED, EXPLAIN_NO_REASON, "it was sent by hand");
}

static void test_names(void **state)
{
    (void)state;
    for (int reason = 1; reason < EXPLAIN_REASON_COUNT; reason++) {
        assert_non_null(explain_reason_name((enum explain_reason)reason));
    }
    assert_null(explain_reason_name(EXPLAIN_NO_REASON));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ended),      cmocka_unit_test(test_resends_that_wait),
        cmocka_unit_test(test_waiting),    cmocka_unit_test(test_held),
        cmocka_unit_test(test_never_made), cmocka_unit_test(test_changed_since),
        cmocka_unit_test(test_by_hand),    cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
