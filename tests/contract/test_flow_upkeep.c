/* SPDX-License-Identifier: Apache-2.0 */
/* Work that the keeper does for those above the flow. */
#include "contract/contract.h"
#include "contract/flow_traffic.h"

#include <stdatomic.h>

#include "flow/step.h"
#include "flow/upkeep.h"

struct chore {
    struct flow_rig *rig;
    atomic_int runs;
    atomic_int dones;
    atomic_int_fast64_t next_us;
};

static enum ph_error do_nothing(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    (void)step;
    (void)txn;
    (void)diag;
    return PH_OK;
}

static int64_t run(void *context)
{
    struct chore *chore = context;
    struct diag diag;
    struct step step = {0};
    step_init(&step, do_nothing);
    PH_ASSERT(step_run(&step, flow_writer(chore->rig->flow), &diag) == PH_OK);
    step_done(&step);
    (void)atomic_fetch_add(&chore->runs, 1);
    return atomic_load(&chore->next_us);
}

static void done(void *context)
{
    (void)atomic_fetch_add(&((struct chore *)context)->dones, 1);
}

static void test_it_is_called_when_it_is_due(void **state)
{
    struct flow_rig *rig = flow_rig_new(state);
    struct chore chore = {.rig = rig, .next_us = 0};
    const struct upkeep_work work = {run, done, &chore};
    flow_rig_start(rig);
    struct upkeep *upkeep = flow_upkeep_add(rig->flow, &work);
    RIG_UNTIL(atomic_load(&chore.runs) >= 5); /* as long as it wants more */
    atomic_store(&chore.next_us, 1000 * RIG_WAIT_US);
    int runs = atomic_load(&chore.runs);
    RIG_UNTIL(atomic_load(&chore.runs) > runs);
    runs = atomic_load(&chore.runs);        /* that one may have read the former time */
    upkeep_due(upkeep, 2000 * RIG_WAIT_US); /* later than it wants */
    upkeep_due(upkeep, 1000);
    RIG_UNTIL(atomic_load(&chore.runs) > runs);
    assert_int_equal(atomic_load(&chore.dones), 0);
    flow_rig_close(rig);
    assert_int_equal(atomic_load(&chore.dones), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_SQLITE(test_it_is_called_when_it_is_due),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
