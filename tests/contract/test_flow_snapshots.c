/* SPDX-License-Identifier: Apache-2.0 */
/* More applications than the writer keeps snapshots of: they go and come, and matching stays right.
 */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include "flow/flow.h"

#define APPLICATIONS 12
/* Of the snapshots together: an application counts as its endpoints and one more. */
#define MAX 10
#define ROUNDS 6

/* Application n has 1 to 3 endpoints for the event "a" and one for "b". */
struct tenant {
    int64_t id;
    int64_t endpoints_a;
    int64_t expected; /* deliveries */
};

static struct flow_rig *open_rig(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.snapshot_endpoints_max = MAX;
    flow_rig_start(rig);
    return rig;
}

static void add_endpoint(struct flow_rig *rig, const struct tenant *tenant,
                         const struct receiver *receiver, const char *event_types)
{
    (void)flow_rig_endpoint(rig, (struct rig_endpoint){.receiver = receiver,
                                                       .application_id = tenant->id,
                                                       .event_types = event_types});
}

static void add_tenants(struct flow_rig *rig, const struct receiver *receiver,
                        struct tenant *tenants)
{
    for (size_t index = 0; index < APPLICATIONS; index++) {
        char uid[16];
        (void)snprintf(uid, sizeof uid, "app-%zu", index);
        tenants[index] = (struct tenant){.id = flow_rig_write(rig, rig_add_application, uid),
                                         .endpoints_a = 1 + (int64_t)index % 3};
        for (int64_t count = 0; count < tenants[index].endpoints_a; count++) {
            add_endpoint(rig, &tenants[index], receiver, "[\"a\"]");
        }
        add_endpoint(rig, &tenants[index], receiver, "[\"b\"]");
    }
}

static struct rig_message *submit(struct flow_rig *rig, struct tenant *tenant, bool is_b)
{
    struct rig_message *message = rig_message_new(rig, is_b ? "b" : "a", "{}");
    message->job.application_id = tenant->id;
    rig_message_submit(message);
    tenant->expected += is_b ? 1 : tenant->endpoints_a;
    return message;
}

static void take_ok(struct rig_message *message)
{
    int64_t id = 0;
    assert_int_equal(rig_message_take(message, &id), PH_OK);
}

static void send_one(struct flow_rig *rig, struct tenant *tenant, bool is_b)
{
    take_ok(submit(rig, tenant, is_b));
    int64_t kept = flow_rig_metric(rig, METRIC_SNAPSHOT_ENDPOINTS);
    assert_in_range(kept, 1, MAX);
}

/* Each application has the deliveries of its own endpoints, and all of them arrive. */
static void check(struct flow_rig *rig, struct receiver *receiver, const struct tenant *tenants,
                  size_t count)
{
    int64_t all = 0;
    for (size_t index = 0; index < count; index++) {
        int64_t found = flow_rig_number(rig,
                                        "SELECT count(*) FROM delivery d"
                                        " JOIN message m ON m.id = d.message_id"
                                        " JOIN endpoint e ON e.id = d.endpoint_id"
                                        " AND e.application_id = m.application_id"
                                        " WHERE m.application_id = $1",
                                        tenants[index].id);
        assert_int_equal(found, tenants[index].expected);
        all += tenants[index].expected;
    }
    assert_int_equal(flow_rig_number(rig, "SELECT count(*) FROM delivery", 0), all);
    RIG_UNTIL(flow_rig_metric(rig, METRIC_DELIVERIES_SUCCEEDED) == all);
    assert_int_equal(receiver_count(receiver), all);
}

static void test_snapshots_go_and_come(void **state)
{
    struct flow_rig *rig = open_rig(state);
    struct receiver *receiver = receiver_start();
    struct tenant tenants[APPLICATIONS];
    add_tenants(rig, receiver, tenants);
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t index = 0; index < APPLICATIONS; index++) {
            send_one(rig, &tenants[index], (index + round) % 4 == 0);
        }
        /* A change reaches those who are kept and those who are not. */
        struct tenant *changed = &tenants[round * 5 % APPLICATIONS];
        add_endpoint(rig, changed, receiver, "[\"a\"]");
        changed->endpoints_a++;
        send_one(rig, changed, false);
    }
    check(rig, receiver, tenants, APPLICATIONS);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

/* What one batch drops while it goes on is still in use by the messages before. */
static void test_one_batch_of_too_many(void **state)
{
    struct flow_rig *rig = open_rig(state);
    struct receiver *receiver = receiver_start();
    struct tenant tenants[APPLICATIONS];
    struct rig_message *messages[ROUNDS * APPLICATIONS];
    add_tenants(rig, receiver, tenants);
    struct rig_gate *gate = rig_gate_close(rig);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(messages); index++) {
        messages[index] = submit(rig, &tenants[index % APPLICATIONS], index % 5 == 0);
    }
    rig_gate_open(gate);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(messages); index++) {
        take_ok(messages[index]);
    }
    assert_in_range(flow_rig_metric(rig, METRIC_SNAPSHOT_ENDPOINTS), 1, MAX);
    check(rig, receiver, tenants, APPLICATIONS);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

/* Larger than the limit alone: it is kept, all others go. */
static void test_one_application_of_too_many_endpoints(void **state)
{
    struct flow_rig *rig = open_rig(state);
    struct receiver *receiver = receiver_start();
    struct tenant tenants[APPLICATIONS];
    add_tenants(rig, receiver, tenants);
    struct tenant *large = &tenants[0];
    while (large->endpoints_a < MAX + 5) {
        add_endpoint(rig, large, receiver, "[\"a\"]");
        large->endpoints_a++;
    }
    for (size_t round = 0; round < ROUNDS; round++) {
        send_one(rig, &tenants[1 + round], false);
        take_ok(submit(rig, large, false));
        assert_int_equal(flow_rig_metric(rig, METRIC_SNAPSHOT_ENDPOINTS), large->endpoints_a + 2);
    }
    check(rig, receiver, tenants, APPLICATIONS);
    flow_rig_close(rig);
    receiver_stop(receiver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_snapshots_go_and_come),
        CONTRACT_BOTH(test_one_batch_of_too_many),
        CONTRACT_BOTH(test_one_application_of_too_many_endpoints),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
