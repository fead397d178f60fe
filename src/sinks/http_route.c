/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes and places. Curl's own cache of names never expires here (CURLOPT_DNS_CACHE_TIMEOUT -1:
 * with an age it would be searched through after every transfer); instead each new answer of the
 * resolver replaces the entry, and an entry is removed once no route needs it.
 */
#include "sinks/http_int.h"

#include <arpa/inet.h>
#include <strings.h>

#include "base/clock.h"
#include "base/siphash.h"

/* RFC 6761 section 6.3: curl answers these without asking anybody. */
static bool is_localhost(const char *host)
{
    static const char suffix[] = ".localhost";
    size_t length = strlen(host);
    size_t suffix_length = sizeof suffix - 1;
    return strcasecmp(host, "localhost") == 0 ||
           (length > suffix_length && strcasecmp(host + length - suffix_length, suffix) == 0);
}

static bool is_literal_address(const char *host)
{
    struct in_addr address;
    return host[0] == '[' || inet_pton(AF_INET, host, &address) == 1;
}

static void place_remove(struct sink_http *sink, struct http_place *place)
{
    struct http_place **link = &sink->places[place->hash & (HTTP_PLACE_BUCKETS - 1)];
    while (*link != place) {
        link = &(*link)->next;
    }
    *link = place->next;
    resolver_answer_unref(place->answer);
    free(place->host);
    free(place);
}

static void load_remove(struct http_load *load)
{
    list_remove(&load->in_place);
    list_remove(&load->in_pool);
    list_remove(&load->in_forgotten);
    free(load);
}

void http_place_unref(struct sink_http *sink, struct http_place *place)
{
    if (place == NULL || --place->references > 0) {
        return;
    }
    if (list_is_empty(&place->loads)) {
        place_remove(sink, place);
        return;
    }
    /* Curl still has its addresses; the next load of each pool tells it to forget them. */
    LIST_FOR_EACH(node, following, &place->loads)
    {
        struct http_load *load = LIST_ELEMENT(node, struct http_load, in_place);
        list_append(&load->pool->forgotten, &load->in_forgotten);
    }
}

struct http_place *http_place_find(struct sink_http *sink, const char *host, const char *port)
{
    char key[HTTP_NAME_MAX];
    (void)snprintf(key, sizeof key, "%s:%s", host, port);
    uint64_t hash = siphash64(sink->hash_key, key, strlen(key));
    struct http_place **bucket = &sink->places[hash & (HTTP_PLACE_BUCKETS - 1)];
    for (struct http_place *place = *bucket; place != NULL; place = place->next) {
        if (place->hash == hash && strcmp(place->key, key) == 0) {
            LIST_FOR_EACH(node, following, &place->loads)
            {
                list_remove(&LIST_ELEMENT(node, struct http_load, in_place)->in_forgotten);
            }
            place->references++;
            return place;
        }
    }
    struct http_place *place = ph_calloc(1, sizeof *place);
    list_init(&place->loads);
    place->hash = hash;
    place->references = 1;
    place->is_localhost = is_localhost(host);
    place->needs_lookup = !place->is_localhost && !is_literal_address(host);
    place->host = ph_strdup(host);
    memcpy(place->key, key, sizeof key);
    place->next = *bucket;
    *bucket = place;
    return place;
}

static enum ph_error parse_url(CURLU *parsed, struct sink_http *sink, const char *url,
                               struct diag *diag, struct http_route *route)
{
    char *scheme = NULL;
    char *host = NULL;
    char *port = NULL;
    enum ph_error error = PH_OK;
    if (curl_url_set(parsed, CURLUPART_URL, url, 0) != CURLUE_OK ||
        curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(parsed, CURLUPART_HOST, &host, CURLU_PUNYCODE) != CURLUE_OK ||
        curl_url_get(parsed, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK) {
        error = diag_set(diag, PH_INVALID, "url", "not a URL that can be called");
    } else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) {
        error = diag_set(diag, PH_INVALID, "url", "the scheme must be http or https");
    } else if (strlen(host) + strlen(port) + 2 > HTTP_NAME_MAX) {
        error = diag_set(diag, PH_INVALID, "url", "the host name is too long");
    } else {
        route->is_https = strcmp(scheme, "https") == 0;
        route->place = http_place_find(sink, host, port);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    return error;
}

enum ph_error http_route_find(struct sink_http *sink, const char *url, struct diag *diag,
                              struct http_route **ret_route)
{
    size_t length = strlen(url);
    uint64_t hash = siphash64(sink->hash_key, url, length);
    struct http_route **slot = &sink->routes[hash & (HTTP_ROUTE_SLOTS - 1)];
    if (*slot != NULL && (*slot)->hash == hash && strcmp((*slot)->url, url) == 0) {
        (*slot)->references++;
        *ret_route = *slot;
        return PH_OK;
    }
    CURLU *parsed = curl_url();
    if (parsed == NULL) {
        return diag_set(diag, PH_NO_MEMORY, NULL, "out of memory");
    }
    struct http_route *route = ph_calloc(1, sizeof *route + length + 1);
    enum ph_error error = parse_url(parsed, sink, url, diag, route);
    curl_url_cleanup(parsed);
    if (error != PH_OK) {
        free(route);
        return error;
    }
    memcpy(route->url, url, length + 1);
    route->hash = hash;
    route->references = 2;
    if (*slot != NULL) {
        http_route_unref(sink, *slot);
    }
    *slot = route;
    *ret_route = route;
    return PH_OK;
}

void http_route_unref(struct sink_http *sink, struct http_route *route)
{
    if (--route->references == 0) {
        http_place_unref(sink, route->place);
        free(route);
    }
}

void http_routes_done(struct sink_http *sink)
{
    for (size_t i = 0; i < HTTP_ROUTE_SLOTS; i++) {
        if (sink->routes[i] != NULL) {
            http_route_unref(sink, sink->routes[i]);
            sink->routes[i] = NULL;
        }
    }
    for (size_t i = 0; i < HTTP_PLACE_BUCKETS; i++) {
        PH_ASSERT(sink->places[i] == NULL); /* pools and routes had them all */
    }
}

bool http_place_is_known(const struct http_place *place, int64_t now_us)
{
    return !place->needs_lookup || (place->answer != NULL && place->answer->expires_us > now_us);
}

static struct http_load *load_of(struct http_pool *pool, struct http_place *place)
{
    LIST_FOR_EACH(node, following, &place->loads)
    {
        struct http_load *load = LIST_ELEMENT(node, struct http_load, in_place);
        if (load->pool == pool) {
            return load;
        }
    }
    struct http_load *load = ph_calloc(1, sizeof *load);
    list_init(&load->in_forgotten);
    load->pool = pool;
    load->place = place;
    list_prepend(&place->loads, &load->in_place);
    list_append(&pool->loads, &load->in_pool);
    return load;
}

/* The pool has it no more; with the last one a place without references goes. */
static void forget(struct http_load *load)
{
    struct http_place *place = load->place;
    struct sink_http *sink = load->pool->sink;
    load_remove(load);
    if (place->references == 0 && list_is_empty(&place->loads)) {
        place_remove(sink, place);
    }
}

bool http_place_load(struct http_transfer *transfer, struct http_place *place)
{
    if (!place->needs_lookup) {
        return false;
    }
    struct http_pool *pool = transfer->pool;
    struct http_load *load = load_of(pool, place);
    if (load->generation == place->answer->generation) {
        return false;
    }
    struct buf *text = &transfer->resolve_text;
    size_t starts[HTTP_RESOLVE_NODES];
    size_t count = 0;
    buf_clear(text);
    while (count < HTTP_RESOLVE_NODES - 1 && !list_is_empty(&pool->forgotten)) {
        struct http_load *old = LIST_ELEMENT(pool->forgotten.next, struct http_load, in_forgotten);
        starts[count++] = text->len;
        buf_append_byte(text, '-');
        buf_append(text, old->place->key, strlen(old->place->key) + 1);
        forget(old);
    }
    starts[count++] = text->len;
    buf_append_text(text, place->key);
    buf_append_byte(text, ':');
    buf_append(text, place->answer->text, strlen(place->answer->text) + 1);
    PH_ASSERT(!text->failed);
    for (size_t i = 0; i < count; i++) {
        transfer->resolve_nodes[i].data = text->data + starts[i];
        transfer->resolve_nodes[i].next = i + 1 < count ? &transfer->resolve_nodes[i + 1] : NULL;
    }
    load->generation = place->answer->generation;
    return true;
}

void http_loads_done(struct http_pool *pool)
{
    LIST_FOR_EACH(node, following, &pool->loads)
    {
        forget(LIST_ELEMENT(node, struct http_load, in_pool));
    }
}
