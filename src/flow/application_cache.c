/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/application_cache.h"

struct cached_application {
    struct list_node by_use;
    struct application_config *config;
    uint64_t checked_in_batch;
};

void application_cache_init(struct application_cache *cache)
{
    map_init(&cache->by_id);
    list_init(&cache->by_use);
    cache->weight = 0;
    cache->batch = 1;
}

static void drop(struct application_cache *cache, struct cached_application *cached)
{
    list_remove(&cached->by_use);
    (void)map_remove(&cache->by_id, (uint64_t)cached->config->id);
    cache->weight -= cached->config->endpoint_count + 1;
    application_config_unref(cached->config);
    free(cached);
}

void application_cache_done(struct application_cache *cache)
{
    LIST_FOR_EACH(node, next, &cache->by_use)
    {
        drop(cache, LIST_ELEMENT(node, struct cached_application, by_use));
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
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    if (!has_row) {
        return diag_set(diag, PH_NOT_FOUND, NULL, "Application not found");
    }
    *ret_version = db_int64(select, 0);
    db_done(select);
    return PH_OK;
}

static void shrink(struct application_cache *cache, const struct cached_application *keep)
{
    while (cache->weight > APPLICATION_CACHE_ENDPOINTS_MAX) {
        struct cached_application *last =
            LIST_ELEMENT(cache->by_use.previous, struct cached_application, by_use);
        if (last == keep) {
            return;
        }
        drop(cache, last);
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
            list_init(&cached->by_use);
            (void)map_set(&cache->by_id, (uint64_t)application_id, cached);
            cache->weight += config->endpoint_count + 1;
        }
        cached->checked_in_batch = cache->batch;
    }
    list_remove(&cached->by_use);
    list_prepend(&cache->by_use, &cached->by_use);
    shrink(cache, cached);
    if (org.ptr != NULL && !slice_equal_text(org, cached->config->org)) {
        return diag_set(diag, PH_NOT_FOUND, NULL, "Application not found");
    }
    *ret_config = cached->config;
    return PH_OK;
}
