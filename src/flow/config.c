/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/config.h"

#include <jansson.h>

#include "base/clock.h"
#include "store/endpoint_secret.h"
#include "store/sealed.h"

/* --- references --------------------------------------------------------------------------- */

struct endpoint_config *endpoint_config_ref(struct endpoint_config *config)
{
    int former = atomic_fetch_add_explicit(&config->references, 1, memory_order_relaxed);
    PH_ASSERT(former > 0);
    return config;
}

static void name_set_done(struct name_set *set)
{
    for (size_t index = 0; index < set->count; index++) {
        free((char *)(uintptr_t)set->names[index].ptr);
    }
    free(set->names);
}

/* The texts behind options and credentials. Most endpoints have none. */
struct endpoint_extras {
    struct arena arena;
    struct endpoint_options options;
    struct endpoint_credentials credentials;
    struct sink_policy policy;
};

/* Larger than any options and credentials that the API takes. */
#define EXTRAS_BYTES_MAX (1u << 20)

static void free_headers(struct endpoint_config *config)
{
    for (size_t index = 0; index < config->header_count; index++) {
        free((char *)(uintptr_t)config->headers[index].name.ptr);
        free((char *)(uintptr_t)config->headers[index].value.ptr);
    }
    free(config->headers);
}

void endpoint_config_unref(struct endpoint_config *config)
{
    if (config == NULL ||
        atomic_fetch_sub_explicit(&config->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t index = 0; index < config->key_count; index++) {
        signing_key_free(config->keys[index].key);
    }
    free(config->keys);
    name_set_done(&config->event_types);
    name_set_done(&config->channels);
    free_headers(config);
    jq_program_unref(config->filter);
    jq_program_unref(config->transform);
    if (config->extras != NULL) {
        arena_done(&config->extras->arena);
        free(config->extras);
    }
    free(config->url);
    free(config);
}

struct application_config *application_config_ref(struct application_config *config)
{
    int former = atomic_fetch_add_explicit(&config->references, 1, memory_order_relaxed);
    PH_ASSERT(former > 0);
    return config;
}

void application_config_unref(struct application_config *config)
{
    if (config == NULL ||
        atomic_fetch_sub_explicit(&config->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t index = 0; index < config->endpoint_count; index++) {
        endpoint_config_unref(config->endpoints[index]);
    }
    free(config->endpoints);
    free(config->org);
    free(config);
}

/* --- matching ------------------------------------------------------------------------------- */

static int compare_names(const void *left, const void *right)
{
    const struct slice *a = left;
    const struct slice *b = right;
    return slice_compare(*a, *b);
}

static bool name_set_has(const struct name_set *set, struct slice name)
{
    return bsearch(&name, set->names, set->count, sizeof name, compare_names) != NULL;
}

static bool has_any(const struct name_set *set, const struct slice *names, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        if (name_set_has(set, names[index])) {
            return true;
        }
    }
    return false;
}

static enum endpoint_match match(const struct endpoint_config *config, struct slice event_type,
                                 const struct slice *channels, size_t channel_count)
{
    if (!config->event_types.is_any && !name_set_has(&config->event_types, event_type)) {
        return ENDPOINT_WANTS_OTHER_TYPES;
    }
    if (!config->channels.is_any && !has_any(&config->channels, channels, channel_count)) {
        return ENDPOINT_WANTS_OTHER_CHANNELS;
    }
    return ENDPOINT_WANTS_IT;
}

bool endpoint_config_matches(const struct endpoint_config *config, struct slice event_type,
                             const struct slice *channels, size_t channel_count)
{
    return !config->is_disabled &&
           match(config, event_type, channels, channel_count) == ENDPOINT_WANTS_IT;
}

int64_t endpoint_order_key(const struct endpoint_config *config, int64_t message_key,
                           int64_t message_id)
{
    switch (config->options->ordering) {
    case ENDPOINT_ORDERING_ENDPOINT:
        return 1;
    case ENDPOINT_ORDERING_KEY:
        return message_key != 0 ? message_key : message_id;
    case ENDPOINT_ORDERING_NONE:
    case ENDPOINT_ORDERING_COUNT:
        break;
    }
    return 0;
}

/* --- reading -------------------------------------------------------------------------------- */

static enum ph_error broken_row(struct diag *diag, int64_t endpoint_id, const char *column)
{
    return diag_set(diag, PH_STORE, "store", "the stored %s of endpoint %lld cannot be read",
                    column, (long long)endpoint_id);
}

static struct slice dup_slice(const char *text)
{
    return (struct slice){ph_strdup(text), strlen(text)};
}

/* From a JSON array of strings; an absent text means that everything fits. */
static bool read_names(struct slice json, struct name_set *set)
{
    if (json.ptr == NULL) {
        set->is_any = true;
        return true;
    }
    json_t *array = json_loadb(json.ptr, json.len, 0, NULL);
    size_t count = json_array_size(array);
    bool is_good = json_is_array(array);
    set->names = ph_calloc(count, sizeof set->names[0]);
    for (size_t index = 0; is_good && index < count; index++) {
        const char *name = json_string_value(json_array_get(array, index));
        is_good = name != NULL;
        if (is_good) {
            set->names[set->count++] = dup_slice(name);
        }
    }
    if (set->count > 0) {
        qsort(set->names, set->count, sizeof set->names[0], compare_names);
    }
    json_decref(array);
    return is_good;
}

static bool read_headers(struct slice json, struct endpoint_config *config)
{
    json_t *object = json_loadb(json.ptr, json.len, 0, NULL);
    bool is_good = json_is_object(object);
    config->headers = ph_calloc(json_object_size(object), sizeof config->headers[0]);
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        is_good = is_good && json_is_string(value);
        if (is_good) {
            config->headers[config->header_count++] =
                (struct sink_header){dup_slice(name), dup_slice(json_string_value(value))};
        }
    }
    json_decref(object);
    return is_good;
}

static enum ph_error read_keys(struct store *store, struct endpoint_config *config,
                               struct diag *diag)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT " ENDPOINT_SECRET_COLUMNS ", expires_at"
                              " FROM endpoint_secret WHERE endpoint_id = $1"
                              " AND (expires_at IS NULL OR expires_at > $2) ORDER BY id DESC");
    db_bind_int64(select, 1, config->id);
    db_bind_int64(select, 2, clock_wall_us());
    enum ph_error error;
    bool has_row;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        struct signing_key *key;
        error = endpoint_secret_read(store, select, config->id, diag, &key);
        if (error != PH_OK) {
            db_done(select);
            return error;
        }
        config->keys = ph_realloc(config->keys, (config->key_count + 1) * sizeof config->keys[0]);
        const int expires = ENDPOINT_SECRET_COLUMN_COUNT;
        config->keys[config->key_count++] = (struct endpoint_key){
            key, db_is_null(select, expires) ? INT64_MAX : db_int64(select, expires)};
    }
    return error;
}

#define ENDPOINT_COLUMNS                                                                           \
    "endpoint.id, endpoint.application_id, endpoint.url, endpoint.throttle_rate,"                  \
    " endpoint.disabled, endpoint.event_types, endpoint.channels, endpoint.headers,"               \
    " endpoint.deleted_at, endpoint.generation, endpoint.failing_since, endpoint.shard,"           \
    " application.config_version, application.throttle_rate, endpoint.sealed_headers,"             \
    " endpoint.options, endpoint.credentials, endpoint.sealed_credentials"

/* The custom headers of the current row, opened when they are sealed. */
static enum ph_error read_row_headers(struct store *store, struct db_statement *row,
                                      struct endpoint_config *config, struct diag *diag)
{
    const struct seal_place place = sealed_headers_place(config->id, config->application_id);
    struct slice text = db_text(row, 7);
    SECRET_AUTO struct secret opened = SECRET_NONE;
    enum ph_error error = sealed_read(store, &place, db_blob(row, 14), &text, &opened, diag);
    if (error == PH_OK && !read_headers(text, config)) {
        error = broken_row(diag, config->id, "headers");
    }
    return error;
}

/* Copies into the arena, so that nothing points into the row. */
static struct slice keep(struct arena *arena, struct slice text)
{
    return (struct slice){text.ptr == NULL ? NULL : arena_dup(arena, text), text.len};
}

/* Options and credentials of the current row. */
static enum ph_error read_row_extras(struct store *store, struct db_statement *row,
                                     struct endpoint_config *config, struct diag *diag)
{
    const struct seal_place place = sealed_credentials_place(config->id, config->application_id);
    struct slice options = db_text(row, 15);
    struct slice credentials = db_blob(row, 16);
    SECRET_AUTO struct secret opened = SECRET_NONE;
    config->options = &endpoint_options_default;
    enum ph_error error = sealed_read(store, &place, db_blob(row, 17), &credentials, &opened, diag);
    if (error != PH_OK || (options.ptr == NULL && credentials.len == 0)) {
        return error;
    }
    struct endpoint_extras *extras = ph_calloc(1, sizeof *extras);
    config->extras = extras;
    arena_init(&extras->arena, EXTRAS_BYTES_MAX);
    error = endpoint_options_read(keep(&extras->arena, options), &extras->arena, diag,
                                  &extras->options);
    if (error == PH_OK) {
        error = endpoint_credentials_read(keep(&extras->arena, credentials), &extras->arena, diag,
                                          &extras->credentials);
    }
    config->options = &extras->options;
    config->credentials =
        endpoint_credentials_are_none(&extras->credentials) ? NULL : &extras->credentials;
    extras->policy = endpoint_credentials_policy(&extras->credentials);
    config->policy = sink_policy_is_empty(&extras->policy) ? NULL : &extras->policy;
    if (error == PH_OK && extras->credentials.token_url.ptr != NULL) {
        config->token_url = arena_dup(&extras->arena, extras->credentials.token_url);
    }
    return error;
}

/* The programs as they are run (that they compile was checked when they were saved), and the
 * format. */
static enum ph_error read_row_programs(struct endpoint_config *config, struct diag *diag)
{
    const struct endpoint_options *options = config->options;
    enum ph_error error = PH_OK;
    if (options->filter.ptr != NULL) {
        error = jq_program_new(options->filter, "filter", diag, &config->filter);
    }
    if (error == PH_OK && options->transform.ptr != NULL && !options->is_transform_off) {
        error = jq_program_new(options->transform, "transform", diag, &config->transform);
    }
    if (error != PH_OK) {
        return broken_row(diag, config->id, "programs");
    }
    if (options->format.ptr != NULL) {
        config->format = delivery_format_find(options->format);
        if (config->format == NULL) {
            return broken_row(diag, config->id, "format");
        }
    }
    return PH_OK;
}

/* A snapshot from the current row; the keys are read later, by another statement. */
static enum ph_error read_row(struct store *store, struct db_statement *row, struct diag *diag,
                              struct endpoint_config **ret_config)
{
    struct endpoint_config *config = ph_calloc(1, sizeof *config);
    atomic_init(&config->references, 1);
    config->id = db_int64(row, 0);
    config->application_id = db_int64(row, 1);
    config->url = slice_dup(db_text(row, 2));
    config->throttle_rate = db_int64(row, 3);
    config->is_disabled = db_int64(row, 4) != 0 || !db_is_null(row, 8);
    config->generation = db_int64(row, 9);
    config->failing_since_us = db_int64(row, 10);
    config->shard = db_int64(row, 11);
    config->version = db_int64(row, 12);
    config->application_throttle_rate = db_int64(row, 13);
    enum ph_error error;
    if (!read_names(db_text(row, 5), &config->event_types)) {
        error = broken_row(diag, config->id, "event types");
    } else if (!read_names(db_text(row, 6), &config->channels)) {
        error = broken_row(diag, config->id, "channels");
    } else {
        error = read_row_headers(store, row, config, diag);
    }
    if (error == PH_OK) {
        error = read_row_extras(store, row, config, diag);
    }
    if (error == PH_OK) {
        error = read_row_programs(config, diag);
    }
    if (error != PH_OK) {
        endpoint_config_unref(config);
        return error;
    }
    *ret_config = config;
    return PH_OK;
}

enum ph_error endpoint_config_load(struct store *store, int64_t endpoint_id, struct diag *diag,
                                   struct endpoint_config **ret_config)
{
    struct db_statement *select = db_prepare(
        store->db, "SELECT " ENDPOINT_COLUMNS " FROM endpoint JOIN application"
                   " ON application.id = endpoint.application_id WHERE endpoint.id = $1");
    db_bind_int64(select, 1, endpoint_id);
    enum ph_error error = db_find_row(select, "Entity not found", diag);
    if (error != PH_OK) {
        return error;
    }
    struct endpoint_config *config;
    error = read_row(store, select, diag, &config);
    db_done(select);
    if (error == PH_OK) {
        error = read_keys(store, config, diag);
        if (error != PH_OK) {
            endpoint_config_unref(config);
            return error;
        }
        *ret_config = config;
    }
    return error;
}

static enum ph_error read_application(struct store *store, struct application_config *config,
                                      struct diag *diag)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT org, config_version FROM application"
                              " WHERE id = $1 AND deleted_at IS NULL");
    db_bind_int64(select, 1, config->id);
    enum ph_error error = db_find_row(select, "Application not found", diag);
    if (error != PH_OK) {
        return error;
    }
    config->org = slice_dup(db_text(select, 0));
    config->version = db_int64(select, 1);
    db_done(select);
    return PH_OK;
}

static enum ph_error read_endpoints(struct store *store, struct application_config *config,
                                    struct diag *diag)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT " ENDPOINT_COLUMNS " FROM endpoint JOIN application"
                              " ON application.id = endpoint.application_id"
                              " WHERE endpoint.application_id = $1 AND endpoint.deleted_at IS NULL"
                              " AND endpoint.disabled = 0 ORDER BY endpoint.id");
    db_bind_int64(select, 1, config->id);
    size_t capacity = 0;
    enum ph_error error;
    bool has_row;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        if (config->endpoint_count == capacity) {
            capacity = capacity == 0 ? 4 : capacity * 2;
            config->endpoints =
                ph_realloc(config->endpoints, capacity * sizeof(struct endpoint_config *));
        }
        struct endpoint_config *endpoint;
        error = read_row(store, select, diag, &endpoint);
        if (error != PH_OK) {
            db_done(select);
            return error;
        }
        config->endpoints[config->endpoint_count++] = endpoint;
    }
    for (size_t index = 0; error == PH_OK && index < config->endpoint_count; index++) {
        error = read_keys(store, config->endpoints[index], diag);
    }
    return error;
}

enum ph_error application_config_load(struct store *store, int64_t application_id,
                                      struct diag *diag, struct application_config **ret_config)
{
    struct application_config *config = ph_calloc(1, sizeof *config);
    atomic_init(&config->references, 1);
    config->id = application_id;
    enum ph_error error = read_application(store, config, diag);
    if (error == PH_OK) {
        error = read_endpoints(store, config, diag);
    }
    if (error != PH_OK) {
        application_config_unref(config);
        return error;
    }
    *ret_config = config;
    return PH_OK;
}

enum ph_error endpoint_match(const struct endpoint_names *names, struct slice event_type,
                             const struct slice *channels, size_t channel_count, struct diag *diag,
                             enum endpoint_match *ret_match)
{
    struct endpoint_config config = {.id = names->endpoint_id};
    enum ph_error error = PH_OK;
    if (!read_names(names->event_types, &config.event_types)) {
        error = broken_row(diag, config.id, "event types");
    } else if (!read_names(names->channels, &config.channels)) {
        error = broken_row(diag, config.id, "channels");
    } else {
        *ret_match = match(&config, event_type, channels, channel_count);
    }
    name_set_done(&config.event_types);
    name_set_done(&config.channels);
    return error;
}

enum ph_error application_would_match(struct store *store, int64_t application_id,
                                      struct slice event_type, const struct slice *channels,
                                      size_t channel_count, struct diag *diag,
                                      bool *ret_would_match)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT id, event_types, channels FROM endpoint"
                              " WHERE application_id = $1 AND deleted_at IS NULL AND disabled = 0"
                              " ORDER BY id");
    db_bind_int64(select, 1, application_id);
    bool matches = false;
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row && !matches) {
        const struct endpoint_names names = {db_int64(select, 0), db_text(select, 1),
                                             db_text(select, 2)};
        enum endpoint_match result;
        error = endpoint_match(&names, event_type, channels, channel_count, diag, &result);
        if (error != PH_OK) {
            break;
        }
        matches = result == ENDPOINT_WANTS_IT;
    }
    db_done(select);
    if (error == PH_OK) {
        *ret_would_match = matches;
    }
    return error;
}
