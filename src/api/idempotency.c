/* SPDX-License-Identifier: Apache-2.0 */
#include "api/idempotency.h"

#include "base/siphash.h"

/* Room for the hashed text: the head of a request is shorter than this. */
#define KEY_TEXT_MAX ((size_t)256 * 1024)

bool api_idempotency_hash(struct http_request *request, const struct id_codec *codec,
                          uint8_t ret_hash[16], bool *ret_is_auto)
{
    struct slice key = http_header(request, "idempotency-key");
    if (http_method_of(request) != HTTP_POST || key.len == 0) {
        return false;
    }
    struct slice authorization = http_header(request, "authorization");
    struct slice cookie = http_header(request, "cookie");
    struct slice path = http_path(request);
    struct slice query = http_query_text(request);
    BUF_AUTO struct buf text;
    buf_init(&text, KEY_TEXT_MAX);
    (void)buf_reserve(&text, authorization.len + key.len + path.len + query.len + cookie.len + 4);
    buf_append_slice(&text, authorization);
    buf_append_byte(&text, ':');
    buf_append_slice(&text, key);
    buf_append_byte(&text, ':');
    buf_append_slice(&text, path);
    buf_append_byte(&text, '?');
    buf_append_slice(&text, query);
    if (cookie.len > 0) { /* surfaces may know their callers by it */
        buf_append_byte(&text, '\n');
        buf_append_slice(&text, cookie);
    }
    PH_ASSERT(!text.failed);
    siphash128(codec->key, text.data, text.len, ret_hash);
    *ret_is_auto = slice_starts_with(key, "auto_");
    return true;
}
