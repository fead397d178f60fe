/* SPDX-License-Identifier: Apache-2.0 */
/* Brings the endpoints of the application `magpie` in line with a set of hooks. On the writer's
 * thread, in one transaction. */
#include "base/clock.h"
#include "base/json_out.h"
#include "base/random.h"
#include "base/secret.h"
#include "core/scan.h"
#include "core/url.h"
#include "flow/endpoint_options.h"
#include "store/application.h"
#include "store/endpoint.h"
#include "store/endpoint_secret.h"
#include "surfaces/magpie/hook.h"

#define ARENA_BYTES ((size_t)8 * 1024 * 1024)
#define CONFIG_BYTES_MAX (MAGPIE_PAYLOAD_BYTES_MAX + 65536)
#define OPTIONS_BYTES_MAX ((size_t)2 * 1024 * 1024)
#define URL_TEXT_MAX ((size_t)4 * URL_LENGTH_MAX)
#define MEMBERS_MAX 16
#define KEY_TEXT_MAX 64
#define EVENT_TYPES_TEXT_MAX 64

/* --- what is there ---------------------------------------------------------------------------- */

/* An endpoint that was made for a hook. */
struct former {
    int64_t id;
    char key[KEY_TEXT_MAX];
    bool is_used;
};

struct applying {
    struct writer_txn *txn;
    const struct retry_schedule *schedule;
    struct magpie_hook_set *set;
    struct diag *diag;
    int64_t application_id;
    struct former *formers;
    size_t former_count;
    size_t former_capacity;
};

static const struct scan_member *config_member(const struct endpoint_options *options,
                                               struct scan_member members[MEMBERS_MAX],
                                               const char *key)
{
    size_t count = 0;
    if (options->format_config.ptr == NULL ||
        scan_object(options->format_config, members, MEMBERS_MAX, &count, NULL, NULL) != PH_OK) {
        return NULL;
    }
    return scan_find(members, count, key);
}

/* The key is our own text, without escapes. */
static void note_former(struct applying *applying, int64_t id,
                        const struct endpoint_options *options)
{
    struct scan_member members[MEMBERS_MAX];
    const struct scan_member *key = config_member(options, members, "key");
    if (applying->former_count == applying->former_capacity) {
        applying->former_capacity = applying->former_capacity * 2 + 16;
        applying->formers =
            ph_realloc(applying->formers, applying->former_capacity * sizeof applying->formers[0]);
    }
    struct former *former = &applying->formers[applying->former_count++];
    *former = (struct former){.id = id};
    if (key != NULL && key->type == SCAN_STRING && key->value.len - 2 < sizeof former->key) {
        memcpy(former->key, key->value.ptr + 1, key->value.len - 2);
    }
}

/* Endpoints that have our format are ours: the native API cannot give it to one, nor take it. */
static enum ph_error find_formers(struct applying *applying)
{
    struct store *store = applying->txn->store;
    int64_t id = 0;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    for (;;) {
        struct endpoint_row row;
        struct endpoint_options options;
        enum ph_error error =
            endpoint_next_live(store, applying->application_id, id, applying->diag, &id);
        if (error != PH_OK || id == 0) {
            return error;
        }
        error = endpoint_find(store, applying->application_id, id, ENDPOINT_LIVE, &arena,
                              applying->diag, &row);
        if (error == PH_OK) {
            error = endpoint_options_read(row.options, &arena, applying->diag, &options);
        }
        if (error != PH_OK) {
            return error;
        }
        if (slice_equal_text(options.format, MAGPIE_APPLICATION)) {
            note_former(applying, id, &options);
        }
        arena_reset(&arena);
    }
}

static struct former *find_former(const struct applying *applying, const struct magpie_hook *hook)
{
    for (size_t index = 0; index < applying->former_count; index++) {
        struct former *former = &applying->formers[index];
        if (!former->is_used && slice_equal_text(hook->key, former->key)) {
            former->is_used = true;
            return former;
        }
    }
    return NULL;
}

/* --- options ---------------------------------------------------------------------------------- */

static void write_schedule(struct json_out *out, const struct retry_schedule *schedule)
{
    json_out_begin_array(out);
    for (unsigned index = 0; index < schedule->count; index++) {
        json_out_double(out, (double)schedule->delays_us[index] / CLOCK_US_PER_S);
    }
    json_out_end_array(out);
}

/* What the format needs, and which schedule we set. */
static void write_config(const struct applying *applying, const struct magpie_hook *hook,
                         struct buf *text)
{
    struct json_out out;
    json_out_init(&out, text);
    json_out_begin_object(&out);
    json_out_member_string(&out, "key", hook->key);
    json_out_member_text(&out, "method", hook->method);
    if (hook->format_name.ptr != NULL) {
        json_out_member_string(&out, "format", hook->format_name);
    }
    if (hook->payload.ptr != NULL) {
        json_out_member_raw(&out, "payload", hook->payload);
    }
    json_out_key(&out, "retrySchedule");
    write_schedule(&out, applying->schedule);
    json_out_end_object(&out);
    json_out_end_document(&out);
}

/* Whether the schedule is what we set the last time: then it is ours to set again, else somebody's
 * who used the native API. */
static bool has_our_schedule(const struct endpoint_options *options)
{
    struct scan_member members[MEMBERS_MAX];
    const struct scan_member *set = config_member(options, members, "retrySchedule");
    BUF_AUTO struct buf text;
    struct json_out out;
    buf_init(&text, 4096);
    json_out_init(&out, &text);
    write_schedule(&out, &options->retry_schedule);
    return set != NULL && options->has_retry_schedule && slice_equal(set->value, buf_slice(&text));
}

/* `is_new`: nobody has changed anything yet. */
static enum ph_error set_options(const struct applying *applying, const struct magpie_hook *hook,
                                 bool is_new, struct arena *arena, struct endpoint_row *row)
{
    struct endpoint_options options;
    struct json_out out;
    BUF_AUTO struct buf config;
    BUF_AUTO struct buf text;
    buf_init(&config, CONFIG_BYTES_MAX);
    buf_init(&text, OPTIONS_BYTES_MAX);
    enum ph_error error = endpoint_options_read(row->options, arena, applying->diag, &options);
    if (error != PH_OK) {
        return error;
    }
    write_config(applying, hook, &config);
    if (is_new || has_our_schedule(&options)) {
        options.has_retry_schedule = true;
        options.retry_schedule = *applying->schedule;
    }
    if (is_new) {
        options.signature = (struct endpoint_signature){.is_set = true, .is_none = true};
    }
    options.is_steady = true;
    options.format = SLICE_LITERAL(MAGPIE_APPLICATION);
    options.format_config = buf_slice(&config);
    json_out_init(&out, &text);
    endpoint_options_write(&out, &options);
    json_out_end_document(&out);
    row->options = text.failed || config.failed ? SLICE_NONE : magpie_copy(arena, buf_slice(&text));
    return row->options.ptr == NULL
               ? diag_set(applying->diag, PH_NO_MEMORY, NULL, "a hook is too large")
               : PH_OK;
}

/* What the configuration says of the endpoint; all else is the native API's. */
static enum ph_error set_row(const struct applying *applying, const struct magpie_hook *hook,
                             bool is_new, struct arena *arena, struct endpoint_row *row)
{
    char event_types[EVENT_TYPES_TEXT_MAX];
    BUF_AUTO struct buf url;
    buf_init(&url, URL_TEXT_MAX);
    (void)snprintf(event_types, sizeof event_types, "[\"%s\"]",
                   magpie_action_event_type(hook->action));
    /* What cannot be called fails when it is sent, with the reason. */
    bool is_normal = url_normalise(hook->url, NULL, NULL, &url) == PH_OK;
    row->uid = hook->key;
    row->url = magpie_copy(arena, is_normal ? buf_slice(&url) : hook->url);
    row->description = hook->name;
    row->event_types = magpie_copy(arena, slice_of(event_types));
    row->channels = SLICE_NONE;
    if (row->url.ptr == NULL || row->event_types.ptr == NULL) {
        return diag_set(applying->diag, PH_NO_MEMORY, NULL, "a hook is too large");
    }
    return set_options(applying, hook, is_new, arena, row);
}

static bool is_same(const struct endpoint_row *left, const struct endpoint_row *right)
{
    return slice_equal(left->uid, right->uid) && slice_equal(left->url, right->url) &&
           slice_equal(left->description, right->description) &&
           slice_equal(left->event_types, right->event_types) &&
           slice_equal(left->channels, right->channels) &&
           slice_equal(left->options, right->options);
}

/* --- writes ----------------------------------------------------------------------------------- */

/* For those who ask for signatures by the native API. */
static enum ph_error insert_secret(const struct applying *applying, int64_t endpoint_id)
{
    uint8_t entropy[SIGNING_KEY_RANDOM_BYTES];
    random_bytes(entropy, sizeof entropy);
    struct signing_key *key = signing_key_generate(SIGNATURE_HMAC_SHA256, entropy);
    secret_wipe(entropy, sizeof entropy);
    enum ph_error error = endpoint_secret_insert(
        applying->txn->store, writer_txn_new_id(applying->txn), endpoint_id, key, applying->diag);
    signing_key_free(key);
    return error;
}

static enum ph_error insert(struct applying *applying, const struct magpie_hook *hook,
                            struct arena *arena, int64_t *ret_id)
{
    struct writer_txn *txn = applying->txn;
    struct endpoint_row row = {
        .id = writer_txn_new_id(txn),
        .application_id = applying->application_id,
        .version = 1,
        .metadata = SLICE_LITERAL("{}"),
        .headers = SLICE_LITERAL("{}"),
        .created_at_us = txn->now_us,
        .updated_at_us = txn->now_us,
    };
    enum ph_error error = set_row(applying, hook, true, arena, &row);
    if (error == PH_OK) {
        error = endpoint_insert(txn->store, &row, applying->diag);
    }
    if (error == PH_OK) {
        error = insert_secret(applying, row.id);
    }
    applying->set->added++;
    *ret_id = row.id;
    writer_txn_endpoint_changed(txn, row.id);
    return error;
}

static enum ph_error update(struct applying *applying, const struct magpie_hook *hook,
                            const struct former *former, struct arena *arena)
{
    struct writer_txn *txn = applying->txn;
    struct endpoint_row before;
    enum ph_error error = endpoint_find(txn->store, applying->application_id, former->id,
                                        ENDPOINT_LIVE, arena, applying->diag, &before);
    if (error != PH_OK) {
        return error;
    }
    struct endpoint_row row = before;
    error = set_row(applying, hook, false, arena, &row);
    if (error != PH_OK || is_same(&before, &row)) {
        return error;
    }
    row.updated_at_us = txn->now_us;
    applying->set->changed++;
    writer_txn_endpoint_changed(txn, row.id);
    return endpoint_update(txn->store, &row, applying->diag);
}

static enum ph_error remove_unused(struct applying *applying)
{
    struct writer_txn *txn = applying->txn;
    enum ph_error error = PH_OK;
    for (size_t index = 0; error == PH_OK && index < applying->former_count; index++) {
        const struct former *former = &applying->formers[index];
        if (!former->is_used) {
            applying->set->removed++;
            writer_txn_endpoint_changed(txn, former->id);
            error = endpoint_delete(txn->store, former->id, txn->now_us, applying->diag);
        }
    }
    return error;
}

static enum ph_error apply(struct applying *applying)
{
    struct magpie_hook_set *set = applying->set;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    struct former **matches = ph_calloc(set->config.hook_count + 1, sizeof(struct former *));
    for (size_t index = 0; index < set->config.hook_count; index++) {
        matches[index] = find_former(applying, &set->config.hooks[index]);
    }
    /* First, so that no uid is taken. */
    enum ph_error error = remove_unused(applying);
    for (size_t index = 0; error == PH_OK && index < set->config.hook_count; index++) {
        const struct magpie_hook *hook = &set->config.hooks[index];
        if (matches[index] != NULL) {
            set->endpoint_ids[index] = matches[index]->id;
            error = update(applying, hook, matches[index], &arena);
        } else {
            error = insert(applying, hook, &arena, &set->endpoint_ids[index]);
        }
        arena_reset(&arena);
    }
    free(matches);
    if (error == PH_OK && set->added + set->changed + set->removed > 0) {
        error = application_touch(applying->txn->store, applying->application_id, applying->diag);
    }
    return error;
}

enum ph_error magpie_hooks_apply(struct writer_txn *txn, const struct retry_schedule *schedule,
                                 struct magpie_hook_set *set, struct diag *diag)
{
    struct applying applying = {.txn = txn, .schedule = schedule, .set = set, .diag = diag};
    set->version = writer_txn_new_id(txn);
    set->added = 0;
    set->changed = 0;
    set->removed = 0;
    enum ph_error error;
    if (set->config.hook_count > 0) {
        error = magpie_application_ensure(txn, diag, &applying.application_id);
    } else {
        error =
            application_resolve(txn->store, slice_of(DEFAULT_ORGANISATION),
                                SLICE_LITERAL(MAGPIE_APPLICATION), diag, &applying.application_id);
        if (error == PH_NOT_FOUND) {
            return PH_OK; /* who does not use the surface does not see it */
        }
    }
    if (error == PH_OK) {
        error = find_formers(&applying);
    }
    if (error == PH_OK) {
        error = apply(&applying);
    }
    free(applying.formers);
    return error;
}
