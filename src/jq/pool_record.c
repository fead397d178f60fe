/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"
#include "base/siphash.h"
#include "jq/pool_int.h"

void records_init(struct records *records, unsigned workers)
{
    map_init(&records->by_key);
    list_init(&records->in_use_order);
    list_init(&records->aside);
    records->aside_count = 0;
    records->workers = workers;
    random_bytes(records->hash_key, sizeof records->hash_key);
}

static void drop(struct records *records, struct record *record)
{
    if (record->aside_until_us != 0) {
        records->aside_count--;
    }
    list_remove(&record->in_aside);
    list_remove(&record->in_use_order);
    (void)map_remove(&records->by_key, record->key);
    free(record);
}

void records_done(struct records *records)
{
    while (!list_is_empty(&records->in_use_order)) {
        drop(records, LIST_ELEMENT(records->in_use_order.next, struct record, in_use_order));
    }
    map_done(&records->by_key);
}

/* Programs that are put aside are used as rarely as they are asked for; they go like others when
 * there are that many. */
static struct record *make(struct records *records, const struct jq_program *program, uint64_t key)
{
    if (records->by_key.count >= PROGRAM_RECORDS_MAX) {
        drop(records, LIST_ELEMENT(records->in_use_order.next, struct record, in_use_order));
    }
    struct record *record =
        ph_calloc(1, sizeof *record + records->workers * sizeof record->known_to[0]);
    record->key = key;
    memcpy(record->hash, program->hash, sizeof record->hash);
    list_init(&record->in_aside);
    list_init(&record->in_use_order);
    (void)map_set(&records->by_key, key, record);
    return record;
}

struct record *records_get(struct records *records, const struct jq_program *program)
{
    /* Keyed: whoever writes programs must not choose where they are in the table. */
    uint64_t key = siphash64(records->hash_key, program->hash, sizeof program->hash) | 1;
    struct record *record = map_get(&records->by_key, key);
    if (record != NULL && memcmp(record->hash, program->hash, sizeof record->hash) != 0) {
        drop(records, record); /* chance, once in 2^63 */
        record = NULL;
    }
    if (record == NULL) {
        record = make(records, program, key);
    }
    list_remove(&record->in_use_order);
    list_append(&records->in_use_order, &record->in_use_order);
    return record;
}

void records_put_aside(struct records *records, struct record *record, int64_t until_us,
                       const char *words)
{
    if (record->aside_until_us == 0) {
        records->aside_count++;
    }
    record->aside_until_us = until_us;
    (void)snprintf(record->aside_words, sizeof record->aside_words, "%s", words);
    /* All are put aside for the same time, so the list is in order. */
    list_remove(&record->in_aside);
    list_append(&records->aside, &record->in_aside);
}

int64_t records_expire(struct records *records, int64_t now_us)
{
    LIST_FOR_EACH(node, following, &records->aside)
    {
        struct record *record = LIST_ELEMENT(node, struct record, in_aside);
        if (record->aside_until_us > now_us) {
            return record->aside_until_us;
        }
        record->aside_until_us = 0;
        records->aside_count--;
        list_remove(node);
    }
    return INT64_MAX;
}
