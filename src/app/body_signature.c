/* SPDX-License-Identifier: Apache-2.0 */
#include "app/body_signature.h"

#include "core/base64.h"
#include "core/hex.h"
#include "core/signature.h"

#define HMAC_BYTES 32

static bool ends_with(struct slice text, const char *end, size_t length)
{
    return text.len >= length && secret_equal(text.ptr + text.len - length, end, length);
}

bool body_signature_fits(struct slice key, struct slice body, struct slice signature)
{
    uint8_t mac[HMAC_BYTES];
    char hex[2 * HMAC_BYTES + 1];
    BUF_AUTO struct buf base64;
    buf_init(&base64, 128);
    signature_hmac(HMAC_BYTES * 8, key, body, mac);
    hex_encode(mac, sizeof mac, hex);
    base64_append(&base64, mac, sizeof mac);
    return ends_with(signature, hex, 2 * HMAC_BYTES) ||
           ends_with(signature, buf_text(&base64), base64.len);
}
