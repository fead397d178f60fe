/* SPDX-License-Identifier: Apache-2.0 */
/* Trials: sent as any attempt, stored nowhere, answered exactly once whatever happens. */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include "flow/trial.h"

struct rig_trial {
    struct trial trial;
    struct flow_rig *rig;
    struct trial_outcome outcome;
    bool is_done;
};

static void trial_done(struct trial *trial, const struct trial_outcome *outcome)
{
    struct rig_trial *mine = PH_CONTAINER_OF(trial, struct rig_trial, trial);
    PH_ASSERT(!mine->is_done);
    mine->outcome = *outcome;
    flow_rig_tell(mine->rig, &mine->is_done);
}

static struct rig_trial *begin(struct flow_rig *rig, int64_t endpoint_id)
{
    struct rig_trial *mine = ph_calloc(1, sizeof *mine);
    mine->rig = rig;
    mine->trial = (struct trial){
        .endpoint_id = endpoint_id,
        .message_id = trial_message_id(),
        .event_type = TEXT("a"),
        .payload = TEXT("{\"n\":1}"),
        .done = trial_done,
    };
    flow_try(rig->flow, &mine->trial);
    return mine;
}

static struct trial_outcome take(struct rig_trial *mine)
{
    flow_rig_await(mine->rig, &mine->is_done);
    struct trial_outcome outcome = mine->outcome;
    free(mine);
    return outcome;
}

static void test_it_is_sent_and_leaves_nothing(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id =
        flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver,
                                                     .headers = "{\"X-Custom\":\"v\"}",
                                                     .is_disabled = true, /* all the same */
                                                     .event_types = "[\"other\"]"});
    struct rig_trial *mine = begin(rig, endpoint_id);
    int64_t message_id = mine->trial.message_id;
    struct trial_outcome outcome = take(mine);
    assert_true(outcome.is_success);
    assert_int_equal(outcome.status_code, 200);
    assert_string_equal(outcome.words, "");
    const struct received *request = &receiver->requests[0];
    char text[ID_TEXT_MAX];
    (void)id_format(flow_id_codec(rig->flow), ID_MESSAGE, message_id, text);
    assert_string_equal(request->id, text);
    assert_string_equal(request->custom, "v");
    assert_memory_equal(request->body, "{\"n\":1}", 7);
    struct signing_key *key = rig_key(endpoint_id, 0);
    const struct signature_received received = {
        .id = slice_of(request->id),
        .timestamp = slice_of(request->timestamp),
        .signatures = slice_of(request->signatures),
        .body = {request->body, request->body_length},
    };
    assert_int_equal(signature_verify((const struct signing_key *const *)&key, 1, &received,
                                      clock_wall_us() / CLOCK_US_PER_S, SIGNATURE_TOLERANCE_S,
                                      NULL),
                     PH_OK);
    signing_key_free(key);
    RIG_UNTIL(flow_rig_metric(rig, METRIC_IN_FLIGHT) == 0);
    assert_int_equal(flow_rig_metric(rig, METRIC_TRIALS), 1);
    assert_int_equal(flow_rig_metric(rig, METRIC_ATTEMPTS_RECORDED), 0);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM attempt", 0), 0);
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM delivery", 0), 0);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void test_failures_are_told_and_change_nothing(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    static const int statuses[] = {500, 410, 302};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(statuses); index++) {
        receiver_answer_with(receiver, statuses[index]);
        struct trial_outcome outcome = take(begin(rig, endpoint_id));
        assert_false(outcome.is_success);
        assert_int_equal(outcome.status_code, statuses[index]);
    }
    assert_int_equal(receiver_count(receiver), 3); /* one attempt each */
    assert_int_equal(flow_rig_number(rig,
                                     "SELECT count(*) FROM endpoint WHERE disabled = 0 AND"
                                     " failing_since IS NULL AND id = $1",
                                     endpoint_id),
                     1);
    receiver_answer_with(receiver, 200);
    int64_t message_id = flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(flow_rig_is(rig, message_id, endpoint_id, DELIVERY_SUCCEEDED));
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void test_without_an_answer(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    receiver_allow(receiver, 0);
    struct rig_trial *mine = ph_calloc(1, sizeof *mine);
    mine->rig = rig;
    mine->trial = (struct trial){.endpoint_id = endpoint_id,
                                 .message_id = trial_message_id(),
                                 .event_type = TEXT("a"),
                                 .payload = TEXT("{}"),
                                 .timeout_ms = 50,
                                 .done = trial_done};
    flow_try(rig->flow, &mine->trial);
    struct trial_outcome outcome = take(mine);
    assert_false(outcome.is_success);
    assert_int_equal(outcome.status_code, 0);
    assert_true(outcome.words[0] != '\0');
    flow_rig_close(rig);
    receiver_stop(receiver);
}

static void test_an_endpoint_that_does_not_exist(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct trial_outcome outcome = take(begin(rig, id_floor(clock_wall_us())));
    assert_false(outcome.is_success);
    assert_true(outcome.words[0] != '\0');
    flow_rig_close(rig);
}

/* Draining waits for it; when the time is over it is told so. */
static void test_the_end_of_the_flow(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t endpoint_id = flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver});
    receiver_allow(receiver, 0);
    struct rig_trial *mine = begin(rig, endpoint_id);
    receiver_await(receiver, 1);
    flow_rig_stop(rig, 20);
    assert_true(mine->is_done);
    assert_false(mine->outcome.is_success);
    assert_int_equal(mine->outcome.status_code, 0);
    assert_true(mine->outcome.words[0] != '\0');
    free(mine);
    flow_rig_start(rig);
    receiver_allow(receiver, SIZE_MAX);
    assert_true(take(begin(rig, endpoint_id)).is_success);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_it_is_sent_and_leaves_nothing),
        CONTRACT_BOTH(test_failures_are_told_and_change_nothing),
        CONTRACT_BOTH(test_without_an_answer),
        CONTRACT_BOTH(test_an_endpoint_that_does_not_exist),
        CONTRACT_BOTH(test_the_end_of_the_flow),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
