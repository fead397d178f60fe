/* SPDX-License-Identifier: Apache-2.0 */
#include "core/password_hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/buf.h"
#include "core/base64.h"

#define HASH_BYTES 32
#define COST_BITS 14
#define BLOCK_SIZE 8
#define PARALLELISM 5
/* What a stored text may ask for: the store is ours, a text out of it is still not trusted. */
#define COST_BITS_MAX 20
#define BLOCK_SIZE_MAX 32
#define PARALLELISM_MAX 16
#define MEMORY_MAX_BYTES ((uint64_t)64 * 1024 * 1024)
#define PREFIX "$scrypt$"

struct parameters {
    unsigned cost_bits;
    unsigned block_size;
    unsigned parallelism;
    uint8_t salt[PASSWORD_SALT_BYTES];
};

static bool derive(struct slice password, const struct parameters *parameters,
                   uint8_t ret_hash[HASH_BYTES])
{
    return EVP_PBE_scrypt(password.len == 0 ? "" : password.ptr, password.len, parameters->salt,
                          sizeof parameters->salt, UINT64_C(1) << parameters->cost_bits,
                          parameters->block_size, parameters->parallelism, MEMORY_MAX_BYTES,
                          ret_hash, HASH_BYTES) == 1;
}

enum ph_error password_hash(struct slice password, const uint8_t salt[PASSWORD_SALT_BYTES],
                            struct diag *diag, char ret_text[PASSWORD_TEXT_MAX])
{
    uint8_t hash[HASH_BYTES];
    BUF_AUTO struct buf text;
    struct parameters parameters = {COST_BITS, BLOCK_SIZE, PARALLELISM, {0}};
    memcpy(parameters.salt, salt, sizeof parameters.salt);
    if (!derive(password, &parameters, hash)) {
        return diag_set(diag, PH_NO_MEMORY, NULL, "a password could not be hashed");
    }
    buf_init(&text, PASSWORD_TEXT_MAX - 1);
    buf_append_format(&text, PREFIX "ln=%d,r=%d,p=%d$", COST_BITS, BLOCK_SIZE, PARALLELISM);
    base64url_append(&text, salt, PASSWORD_SALT_BYTES);
    buf_append_byte(&text, '$');
    base64url_append(&text, hash, sizeof hash);
    PH_ASSERT(!text.failed);
    (void)snprintf(ret_text, PASSWORD_TEXT_MAX, "%s", buf_text(&text));
    OPENSSL_cleanse(hash, sizeof hash);
    return PH_OK;
}

/* The number behind `name=`. */
static bool read_parameter(struct slice *rest, const char *name, unsigned maximum,
                           unsigned *ret_value)
{
    struct slice part;
    int64_t value;
    size_t length = strlen(name);
    if (!slice_next(rest, ',', &part) || !slice_starts_with(part, name) ||
        !slice_to_int64((struct slice){part.ptr + length, part.len - length}, &value) ||
        value < 1 || value > (int64_t)maximum) {
        return false;
    }
    *ret_value = (unsigned)value;
    return true;
}

static bool read_text(struct slice stored, struct parameters *ret_parameters,
                      uint8_t ret_hash[HASH_BYTES])
{
    struct slice parts[5];
    size_t count = 0;
    size_t length;
    struct slice rest = stored;
    while (count < PH_ARRAY_LENGTH(parts) && slice_next(&rest, '$', &parts[count])) {
        count++;
    }
    return count == PH_ARRAY_LENGTH(parts) && rest.ptr == NULL && parts[0].len == 0 &&
           slice_equal_text(parts[1], "scrypt") &&
           read_parameter(&parts[2], "ln=", COST_BITS_MAX, &ret_parameters->cost_bits) &&
           read_parameter(&parts[2], "r=", BLOCK_SIZE_MAX, &ret_parameters->block_size) &&
           read_parameter(&parts[2], "p=", PARALLELISM_MAX, &ret_parameters->parallelism) &&
           parts[2].ptr == NULL &&
           base64url_decode(parts[3], ret_parameters->salt, PASSWORD_SALT_BYTES, &length) &&
           length == PASSWORD_SALT_BYTES &&
           base64url_decode(parts[4], ret_hash, HASH_BYTES, &length) && length == HASH_BYTES;
}

bool password_matches(struct slice password, struct slice stored)
{
    uint8_t expected[HASH_BYTES] = {0};
    uint8_t hash[HASH_BYTES];
    struct parameters parameters;
    bool is_ours = read_text(stored, &parameters, expected);
    if (!is_ours) {
        parameters = (struct parameters){COST_BITS, BLOCK_SIZE, PARALLELISM, {0}};
    }
    bool is_equal =
        derive(password, &parameters, hash) && CRYPTO_memcmp(hash, expected, sizeof hash) == 0;
    OPENSSL_cleanse(hash, sizeof hash);
    return is_ours && is_equal;
}
