/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/dbt/id.h"

#include <openssl/evp.h>

#include "base/clock.h"
#include "base/siphash.h"
#include "core/ksuid.h"

#define PREFIX_LENGTH 4
#define BLOCK_BYTES 16 /* of AES, and of two ids */

static const struct {
    const char *prefix;
    enum id_kind kind; /* whose number it is */
} kinds[] = {
    [DBT_ID_ACCOUNT] = {"act_", ID_APPLICATION},
    [DBT_ID_SUBSCRIPTION] = {"wsu_", ID_ENDPOINT},
    [DBT_ID_RECEIPT] = {"wrc_", ID_ATTEMPT},
};
_Static_assert(PH_ARRAY_LENGTH(kinds) == DBT_ID_KIND_COUNT, "one row each");

void dbt_id_format(const struct id_codec *codec, enum dbt_id_kind kind, int64_t id,
                   char ret_text[DBT_ID_TEXT_MAX])
{
    char core_text[ID_TEXT_MAX];
    size_t length = id_format(codec, kinds[kind].kind, id, core_text);
    memcpy(ret_text, kinds[kind].prefix, PREFIX_LENGTH);
    memcpy(ret_text + PREFIX_LENGTH, core_text + length - KSUID_LENGTH, KSUID_LENGTH + 1);
}

bool dbt_id_parse(const struct id_codec *codec, enum dbt_id_kind kind, struct slice text,
                  int64_t *ret_id)
{
    if (text.len != PREFIX_LENGTH + KSUID_LENGTH || !slice_starts_with(text, kinds[kind].prefix)) {
        return false;
    }
    char core_text[ID_TEXT_MAX];
    const char *prefix = id_prefix(kinds[kind].kind);
    size_t length = strlen(prefix);
    memcpy(core_text, prefix, length);
    memcpy(core_text + length, text.ptr + PREFIX_LENGTH, KSUID_LENGTH);
    return id_parse(codec, kinds[kind].kind, (struct slice){core_text, length + KSUID_LENGTH},
                    ret_id);
}

/* --- events ----------------------------------------------------------------------------------- */

/* One block under the key of events, either way. */
static void turn(const struct id_codec *codec, bool encrypts, uint8_t block[BLOCK_BYTES])
{
    static const char label[] = "dbt event";
    uint8_t key[BLOCK_BYTES];
    uint8_t result[2 * BLOCK_BYTES];
    int length = 0;
    siphash128(codec->key, label, sizeof label, key);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    PH_ASSERT(context != NULL);
    PH_ASSERT(EVP_CipherInit_ex(context, EVP_aes_128_ecb(), NULL, key, NULL, encrypts) == 1);
    PH_ASSERT(EVP_CIPHER_CTX_set_padding(context, 0) == 1);
    PH_ASSERT(EVP_CipherUpdate(context, result, &length, block, BLOCK_BYTES) == 1);
    PH_ASSERT(length == BLOCK_BYTES);
    EVP_CIPHER_CTX_free(context);
    memcpy(block, result, BLOCK_BYTES);
}

static void store_big64(uint64_t number, uint8_t *bytes)
{
    for (int index = 0; index < 8; index++) {
        bytes[index] = (uint8_t)(number >> (56 - 8 * index));
    }
}

static uint64_t load_big64(const uint8_t *bytes)
{
    uint64_t number = 0;
    for (int index = 0; index < 8; index++) {
        number = number << 8 | bytes[index];
    }
    return number;
}

static uint32_t seconds_of(int64_t message_id)
{
    return (uint32_t)(id_time_us(message_id) / CLOCK_US_PER_S - ID_EPOCH_S);
}

void dbt_event_id_format(const struct id_codec *codec, int64_t message_id, int64_t endpoint_id,
                         char ret_text[DBT_ID_TEXT_MAX])
{
    uint8_t block[BLOCK_BYTES];
    uint32_t limbs[KSUID_LIMBS];
    store_big64((uint64_t)message_id, block);
    store_big64((uint64_t)endpoint_id, block + 8);
    turn(codec, true, block);
    limbs[0] = seconds_of(message_id);
    for (size_t index = 1; index < KSUID_LIMBS; index += 2) {
        uint64_t half = load_big64(block + 4 * (index - 1));
        limbs[index] = (uint32_t)(half >> 32);
        limbs[index + 1] = (uint32_t)half;
    }
    memcpy(ret_text, "wev_", PREFIX_LENGTH);
    ksuid_write(limbs, ret_text + PREFIX_LENGTH);
    ret_text[PREFIX_LENGTH + KSUID_LENGTH] = '\0';
}

bool dbt_event_id_parse(const struct id_codec *codec, struct slice text, int64_t *ret_message_id,
                        int64_t *ret_endpoint_id)
{
    uint8_t block[BLOCK_BYTES];
    uint32_t limbs[KSUID_LIMBS];
    if (text.len != PREFIX_LENGTH + KSUID_LENGTH || !slice_starts_with(text, "wev_") ||
        !ksuid_read(text.ptr + PREFIX_LENGTH, limbs)) {
        return false;
    }
    store_big64((uint64_t)limbs[1] << 32 | limbs[2], block);
    store_big64((uint64_t)limbs[3] << 32 | limbs[4], block + 8);
    turn(codec, false, block);
    int64_t message_id = (int64_t)load_big64(block);
    int64_t endpoint_id = (int64_t)load_big64(block + 8);
    if (message_id <= 0 || endpoint_id <= 0 || seconds_of(message_id) != limbs[0]) {
        return false;
    }
    *ret_message_id = message_id;
    *ret_endpoint_id = endpoint_id;
    return true;
}

void dbt_timestamp_format(int64_t message_id, char ret_text[DBT_TIMESTAMP_MAX])
{
    char text[CLOCK_TEXT_MAX];
    int64_t wall_us = id_time_us(message_id);
    /* The id's counter tells messages of one tick apart; 2^16 steps of 61 ns are less than it. */
    int64_t nanoseconds = wall_us % CLOCK_US_PER_S * 1000 + (message_id & 0xffff) * 61;
    clock_format(wall_us - wall_us % CLOCK_US_PER_S, text);
    (void)snprintf(ret_text, DBT_TIMESTAMP_MAX, "%.19s.%09lldZ", text, (long long)nanoseconds);
}
