/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Concurrency: one mutex for the table of hosts, the queue, the lists of waiting and answered
 * queries. Pool threads hold it except during the look-up itself. They are detached, because a
 * look-up that hangs cannot be ended: the resolver is counted, and its last thread frees it.
 */
#include "sinks/resolver.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/siphash.h"

enum {
    BUCKETS = 4096,    /* of the table of hosts; a power of two */
    HOSTS_MAX = 16384, /* in the table, the cached ones included */
    THREADS_DEFAULT = 16,
    QUEUE_DEFAULT = 4096,
    KEEP_DEFAULT_S = 30,
    KEEP_FAILURE_DEFAULT_S = 5,
};

/* A host: waits for a thread, is being looked up, or is answered (`answer` set). */
struct host {
    struct host *next;           /* in its bucket */
    struct list_node queue_node; /* in `queued` while it waits for a thread */
    struct list_node waiters;    /* resolver_query.node */
    struct resolver_answer *answer;
    char name[];
};

struct resolver {
    pthread_mutex_t mutex;
    pthread_cond_t has_work;
    resolver_lookup_function *lookup;
    void *lookup_context;
    unsigned threads_max;
    size_t queue_max;
    int64_t keep_us;
    int64_t keep_failure_us;
    uint8_t hash_key[16];
    struct metrics *metrics; /* NULL when closing: a look-up that hangs must not touch it */

    struct host *buckets[BUCKETS];
    size_t host_count;
    size_t sweep_bucket; /* where the next search for an old host starts */
    struct list_node queued;
    size_t queued_count;
    uint64_t next_generation;
    unsigned threads;
    unsigned idle_threads;
    unsigned references; /* the owner and every thread */
    bool is_closing;
};

struct resolver_client {
    struct resolver *resolver;
    int event_fd;
    struct list_node answered; /* resolver_query.node */
};

struct resolver_answer *resolver_answer_ref(struct resolver_answer *answer)
{
    atomic_fetch_add_explicit(&answer->references, 1, memory_order_relaxed);
    return answer;
}

void resolver_answer_unref(struct resolver_answer *answer)
{
    if (answer != NULL &&
        atomic_fetch_sub_explicit(&answer->references, 1, memory_order_acq_rel) == 1) {
        free(answer);
    }
}

static struct host **find_host(struct resolver *resolver, const char *name)
{
    size_t bucket = siphash64(resolver->hash_key, name, strlen(name)) & (BUCKETS - 1);
    struct host **place = &resolver->buckets[bucket];
    while (*place != NULL && strcmp((*place)->name, name) != 0) {
        place = &(*place)->next;
    }
    return place;
}

static void drop_host(struct resolver *resolver, struct host **place)
{
    struct host *host = *place;
    *place = host->next;
    resolver->host_count--;
    resolver_answer_unref(host->answer);
    free(host);
}

/* Makes room by dropping answered hosts, bucket by bucket. False when all are being looked up. */
static bool drop_some_host(struct resolver *resolver)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        struct host **place = &resolver->buckets[resolver->sweep_bucket];
        resolver->sweep_bucket = (resolver->sweep_bucket + 1) & (BUCKETS - 1);
        for (; *place != NULL; place = &(*place)->next) {
            if ((*place)->answer != NULL) {
                drop_host(resolver, place);
                return true;
            }
        }
    }
    return false;
}

/* Called with the mutex; unlocks it. */
static void unref_and_unlock(struct resolver *resolver)
{
    bool is_last = --resolver->references == 0;
    pthread_mutex_unlock(&resolver->mutex);
    if (!is_last) {
        return;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        while (resolver->buckets[i] != NULL) {
            drop_host(resolver, &resolver->buckets[i]);
        }
    }
    pthread_cond_destroy(&resolver->has_work);
    pthread_mutex_destroy(&resolver->mutex);
    free(resolver);
}

static void give_answer(struct host *host)
{
    struct list_node *node;
    while ((node = list_take_first(&host->waiters)) != NULL) {
        struct resolver_query *query = LIST_ELEMENT(node, struct resolver_query, node);
        struct resolver_client *client = query->client;
        query->answer = resolver_answer_ref(host->answer);
        bool was_empty = list_is_empty(&client->answered);
        list_append(&client->answered, node);
        if (was_empty) {
            /* Cannot fail: the counter is far from its end. */
            (void)eventfd_write(client->event_fd, 1);
        }
    }
}

/* Called with the mutex. */
static void count_look_up(struct resolver *resolver, bool is_found, int64_t duration_us)
{
    if (resolver->metrics != NULL) {
        metrics_add(resolver->metrics, METRIC_DNS_LOOKUPS, 1);
        metrics_add(resolver->metrics, METRIC_DNS_FAILURES, is_found ? 0 : 1);
        metrics_observe(resolver->metrics, METRIC_DNS_SECONDS, duration_us);
    }
}

/* Called with the mutex. */
static void count_queued(struct resolver *resolver, int change)
{
    resolver->queued_count += (size_t)change;
    if (resolver->metrics != NULL) {
        metrics_add(resolver->metrics, METRIC_DNS_QUEUE, change);
    }
}

static void look_up(struct resolver *resolver, struct host *host)
{
    /* The table keeps a host without answer, so its name stays while the mutex is open. */
    pthread_mutex_unlock(&resolver->mutex);
    int64_t begin_us = clock_boot_us();
    struct resolver_answer *answer = ph_calloc(1, sizeof *answer);
    answer->is_found =
        resolver->lookup(resolver->lookup_context, host->name, answer->text, sizeof answer->text);
    atomic_init(&answer->references, 1);
    answer->expires_us =
        clock_boot_us() + (answer->is_found ? resolver->keep_us : resolver->keep_failure_us);
    int64_t duration_us = clock_boot_us() - begin_us;
    pthread_mutex_lock(&resolver->mutex);
    count_look_up(resolver, answer->is_found, duration_us);
    answer->generation = ++resolver->next_generation;
    host->answer = answer;
    give_answer(host);
}

static void *pool_thread(void *argument)
{
    struct resolver *resolver = argument;
    pthread_mutex_lock(&resolver->mutex);
    while (!resolver->is_closing) {
        struct list_node *node = list_take_first(&resolver->queued);
        if (node == NULL) {
            resolver->idle_threads++;
            pthread_cond_wait(&resolver->has_work, &resolver->mutex);
            resolver->idle_threads--;
            continue;
        }
        count_queued(resolver, -1);
        look_up(resolver, LIST_ELEMENT(node, struct host, queue_node));
    }
    resolver->threads--;
    unref_and_unlock(resolver);
    return NULL;
}

/* Called with the mutex. Without a thread the host stays queued until one is free. */
static bool start_thread(struct resolver *resolver)
{
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    /* Signals are for the main thread: the new thread starts with all of them blocked. */
    sigset_t all;
    sigset_t former;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former);
    pthread_t thread;
    bool is_started = pthread_create(&thread, &attributes, pool_thread, resolver) == 0;
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    pthread_attr_destroy(&attributes);
    if (is_started) {
        resolver->threads++;
        resolver->references++;
    }
    return is_started;
}

/* Called with the mutex. A new host in the table and in the queue, or PH_BUSY. */
static enum ph_error queue_host(struct resolver *resolver, const char *name, struct host **ret_host)
{
    if (resolver->queued_count >= resolver->queue_max ||
        (resolver->host_count >= HOSTS_MAX && !drop_some_host(resolver))) {
        return PH_BUSY;
    }
    bool is_covered = resolver->queued_count < resolver->idle_threads;
    if (!is_covered && resolver->threads < resolver->threads_max && !start_thread(resolver) &&
        resolver->threads == 0) {
        return PH_BUSY;
    }
    size_t length = strlen(name);
    struct host *host = ph_calloc(1, sizeof *host + length + 1);
    memcpy(host->name, name, length + 1);
    list_init(&host->waiters);
    struct host **place = find_host(resolver, name);
    host->next = *place;
    *place = host;
    resolver->host_count++;
    list_append(&resolver->queued, &host->queue_node);
    count_queued(resolver, 1);
    pthread_cond_signal(&resolver->has_work);
    *ret_host = host;
    return PH_OK;
}

enum ph_error resolver_ask(struct resolver_client *client, const char *host_name,
                           struct resolver_query *query, struct resolver_answer **ret_answer)
{
    struct resolver *resolver = client->resolver;
    enum ph_error error = PH_OK;
    struct resolver_answer *answer = NULL;
    pthread_mutex_lock(&resolver->mutex);
    struct host **place = find_host(resolver, host_name);
    if (*place != NULL && (*place)->answer != NULL) {
        if ((*place)->answer->expires_us > clock_boot_us()) {
            answer = resolver_answer_ref((*place)->answer);
        } else {
            drop_host(resolver, place);
            place = find_host(resolver, host_name);
        }
    }
    if (answer == NULL) {
        struct host *host = *place;
        if (host == NULL) {
            error = queue_host(resolver, host_name, &host);
        }
        if (error == PH_OK) {
            query->client = client;
            query->answer = NULL;
            list_append(&host->waiters, &query->node);
        }
    }
    pthread_mutex_unlock(&resolver->mutex);
    if (error == PH_OK) {
        *ret_answer = answer;
    }
    return error;
}

void resolver_forget(struct resolver_query *query)
{
    struct resolver *resolver = query->client->resolver;
    pthread_mutex_lock(&resolver->mutex);
    list_remove(&query->node);
    pthread_mutex_unlock(&resolver->mutex);
    resolver_answer_unref(query->answer);
    query->answer = NULL;
}

struct resolver_query *resolver_take(struct resolver_client *client)
{
    pthread_mutex_lock(&client->resolver->mutex);
    struct list_node *node = list_take_first(&client->answered);
    if (list_is_empty(&client->answered)) {
        eventfd_t count;
        (void)eventfd_read(client->event_fd, &count); /* EAGAIN when it was read already */
    }
    pthread_mutex_unlock(&client->resolver->mutex);
    return node == NULL ? NULL : LIST_ELEMENT(node, struct resolver_query, node);
}

int resolver_client_fd(const struct resolver_client *client)
{
    return client->event_fd;
}

enum ph_error resolver_client_new(struct resolver *resolver, struct diag *diag,
                                  struct resolver_client **ret_client)
{
    int event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (event_fd < 0) {
        return diag_set(diag, PH_IO, NULL, "could not make an eventfd");
    }
    struct resolver_client *client = ph_calloc(1, sizeof *client);
    client->resolver = resolver;
    client->event_fd = event_fd;
    list_init(&client->answered);
    *ret_client = client;
    return PH_OK;
}

void resolver_client_free(struct resolver_client *client)
{
    if (client != NULL) {
        PH_ASSERT(list_is_empty(&client->answered));
        close(client->event_fd);
        free(client);
    }
}

enum ph_error resolver_new(const struct resolver_options *options, struct diag *diag,
                           struct resolver **ret_resolver)
{
    static const struct resolver_options defaults = {0};
    if (options == NULL) {
        options = &defaults;
    }
    struct resolver *resolver = ph_calloc(1, sizeof *resolver);
    if (pthread_mutex_init(&resolver->mutex, NULL) != 0) {
        free(resolver);
        return diag_set(diag, PH_NO_MEMORY, NULL, "could not make a mutex");
    }
    if (pthread_cond_init(&resolver->has_work, NULL) != 0) {
        pthread_mutex_destroy(&resolver->mutex);
        free(resolver);
        return diag_set(diag, PH_NO_MEMORY, NULL, "could not make a condition variable");
    }
    resolver->lookup = options->lookup != NULL ? options->lookup : resolver_system_lookup;
    resolver->lookup_context = options->context;
    resolver->threads_max = options->threads_max > 0 ? options->threads_max : THREADS_DEFAULT;
    resolver->queue_max = options->queue_max > 0 ? options->queue_max : QUEUE_DEFAULT;
    resolver->keep_us = options->keep_us > 0 ? options->keep_us : KEEP_DEFAULT_S * CLOCK_US_PER_S;
    resolver->keep_failure_us = options->keep_failure_us > 0
                                    ? options->keep_failure_us
                                    : KEEP_FAILURE_DEFAULT_S * CLOCK_US_PER_S;
    resolver->metrics = options->metrics;
    random_bytes(resolver->hash_key, sizeof resolver->hash_key);
    list_init(&resolver->queued);
    resolver->references = 1;
    *ret_resolver = resolver;
    return PH_OK;
}

void resolver_free(struct resolver *resolver)
{
    if (resolver == NULL) {
        return;
    }
    pthread_mutex_lock(&resolver->mutex);
    resolver->is_closing = true;
    resolver->metrics = NULL;
    /* Hosts still queued have no waiters any more; they go with the table. */
    pthread_cond_broadcast(&resolver->has_work);
    unref_and_unlock(resolver);
}
