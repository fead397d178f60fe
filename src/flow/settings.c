/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/settings.h"

#include <pthread.h>

#include "base/secret.h"

/* Shared by the snapshots that allow the same, so that a new pointer means new permissions. */
struct subnets {
    struct cidr_set set;
    atomic_int references;
};

struct snapshot {
    struct flow_settings settings; /* first: callers hold a pointer to it */
    struct subnets *subnets;       /* NULL = none are given */
    char *egress_proxy;            /* may have a password; NULL = none */
    atomic_int references;
};

struct settings_holder {
    pthread_mutex_t lock;
    struct snapshot *current;
};

static struct subnets *subnets_new(const struct cidr_set *set)
{
    struct subnets *subnets = ph_calloc(1, sizeof *subnets);
    cidr_set_copy(set, &subnets->set);
    atomic_init(&subnets->references, 1);
    return subnets;
}

static void subnets_unref(struct subnets *subnets)
{
    if (subnets != NULL &&
        atomic_fetch_sub_explicit(&subnets->references, 1, memory_order_acq_rel) == 1) {
        cidr_set_done(&subnets->set);
        free(subnets);
    }
}

static struct snapshot *snapshot_new(const struct flow_settings *values,
                                     const struct snapshot *former)
{
    struct snapshot *snapshot = ph_calloc(1, sizeof *snapshot);
    atomic_init(&snapshot->references, 1);
    snapshot->settings = *values;
    if (values->egress_proxy != NULL) {
        snapshot->egress_proxy = ph_strdup(values->egress_proxy);
        snapshot->settings.egress_proxy = snapshot->egress_proxy;
    }
    if (values->allow_subnets == NULL) {
        return snapshot;
    }
    if (former != NULL && former->subnets != NULL &&
        cidr_set_equal(&former->subnets->set, values->allow_subnets)) {
        snapshot->subnets = former->subnets;
        (void)atomic_fetch_add_explicit(&snapshot->subnets->references, 1, memory_order_relaxed);
    } else {
        snapshot->subnets = subnets_new(values->allow_subnets);
    }
    snapshot->settings.allow_subnets = &snapshot->subnets->set;
    return snapshot;
}

void flow_settings_drop(const struct flow_settings *settings)
{
    if (settings == NULL) {
        return;
    }
    struct snapshot *snapshot = (struct snapshot *)(uintptr_t)settings;
    if (atomic_fetch_sub_explicit(&snapshot->references, 1, memory_order_acq_rel) == 1) {
        subnets_unref(snapshot->subnets);
        if (snapshot->egress_proxy != NULL) {
            secret_wipe(snapshot->egress_proxy, strlen(snapshot->egress_proxy));
            free(snapshot->egress_proxy);
        }
        free(snapshot);
    }
}

struct settings_holder *settings_holder_new(const struct flow_settings *values)
{
    struct settings_holder *holder = ph_calloc(1, sizeof *holder);
    PH_ASSERT(pthread_mutex_init(&holder->lock, NULL) == 0);
    holder->current = snapshot_new(values, NULL);
    return holder;
}

void settings_holder_free(struct settings_holder *holder)
{
    if (holder != NULL) {
        flow_settings_drop(&holder->current->settings);
        PH_ASSERT(pthread_mutex_destroy(&holder->lock) == 0);
        free(holder);
    }
}

const struct flow_settings *settings_take(struct settings_holder *holder)
{
    PH_ASSERT(pthread_mutex_lock(&holder->lock) == 0);
    struct snapshot *snapshot = holder->current;
    (void)atomic_fetch_add_explicit(&snapshot->references, 1, memory_order_relaxed);
    PH_ASSERT(pthread_mutex_unlock(&holder->lock) == 0);
    return &snapshot->settings;
}

void settings_change(struct settings_holder *holder, const struct flow_settings *values)
{
    /* Only the main thread changes it, so `current` may be read without the lock. */
    const struct flow_settings *former = &holder->current->settings;
    struct flow_settings wanted = *values;
    wanted.ca_file = former->ca_file;
    wanted.user_agent = former->user_agent;
    wanted.deliver_threads = former->deliver_threads;
    wanted.writer_queue_max = former->writer_queue_max;
    wanted.wal_bytes_max = former->wal_bytes_max;
    wanted.wal_checkpoint_bytes = former->wal_checkpoint_bytes;
    wanted.window_bytes_max = former->window_bytes_max;
    wanted.snapshot_endpoints_max = former->snapshot_endpoints_max;
    struct snapshot *snapshot = snapshot_new(&wanted, holder->current);
    PH_ASSERT(pthread_mutex_lock(&holder->lock) == 0);
    holder->current = snapshot;
    PH_ASSERT(pthread_mutex_unlock(&holder->lock) == 0);
    flow_settings_drop(former);
}
