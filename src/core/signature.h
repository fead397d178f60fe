/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing keys and signatures of Standard Webhooks 1.0.0: `v1` is HMAC-SHA256, `v1a` is Ed25519,
 * both over "{id}.{timestamp}.{body}".
 *
 * Concurrency: a signing_key does not change after it was made; any number of threads may sign and
 * verify with it at the same time. Its maker frees it. The secret is wiped when freed.
 */
#ifndef PH_CORE_SIGNATURE_H
#define PH_CORE_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/secret.h"

/* Stored in the database: append only, never renumber. */
enum signature_scheme {
    SIGNATURE_HMAC_SHA256 = 0, /* whsec_, v1 */
    SIGNATURE_ED25519 = 1,     /* whsk_, v1a */
    SIGNATURE_SCHEME_COUNT
};

#define SIGNING_KEY_RANDOM_BYTES 32 /* what signing_key_generate takes */
#define SIGNING_KEY_HMAC_MIN 24
#define SIGNING_KEY_HMAC_MAX 75
#define SIGNING_KEY_ED25519_BYTES 64 /* seed, then public key */
#define SIGNATURE_TOLERANCE_S 300    /* of the reference libraries, inclusive */

struct signing_key;

/* From text: `whsec_` and base64 of 24..75 bytes, or `whsk_` and base64 of 64 bytes whose public
 * half belongs to the seed (svix-api spec section 7). PH_INVALID naming `field`. */
PH_NODISCARD enum ph_error signing_key_parse(struct slice text, const char *field,
                                             struct diag *diag, struct signing_key **ret_key);
/* As signing_key_parse, and also what only verifies: `whpk_` and base64 of 32 bytes, and a
 * symmetric secret without its prefix and of any length above 0, as the reference libraries do. */
PH_NODISCARD enum ph_error signing_key_parse_verifier(struct slice text, const char *field,
                                                      struct diag *diag,
                                                      struct signing_key **ret_key);
/* From what signing_key_bytes gave (the store's row). PH_INVALID when it is not a key. */
PH_NODISCARD enum ph_error signing_key_from_bytes(enum signature_scheme scheme, struct slice bytes,
                                                  struct diag *diag, struct signing_key **ret_key);
/* A new key from random bytes fit for keys: 24 of them for HMAC, all 32 as the Ed25519 seed. */
PH_NODISCARD struct signing_key *
signing_key_generate(enum signature_scheme scheme, const uint8_t entropy[SIGNING_KEY_RANDOM_BYTES]);
void signing_key_free(struct signing_key *key); /* NULL is fine */

enum signature_scheme signing_key_scheme(const struct signing_key *key);
/* The raw secret for the store; valid as long as the key. Empty for a `whpk_` verifier. */
struct slice signing_key_bytes(const struct signing_key *key);
/* Appends the secret text form (`whsec_…`, `whsk_…`). Not for a verifier from `whpk_`. */
void signing_key_append_text(const struct signing_key *key, struct buf *text);
/* Appends the form that receivers get: `whsec_…` (the same secret), or the public `whpk_…`. */
void signing_key_append_public(const struct signing_key *key, struct buf *text);

/* What is signed. `id` has no full stop. */
struct signature_content {
    struct slice id;
    int64_t timestamp_s; /* seconds since 1970 of this attempt */
    struct slice body;   /* exactly the bytes sent */
};

/* Appends one signature, "v1,…" or "v1a,…". Signatures of several keys stand in one header with a
 * space between, which the caller puts. */
void signing_key_sign(const struct signing_key *key, const struct signature_content *content,
                      struct buf *text);

/* HMAC of any length of key over any text, for the other ways of signing. `hash_bits` 256, 384 or
 * 512; writes hash_bits / 8 bytes. */
void signature_hmac(unsigned hash_bits, struct slice key, struct slice text, uint8_t *ret_mac);

/* What a receiver got: the three headers as text (SLICE_NONE = missing) and the raw body. */
struct signature_received {
    struct slice id;
    struct slice timestamp;
    struct slice signatures;
    struct slice body;
};

/* PH_OK when any signature of the list was made with any of `keys` and the timestamp is at most
 * `tolerance_s` from `now_s`, either way. Unknown versions are skipped. PH_UNAUTHORIZED with the
 * reason otherwise, in the order of the reference libraries (headers, timestamp, signature). */
PH_NODISCARD enum ph_error signature_verify(const struct signing_key *const *keys, size_t key_count,
                                            const struct signature_received *received,
                                            int64_t now_s, int64_t tolerance_s, struct diag *diag);

#endif
