/* SPDX-License-Identifier: Apache-2.0 */
#include "core/seal.h"

#include <endian.h>
#include <limits.h>

#include <openssl/evp.h>

#include "core/base64.h"
#include "core/hex.h"
#include "core/signature.h"

#define VERSION 1
#define HEAD_BYTES 9 /* version and key id */
#define TAG_BYTES 16

static const char master_id_text[] = "posthorn master key";

/* 32 characters of text are a word or a shorter key, not what they are taken for: of random bytes
 * one in 10^13 looks like that. */
static bool is_printable(struct slice content)
{
    for (size_t index = 0; index < content.len; index++) {
        if (content.ptr[index] < ' ' || content.ptr[index] > '~') {
            return false;
        }
    }
    return true;
}

enum ph_error seal_key_parse(struct slice content, struct diag *diag,
                             uint8_t ret_bytes[SEAL_KEY_BYTES])
{
    uint8_t bytes[SEAL_KEY_BYTES];
    size_t length = 0;
    struct slice text = slice_trim(content);
    if (content.len == SEAL_KEY_BYTES && !is_printable(content)) {
        memcpy(ret_bytes, content.ptr, SEAL_KEY_BYTES);
        return PH_OK;
    }
    bool is_key = hex_decode(text, bytes, sizeof bytes, &length) && length == SEAL_KEY_BYTES;
    if (!is_key) {
        is_key = base64_decode(text, bytes, sizeof bytes, &length) && length == SEAL_KEY_BYTES;
    }
    if (is_key) {
        memcpy(ret_bytes, bytes, SEAL_KEY_BYTES);
    }
    secret_wipe(bytes, sizeof bytes);
    if (!is_key) {
        return diag_set(
            diag, PH_INVALID, NULL,
            "a master key is 32 random bytes, or their hexadecimal or base64 text; this has "
            "%zu bytes and is none of them",
            content.len);
    }
    return PH_OK;
}

void seal_master_id(const struct seal_key *master, uint8_t ret_id[SEAL_MASTER_ID_BYTES])
{
    uint8_t mac[32];
    signature_hmac(256, (struct slice){(const char *)master->bytes, SEAL_KEY_BYTES},
                   slice_of(master_id_text), mac);
    memcpy(ret_id, mac, SEAL_MASTER_ID_BYTES);
    secret_wipe(mac, sizeof mac);
}

/* --- one value ----------------------------------------------------------------------------------
 */

static void add_associated(EVP_CIPHER_CTX *context, bool seals, const void *bytes, size_t length)
{
    int ignored;
    PH_ASSERT(length <= INT_MAX);
    int code = seals ? EVP_EncryptUpdate(context, NULL, &ignored, bytes, (int)length)
                     : EVP_DecryptUpdate(context, NULL, &ignored, bytes, (int)length);
    PH_ASSERT(code == 1);
}

/* Names end with their NUL and numbers have a fixed size, so that no two places look alike. */
static void add_place(EVP_CIPHER_CTX *context, bool seals, const uint8_t head[HEAD_BYTES],
                      const struct seal_place *place)
{
    const uint64_t numbers[2] = {htobe64((uint64_t)place->row), htobe64((uint64_t)place->owner)};
    add_associated(context, seals, head, HEAD_BYTES);
    add_associated(context, seals, place->table, strlen(place->table) + 1);
    add_associated(context, seals, place->column, strlen(place->column) + 1);
    add_associated(context, seals, numbers, sizeof numbers);
    if (place->key.len > 0) {
        add_associated(context, seals, place->key.ptr, place->key.len);
    }
}

static EVP_CIPHER_CTX *begin(bool seals, const struct seal_key *key, const uint8_t *nonce)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    PH_ASSERT(context != NULL);
    int code = EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, key->bytes, nonce, seals);
    PH_ASSERT(code == 1);
    return context;
}

void seal_append(const struct seal_key *key, const uint8_t nonce[SEAL_NONCE_BYTES],
                 const struct seal_place *place, struct slice plain, struct buf *sealed)
{
    PH_ASSERT(plain.len <= INT_MAX && key->id >= 0);
    char *target = buf_reserve(sealed, plain.len + SEAL_OVERHEAD_BYTES);
    if (target == NULL) {
        return; /* sealed->failed */
    }
    uint8_t *bytes = (uint8_t *)target;
    const uint64_t id = htobe64((uint64_t)key->id);
    bytes[0] = VERSION;
    memcpy(bytes + 1, &id, sizeof id);
    memcpy(bytes + HEAD_BYTES, nonce, SEAL_NONCE_BYTES);
    uint8_t *text = bytes + HEAD_BYTES + SEAL_NONCE_BYTES;
    EVP_CIPHER_CTX *context = begin(true, key, nonce);
    add_place(context, true, bytes, place);
    int length = 0;
    int rest = 0;
    bool is_done =
        (plain.len == 0 || EVP_EncryptUpdate(context, text, &length, (const uint8_t *)plain.ptr,
                                             (int)plain.len) == 1) &&
        EVP_EncryptFinal_ex(context, text + length, &rest) == 1 &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, text + plain.len) == 1;
    EVP_CIPHER_CTX_free(context);
    PH_ASSERT(is_done && (size_t)length + (size_t)rest == plain.len);
    buf_commit(sealed, plain.len + SEAL_OVERHEAD_BYTES);
}

bool seal_key_id(struct slice sealed, int64_t *ret_id)
{
    if (sealed.len < SEAL_OVERHEAD_BYTES || sealed.ptr[0] != VERSION) {
        return false;
    }
    uint64_t id;
    memcpy(&id, sealed.ptr + 1, sizeof id);
    *ret_id = (int64_t)be64toh(id);
    return true;
}

enum ph_error seal_open(const struct seal_key *key, const struct seal_place *place,
                        struct slice sealed, struct diag *diag, struct secret *ret_plain)
{
    int64_t id;
    if (!seal_key_id(sealed, &id) || id != key->id || sealed.len > INT_MAX) {
        return diag_set(diag, PH_INVALID, NULL, "the value is not sealed with this key");
    }
    const uint8_t *bytes = (const uint8_t *)sealed.ptr;
    const uint8_t *text = bytes + HEAD_BYTES + SEAL_NONCE_BYTES;
    size_t size = sealed.len - SEAL_OVERHEAD_BYTES;
    uint8_t tag[TAG_BYTES];
    memcpy(tag, text + size, sizeof tag);
    /* One byte more, so that an empty value has memory too. */
    uint8_t *plain = ph_malloc(size + 1);
    EVP_CIPHER_CTX *context = begin(false, key, bytes + HEAD_BYTES);
    add_place(context, false, bytes, place);
    int length = 0;
    int rest = 0;
    bool is_good =
        (size == 0 || EVP_DecryptUpdate(context, plain, &length, text, (int)size) == 1) &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) == 1 &&
        EVP_DecryptFinal_ex(context, plain + length, &rest) == 1;
    EVP_CIPHER_CTX_free(context);
    if (!is_good) {
        secret_wipe(plain, size);
        free(plain);
        return diag_set(diag, PH_INVALID, NULL,
                        "the value was not sealed for this place, or was changed");
    }
    *ret_plain = (struct secret){plain, size};
    return PH_OK;
}
