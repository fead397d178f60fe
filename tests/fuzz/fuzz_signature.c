/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and signatures as receivers get them. The input is five parts, each but the last ended by a
 * line break: key, id, timestamp, list of signatures, body.
 */
#include "core/signature.h"
#include "fuzz/fuzz.h"

#define NOW_S INT64_C(1767607872)
#define TEXT_MAX ((size_t)1024 * 1024)

/* The secret text is the one form of its bytes. */
static void check_key(struct slice text)
{
    struct signing_key *key;
    struct diag diag = {.error = PH_OK};
    BUF_AUTO struct buf written;
    buf_init(&written, TEXT_MAX);
    if (signing_key_parse(text, "secret", &diag, &key) == PH_OK) {
        signing_key_append_text(key, &written);
        PH_ASSERT(slice_equal(buf_slice(&written), text));
        signing_key_free(key);
    } else {
        PH_ASSERT(diag.error == PH_INVALID && strcmp(diag.field, "secret") == 0);
    }
}

static bool is_good(const struct signing_key *key, const struct signature_received *received)
{
    struct diag diag = {.error = PH_OK};
    enum ph_error error = signature_verify(&key, 1, received, NOW_S, SIGNATURE_TOLERANCE_S, &diag);
    PH_ASSERT(error == PH_OK || (error == PH_UNAUTHORIZED && diag.text[0] != '\0'));
    if (error == PH_OK) {
        int64_t timestamp_s;
        PH_ASSERT(received->id.len > 0);
        PH_ASSERT(slice_to_int64(received->timestamp, &timestamp_s));
        PH_ASSERT(timestamp_s >= NOW_S - SIGNATURE_TOLERANCE_S);
        PH_ASSERT(timestamp_s <= NOW_S + SIGNATURE_TOLERANCE_S);
    }
    return error == PH_OK;
}

/* A signature that the key made is found behind whatever else the list has; with a byte more in
 * the body it is not. */
static void check_own(const struct signing_key *key, const struct signature_received *received)
{
    struct signature_content content = {received->id, NOW_S, received->body};
    struct signature_received own = *received;
    BUF_AUTO struct buf list;
    BUF_AUTO struct buf body;
    buf_init(&list, TEXT_MAX);
    buf_init(&body, TEXT_MAX);
    buf_append_slice(&list, received->signatures);
    buf_append_byte(&list, ' ');
    signing_key_sign(key, &content, &list);
    buf_append_slice(&body, received->body);
    buf_append_byte(&body, '!');
    PH_ASSERT(!list.failed && !body.failed);
    own.timestamp = SLICE_LITERAL("1767607872");
    own.signatures = buf_slice(&list);
    PH_ASSERT(is_good(key, &own) == (own.id.len > 0));
    own.body = buf_slice(&body);
    PH_ASSERT(!is_good(key, &own));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = fuzz_text(data, size);
    struct slice key_text = fuzz_line(&rest);
    struct signature_received received = {.id = fuzz_line(&rest)};
    received.timestamp = fuzz_line(&rest);
    received.signatures = fuzz_line(&rest);
    received.body = rest;
    struct signing_key *key;
    if (size > TEXT_MAX / 2) {
        return 0;
    }
    check_key(key_text);
    if (signing_key_parse_verifier(key_text, "key", NULL, &key) != PH_OK) {
        return 0;
    }
    (void)is_good(key, &received);
    bool can_sign = signing_key_bytes(key).len > 0;
    if (can_sign && slice_find(received.id, '.') == received.id.len) {
        check_own(key, &received);
    }
    signing_key_free(key);
    return 0;
}
