/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing values at rest: AES-256-GCM (NIST SP 800-38D) with random nonces of 96 bits.
 *
 *   sealed value = version 1 | key id (8, big endian) | nonce (12) | ciphertext | tag (16)
 *
 * The tag also covers the version, the key id and the place where the value is kept, so that a
 * sealed value opens nowhere else. Key id 0 is the master key, which seals data keys only; data
 * keys have ids from 1. With random nonces a key must not seal more than 2^32 values; SEAL_USES_MAX
 * stays well below.
 *
 * Pure; any thread.
 */
#ifndef PH_CORE_SEAL_H
#define PH_CORE_SEAL_H

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/secret.h"

#define SEAL_KEY_BYTES 32
#define SEAL_NONCE_BYTES 12
#define SEAL_MASTER_ID_BYTES 8
/* What a sealed value is longer than its plain form. */
#define SEAL_OVERHEAD_BYTES (1 + 8 + SEAL_NONCE_BYTES + 16)
#define SEAL_USES_MAX (INT64_C(1) << 30)

struct seal_key {
    int64_t id; /* 0 = a master key */
    uint8_t bytes[SEAL_KEY_BYTES];
};

/* Where a value is kept. What does not apply is 0 or SLICE_NONE. */
struct seal_place {
    const char *table;
    const char *column;
    int64_t row;
    int64_t owner;    /* what the row must belong to */
    struct slice key; /* the rest of a key of several columns */
};

/* A key from the content of a file: 32 raw bytes, or their hexadecimal or base64 text with white
 * space around it. 32 characters of plain text are refused. PH_INVALID. */
PH_NODISCARD enum ph_error seal_key_parse(struct slice content, struct diag *diag,
                                          uint8_t ret_bytes[SEAL_KEY_BYTES]);
/* Tells master keys apart and does not give them away: HMAC-SHA256 of a fixed text, cut short. */
void seal_master_id(const struct seal_key *master, uint8_t ret_id[SEAL_MASTER_ID_BYTES]);

/* Appends the sealed value. `nonce` is random, fresh for each value. */
void seal_append(const struct seal_key *key, const uint8_t nonce[SEAL_NONCE_BYTES],
                 const struct seal_place *place, struct slice plain, struct buf *sealed);
/* The id of the key that sealed a value. False when it is no sealed value of this version. */
PH_NODISCARD bool seal_key_id(struct slice sealed, int64_t *ret_id);
/* PH_INVALID when the value was not sealed with this key for this place, or was changed. */
PH_NODISCARD enum ph_error seal_open(const struct seal_key *key, const struct seal_place *place,
                                     struct slice sealed, struct diag *diag,
                                     struct secret *ret_plain);

#endif
