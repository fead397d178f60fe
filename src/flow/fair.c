/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose turn it is: deficit round robin over applications, and within one over its endpoints
 * (Shreedhar and Varghese, 1996). Each turn brings QUANTUM units; a delivery costs COST_FIXED and
 * its bytes, and who is in debt waits for the next round. An application that holds as many
 * attempts in flight as are still free is held back until some end: so there is always room for
 * one more, however many endpoints of the others hang.
 */
#include "flow/deliver_int.h"

#define QUANTUM 16384
#define COST_FIXED 4096
/* Turns that lanes_take looks at before it gives up for now; debts of the largest payload are paid
 * within that many. */
#define TURNS_MAX 1024

static struct tenant *tenant_open(struct deliverer *deliverer, int64_t application_id)
{
    struct tenant *tenant = map_get(&deliverer->tenants, (uint64_t)application_id);
    if (tenant == NULL) {
        tenant = ph_calloc(1, sizeof *tenant);
        tenant->application_id = application_id;
        list_init(&tenant->ready);
        list_init(&tenant->in_ready);
        (void)map_set(&deliverer->tenants, (uint64_t)application_id, tenant);
    }
    return tenant;
}

void tenant_leave(struct deliverer *deliverer, struct lane *lane)
{
    struct tenant *tenant = lane->tenant;
    if (tenant == NULL) {
        return;
    }
    fair_set_ready(deliverer, lane, false);
    lane->tenant = NULL;
    if (--tenant->lanes == 0) {
        PH_ASSERT(list_is_alone(&tenant->in_ready) && tenant->in_flight == 0);
        (void)map_remove(&deliverer->tenants, (uint64_t)tenant->application_id);
        free(tenant);
    }
}

void tenant_join(struct deliverer *deliverer, struct lane *lane, int64_t application_id)
{
    if (lane->tenant != NULL && lane->tenant->application_id == application_id) {
        return;
    }
    PH_ASSERT(lane->in_flight == 0);
    tenant_leave(deliverer, lane);
    lane->tenant = tenant_open(deliverer, application_id);
    lane->tenant->lanes++;
}

void fair_set_ready(struct deliverer *deliverer, struct lane *lane, bool is_ready)
{
    struct tenant *tenant = lane->tenant;
    if (is_ready && list_is_alone(&lane->in_ready)) {
        list_append(&tenant->ready, &lane->in_ready);
        if (list_is_alone(&tenant->in_ready)) {
            list_append(&deliverer->ready, &tenant->in_ready);
        }
    } else if (!is_ready && !list_is_alone(&lane->in_ready)) {
        list_remove(&lane->in_ready);
        if (list_is_empty(&tenant->ready)) {
            list_remove(&tenant->in_ready);
        }
    }
}

static void move_to_end(struct list_node *list, struct list_node *node)
{
    list_remove(node);
    list_append(list, node);
}

/* Pays a debt with a turn's worth; false when the turn is used up by that. */
static bool has_turn(int64_t *deficit)
{
    if (*deficit > 0) {
        return true;
    }
    *deficit += QUANTUM;
    return false;
}

struct lane *fair_next(struct deliverer *deliverer)
{
    for (size_t turn = 0; turn < TURNS_MAX && !list_is_empty(&deliverer->ready); turn++) {
        struct tenant *tenant = LIST_ELEMENT(deliverer->ready.next, struct tenant, in_ready);
        if (tenant->in_flight >= DELIVER_IN_FLIGHT_MAX - deliverer->in_flight) {
            move_to_end(&deliverer->held, &tenant->in_ready);
            continue;
        }
        if (!has_turn(&tenant->deficit)) {
            move_to_end(&deliverer->ready, &tenant->in_ready);
            continue;
        }
        struct lane *lane = LIST_ELEMENT(tenant->ready.next, struct lane, in_ready);
        if (!has_turn(&lane->deficit)) {
            move_to_end(&tenant->ready, &lane->in_ready);
            continue;
        }
        return lane;
    }
    return NULL;
}

void fair_charge(struct lane *lane, const struct item *item)
{
    int64_t cost = COST_FIXED + (item->body == NULL ? 0 : (int64_t)item->body->length);
    lane->deficit -= cost;
    lane->tenant->deficit -= cost;
}

void fair_started(struct deliverer *deliverer, struct lane *lane)
{
    lane->in_flight++;
    lane->tenant->in_flight++;
    deliverer->in_flight++;
}

void fair_ended(struct deliverer *deliverer, struct lane *lane)
{
    PH_ASSERT(lane->in_flight > 0 && lane->tenant->in_flight > 0 && deliverer->in_flight > 0);
    lane->in_flight--;
    lane->tenant->in_flight--;
    deliverer->in_flight--;
    list_splice(&deliverer->ready, &deliverer->held);
}
