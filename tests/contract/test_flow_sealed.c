/* SPDX-License-Identifier: Apache-2.0 */
/* A running flow with a master key: it seals what is there, makes the day's data key, and signs and
 * sends as before. */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include "flow/flow.h"
#include "store/keyring.h"

#define DAY_US (24 * 3600 * CLOCK_US_PER_S)

static struct keyring *open_keyring(void **state, int64_t now_us)
{
    const struct contract_store *fresh = *state;
    char bytes[SEAL_KEY_BYTES];
    memset(bytes, 'm', sizeof bytes);
    SECRET_AUTO struct secret master = secret_new(bytes, sizeof bytes);
    struct diag diag = {0};
    struct keyring *keyring = NULL;
    CONTRACT_OK(keyring_open(fresh->address, &master, now_us, &diag, &keyring), &diag);
    assert_non_null(keyring);
    return keyring;
}

static int64_t plain_count(struct flow_rig *rig)
{
    return flow_rig_number(rig,
                           "SELECT (SELECT count(*) FROM endpoint_secret WHERE length(secret) > 0)"
                           " + (SELECT count(*) FROM endpoint WHERE headers <> '{}')"
                           " + (SELECT count(*) FROM payload WHERE length(body) > 0)",
                           0);
}

static int64_t done_count(struct flow_rig *rig)
{
    return flow_rig_number(rig, "SELECT count(*) FROM meta WHERE name = 'secrets_sealed'", 0);
}

static int64_t data_key_count(struct flow_rig *rig)
{
    return flow_rig_number(rig, "SELECT count(*) FROM data_key", 0);
}

/* The latest request came with the endpoint's header and a signature of its key. */
static void assert_signed(struct receiver *receiver, int64_t endpoint_id)
{
    const struct received *request = &receiver->requests[receiver_count(receiver) - 1];
    struct signing_key *key = rig_key(endpoint_id, 0);
    const struct signing_key *const keys[] = {key};
    const struct signature_received received = {
        .id = slice_of(request->id),
        .timestamp = slice_of(request->timestamp),
        .signatures = slice_of(request->signatures),
        .body = {request->body, request->body_length},
    };
    assert_int_equal(signature_verify(keys, 1, &received, clock_wall_us() / CLOCK_US_PER_S,
                                      SIGNATURE_TOLERANCE_S, NULL),
                     PH_OK);
    assert_string_equal(request->custom, "v 1");
    signing_key_free(key);
}

static int64_t add_endpoint(struct flow_rig *rig, struct receiver *receiver, const char *type)
{
    return flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver,
                                                        .event_types = type,
                                                        .headers = "{\"X-Custom\":\"v 1\"}"});
}

static void test_older_secrets_are_sealed_while_it_runs(void **state)
{
    struct flow_rig *rig = flow_rig_open(state);
    struct receiver *receiver = receiver_start();
    int64_t older_id = add_endpoint(rig, receiver, "[\"a\"]");
    (void)flow_rig_send(rig, "a", "{}");
    receiver_await(receiver, 1);
    assert_signed(receiver, older_id);
    assert_int_equal(plain_count(rig), 3);
    flow_rig_stop(rig, RIG_DRAIN_MS);

    struct keyring *keyring = open_keyring(state, clock_wall_us());
    rig->options.keyring = keyring;
    flow_rig_start(rig);
    int64_t newer_id = add_endpoint(rig, receiver, "[\"b\"]");
    RIG_UNTIL(done_count(rig) == 1);
    assert_int_equal(plain_count(rig), 0);
    (void)flow_rig_send(rig, "a", "{}");
    receiver_await(receiver, 2);
    assert_signed(receiver, older_id);
    (void)flow_rig_send(rig, "b", "{}");
    receiver_await(receiver, 3);
    assert_signed(receiver, newer_id);
    assert_int_equal(data_key_count(rig), 1);
    flow_rig_close(rig);
    keyring_free(keyring);
    receiver_stop(receiver);
}

static void test_a_data_key_lasts_a_day(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    struct receiver *receiver = receiver_start();
    struct keyring *keyring = open_keyring(state, clock_wall_us() - DAY_US);
    rig->options.keyring = keyring;
    flow_rig_start(rig);
    RIG_UNTIL(keyring_count(keyring) == 2);
    assert_int_equal(data_key_count(rig), 2);
    assert_false(keyring_is_due(keyring, clock_wall_us()));
    int64_t endpoint_id = add_endpoint(rig, receiver, NULL);
    (void)flow_rig_send(rig, "a", "{}");
    receiver_await(receiver, 1);
    assert_signed(receiver, endpoint_id);
    flow_rig_close(rig);
    keyring_free(keyring);
    receiver_stop(receiver);
}

static void write_store(void **state, const char *sql)
{
    const struct contract_store *fresh = *state;
    struct diag diag = {0};
    struct db *db;
    CONTRACT_OK(db_open(fresh->address, DB_READ_WRITE, &diag, &db), &diag);
    CONTRACT_OK(db_run(db, sql, &diag), &diag);
    db_close(db);
}

/* A delivery whose payload cannot be opened fails in words, by itself; those behind it go out. */
static void test_an_unreadable_payload_fails_alone(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    struct receiver *receiver = receiver_start();
    struct keyring *keyring = open_keyring(state, clock_wall_us());
    rig->options.keyring = keyring;
    flow_rig_start(rig);
    int64_t endpoint_id = add_endpoint(rig, receiver, NULL);
    int64_t first_id = flow_rig_send(rig, "a", "{\"n\":1}");
    int64_t second_id = flow_rig_send(rig, "a", "{\"n\":2}");
    receiver_await(receiver, 2);
    RIG_UNTIL(flow_rig_is(rig, first_id, endpoint_id, DELIVERY_SUCCEEDED) &&
              flow_rig_is(rig, second_id, endpoint_id, DELIVERY_SUCCEEDED));
    flow_rig_stop(rig, RIG_DRAIN_MS);
    write_store(state, "UPDATE payload SET sealed_body = (SELECT sealed_body FROM payload"
                       " ORDER BY message_id DESC LIMIT 1)");
    write_store(state, "UPDATE delivery SET state = 0, attempts = 0, next_attempt_at = 1");
    flow_rig_start(rig);
    receiver_await(receiver, 3);
    RIG_UNTIL(flow_rig_is(rig, first_id, endpoint_id, DELIVERY_FAILED) &&
              flow_rig_is(rig, second_id, endpoint_id, DELIVERY_SUCCEEDED));
    assert_int_equal(flow_rig_delivery(rig, first_id, endpoint_id).reason, DELIVERY_REASON_ABORTED);
    assert_int_equal(flow_rig_delivery(rig, first_id, endpoint_id).attempts, 1);
    assert_string_equal(receiver->requests[2].body, "{\"n\":2}");
    (void)flow_rig_send(rig, "a", "{\"n\":3}");
    receiver_await(receiver, 4);
    assert_signed(receiver, endpoint_id);
    flow_rig_close(rig);
    keyring_free(keyring);
    receiver_stop(receiver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_older_secrets_are_sealed_while_it_runs),
        CONTRACT_BOTH(test_a_data_key_lasts_a_day),
        CONTRACT_BOTH(test_an_unreadable_payload_fails_alone),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
