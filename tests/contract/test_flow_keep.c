/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper does beside the traffic. */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include "flow/flow.h"
#include "flow/writer.h"

/* Above the interval of rounds: when the first one passes, nothing is old enough. */
#define KEPT_US (1500 * CLOCK_US_PER_MS)

/* A walk over the messages must not follow those that come in meanwhile. */
static void test_retention_comes_back_while_messages_come_in(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.retention_us = KEPT_US;
    flow_rig_start(rig);
    RIG_UNTIL(flow_rig_send(rig, "a", "{}") != 0 &&
              flow_rig_metric(rig, METRIC_RETENTION_ROWS) > 0);
    flow_rig_close(rig);
}

static void test_the_log_is_copied_from_its_size_on(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    rig->options.settings.wal_checkpoint_bytes = 1;
    flow_rig_start(rig);
    (void)flow_rig_send(rig, "a", "{}");
    RIG_UNTIL(writer_wal_bytes(flow_writer(rig->flow)) == 0);
    flow_rig_close(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_retention_comes_back_while_messages_come_in),
        CONTRACT_BOTH(test_the_log_is_copied_from_its_size_on),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
