/* SPDX-License-Identifier: Apache-2.0 */
#include "core/id.h"

#include "base/siphash.h"
#include "core/ksuid.h"

#define KSUID_BYTES 20
#define TAIL_BYTES 12
#define NODE_SHIFT 16
#define TICK_SHIFT 23
#define COUNTER_MASK INT64_C(0xffff)
#define TICKS_PER_S 250
#define SECONDS_MAX INT64_C(0xffffffff)

struct prefix_row {
    const char *text;
    uint8_t length;
};

static const struct prefix_row prefixes[] = {
    [ID_APPLICATION] = {"app_", 4},   [ID_ENDPOINT] = {"ep_", 3},
    [ID_MESSAGE] = {"msg_", 4},       [ID_ATTEMPT] = {"atmpt_", 6},
    [ID_EVENT_TYPE] = {"evtype_", 7}, [ID_ORGANISATION] = {"org_", 4},
    [ID_TASK] = {"qtask_", 6},        [ID_INTEGRATION] = {"integ_", 6},
    [ID_SINK] = {"sink_", 5},         [ID_TOKEN] = {"tok_", 4},
    [ID_POSITION] = {"pos_", 4},
};
_Static_assert(PH_ARRAY_LENGTH(prefixes) == ID_KIND_COUNT, "one prefix per kind of id");

const char *id_prefix(enum id_kind kind)
{
    PH_ASSERT((unsigned)kind < ID_KIND_COUNT);
    return prefixes[kind].text;
}

bool id_has_prefix(enum id_kind kind, struct slice text)
{
    return slice_starts_with(text, id_prefix(kind));
}

/* The last 12 bytes of the KSUID. */
static void make_tail(const struct id_codec *codec, enum id_kind kind, int64_t id,
                      uint8_t ret_tail[TAIL_BYTES])
{
    /* Little endian on purpose: the bytes are part of every id ever given out. */
    const uint64_t words[2] = {(uint64_t)kind, (uint64_t)id};
    uint8_t hash[16];
    siphash128(codec->key, words, sizeof words, hash);
    memcpy(ret_tail, hash, TAIL_BYTES);
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "id tails hash little endian words");

static uint32_t load_big32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* The KSUID as a number of five limbs, most significant first. */
static void make_limbs(const struct id_codec *codec, enum id_kind kind, int64_t id,
                       uint32_t ret_limbs[KSUID_LIMBS])
{
    uint8_t tail[TAIL_BYTES];
    make_tail(codec, kind, id, tail);
    uint64_t head = (uint64_t)id << 1;
    ret_limbs[0] = (uint32_t)(head >> 32);
    ret_limbs[1] = (uint32_t)head;
    for (int index = 0; index < 3; index++) {
        ret_limbs[2 + index] = load_big32(tail + (size_t)index * 4);
    }
}

size_t id_format(const struct id_codec *codec, enum id_kind kind, int64_t id,
                 char ret_text[ID_TEXT_MAX])
{
    PH_ASSERT((unsigned)kind < ID_KIND_COUNT && id >= 0);
    uint32_t limbs[KSUID_LIMBS];
    make_limbs(codec, kind, id, limbs);
    size_t length = prefixes[kind].length;
    memcpy(ret_text, prefixes[kind].text, length);
    char *ksuid = ret_text + length;
    ksuid_write(limbs, ksuid);
    ksuid[ID_KSUID_LENGTH] = '\0';
    return length + ID_KSUID_LENGTH;
}

bool id_parse(const struct id_codec *codec, enum id_kind kind, struct slice text, int64_t *ret_id)
{
    PH_ASSERT((unsigned)kind < ID_KIND_COUNT);
    size_t prefix = prefixes[kind].length;
    uint32_t limbs[KSUID_LIMBS];
    if (text.len != prefix + ID_KSUID_LENGTH ||
        memcmp(text.ptr, prefixes[kind].text, prefix) != 0 ||
        !ksuid_read(text.ptr + prefix, limbs)) {
        return false;
    }
    uint64_t head = (uint64_t)limbs[0] << 32 | limbs[1];
    if ((head & 1) != 0) {
        return false;
    }
    int64_t id = (int64_t)(head >> 1);
    uint32_t expected[KSUID_LIMBS];
    make_limbs(codec, kind, id, expected);
    if (memcmp(limbs, expected, sizeof limbs) != 0) {
        return false;
    }
    *ret_id = id;
    return true;
}

void id_clock_init(struct id_clock *clock, unsigned node, int64_t last)
{
    PH_ASSERT(node <= ID_NODE_MAX && last >= 0);
    *clock = (struct id_clock){.last = last, .node = node};
}

/* The 40 time bits with all lower bits zero, of the tick after that of `id`. */
static int64_t next_tick(int64_t id)
{
    int64_t time = id >> TICK_SHIFT;
    int64_t seconds = time >> 8;
    int64_t tick = (time & 0xff) + 1;
    if (tick >= TICKS_PER_S) {
        tick = 0;
        seconds++;
    }
    PH_ASSERT(seconds <= SECONDS_MAX);
    return (seconds << 8 | tick) << TICK_SHIFT;
}

int64_t id_next(struct id_clock *clock, int64_t wall_us)
{
    int64_t node_bits = (int64_t)clock->node << NODE_SHIFT;
    int64_t id = id_floor(wall_us) | node_bits;
    if (id <= clock->last) {
        int64_t last_node = clock->last >> NODE_SHIFT & ID_NODE_MAX;
        bool is_full = (clock->last & COUNTER_MASK) == COUNTER_MASK;
        if (last_node == (int64_t)clock->node && !is_full) {
            id = clock->last + 1;
        } else if (last_node < (int64_t)clock->node) {
            id = (clock->last >> TICK_SHIFT << TICK_SHIFT) | node_bits;
        } else {
            id = next_tick(clock->last) | node_bits;
        }
    }
    PH_ASSERT(id > clock->last);
    clock->last = id;
    return id;
}

int64_t id_floor(int64_t wall_us)
{
    if (wall_us < ID_EPOCH_S * 1000000) {
        return 0;
    }
    int64_t since_us = wall_us - ID_EPOCH_S * 1000000;
    int64_t seconds = since_us / 1000000;
    if (seconds > SECONDS_MAX) {
        return INT64_MAX;
    }
    int64_t tick = since_us % 1000000 / ID_TICK_US;
    return (seconds << 8 | tick) << TICK_SHIFT;
}

int64_t id_time_us(int64_t id)
{
    int64_t time = id >> TICK_SHIFT;
    return (ID_EPOCH_S + (time >> 8)) * 1000000 + (time & 0xff) * ID_TICK_US;
}
