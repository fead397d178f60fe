/* SPDX-License-Identifier: Apache-2.0 */
#include "core/signature.h"

#include <limits.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>

#include "core/base64.h"

#define PUBLIC_BYTES 32
#define SEED_BYTES 32
#define ED25519_SIGNATURE_BYTES 64
#define MAC_BYTES 32
#define HMAC_GENERATED_BYTES 24
#define MIDDLE_MAX 24 /* two full stops and any int64 */

struct signing_key {
    enum signature_scheme scheme;
    struct secret secret; /* empty when only the public key is known */
    EVP_MAC_CTX *mac;     /* HMAC with the key absorbed; duplicated for each use, never used */
    EVP_PKEY *pair;       /* Ed25519: both halves, or the public one */
    uint8_t public[PUBLIC_BYTES];
};

/* OpenSSL fails here only without memory or without its own algorithms: nothing to go on with. */
static void *must(void *object)
{
    PH_ASSERT(object != NULL);
    return object;
}

static void prepare_hmac(struct signing_key *key)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *mac = must(EVP_MAC_fetch(NULL, "HMAC", NULL));
    key->mac = must(EVP_MAC_CTX_new(mac));
    PH_ASSERT(EVP_MAC_init(key->mac, key->secret.bytes, key->secret.length, params) == 1);
    EVP_MAC_free(mac);
}

static struct signing_key *new_hmac(const void *bytes, size_t length)
{
    struct signing_key *key = ph_calloc(1, sizeof *key);
    key->scheme = SIGNATURE_HMAC_SHA256;
    key->secret = secret_new(bytes, length);
    prepare_hmac(key);
    return key;
}

/* From a 32-byte seed; the public half is computed. */
static struct signing_key *new_ed25519(const uint8_t seed[SEED_BYTES])
{
    uint8_t both[SIGNING_KEY_ED25519_BYTES];
    size_t length = PUBLIC_BYTES;
    struct signing_key *key = ph_calloc(1, sizeof *key);
    key->scheme = SIGNATURE_ED25519;
    key->pair = must(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, SEED_BYTES));
    PH_ASSERT(EVP_PKEY_get_raw_public_key(key->pair, key->public, &length) == 1);
    memcpy(both, seed, SEED_BYTES);
    memcpy(both + SEED_BYTES, key->public, PUBLIC_BYTES);
    key->secret = secret_new(both, sizeof both);
    secret_wipe(both, sizeof both);
    return key;
}

enum ph_error signing_key_from_bytes(enum signature_scheme scheme, struct slice bytes,
                                     struct diag *diag, struct signing_key **ret_key)
{
    if (scheme == SIGNATURE_HMAC_SHA256) {
        if (bytes.len < SIGNING_KEY_HMAC_MIN || bytes.len > SIGNING_KEY_HMAC_MAX) {
            return diag_set(diag, PH_INVALID, NULL, "a symmetric key has %d to %d bytes",
                            SIGNING_KEY_HMAC_MIN, SIGNING_KEY_HMAC_MAX);
        }
        *ret_key = new_hmac(bytes.ptr, bytes.len);
        return PH_OK;
    }
    if (scheme != SIGNATURE_ED25519 || bytes.len != SIGNING_KEY_ED25519_BYTES) {
        return diag_set(diag, PH_INVALID, NULL, "an ed25519 key has %d bytes, seed and public key",
                        SIGNING_KEY_ED25519_BYTES);
    }
    const uint8_t *both = (const uint8_t *)bytes.ptr;
    struct signing_key *key = new_ed25519(both);
    if (!secret_equal(key->public, both + SEED_BYTES, PUBLIC_BYTES)) {
        signing_key_free(key);
        return diag_set(diag, PH_INVALID, NULL,
                        "the public half of the ed25519 key does not belong to its seed");
    }
    *ret_key = key;
    return PH_OK;
}

enum ph_error signing_key_parse(struct slice text, const char *field, struct diag *diag,
                                struct signing_key **ret_key)
{
    uint8_t bytes[SIGNING_KEY_HMAC_MAX];
    size_t length;
    bool is_symmetric = slice_starts_with(text, "whsec_");
    if (!is_symmetric && !slice_starts_with(text, "whsk_")) {
        return diag_set(diag, PH_INVALID, field, "a secret starts with `whsec_` or `whsk_`");
    }
    size_t prefix = is_symmetric ? strlen("whsec_") : strlen("whsk_");
    struct slice encoded = {text.ptr + prefix, text.len - prefix};
    if (!base64_decode(encoded, bytes, sizeof bytes, &length)) {
        secret_wipe(bytes, sizeof bytes);
        return diag_set(diag, PH_INVALID, field,
                        "a secret has base64 of %d to %d bytes behind `whsec_`, of %d behind "
                        "`whsk_`",
                        SIGNING_KEY_HMAC_MIN, SIGNING_KEY_HMAC_MAX, SIGNING_KEY_ED25519_BYTES);
    }
    enum ph_error error =
        signing_key_from_bytes(is_symmetric ? SIGNATURE_HMAC_SHA256 : SIGNATURE_ED25519,
                               (struct slice){(const char *)bytes, length}, diag, ret_key);
    secret_wipe(bytes, sizeof bytes);
    if (error != PH_OK && diag != NULL) {
        (void)snprintf(diag->field, sizeof diag->field, "%s", field == NULL ? "" : field);
    }
    return error;
}

static enum ph_error parse_public(struct slice encoded, const char *field, struct diag *diag,
                                  struct signing_key **ret_key)
{
    uint8_t bytes[PUBLIC_BYTES];
    size_t length;
    EVP_PKEY *pair = NULL;
    if (base64_decode(encoded, bytes, sizeof bytes, &length) && length == sizeof bytes) {
        pair = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, bytes, sizeof bytes);
    }
    if (pair == NULL) {
        return diag_set(diag, PH_INVALID, field, "a public key has base64 of 32 bytes");
    }
    struct signing_key *key = ph_calloc(1, sizeof *key);
    key->scheme = SIGNATURE_ED25519;
    key->pair = pair;
    memcpy(key->public, bytes, sizeof bytes);
    *ret_key = key;
    return PH_OK;
}

enum ph_error signing_key_parse_verifier(struct slice text, const char *field, struct diag *diag,
                                         struct signing_key **ret_key)
{
    uint8_t bytes[256];
    size_t length;
    if (slice_starts_with(text, "whsk_")) {
        return signing_key_parse(text, field, diag, ret_key);
    }
    if (slice_starts_with(text, "whpk_")) {
        return parse_public((struct slice){text.ptr + 5, text.len - 5}, field, diag, ret_key);
    }
    if (slice_starts_with(text, "whsec_")) {
        text = (struct slice){text.ptr + 6, text.len - 6};
    }
    if (!base64_decode(text, bytes, sizeof bytes, &length) || length == 0) {
        secret_wipe(bytes, sizeof bytes);
        return diag_set(diag, PH_INVALID, field,
                        "a key is base64 text, with or without `whsec_`, or starts with `whsk_` "
                        "or `whpk_`");
    }
    *ret_key = new_hmac(bytes, length);
    secret_wipe(bytes, sizeof bytes);
    return PH_OK;
}

struct signing_key *signing_key_generate(enum signature_scheme scheme,
                                         const uint8_t entropy[SIGNING_KEY_RANDOM_BYTES])
{
    if (scheme == SIGNATURE_ED25519) {
        return new_ed25519(entropy);
    }
    PH_ASSERT(scheme == SIGNATURE_HMAC_SHA256);
    return new_hmac(entropy, HMAC_GENERATED_BYTES);
}

void signing_key_free(struct signing_key *key)
{
    if (key != NULL) {
        EVP_MAC_CTX_free(key->mac);
        EVP_PKEY_free(key->pair);
        secret_done(&key->secret);
        free(key);
    }
}

enum signature_scheme signing_key_scheme(const struct signing_key *key)
{
    return key->scheme;
}

struct slice signing_key_bytes(const struct signing_key *key)
{
    return (struct slice){(const char *)key->secret.bytes, key->secret.length};
}

void signing_key_append_text(const struct signing_key *key, struct buf *text)
{
    PH_ASSERT(key->secret.length > 0);
    buf_append_text(text, key->scheme == SIGNATURE_ED25519 ? "whsk_" : "whsec_");
    base64_append(text, key->secret.bytes, key->secret.length);
}

void signing_key_append_public(const struct signing_key *key, struct buf *text)
{
    if (key->scheme == SIGNATURE_HMAC_SHA256) {
        signing_key_append_text(key, text);
        return;
    }
    buf_append_text(text, "whpk_");
    base64_append(text, key->public, sizeof key->public);
}

/* ".{timestamp}." into `ret_text`; returns its length. */
static size_t format_middle(int64_t timestamp_s, char ret_text[MIDDLE_MAX])
{
    int length = snprintf(ret_text, MIDDLE_MAX, ".%lld.", (long long)timestamp_s);
    PH_ASSERT(length > 0 && length < MIDDLE_MAX);
    return (size_t)length;
}

static void absorb(EVP_MAC_CTX *mac, struct slice text)
{
    if (text.len > 0) {
        PH_ASSERT(EVP_MAC_update(mac, (const unsigned char *)text.ptr, text.len) == 1);
    }
}

static void compute_mac(const struct signing_key *key, const struct signature_content *content,
                        uint8_t ret_mac[MAC_BYTES])
{
    char middle[MIDDLE_MAX];
    size_t middle_length = format_middle(content->timestamp_s, middle);
    size_t length = 0;
    EVP_MAC_CTX *mac = must(EVP_MAC_CTX_dup(key->mac));
    absorb(mac, content->id);
    absorb(mac, (struct slice){middle, middle_length});
    absorb(mac, content->body);
    PH_ASSERT(EVP_MAC_final(mac, ret_mac, &length, MAC_BYTES) == 1 && length == MAC_BYTES);
    EVP_MAC_CTX_free(mac);
}

/* Ed25519 takes its text in one piece only. The caller frees. */
static char *join_content(const struct signature_content *content, size_t *ret_length)
{
    char middle[MIDDLE_MAX];
    size_t middle_length = format_middle(content->timestamp_s, middle);
    size_t length = content->id.len + middle_length + content->body.len;
    char *joined = ph_malloc(length);
    char *target = joined;
    if (content->id.len > 0) {
        memcpy(target, content->id.ptr, content->id.len);
        target += content->id.len;
    }
    memcpy(target, middle, middle_length);
    target += middle_length;
    if (content->body.len > 0) {
        memcpy(target, content->body.ptr, content->body.len);
    }
    *ret_length = length;
    return joined;
}

static void sign_ed25519(const struct signing_key *key, const struct signature_content *content,
                         uint8_t ret_signature[ED25519_SIGNATURE_BYTES])
{
    size_t joined_length;
    size_t length = ED25519_SIGNATURE_BYTES;
    PH_AUTO_FREE char *joined = join_content(content, &joined_length);
    EVP_MD_CTX *context = must(EVP_MD_CTX_new());
    PH_ASSERT(EVP_DigestSignInit(context, NULL, NULL, NULL, key->pair) == 1);
    PH_ASSERT(EVP_DigestSign(context, ret_signature, &length, (const unsigned char *)joined,
                             joined_length) == 1);
    EVP_MD_CTX_free(context);
}

static bool verify_ed25519(const struct signing_key *key, const struct signature_content *content,
                           const uint8_t signature[ED25519_SIGNATURE_BYTES])
{
    size_t joined_length;
    PH_AUTO_FREE char *joined = join_content(content, &joined_length);
    EVP_MD_CTX *context = must(EVP_MD_CTX_new());
    PH_ASSERT(EVP_DigestVerifyInit(context, NULL, NULL, NULL, key->pair) == 1);
    bool is_good = EVP_DigestVerify(context, signature, ED25519_SIGNATURE_BYTES,
                                    (const unsigned char *)joined, joined_length) == 1;
    EVP_MD_CTX_free(context);
    return is_good;
}

void signing_key_sign(const struct signing_key *key, const struct signature_content *content,
                      struct buf *text)
{
    uint8_t signature[ED25519_SIGNATURE_BYTES];
    if (key->scheme == SIGNATURE_HMAC_SHA256) {
        compute_mac(key, content, signature);
        buf_append_text(text, "v1,");
        base64_append(text, signature, MAC_BYTES);
        return;
    }
    PH_ASSERT(key->secret.length > 0);
    sign_ed25519(key, content, signature);
    buf_append_text(text, "v1a,");
    base64_append(text, signature, ED25519_SIGNATURE_BYTES);
}

void signature_hmac(unsigned hash_bits, struct slice key, struct slice text, uint8_t *ret_mac)
{
    const EVP_MD *digest = hash_bits == 512   ? EVP_sha512()
                           : hash_bits == 384 ? EVP_sha384()
                                              : EVP_sha256();
    unsigned length = 0;
    PH_ASSERT(hash_bits == 256 || hash_bits == 384 || hash_bits == 512);
    PH_ASSERT(key.len <= INT_MAX);
    /* A key without an address would mean "the key of the call before". */
    PH_ASSERT(HMAC(digest, key.len == 0 ? "" : key.ptr, (int)key.len,
                   (const unsigned char *)(text.len == 0 ? "" : text.ptr), text.len, ret_mac,
                   &length) != NULL);
    PH_ASSERT(length == hash_bits / 8);
}

/* Whether one entry of the header, such as "v1,…", was made with `key`. */
static bool entry_fits(struct slice entry, const struct signing_key *key,
                       const struct signature_content *content)
{
    uint8_t given[ED25519_SIGNATURE_BYTES];
    uint8_t expected[MAC_BYTES];
    size_t length;
    bool is_symmetric = key->scheme == SIGNATURE_HMAC_SHA256;
    const char *version = is_symmetric ? "v1," : "v1a,";
    if (!slice_starts_with(entry, version)) {
        return false;
    }
    size_t prefix = strlen(version);
    struct slice encoded = {entry.ptr + prefix, entry.len - prefix};
    if (!base64_decode(encoded, given, sizeof given, &length)) {
        return false;
    }
    if (!is_symmetric) {
        return length == ED25519_SIGNATURE_BYTES && verify_ed25519(key, content, given);
    }
    if (length != MAC_BYTES) {
        return false;
    }
    compute_mac(key, content, expected);
    return secret_equal(given, expected, MAC_BYTES);
}

enum ph_error signature_verify(const struct signing_key *const *keys, size_t key_count,
                               const struct signature_received *received, int64_t now_s,
                               int64_t tolerance_s, struct diag *diag)
{
    struct signature_content content = {.id = received->id, .body = received->body};
    struct slice rest = received->signatures;
    struct slice entry;
    int64_t age_s;
    if (received->id.len == 0 || received->timestamp.len == 0 || rest.len == 0) {
        return diag_set(diag, PH_UNAUTHORIZED, NULL,
                        "a header is missing: id, timestamp and signature are needed");
    }
    if (!slice_to_int64(received->timestamp, &content.timestamp_s) ||
        __builtin_sub_overflow(now_s, content.timestamp_s, &age_s)) {
        return diag_set(diag, PH_UNAUTHORIZED, NULL,
                        "the timestamp is not a number of seconds since 1970");
    }
    if (age_s > tolerance_s) {
        return diag_set(diag, PH_UNAUTHORIZED, NULL, "the timestamp is %lld seconds old",
                        (long long)age_s);
    }
    if (age_s < -tolerance_s) {
        return diag_set(diag, PH_UNAUTHORIZED, NULL, "the timestamp is ahead of the clock");
    }
    while (slice_next(&rest, ' ', &entry)) {
        for (size_t index = 0; index < key_count; index++) {
            if (entry_fits(entry, keys[index], &content)) {
                return PH_OK;
            }
        }
    }
    return diag_set(diag, PH_UNAUTHORIZED, NULL, "no signature fits");
}
