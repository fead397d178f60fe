/* SPDX-License-Identifier: Apache-2.0 */
/* Concurrency: `lock` guards the rows. */
#include "api/sign_in_limit.h"

#include <arpa/inet.h>
#include <pthread.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/siphash.h"

#define WAYS 4 /* rows that a key may stand in */
#define KEY_TEXT_MAX 1024

struct row {
    uint64_t key; /* 0 = free */
    int64_t since_us;
    int64_t failures;
};

struct sign_in_limit {
    pthread_mutex_t lock;
    uint8_t hash_key[16];
    struct row rows[SIGN_IN_ROWS];
};
_Static_assert(SIGN_IN_ROWS % WAYS == 0, "whole sets");

struct sign_in_limit *sign_in_limit_new(void)
{
    struct sign_in_limit *limit = ph_calloc(1, sizeof *limit);
    random_bytes(limit->hash_key, sizeof limit->hash_key);
    (void)pthread_mutex_init(&limit->lock, NULL);
    return limit;
}

void sign_in_limit_free(struct sign_in_limit *limit)
{
    if (limit != NULL) {
        (void)pthread_mutex_destroy(&limit->lock);
        free(limit);
    }
}

#define NETWORK_BYTES 8

static void append_peer(struct slice peer, struct buf *text)
{
    struct in6_addr address;
    char copy[INET6_ADDRSTRLEN] = "";
    if (peer.len < sizeof copy) {
        (void)snprintf(copy, sizeof copy, "%.*s", SLICE_ARG(peer));
    }
    if (inet_pton(AF_INET6, copy, &address) == 1 && !IN6_IS_ADDR_V4MAPPED(&address)) {
        buf_append(text, &address, NETWORK_BYTES);
    } else {
        buf_append_slice(text, peer);
    }
}

/* Of the address, and of a name if there is one. */
static uint64_t key_of(const struct sign_in_limit *limit, struct slice name, struct slice peer)
{
    BUF_AUTO struct buf text;
    buf_init(&text, KEY_TEXT_MAX);
    append_peer(peer, &text);
    if (name.ptr != NULL) {
        buf_append_byte(&text, '\n');
        name.len = name.len > KEY_TEXT_MAX / 2 ? KEY_TEXT_MAX / 2 : name.len;
        buf_append_slice(&text, name);
    }
    struct slice whole = buf_slice(&text);
    return siphash64(limit->hash_key, whole.ptr, whole.len) | 1;
}

/* The row of a key: its own, or the one to be taken for it, whose window is the oldest. */
static struct row *row_of(struct sign_in_limit *limit, uint64_t key, int64_t now_us)
{
    struct row *set = &limit->rows[(size_t)(key >> 32) % (SIGN_IN_ROWS / WAYS) * WAYS];
    struct row *oldest = set;
    for (size_t way = 0; way < WAYS; way++) {
        if (set[way].key != 0 && now_us - set[way].since_us >= SIGN_IN_WINDOW_US) {
            set[way] = (struct row){0};
        }
        if (set[way].key == key) {
            return &set[way];
        }
        if (set[way].key == 0 || (oldest->key != 0 && set[way].since_us < oldest->since_us)) {
            oldest = &set[way];
        }
    }
    return oldest;
}

static int64_t wait_us(struct sign_in_limit *limit, uint64_t key, int64_t failures_max,
                       int64_t now_us)
{
    const struct row *row = row_of(limit, key, now_us);
    return row->key == key && row->failures >= failures_max
               ? row->since_us + SIGN_IN_WINDOW_US - now_us
               : 0;
}

int64_t sign_in_limit_wait_s(struct sign_in_limit *limit, struct slice name, struct slice peer,
                             int64_t now_us)
{
    uint64_t of_name = key_of(limit, name, peer);
    uint64_t of_peer = key_of(limit, SLICE_NONE, peer);
    (void)pthread_mutex_lock(&limit->lock);
    int64_t longest_us = wait_us(limit, of_name, SIGN_IN_NAME_FAILURES_MAX, now_us);
    int64_t peer_us = wait_us(limit, of_peer, SIGN_IN_PEER_FAILURES_MAX, now_us);
    (void)pthread_mutex_unlock(&limit->lock);
    longest_us = peer_us > longest_us ? peer_us : longest_us;
    return (longest_us + CLOCK_US_PER_S - 1) / CLOCK_US_PER_S;
}

static void count(struct sign_in_limit *limit, uint64_t key, int64_t now_us)
{
    struct row *row = row_of(limit, key, now_us);
    if (row->key != key) {
        *row = (struct row){.key = key, .since_us = now_us};
    }
    row->failures++;
}

void sign_in_limit_failed(struct sign_in_limit *limit, struct slice name, struct slice peer,
                          int64_t now_us)
{
    uint64_t of_name = key_of(limit, name, peer);
    uint64_t of_peer = key_of(limit, SLICE_NONE, peer);
    (void)pthread_mutex_lock(&limit->lock);
    count(limit, of_name, now_us);
    count(limit, of_peer, now_us);
    (void)pthread_mutex_unlock(&limit->lock);
}
