/* SPDX-License-Identifier: Apache-2.0 */
#include "tally.h"

#include "clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void bump(_Atomic uint64_t *counter)
{
    atomic_store_explicit(counter, get(counter) + 1, memory_order_relaxed);
}

static void clear_if_older(struct tally *tally, uint64_t generation)
{
    if (atomic_load_explicit(&tally->generation, memory_order_relaxed) == generation) {
        return;
    }
    atomic_store_explicit(&tally->received, 0, memory_order_relaxed);
    atomic_store_explicit(&tally->distinct, 0, memory_order_relaxed);
    atomic_store_explicit(&tally->without_id, 0, memory_order_relaxed);
    atomic_store_explicit(&tally->hung, 0, memory_order_relaxed);
    atomic_store_explicit(&tally->bad_signatures, 0, memory_order_relaxed);
    atomic_store_explicit(&tally->first_us, 0, memory_order_relaxed);
    atomic_store_explicit(&tally->last_us, 0, memory_order_relaxed);
    histogram_clear(&tally->latency);
    atomic_store_explicit(&tally->generation, generation, memory_order_release);
}

/* The generator's `"sent_us": <microseconds>`, or -1 when the payload carries none. */
static int64_t sent_time_us(struct http_slice body)
{
    static const char name[] = "\"sent_us\":";
    if (body.bytes == 0) {
        return -1;
    }
    const char *at = memmem(body.data, body.bytes, name, sizeof name - 1);
    if (at == NULL) {
        return -1;
    }
    const char *end = body.data + body.bytes;
    at += sizeof name - 1;
    while (at < end && *at == ' ') {
        at++;
    }
    int64_t value = 0;
    int digits = 0;
    for (; at < end && *at >= '0' && *at <= '9' && digits < 18; at++, digits++) {
        value = value * 10 + (*at - '0');
    }
    return digits == 0 ? -1 : value;
}

void tally_delivery(struct tally *tally, uint64_t generation, struct idset *seen,
                    struct signature_verifier *verifier, const struct http_message *message)
{
    const int64_t now_us = clock_now_us();
    const struct http_slice id = message->field[HTTP_ID];
    clear_if_older(tally, generation);
    bump(&tally->received);
    if (id.data == NULL) {
        bump(&tally->without_id);
    } else if (idset_add(seen, idset_hash(id.data, id.bytes, message->target.data,
                                          message->target.bytes))) {
        bump(&tally->distinct);
    }
    if (verifier != NULL && !signature_is_good(verifier, message)) {
        bump(&tally->bad_signatures);
    }
    const int64_t sent_us = sent_time_us(message->body);
    if (sent_us >= 0) {
        histogram_add(&tally->latency, now_us - sent_us);
    }
    if (atomic_load_explicit(&tally->first_us, memory_order_relaxed) == 0) {
        atomic_store_explicit(&tally->first_us, now_us, memory_order_relaxed);
    }
    atomic_store_explicit(&tally->last_us, now_us, memory_order_relaxed);
}

void tally_hung(struct tally *tally, uint64_t generation)
{
    clear_if_older(tally, generation);
    bump(&tally->hung);
}

/* Sums the tallies of this generation. */
static void sum(struct tally *total, const struct tally *tallies, size_t count, uint64_t generation)
{
    for (size_t i = 0; i < count; i++) {
        const struct tally *one = &tallies[i];
        if (atomic_load_explicit(&one->generation, memory_order_acquire) != generation) {
            continue;
        }
        total->received += get(&one->received);
        total->distinct += get(&one->distinct);
        total->without_id += get(&one->without_id);
        total->hung += get(&one->hung);
        total->bad_signatures += get(&one->bad_signatures);
        histogram_merge(&total->latency, &one->latency);
        const int64_t first_us = atomic_load_explicit(&one->first_us, memory_order_relaxed);
        const int64_t last_us = atomic_load_explicit(&one->last_us, memory_order_relaxed);
        if (first_us != 0 && (total->first_us == 0 || first_us < total->first_us)) {
            total->first_us = first_us;
        }
        if (last_us > total->last_us) {
            total->last_us = last_us;
        }
    }
}

size_t tally_report(const struct tally *tallies, size_t count, uint64_t generation,
                    int64_t gate_first_us, char *text, size_t text_bytes)
{
    struct tally *total = calloc(1, sizeof *total);
    if (total == NULL) {
        return 0;
    }
    sum(total, tallies, count, generation);
    const uint64_t received = get(&total->received);
    const uint64_t distinct = get(&total->distinct);
    const uint64_t without_id = get(&total->without_id);
    const int written = snprintf(
        text, text_bytes,
        "{\"received\":%" PRIu64 ",\"distinct\":%" PRIu64 ",\"duplicated\":%" PRIu64
        ",\"without_id\":%" PRIu64 ",\"hung\":%" PRIu64 ",\"bad_signatures\":%" PRIu64
        ",\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"first_us\":%" PRId64
        ",\"last_us\":%" PRId64 ",\"gate_first_us\":%" PRId64 "}\n",
        received, distinct, received - distinct - without_id, without_id, get(&total->hung),
        get(&total->bad_signatures), histogram_quantile_ms(&total->latency, 0.50),
        histogram_quantile_ms(&total->latency, 0.99), histogram_max_ms(&total->latency),
        atomic_load(&total->first_us), atomic_load(&total->last_us), gate_first_us);
    free(total);
    return written < 0 || (size_t)written >= text_bytes ? 0 : (size_t)written;
}
