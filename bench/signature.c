/* SPDX-License-Identifier: Apache-2.0 */
#include "signature.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES_MAX = 96, MAC_BYTES = 32, MAC_TEXT_BYTES = 44 };

struct signature_verifier {
    EVP_MAC *mac;
    EVP_MAC_CTX *context;
    unsigned char key[KEY_BYTES_MAX];
    size_t key_bytes;
};

static bool decode_key(struct signature_verifier *verifier, const char *secret)
{
    static const char prefix[] = "whsec_";
    if (strncmp(secret, prefix, sizeof prefix - 1) != 0) {
        return false;
    }
    const char *text = secret + sizeof prefix - 1;
    const size_t text_bytes = strlen(text);
    if (text_bytes == 0 || text_bytes % 4 != 0 || text_bytes / 4 * 3 > KEY_BYTES_MAX) {
        return false;
    }
    const int decoded =
        EVP_DecodeBlock(verifier->key, (const unsigned char *)text, (int)text_bytes);
    if (decoded < 0) {
        return false;
    }
    /* EVP_DecodeBlock() counts the padding as bytes. */
    verifier->key_bytes = (size_t)decoded - (text[text_bytes - 1] == '=' ? 1U : 0U) -
                          (text[text_bytes - 2] == '=' ? 1U : 0U);
    return true;
}

struct signature_verifier *signature_verifier_new(const char *secret)
{
    struct signature_verifier *verifier = calloc(1, sizeof *verifier);
    if (verifier == NULL) {
        return NULL;
    }
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0),
                                 OSSL_PARAM_construct_end()};
    verifier->mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    verifier->context = verifier->mac == NULL ? NULL : EVP_MAC_CTX_new(verifier->mac);
    if (verifier->context == NULL || !decode_key(verifier, secret) ||
        EVP_MAC_CTX_set_params(verifier->context, params) != 1) {
        signature_verifier_free(verifier);
        return NULL;
    }
    return verifier;
}

void signature_verifier_free(struct signature_verifier *verifier)
{
    if (verifier == NULL) {
        return;
    }
    EVP_MAC_CTX_free(verifier->context);
    EVP_MAC_free(verifier->mac);
    OPENSSL_cleanse(verifier->key, sizeof verifier->key);
    free(verifier);
}

static bool add(EVP_MAC_CTX *context, const char *data, size_t bytes)
{
    return EVP_MAC_update(context, (const unsigned char *)data, bytes) == 1;
}

bool signature_is_good(struct signature_verifier *verifier, const struct http_message *message)
{
    const struct http_slice id = message->field[HTTP_ID];
    const struct http_slice timestamp = message->field[HTTP_TIMESTAMP];
    const struct http_slice given = message->field[HTTP_SIGNATURE];
    unsigned char mac[MAC_BYTES];
    unsigned char text[MAC_TEXT_BYTES + 1];
    size_t mac_bytes = 0;
    if (id.data == NULL || timestamp.data == NULL || given.data == NULL) {
        return false;
    }
    EVP_MAC_CTX *context = verifier->context;
    if (EVP_MAC_init(context, verifier->key, verifier->key_bytes, NULL) != 1 ||
        !add(context, id.data, id.bytes) || !add(context, ".", 1) ||
        !add(context, timestamp.data, timestamp.bytes) || !add(context, ".", 1) ||
        !add(context, message->body.data, message->body.bytes) ||
        EVP_MAC_final(context, mac, &mac_bytes, sizeof mac) != 1) {
        return false;
    }
    EVP_EncodeBlock(text, mac, (int)mac_bytes);
    const char *at = given.data;
    const char *end = given.data + given.bytes;
    while (at < end) {
        const char *space = memchr(at, ' ', (size_t)(end - at));
        const char *stop = space == NULL ? end : space;
        if (stop - at == 3 + MAC_TEXT_BYTES && memcmp(at, "v1,", 3) == 0 &&
            CRYPTO_memcmp(at + 3, text, MAC_TEXT_BYTES) == 0) {
            return true;
        }
        at = stop + 1;
    }
    return false;
}
