/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/application_cache.h"

#include "base/random.h"

struct cached_application {
    uint64_t used_at;
    struct application_config *config;
    uint64_t checked_in_batch;
};

void application_cache_init(struct application_cache *cache, size_t max)
{
    map_init(&cache->by_id);
    cache->uses = 0;
    cache->weight = 0;
    cache->max = max;
    cache->batch = 1;
}

static void drop(struct application_cache *cache, struct cached_application *cached)
{
    (void)map_remove(&cache->by_id, (uint64_t)cached->config->id);
    cache->weight -= cached->config->endpoint_count + 1;
    application_config_unref(cached->config);
    free(cached);
}

void application_cache_done(struct application_cache *cache)
{
    size_t position = 0;
    uint64_t key;
    void *value;
    while (map_next(&cache->by_id, &position, &key, &value)) {
        struct cached_application *cached = value;
        application_config_unref(cached->config);
        free(cached);
    }
    map_done(&cache->by_id);
}

void application_cache_begin_batch(struct application_cache *cache)
{
    cache->batch++;
}

/* The stored version of a live application, PH_NOT_FOUND without one. */
static enum ph_error stored_version(struct store *store, int64_t application_id, struct diag *diag,
                                    int64_t *ret_version)
{
    struct db_statement *select = db_prepare(store->db, "SELECT config_version FROM application"
                                                        " WHERE id = $1 AND deleted_at IS NULL");
    db_bind_int64(select, 1, application_id);
    enum ph_error error = db_find_row(select, "Application not found", diag);
    if (error == PH_OK) {
        *ret_version = db_int64(select, 0);
        db_done(select);
    }
    return error;
}

static struct cached_application *any(const struct application_cache *cache)
{
    size_t position = (size_t)(random_unit() * (double)cache->by_id.capacity);
    uint64_t key;
    void *value;
    if (!map_next(&cache->by_id, &position, &key, &value)) {
        position = 0; /* nothing behind it: the first one */
        PH_ASSERT(map_next(&cache->by_id, &position, &key, &value));
    }
    return value;
}

static void shrink(struct application_cache *cache, const struct cached_application *keep)
{
    while (cache->weight > cache->max && cache->by_id.count > 1) {
        struct cached_application *first = any(cache);
        struct cached_application *second = any(cache);
        struct cached_application *older = second->used_at < first->used_at ? second : first;
        if (older != keep) {
            drop(cache, older);
        }
    }
}

enum ph_error application_cache_get(struct application_cache *cache, struct store *store,
                                    struct slice org, int64_t application_id, struct diag *diag,
                                    struct application_config **ret_config)
{
    struct cached_application *cached = map_get(&cache->by_id, (uint64_t)application_id);
    if (cached == NULL || cached->checked_in_batch != cache->batch) {
        int64_t version = 0;
        enum ph_error error = stored_version(store, application_id, diag, &version);
        if (cached != NULL && (error != PH_OK || cached->config->version != version)) {
            drop(cache, cached);
            cached = NULL;
        }
        if (error != PH_OK) {
            return error;
        }
        if (cached == NULL) {
            struct application_config *config;
            error = application_config_load(store, application_id, diag, &config);
            if (error != PH_OK) {
                return error;
            }
            cached = ph_calloc(1, sizeof *cached);
            cached->config = config;
            (void)map_set(&cache->by_id, (uint64_t)application_id, cached);
            cache->weight += config->endpoint_count + 1;
        }
        cached->checked_in_batch = cache->batch;
    }
    cached->used_at = ++cache->uses;
    shrink(cache, cached);
    if (org.ptr != NULL && !slice_equal_text(org, cached->config->org)) {
        return diag_set(diag, PH_NOT_FOUND, NULL, "Application not found");
    }
    *ret_config = cached->config;
    return PH_OK;
}

void application_cache_forget(struct application_cache *cache,
                              const struct application_config *config)
{
    struct cached_application *cached = map_get(&cache->by_id, (uint64_t)config->id);
    if (cached != NULL && cached->config == config) {
        drop(cache, cached);
    }
}
