/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ids: 63-bit integers inside, KSUID text outside.
 *
 * The integer (never 0, never negative) is 40 bits of time (32 bits of seconds since 1400000000,
 * then 8 bits of 4-ms ticks 0..249), 7 bits of node and 16 bits of counter: order is time order.
 * The text is a prefix and 27 base-62 characters of 20 bytes: the integer shifted left by one
 * (8 bytes, lowest bit 0), then 12 bytes of SipHash-2-4-128 over (kind, integer) under the store's
 * key. So text and integer need no table, and a foreign or mistyped id is detected. Bytewise order
 * of the text is the order of the integers.
 *
 * Pure. The codec is read-only and may be shared; an id_clock belongs to one thread (the writer).
 */
#ifndef PH_CORE_ID_H
#define PH_CORE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* The numbers go into the tail of every id given out: append only, never renumber. */
enum id_kind {
    ID_APPLICATION = 0,  /* app_ */
    ID_ENDPOINT = 1,     /* ep_ */
    ID_MESSAGE = 2,      /* msg_ */
    ID_ATTEMPT = 3,      /* atmpt_ */
    ID_EVENT_TYPE = 4,   /* evtype_ */
    ID_ORGANISATION = 5, /* org_ */
    ID_TASK = 6,         /* qtask_ */
    ID_INTEGRATION = 7,  /* integ_ */
    ID_SINK = 8,         /* sink_ */
    ID_TOKEN = 9,        /* tok_, the jti of tokens that the API gives out */
    ID_POSITION = 10,    /* pos_, a place among the events of an application */
    ID_KIND_COUNT
};

#define ID_KSUID_LENGTH 27
/* Longest prefix, the KSUID and a NUL fit. */
#define ID_TEXT_MAX 40
#define ID_NODE_MAX 127
#define ID_EPOCH_S INT64_C(1400000000)
#define ID_TICK_US INT64_C(4000)

struct id_codec {
    uint8_t key[16]; /* kept in the store */
};

/* Writes the NUL-terminated text and returns its length. `id` >= 0. */
size_t id_format(const struct id_codec *codec, enum id_kind kind, int64_t id,
                 char ret_text[ID_TEXT_MAX]);
/* False unless `text` is exactly what id_format gives for this kind under this key. */
bool id_parse(const struct id_codec *codec, enum id_kind kind, struct slice text, int64_t *ret_id);
/* "msg_" for ID_MESSAGE. Static text. */
const char *id_prefix(enum id_kind kind);
/* Whether `text` starts with the kind's prefix. Says nothing about the rest. */
bool id_has_prefix(enum id_kind kind, struct slice text);

/* Gives out strictly increasing integers. */
struct id_clock {
    int64_t last;
    unsigned node;
};

/* `node` 0..127; `last` is the newest id given out before (0 = none). */
void id_clock_init(struct id_clock *clock, unsigned node, int64_t last);
/* The next id at `wall_us` (microseconds since 1970). When the clock has stepped back or the
 * tick's counter is full it goes on behind the last id: always greater than the one before, and
 * always of this clock's node. */
int64_t id_next(struct id_clock *clock, int64_t wall_us);

/* The smallest id of the 4-ms tick of `wall_us`, for time bounds: 0 before ID_EPOCH_S, INT64_MAX
 * past the year 2150. */
int64_t id_floor(int64_t wall_us);
/* Start of the id's tick in microseconds since 1970. */
int64_t id_time_us(int64_t id);

#endif
