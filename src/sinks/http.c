/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life of a sink and of its attempts:
 *
 *   send ──> [waits for names] ──> with curl ──> result ──> idle, to be used again
 *                   └─ no address, time over ──────┘
 *
 * The total time is our own timer, because curl does not count while it waits for a connection.
 */
#include "sinks/http.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "sinks/http_int.h"

/* Attempts that start from within on_result are begun in the same run, this many times. */
enum { ROUNDS_PER_RUN = 4 };

enum ph_error sink_http_global_init(struct diag *diag)
{
    if (curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK) {
        return diag_set(diag, PH_INTERNAL, NULL, "could not initialise libcurl");
    }
    return PH_OK;
}

void sink_http_global_done(void)
{
    curl_global_cleanup();
}

static void destroy(struct sink_http *sink)
{
    http_pools_done(sink);
    http_routes_done(sink);
    http_trust_done(sink);
    http_proxy_done(&sink->egress);
    resolver_client_free(sink->resolver);
    if (sink->epoll_fd >= 0) {
        close(sink->epoll_fd);
    }
    heap_done(&sink->timers);
    free(sink->sockets);
    ph_free_pointer(&sink->options.ca_file);
    ph_free_pointer(&sink->options.user_agent);
    free(sink);
}

static enum ph_error open_epoll(struct sink_http *sink, struct diag *diag)
{
    sink->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (sink->epoll_fd < 0) {
        return diag_set(diag, PH_IO, NULL, "could not make an epoll set");
    }
    int fd = resolver_client_fd(sink->resolver);
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
    if (epoll_ctl(sink->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        return diag_set(diag, PH_IO, NULL, "could not watch the resolver");
    }
    return PH_OK;
}

enum ph_error sink_http_new(const struct sink_http_options *options, struct diag *diag,
                            struct sink_http **ret_sink)
{
    PH_ASSERT(options->resolver != NULL && options->on_result != NULL);
    PH_ASSERT(options->keep_max_bytes > 0 && options->read_max_bytes > 0);
    PH_ASSERT(options->connections_max > 0);
    if (options->ca_file != NULL && access(options->ca_file, R_OK) != 0) {
        return diag_set(diag, PH_IO, "ca_file", "could not read the file");
    }
    struct sink_http *sink = ph_calloc(1, sizeof *sink);
    sink->options = *options;
    sink->options.ca_file = options->ca_file == NULL ? NULL : ph_strdup(options->ca_file);
    sink->options.user_agent = options->user_agent == NULL ? NULL : ph_strdup(options->user_agent);
    sink->allow_subnets = options->allow_subnets;
    sink->options.egress = (struct sink_http_egress){0}; /* lives in sink->egress */
    if (options->policies_max == 0) {
        sink->options.policies_max = SINK_HTTP_POLICIES_MAX;
    }
    if (options->policy_rest_us == 0) {
        sink->options.policy_rest_us = SINK_HTTP_POLICY_REST_US;
    }
    sink->epoll_fd = -1;
    list_init(&sink->pools);
    list_init(&sink->active);
    list_init(&sink->resting);
    heap_init(&sink->timers);
    random_bytes(sink->hash_key, sizeof sink->hash_key);
    struct http_pool *pool = NULL;
    enum ph_error error = sink_http_set_egress(sink, &options->egress, diag);
    if (error == PH_OK) {
        error = resolver_client_new(options->resolver, diag, &sink->resolver);
    }
    if (error == PH_OK) {
        error = open_epoll(sink, diag);
    }
    if (error == PH_OK) {
        error = http_pool_find(sink, NULL, diag, &pool);
    }
    if (error != PH_OK) {
        destroy(sink);
        return error;
    }
    *ret_sink = sink;
    return PH_OK;
}

/* Takes the attempt away from the resolver or from curl; an open exchange is cut. */
static void withdraw(struct http_transfer *transfer)
{
    if (transfer->asked != NULL) {
        resolver_forget(&transfer->query);
        transfer->asked = NULL;
    }
    if (transfer->is_with_curl) {
        (void)curl_multi_remove_handle(transfer->pool->multi, transfer->easy);
        transfer->is_with_curl = false;
    }
}

/* The transfer is with neither any more: tells the owner and keeps the handle. */
static void give_result(struct http_transfer *transfer, const struct sink_result *result)
{
    struct sink_http *sink = transfer->sink;
    heap_remove(&sink->timers, &transfer->timer);
    list_remove(&transfer->node);
    sink->in_flight--;
    http_pool_leave(transfer->pool);
    sink->options.on_result(sink->options.context, result);
    http_transfer_reset(transfer);
    http_pool_give_back(transfer);
}

static void fail(struct http_transfer *transfer, enum attempt_failure failure, const char *words)
{
    struct sink_result result;
    withdraw(transfer);
    http_result_of_failure(transfer, failure, words, &result);
    give_result(transfer, &result);
}

static void fail_early(struct http_transfer *transfer)
{
    struct sink_result result;
    withdraw(transfer);
    http_result_of_early_failure(transfer, &result);
    give_result(transfer, &result);
}

/* Whom curl connects to. */
static struct http_place *next_hop(const struct http_transfer *transfer)
{
    struct http_place *proxy = transfer->pool->proxy_place;
    return proxy != NULL ? proxy : transfer->route->place;
}

/* Gives the transfer to curl; the names that it needs are known. Without an address that may be
 * used it has an early failure instead. False when memory lacks. */
static bool start(struct http_transfer *transfer)
{
    struct http_pool *pool = transfer->pool;
    struct http_place *place = next_hop(transfer);
    if (pool->proxy_place != NULL && !http_proxy_choose_address(transfer)) {
        return true;
    }
    bool must_load = http_place_load(transfer, place);
    if (must_load) {
        curl_easy_setopt(transfer->easy, CURLOPT_RESOLVE, transfer->resolve_nodes);
        transfer->has_resolve = true;
    }
    /* Lets curl share the time between several addresses of a name. A bit more than the total, so
     * that it is our timer that ends the attempt. */
    bool has_choice =
        place->is_localhost || (place->answer != NULL && strchr(place->answer->text, ',') != NULL);
    int64_t connect_timeout_ms =
        has_choice ? transfer->timeout_ms + transfer->timeout_ms / 8 + 1 : 0;
    if (connect_timeout_ms != transfer->connect_timeout_ms) {
        curl_easy_setopt(transfer->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_timeout_ms);
        transfer->connect_timeout_ms = connect_timeout_ms;
    }
    if (curl_multi_add_handle(pool->multi, transfer->easy) != CURLM_OK) {
        return false;
    }
    transfer->is_with_curl = true;
    if (must_load) {
        /* Others rely on the addresses from now on, so curl takes them in before anything else
         * can happen to this transfer. */
        http_pool_run_timer(pool, INT64_MAX);
        pool->deadline_us = 0;
    }
    return true;
}

/* The names of a transfer that somebody must look up here: the proxy's, the receiver's. */
static size_t places_of(const struct http_transfer *transfer, struct http_place *ret_places[2])
{
    size_t count = 0;
    if (transfer->pool->proxy_place != NULL) {
        ret_places[count++] = transfer->pool->proxy_place;
    }
    if (transfer->pool->proxy_place == NULL || !transfer->pool->proxy_resolves) {
        ret_places[count++] = transfer->route->place;
    }
    return count;
}

/* Asks the resolver: afterwards the place has an answer or the transfer waits for one. */
static enum ph_error ask_name(struct http_transfer *transfer, struct http_place *place,
                              struct diag *diag)
{
    struct resolver_answer *answer = NULL;
    enum ph_error error =
        resolver_ask(transfer->sink->resolver, place->host, &transfer->query, &answer);
    if (error != PH_OK) {
        return diag_set(diag, error, "url", "too many host names are being looked up");
    }
    if (answer == NULL) {
        transfer->asked = place;
        return PH_OK;
    }
    resolver_answer_unref(place->answer);
    place->answer = answer;
    return PH_OK;
}

/* Goes on as far as names are known: waits for the next one, has an early failure, or is given to
 * curl. */
static enum ph_error advance(struct http_transfer *transfer, int64_t now_us, struct diag *diag)
{
    struct http_place *places[2];
    size_t count = places_of(transfer, places);
    for (size_t i = 0; i < count; i++) {
        struct http_place *place = places[i];
        enum ph_error error = PH_OK;
        /* What was looked up for this attempt serves it, however old it is by now. */
        if (i >= transfer->names_asked && !http_place_is_known(place, now_us)) {
            transfer->names_asked = (unsigned)i + 1;
            error = ask_name(transfer, place, diag);
        }
        if (error != PH_OK || transfer->asked != NULL) {
            return error;
        }
        if (place->answer != NULL && !place->answer->is_found) {
            http_result_say_unknown_name(transfer, place);
            return PH_OK;
        }
    }
    return start(transfer) ? PH_OK : diag_set(diag, PH_NO_MEMORY, NULL, "out of memory");
}

enum ph_error sink_http_send(struct sink_http *sink, const struct sink_request *request,
                             struct diag *diag)
{
    if (sink->is_closing) {
        return diag_set(diag, PH_SHUTTING_DOWN, NULL, "the server is shutting down");
    }
    struct http_pool *pool;
    enum ph_error error = http_pool_find(sink, request->policy, diag, &pool);
    if (error != PH_OK) {
        return error;
    }
    struct http_transfer *transfer = http_pool_take_idle(pool);
    if (transfer == NULL) {
        return diag_set(diag, PH_NO_MEMORY, NULL, "could not make a curl handle");
    }
    http_pool_enter(pool);
    int64_t now_us = clock_boot_us();
    transfer->started_us = now_us;
    error = http_transfer_prepare(transfer, request, diag);
    if (error == PH_OK) {
        error = advance(transfer, now_us, diag);
    }
    if (error != PH_OK) {
        http_pool_leave(pool);
        http_transfer_reset(transfer);
        http_pool_give_back(transfer);
        return error;
    }
    list_append(&sink->active, &transfer->node);
    sink->in_flight++;
    /* What is known already is a result like any other, which the next run gives. */
    bool is_over = transfer->early_failure != ATTEMPT_ANSWERED;
    heap_set(&sink->timers, &transfer->timer,
             is_over ? now_us : now_us + request->timeout_ms * CLOCK_US_PER_MS);
    return PH_OK;
}

static void take_answers(struct sink_http *sink)
{
    struct resolver_query *query;
    while ((query = resolver_take(sink->resolver)) != NULL) {
        struct http_transfer *transfer = PH_CONTAINER_OF(query, struct http_transfer, query);
        struct http_place *place = transfer->asked;
        struct diag diag;
        transfer->asked = NULL;
        resolver_answer_unref(place->answer);
        place->answer = query->answer;
        query->answer = NULL;
        if (advance(transfer, clock_boot_us(), &diag) != PH_OK) {
            fail(transfer, ATTEMPT_CANCELLED, diag.text);
        } else if (transfer->early_failure != ATTEMPT_ANSWERED) {
            fail_early(transfer);
        }
    }
}

/* A kept HTTP/2 connection that the receiver gives up takes every exchange on it along, and curl
 * does not repeat those by itself as it does with HTTP/1.1. (Its own habit of resetting finished
 * streams makes some servers give up after a thousand.) Without an answer it is fair to try once
 * more. */
static bool can_repeat(const struct http_transfer *transfer, CURLcode code)
{
    const struct http_place *place = next_hop(transfer);
    bool has_address = !place->needs_lookup || (place->answer != NULL && place->answer->is_found);
    return code == CURLE_HTTP2 && !transfer->is_repeated && !transfer->has_opened &&
           transfer->header_bytes == 0 && has_address;
}

static void take_finished(struct http_pool *pool)
{
    CURLMsg *message;
    int left = 0;
    while ((message = curl_multi_info_read(pool->multi, &left)) != NULL) {
        char *private_pointer = NULL;
        CURLcode code = message->data.result;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private_pointer);
        struct http_transfer *transfer = (struct http_transfer *)(void *)private_pointer;
        struct sink_result result;
        bool is_to_repeat = can_repeat(transfer, code);
        http_events_note_protocol(transfer);
        if (code != CURLE_OK) {
            http_proxy_note_failure(transfer);
        }
        http_result_of_curl(transfer, code, &result);
        withdraw(transfer);
        if (is_to_repeat) {
            transfer->is_repeated = true;
            if (start(transfer) && transfer->early_failure == ATTEMPT_ANSWERED) {
                continue;
            }
        }
        give_result(transfer, &result);
    }
}

static void end_overdue(struct sink_http *sink, int64_t now_us)
{
    struct heap_node *first;
    while ((first = heap_first(&sink->timers)) != NULL && first->key <= now_us) {
        struct http_transfer *transfer = PH_CONTAINER_OF(first, struct http_transfer, timer);
        if (transfer->early_failure != ATTEMPT_ANSWERED) {
            fail_early(transfer);
            continue;
        }
        struct sink_result result;
        http_proxy_note_failure(transfer);
        http_result_of_timeout(transfer, &result);
        withdraw(transfer);
        give_result(transfer, &result);
    }
}

void sink_http_run(struct sink_http *sink)
{
    bool has_answers = false;
    http_events_poll(sink, &has_answers);
    if (has_answers) {
        take_answers(sink);
    }
    for (int round = 0; round < ROUNDS_PER_RUN; round++) {
        int64_t now_us = clock_boot_us();
        LIST_FOR_EACH(node, following, &sink->pools)
        {
            struct http_pool *pool = LIST_ELEMENT(node, struct http_pool, node);
            http_pool_run_timer(pool, now_us);
            take_finished(pool);
        }
        sink->is_flooded = false;
        end_overdue(sink, now_us);
        if (sink_http_deadline_us(sink) > now_us) {
            break;
        }
    }
    http_pools_sweep(sink, clock_boot_us());
}

int sink_http_fd(const struct sink_http *sink)
{
    return sink->epoll_fd;
}

int64_t sink_http_deadline_us(const struct sink_http *sink)
{
    const struct heap_node *first = heap_first(&sink->timers);
    int64_t deadline_us = http_pools_sweep_at(sink);
    if (first != NULL && first->key < deadline_us) {
        deadline_us = first->key;
    }
    LIST_FOR_EACH(node, following, &sink->pools)
    {
        const struct http_pool *pool = LIST_ELEMENT(node, struct http_pool, node);
        if (pool->deadline_us < deadline_us) {
            deadline_us = pool->deadline_us;
        }
    }
    return deadline_us;
}

size_t sink_http_in_flight(const struct sink_http *sink)
{
    return sink->in_flight;
}

/* Curl asks the guard for new connections only, so kept ones must not be used again: new attempts
 * get pools without any, and what the old ones have not yet sent connects anew. */
static void renew_pools(struct sink_http *sink)
{
    http_pools_retire(sink);
    LIST_FOR_EACH(node, following, &sink->active)
    {
        struct http_transfer *transfer = LIST_ELEMENT(node, struct http_transfer, node);
        http_transfer_make_fresh(transfer);
    }
}

void sink_http_set_allow_subnets(struct sink_http *sink, const struct cidr_set *allow_subnets)
{
    sink->allow_subnets = allow_subnets;
    renew_pools(sink);
    /* A proxy connects to what it was told before. */
    LIST_FOR_EACH(node, following, &sink->active)
    {
        struct http_transfer *transfer = LIST_ELEMENT(node, struct http_transfer, node);
        if (transfer->is_with_curl && !http_proxy_judge_again(transfer)) {
            withdraw(transfer);
            heap_set(&sink->timers, &transfer->timer, 0); /* its result comes with the next run */
        }
    }
}

enum ph_error sink_http_set_egress(struct sink_http *sink, const struct sink_http_egress *egress,
                                   struct diag *diag)
{
    struct http_proxy proxy = {0};
    if (egress->proxy_url != NULL && egress->proxy_url[0] != '\0') {
        enum ph_error error =
            http_proxy_parse(slice_of(egress->proxy_url), "egress_proxy", diag, &proxy);
        if (error != PH_OK) {
            return error;
        }
    }
    http_proxy_done(&sink->egress);
    sink->egress = proxy;
    sink->egress_resolves = egress->proxy_resolves;
    renew_pools(sink);
    return PH_OK;
}

void sink_http_free(struct sink_http *sink)
{
    if (sink == NULL) {
        return;
    }
    sink->is_closing = true;
    while (!list_is_empty(&sink->active)) {
        fail(LIST_ELEMENT(sink->active.next, struct http_transfer, node), ATTEMPT_CANCELLED,
             "cancelled, because the server is shutting down");
    }
    destroy(sink);
}
