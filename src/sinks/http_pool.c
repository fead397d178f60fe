/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools: one for all requests without a policy, one for each policy that is in use. Freed ones may
 * have been in the hands of a caller further up, so that only http_pools_sweep frees, at the end of
 * a run.
 */
#include "sinks/http_int.h"

#include "base/clock.h"
#include "core/base64.h"

enum { AUTHORIZATION_MAX = 2048, PROXY_URL_MAX = 512 };

static struct http_pool **bucket_of(struct sink_http *sink, const uint8_t *key)
{
    /* A hash already. */
    return &sink->policies[key[0] & (HTTP_POLICY_BUCKETS - 1)];
}

static void count_policies(struct sink_http *sink, int change)
{
    sink->policy_count += (size_t)change;
    if (sink->options.metrics != NULL) {
        metrics_add(sink->options.metrics, METRIC_SINK_POLICIES, change);
    }
}

static size_t kept_connections(const struct http_pool *pool, const struct sink_http *sink)
{
    size_t most = sink->options.connections_max;
    bool is_small = pool != sink->plain && most > SINK_HTTP_POLICY_CONNECTIONS_KEPT;
    return is_small ? SINK_HTTP_POLICY_CONNECTIONS_KEPT : most;
}

static void wipe_buf(struct buf *text)
{
    if (text->data != NULL) {
        secret_wipe(text->data, text->capacity);
    }
    buf_done(text);
}

/* Closes its connections. */
static void pool_free(struct http_pool *pool)
{
    PH_ASSERT(pool->in_flight == 0);
    LIST_FOR_EACH(node, following, &pool->idle)
    {
        list_remove(node);
        http_transfer_free(LIST_ELEMENT(node, struct http_transfer, node));
    }
    list_remove(&pool->node);
    (void)curl_multi_cleanup(pool->multi);
    http_loads_done(pool);
    http_place_unref(pool->sink, pool->proxy_place);
    /* Curl was lent these. */
    secret_done(&pool->cert_pem);
    secret_done(&pool->key_pem);
    secret_done(&pool->ca_pem);
    http_proxy_done(&pool->proxy);
    wipe_buf(&pool->proxy_authorization);
    buf_done(&pool->proxy_url);
    free(pool);
}

/* Appended to sink.pools. */
static struct http_pool *pool_new(struct sink_http *sink, struct diag *diag)
{
    CURLM *multi = curl_multi_init();
    if (multi == NULL) {
        (void)diag_set(diag, PH_NO_MEMORY, NULL, "could not make a curl handle");
        return NULL;
    }
    struct http_pool *pool = ph_calloc(1, sizeof *pool);
    list_init(&pool->node);
    list_init(&pool->idle);
    list_init(&pool->loads);
    list_init(&pool->forgotten);
    buf_init(&pool->proxy_url, PROXY_URL_MAX);
    buf_init(&pool->proxy_authorization, AUTHORIZATION_MAX);
    pool->sink = sink;
    pool->multi = multi;
    pool->deadline_us = INT64_MAX;
    http_events_attach(pool);
    curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)sink->options.connections_max);
    list_append(&sink->pools, &pool->node);
    return pool;
}

/* Our own header, since curl would keep copies of the password for as long as its handles live. */
static void write_authorization(struct http_pool *pool)
{
    const struct http_proxy *proxy = &pool->proxy;
    struct buf plain;
    buf_init(&plain, AUTHORIZATION_MAX / 2);
    if (buf_reserve(&plain, proxy->username.length + proxy->password.length + 1) != NULL) {
        buf_append(&plain, proxy->username.bytes, proxy->username.length);
        buf_append_byte(&plain, ':');
        buf_append(&plain, proxy->password.bytes, proxy->password.length);
    }
    struct buf *line = &pool->proxy_authorization;
    if (buf_reserve(line, BASE64_LENGTH(plain.len) + 64) != NULL) {
        buf_append_text(line, "Proxy-Authorization: Basic ");
        base64_append(line, plain.data, plain.len);
    }
    PH_ASSERT(!plain.failed && !line->failed);
    wipe_buf(&plain);
    pool->proxy_headers.data = line->data;
}

static void set_proxy(struct http_pool *pool)
{
    const struct http_proxy *proxy = &pool->proxy;
    if (proxy->kind == HTTP_PROXY_NONE) {
        return;
    }
    /* With an address of ours curl need not leave anything to the proxy, and then also tells it
     * IPv6 addresses as such. */
    const char *socks = pool->proxy_resolves ? "socks5h" : "socks5";
    const char *scheme = proxy->kind == HTTP_PROXY_HTTP    ? "http"
                         : proxy->kind == HTTP_PROXY_HTTPS ? "https"
                                                           : socks;
    buf_append_format(&pool->proxy_url, "%s://%s:%u", scheme, proxy->host, (unsigned)proxy->port);
    PH_ASSERT(!pool->proxy_url.failed);
    char port[8];
    (void)snprintf(port, sizeof port, "%u", (unsigned)proxy->port);
    pool->proxy_place = http_place_find(pool->sink, proxy->host, port);
    if (proxy->kind != HTTP_PROXY_SOCKS5 && proxy->username.length + proxy->password.length > 0) {
        write_authorization(pool);
    }
}

static enum ph_error make_plain(struct sink_http *sink, struct diag *diag)
{
    struct http_pool *pool = pool_new(sink, diag);
    if (pool == NULL) {
        return PH_NO_MEMORY;
    }
    sink->plain = pool;
    http_proxy_copy(&sink->egress, &pool->proxy);
    pool->is_operators_proxy = true;
    pool->proxy_resolves = sink->egress_resolves;
    set_proxy(pool);
    curl_multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, (long)kept_connections(pool, sink));
    return PH_OK;
}

static void retire(struct http_pool *pool)
{
    struct sink_http *sink = pool->sink;
    pool->is_retired = true;
    if (pool == sink->plain) {
        sink->plain = NULL;
    } else {
        struct http_pool **link = bucket_of(sink, pool->key);
        while (*link != pool) {
            link = &(*link)->next;
        }
        *link = pool->next;
        count_policies(sink, -1);
    }
    if (pool->in_flight == 0) {
        list_remove(&pool->node);
        list_prepend(&sink->resting, &pool->node);
    }
}

/* Retires the one that has rested longest; false when none rests. */
static bool make_room(struct sink_http *sink)
{
    LIST_FOR_EACH(node, following, &sink->resting)
    {
        struct http_pool *pool = LIST_ELEMENT(node, struct http_pool, node);
        if (!pool->is_retired) {
            retire(pool);
            if (sink->options.metrics != NULL) {
                metrics_add(sink->options.metrics, METRIC_SINK_POLICIES_EVICTED, 1);
            }
            return true;
        }
    }
    return false;
}

static enum ph_error make_room_or_refuse(struct sink_http *sink, struct diag *diag)
{
    if (sink->policy_count < sink->options.policies_max || make_room(sink)) {
        return PH_OK;
    }
    if (sink->options.metrics != NULL) {
        metrics_add(sink->options.metrics, METRIC_SINK_POLICIES_REFUSED, 1);
    }
    return diag_set(diag, PH_BUSY, NULL,
                    "too many client certificates and proxies are in use at the same time");
}

static struct secret copy_of(struct slice text)
{
    return secret_new(text.ptr, text.len);
}

static enum ph_error make_for(struct sink_http *sink, const struct sink_policy *policy,
                              struct diag *diag, struct http_pool **ret_pool)
{
    struct http_proxy proxy = {0};
    enum ph_error error = sink_policy_check(policy, diag);
    if (error == PH_OK && policy->proxy.len > 0) {
        if (sink->egress.kind != HTTP_PROXY_NONE) {
            return diag_set(diag, PH_INVALID, "proxy",
                            "this server sends everything through its own proxy (egress_proxy); "
                            "the endpoint's proxy cannot be used");
        }
        error = http_proxy_parse(policy->proxy, "proxy", diag, &proxy);
    } else if (error == PH_OK) {
        http_proxy_copy(&sink->egress, &proxy);
    }
    if (error == PH_OK) {
        error = make_room_or_refuse(sink, diag);
    }
    struct http_pool *pool = error == PH_OK ? pool_new(sink, diag) : NULL;
    if (pool == NULL) {
        http_proxy_done(&proxy);
        return error == PH_OK ? PH_NO_MEMORY : error;
    }
    memcpy(pool->key, policy->key, sizeof pool->key);
    pool->cert_pem = copy_of(policy->cert_pem);
    pool->key_pem = copy_of(policy->key_pem);
    pool->ca_pem = copy_of(policy->ca_pem);
    pool->proxy = proxy;
    pool->is_operators_proxy = policy->proxy.len == 0;
    pool->proxy_resolves = pool->is_operators_proxy && sink->egress_resolves;
    set_proxy(pool);
    curl_multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, (long)kept_connections(pool, sink));
    struct http_pool **bucket = bucket_of(sink, pool->key);
    pool->next = *bucket;
    *bucket = pool;
    count_policies(sink, 1);
    *ret_pool = pool;
    return PH_OK;
}

enum ph_error http_pool_find(struct sink_http *sink, const struct sink_policy *policy,
                             struct diag *diag, struct http_pool **ret_pool)
{
    if (policy == NULL || sink_policy_is_empty(policy)) {
        enum ph_error error = sink->plain != NULL ? PH_OK : make_plain(sink, diag);
        if (error == PH_OK) {
            *ret_pool = sink->plain;
        }
        return error;
    }
    for (struct http_pool *pool = *bucket_of(sink, policy->key); pool != NULL; pool = pool->next) {
        if (memcmp(pool->key, policy->key, sizeof pool->key) == 0) {
            *ret_pool = pool;
            return PH_OK;
        }
    }
    return make_for(sink, policy, diag, ret_pool);
}

void http_pool_enter(struct http_pool *pool)
{
    /* A pool that is walked over right now stays where it is. */
    if (pool->in_flight++ == 0 && pool->rested_us != 0) {
        pool->rested_us = 0;
        list_remove(&pool->node);
        list_append(&pool->sink->pools, &pool->node);
    }
}

void http_pool_leave(struct http_pool *pool)
{
    struct sink_http *sink = pool->sink;
    if (--pool->in_flight > 0 || pool == sink->plain) {
        return;
    }
    list_remove(&pool->node);
    if (pool->is_retired) {
        list_prepend(&sink->resting, &pool->node);
    } else {
        pool->rested_us = clock_boot_us();
        list_append(&sink->resting, &pool->node);
    }
}

struct http_transfer *http_pool_take_idle(struct http_pool *pool)
{
    struct list_node *node = list_take_first(&pool->idle);
    if (node == NULL) {
        return http_transfer_new(pool);
    }
    pool->idle_count--;
    return LIST_ELEMENT(node, struct http_transfer, node);
}

void http_pool_give_back(struct http_transfer *transfer)
{
    struct http_pool *pool = transfer->pool;
    if (pool->is_retired || pool->idle_count >= kept_connections(pool, pool->sink)) {
        http_transfer_free(transfer);
        return;
    }
    list_prepend(&pool->idle, &transfer->node);
    pool->idle_count++;
}

void http_pools_retire(struct sink_http *sink)
{
    LIST_FOR_EACH(busy, following, &sink->pools)
    {
        struct http_pool *pool = LIST_ELEMENT(busy, struct http_pool, node);
        if (!pool->is_retired) {
            retire(pool);
        }
    }
    LIST_FOR_EACH(resting, next_resting, &sink->resting)
    {
        struct http_pool *pool = LIST_ELEMENT(resting, struct http_pool, node);
        if (!pool->is_retired) {
            retire(pool);
        }
    }
}

void http_pools_sweep(struct sink_http *sink, int64_t now_us)
{
    LIST_FOR_EACH(node, following, &sink->resting)
    {
        struct http_pool *pool = LIST_ELEMENT(node, struct http_pool, node);
        if (!pool->is_retired) {
            if (now_us - pool->rested_us < sink->options.policy_rest_us) {
                break;
            }
            retire(pool);
        }
        pool_free(pool);
    }
}

int64_t http_pools_sweep_at(const struct sink_http *sink)
{
    if (list_is_empty(&sink->resting)) {
        return INT64_MAX;
    }
    const struct http_pool *pool = LIST_ELEMENT(sink->resting.next, struct http_pool, node);
    return pool->is_retired ? 0 : pool->rested_us + sink->options.policy_rest_us;
}

void http_pools_done(struct sink_http *sink)
{
    http_pools_retire(sink);
    http_pools_sweep(sink, 0);
    PH_ASSERT(list_is_empty(&sink->pools) && list_is_empty(&sink->resting));
}

size_t sink_http_policy_count(const struct sink_http *sink)
{
    return sink->policy_count;
}
