/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/auto_key.h"

#include "base/compiler.h"

void auto_key_init(struct auto_key_table *table, size_t entries_max)
{
    *table = (struct auto_key_table){.entries_max = entries_max};
    for (size_t index = 0; index < AUTO_KEY_SLICES; index++) {
        table->slices[index].minute = -1;
    }
}

static void forget(struct auto_key_table *table, struct auto_key_slice *slice)
{
    table->count -= slice->count;
    free(slice->entries);
    *slice = (struct auto_key_slice){.minute = -1};
}

void auto_key_done(struct auto_key_table *table)
{
    for (size_t index = 0; index < AUTO_KEY_SLICES; index++) {
        forget(table, &table->slices[index]);
    }
}

static uint64_t fingerprint_of(const uint8_t key_hash[16])
{
    uint64_t fingerprint;
    memcpy(&fingerprint, key_hash, sizeof fingerprint);
    return fingerprint == 0 ? 1 : fingerprint;
}

static struct auto_key_entry *slot_of(const struct auto_key_slice *slice, uint64_t fingerprint)
{
    size_t mask = slice->capacity - 1;
    size_t index = (size_t)fingerprint & mask; /* a keyed hash already: no further mixing */
    while (slice->entries[index].fingerprint != 0 &&
           slice->entries[index].fingerprint != fingerprint) {
        index = (index + 1) & mask;
    }
    return &slice->entries[index];
}

int64_t auto_key_find(const struct auto_key_table *table, const uint8_t key_hash[16])
{
    uint64_t fingerprint = fingerprint_of(key_hash);
    for (size_t index = 0; index < AUTO_KEY_SLICES; index++) {
        const struct auto_key_slice *slice = &table->slices[index];
        if (slice->capacity > 0) {
            const struct auto_key_entry *entry = slot_of(slice, fingerprint);
            if (entry->fingerprint != 0) {
                return entry->message_id;
            }
        }
    }
    return 0;
}

static struct auto_key_slice *slice_at(struct auto_key_table *table, int64_t now_us)
{
    int64_t minute = now_us / AUTO_KEY_SLICE_US;
    struct auto_key_slice *slice = &table->slices[(size_t)minute % AUTO_KEY_SLICES];
    if (slice->minute != minute) {
        forget(table, slice);
        slice->minute = minute;
    }
    return slice;
}

bool auto_key_has_room(struct auto_key_table *table, int64_t now_us)
{
    const struct auto_key_slice *current = slice_at(table, now_us);
    while (table->count >= table->entries_max) {
        struct auto_key_slice *oldest = NULL;
        for (size_t index = 0; index < AUTO_KEY_SLICES; index++) {
            struct auto_key_slice *slice = &table->slices[index];
            if (slice->count > 0 && slice->minute < current->minute - 1 &&
                (oldest == NULL || slice->minute < oldest->minute)) {
                oldest = slice;
            }
        }
        if (oldest == NULL) {
            return false;
        }
        forget(table, oldest);
    }
    return true;
}

static void grow(struct auto_key_slice *slice)
{
    struct auto_key_slice old = *slice;
    slice->capacity = old.capacity == 0 ? 64 : old.capacity * 2;
    slice->entries = ph_calloc(slice->capacity, sizeof(struct auto_key_entry));
    for (size_t index = 0; index < old.capacity; index++) {
        if (old.entries[index].fingerprint != 0) {
            *slot_of(slice, old.entries[index].fingerprint) = old.entries[index];
        }
    }
    free(old.entries);
}

void auto_key_add(struct auto_key_table *table, const uint8_t key_hash[16], int64_t message_id,
                  int64_t now_us)
{
    struct auto_key_slice *slice = slice_at(table, now_us);
    if ((slice->count + 1) * 4 > slice->capacity * 3) {
        grow(slice);
    }
    struct auto_key_entry *entry = slot_of(slice, fingerprint_of(key_hash));
    if (entry->fingerprint == 0) {
        slice->count++;
        table->count++;
    }
    *entry = (struct auto_key_entry){fingerprint_of(key_hash), message_id};
}
