/* SPDX-License-Identifier: Apache-2.0 */
#include "api/payload_check.h"

#include "api/call.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/random.h"
#include "base/siphash.h"
#include "core/scan.h"
#include "core/schema.h"
#include "store/event_type.h"

#define ROW_BYTES ((size_t)4 * 1024 * 1024)
#define ENTRY_FRAME_BYTES 512

/* What is known of one event type. */
struct entry {
    struct list_node node; /* the longest unused first */
    uint64_t hash;
    uint64_t generation; /* when it was looked up */
    char *name;          /* organisation, a NUL, name */
    size_t name_length;
    uint64_t text_hash; /* of all versions */
    bool is_checked;
    struct schema *schema; /* of the newest version; NULL = there is none that can be used */
    struct diag diag;      /* why */
    size_t bytes;
};

struct payload_checks {
    uint8_t key[16];
    bool is_loaded;
    unsigned long long version; /* api->event_types_version before the store was read */
    int64_t loaded_at_us;       /* boot time */
    uint64_t generation;        /* grows with each load */
    uint64_t *types;            /* sorted hashes of those that want it */
    size_t type_count;
    bool has_too_many; /* then the hashes say nothing */
    struct map entries;
    struct list_node order;
    size_t bytes;
};

struct payload_checks *payload_checks_new(void)
{
    struct payload_checks *checks = ph_calloc(1, sizeof *checks);
    random_bytes(checks->key, sizeof checks->key);
    map_init(&checks->entries);
    list_init(&checks->order);
    return checks;
}

static void forget(struct payload_checks *checks, struct entry *entry)
{
    (void)map_remove(&checks->entries, entry->hash);
    list_remove(&entry->node);
    checks->bytes -= entry->bytes;
    schema_free(entry->schema);
    free(entry->name);
    free(entry);
}

void payload_checks_free(struct payload_checks *checks)
{
    if (checks == NULL) {
        return;
    }
    LIST_FOR_EACH(node, following, &checks->order)
    {
        forget(checks, LIST_ELEMENT(node, struct entry, node));
    }
    map_done(&checks->entries);
    free(checks->types);
    free(checks);
}

/* --- which types want it ------------------------------------------------------------------------
 */

/* Organisation, a NUL, name: neither has a NUL in it. */
static char *full_name(struct slice org, struct slice name, size_t *ret_length)
{
    *ret_length = org.len + 1 + name.len;
    char *text = ph_malloc(*ret_length);
    memcpy(text, org.ptr, org.len);
    text[org.len] = '\0';
    memcpy(text + org.len + 1, name.ptr, name.len);
    return text;
}

/* Not 0, which is no key of a map. */
static uint64_t hash_of(const struct payload_checks *checks, const char *name, size_t length)
{
    uint64_t hash = siphash64(checks->key, name, length);
    return hash == 0 ? 1 : hash;
}

static int compare_hashes(const void *left, const void *right)
{
    const uint64_t *a = left;
    const uint64_t *b = right;
    return (*a > *b) - (*a < *b);
}

static void take_type(void *context, struct slice org, struct slice name)
{
    struct payload_checks *checks = context;
    if (checks->type_count == PAYLOAD_TYPES_MAX) {
        checks->has_too_many = true;
        return;
    }
    size_t length;
    char *text = full_name(org, name, &length);
    checks->types[checks->type_count++] = hash_of(checks, text, length);
    free(text);
}

static enum ph_error load(struct payload_checks *checks, struct api_call *call,
                          unsigned long long version, struct diag *diag)
{
    struct store *store;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error != PH_OK) {
        return error;
    }
    if (checks->types == NULL) {
        checks->types = ph_calloc(PAYLOAD_TYPES_MAX, sizeof *checks->types);
    }
    checks->is_loaded = false;
    checks->type_count = 0;
    checks->has_too_many = false;
    error = event_type_each_validating(store, PAYLOAD_TYPES_MAX + 1, take_type, checks, diag);
    if (error == PH_OK) {
        qsort(checks->types, checks->type_count, sizeof *checks->types, compare_hashes);
        checks->is_loaded = true;
        checks->version = version;
        checks->loaded_at_us = clock_boot_us();
        checks->generation++;
    }
    return error;
}

/* The counter is read before the store is, so that no change is missed. */
static enum ph_error refresh(struct payload_checks *checks, struct api_call *call,
                             struct diag *diag)
{
    unsigned long long version = atomic_load(&call->api->event_types_version);
    if (checks->is_loaded && checks->version == version &&
        clock_boot_us() - checks->loaded_at_us < PAYLOAD_TYPES_US) {
        return PH_OK;
    }
    return load(checks, call, version, diag);
}

static bool may_be_checked(const struct payload_checks *checks, uint64_t hash)
{
    return checks->has_too_many ||
           bsearch(&hash, checks->types, checks->type_count, sizeof hash, compare_hashes) != NULL;
}

/* --- schemas ------------------------------------------------------------------------------------
 */

/* Integers are above other names; of those, the last one by its bytes. */
static bool is_newer(struct slice version, struct slice than)
{
    int64_t left;
    int64_t right;
    bool is_left = slice_to_int64(version, &left);
    bool is_right = slice_to_int64(than, &right);
    if (is_left != is_right) {
        return is_left;
    }
    return is_left ? left >= right : slice_compare(version, than) >= 0;
}

/* The newest version of EventTypeIn's `schemas`; SLICE_NONE without one. */
static struct slice newest(struct slice schemas)
{
    struct scan_cursor cursor;
    struct scan_member member;
    struct slice version = SLICE_NONE;
    struct slice schema = SLICE_NONE;
    if (schemas.ptr != NULL) {
        scan_cursor_init(&cursor, schemas);
        while (scan_next_member(&cursor, &member)) {
            if (version.ptr == NULL || is_newer(member.key, version)) {
                version = member.key;
                schema = member.value;
            }
        }
    }
    return schema;
}

static enum ph_error compile(struct slice schemas, const char *field, struct diag *diag,
                             struct schema **ret_schema)
{
    struct slice text = newest(schemas);
    if (text.ptr == NULL) {
        return diag_set(diag, PH_INVALID, field,
                        "a schema is needed for payloads to be validated by");
    }
    return schema_compile(text, field, diag, ret_schema);
}

enum ph_error payload_schemas_verify(struct slice schemas, const char *field, struct diag *diag)
{
    struct schema *schema = NULL;
    enum ph_error error = compile(schemas, field, diag, &schema);
    schema_free(schema);
    return error;
}

/* --- what is known of a type ---------------------------------------------------------------------
 */

static struct entry *find_entry(struct payload_checks *checks, uint64_t hash, const char *name,
                                size_t length)
{
    struct entry *entry = map_get(&checks->entries, hash);
    bool is_same =
        entry != NULL && entry->name_length == length && memcmp(entry->name, name, length) == 0;
    return is_same ? entry : NULL;
}

static struct entry *add_entry(struct payload_checks *checks, uint64_t hash, const char *name,
                               size_t length)
{
    struct entry *former = map_get(&checks->entries, hash);
    if (former != NULL) {
        forget(checks, former);
    }
    struct entry *entry = ph_calloc(1, sizeof *entry);
    entry->hash = hash;
    entry->name = ph_malloc(length);
    memcpy(entry->name, name, length);
    entry->name_length = length;
    list_init(&entry->node);
    list_append(&checks->order, &entry->node);
    (void)map_set(&checks->entries, hash, entry);
    return entry;
}

static void replace_schema(struct payload_checks *checks, struct entry *entry,
                           const struct event_type_row *row, struct metrics *metrics)
{
    checks->bytes -= entry->bytes;
    schema_free(entry->schema);
    entry->schema = NULL;
    entry->bytes = ENTRY_FRAME_BYTES + entry->name_length;
    entry->diag = (struct diag){.error = PH_OK};
    if (entry->is_checked) {
        metrics_add(metrics, METRIC_PAYLOAD_SCHEMAS_COMPILED, 1);
        if (compile(row->schemas, "body.payload", &entry->diag, &entry->schema) == PH_OK) {
            entry->bytes += schema_bytes(entry->schema);
        }
    }
    checks->bytes += entry->bytes;
}

/* Reads the type again; a schema whose text is still the same stays compiled. */
static enum ph_error look_up(struct payload_checks *checks, struct api_call *call,
                             struct slice event_type, struct entry *entry, struct diag *diag)
{
    struct store *store;
    struct event_type_row row = {.schemas = SLICE_NONE};
    ARENA_AUTO struct arena arena;
    arena_init(&arena, ROW_BYTES);
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = event_type_find(store, call->principal.org, event_type, &arena, diag, &row);
    }
    if (error != PH_OK && error != PH_NOT_FOUND) {
        return error;
    }
    bool is_checked = error == PH_OK && row.validates_payload && !row.is_archived;
    uint64_t text_hash =
        row.schemas.ptr == NULL ? 0 : siphash64(checks->key, row.schemas.ptr, row.schemas.len);
    bool is_same =
        entry->generation != 0 && entry->is_checked == is_checked && entry->text_hash == text_hash;
    entry->generation = checks->generation;
    if (!is_same) {
        entry->is_checked = is_checked;
        entry->text_hash = text_hash;
        replace_schema(checks, entry, &row, call->api->metrics);
    }
    return PH_OK;
}

static void make_room(struct payload_checks *checks, struct entry *kept, struct metrics *metrics)
{
    while (checks->entries.count > PAYLOAD_ENTRIES_MAX || checks->bytes > PAYLOAD_ENTRIES_BYTES) {
        struct entry *oldest = LIST_ELEMENT(checks->order.next, struct entry, node);
        if (oldest == kept) {
            break;
        }
        forget(checks, oldest);
        metrics_add(metrics, METRIC_PAYLOAD_SCHEMAS_FORGOTTEN, 1);
    }
}

/* NULL when the type does not want it. */
static enum ph_error find_type(struct api_call *call, struct slice event_type, struct diag *diag,
                               struct entry **ret_entry)
{
    struct payload_checks *checks = call->thread->payload_checks;
    size_t length;
    *ret_entry = NULL;
    enum ph_error error = refresh(checks, call, diag);
    if (error != PH_OK || (checks->type_count == 0 && !checks->has_too_many)) {
        return error;
    }
    PH_AUTO_FREE char *name = full_name(call->principal.org, event_type, &length);
    uint64_t hash = hash_of(checks, name, length);
    if (!may_be_checked(checks, hash)) {
        return PH_OK;
    }
    struct entry *entry = find_entry(checks, hash, name, length);
    entry = entry == NULL ? add_entry(checks, hash, name, length) : entry;
    list_remove(&entry->node);
    list_append(&checks->order, &entry->node);
    if (entry->generation != checks->generation) {
        error = look_up(checks, call, event_type, entry, diag);
    }
    make_room(checks, entry, call->api->metrics);
    if (error == PH_OK && entry->is_checked) {
        *ret_entry = entry;
    }
    return error;
}

enum ph_error payload_is_checked(struct api_call *call, struct slice event_type, struct diag *diag,
                                 bool *ret_is_checked)
{
    struct entry *entry;
    enum ph_error error = find_type(call, event_type, diag, &entry);
    *ret_is_checked = error == PH_OK && entry != NULL;
    return error;
}

enum ph_error payload_check(struct api_call *call, struct slice event_type, struct slice payload,
                            struct schema_budget *budget, struct diag *diag)
{
    struct entry *entry;
    enum ph_error error = find_type(call, event_type, diag, &entry);
    if (error != PH_OK || entry == NULL) {
        return error;
    }
    metrics_add(call->api->metrics, METRIC_PAYLOADS_CHECKED, 1);
    if (entry->schema != NULL) {
        error =
            schema_validate(entry->schema, payload, clock_thread_us, budget, "body.payload", diag);
    } else {
        error = diag_set(diag, PH_INVALID, "body.payload",
                         "the event type's schema cannot be used: %.180s", entry->diag.text);
    }
    if (error != PH_OK) {
        metrics_add(call->api->metrics, METRIC_PAYLOADS_REFUSED, 1);
    }
    return error;
}

void payload_types_changed(struct api_job *job)
{
    (void)atomic_fetch_add(&job->call->api->event_types_version, 1);
}
