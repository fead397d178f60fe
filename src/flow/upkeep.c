/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Concurrency: `lock` guards the list's growth, whose members never leave it; each has an atomic
 * time. It is set aside before `run`, so that what is brought forward meanwhile is not lost.
 */
#include "flow/upkeep.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"

struct upkeep {
    struct upkeep_work work;
    atomic_int_fast64_t at_us; /* boot clock */
};

struct upkeep_list {
    pthread_mutex_t lock;
    size_t count;
    struct upkeep items[UPKEEP_MAX];
};

struct upkeep_list *upkeep_list_new(void)
{
    struct upkeep_list *list = ph_calloc(1, sizeof *list);
    (void)pthread_mutex_init(&list->lock, NULL);
    return list;
}

void upkeep_list_free(struct upkeep_list *list)
{
    if (list == NULL) {
        return;
    }
    for (size_t index = 0; index < list->count; index++) {
        const struct upkeep_work *work = &list->items[index].work;
        if (work->done != NULL) {
            work->done(work->context);
        }
    }
    (void)pthread_mutex_destroy(&list->lock);
    free(list);
}

struct upkeep *upkeep_list_add(struct upkeep_list *list, const struct upkeep_work *work)
{
    (void)pthread_mutex_lock(&list->lock);
    PH_ASSERT(list->count < UPKEEP_MAX);
    struct upkeep *upkeep = &list->items[list->count];
    upkeep->work = *work;
    atomic_init(&upkeep->at_us, 0);
    list->count++;
    (void)pthread_mutex_unlock(&list->lock);
    return upkeep;
}

void upkeep_due(struct upkeep *upkeep, int64_t wait_us)
{
    int64_t at_us = clock_boot_us() + (wait_us < 0 ? 0 : wait_us);
    int_fast64_t former = atomic_load(&upkeep->at_us);
    while (at_us < former && !atomic_compare_exchange_weak(&upkeep->at_us, &former, at_us)) {
    }
}

static size_t count_of(struct upkeep_list *list)
{
    (void)pthread_mutex_lock(&list->lock);
    size_t count = list->count;
    (void)pthread_mutex_unlock(&list->lock);
    return count;
}

int64_t upkeep_list_run(struct upkeep_list *list, int64_t max_us)
{
    size_t count = count_of(list);
    int64_t wait_us = max_us;
    for (size_t index = 0; index < count; index++) {
        struct upkeep *upkeep = &list->items[index];
        if (atomic_load(&upkeep->at_us) <= clock_boot_us()) {
            atomic_store(&upkeep->at_us, INT64_MAX);
            upkeep_due(upkeep, upkeep->work.run(upkeep->work.context));
        }
        int64_t left_us = atomic_load(&upkeep->at_us) - clock_boot_us();
        wait_us = left_us < wait_us ? left_us : wait_us;
    }
    return wait_us < 0 ? 0 : wait_us;
}
