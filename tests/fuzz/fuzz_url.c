/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoint URLs: the normal form is a fixed point, and its parts make it up again. */
#include "core/url.h"
#include "fuzz/fuzz.h"

static void append_part(struct buf *text, const char *before, struct slice part)
{
    if (part.ptr != NULL) {
        buf_append_text(text, before);
        buf_append_slice(text, part);
    }
}

static void check_parts(struct slice normal)
{
    struct url_parts parts;
    BUF_AUTO struct buf whole;
    buf_init(&whole, (size_t)2 * URL_LENGTH_MAX);
    PH_ASSERT(url_split(normal, &parts));
    PH_ASSERT(parts.host.len > 0 && parts.path.len > 0 && parts.path.ptr[0] == '/');
    bool is_v6 = slice_find(parts.host, ':') < parts.host.len;
    buf_append_text(&whole, parts.is_https ? "https://" : "http://");
    append_part(&whole, "", parts.username);
    append_part(&whole, ":", parts.password);
    buf_append_text(&whole, parts.username.ptr != NULL ? "@" : "");
    append_part(&whole, is_v6 ? "[" : "", parts.host);
    buf_append_text(&whole, is_v6 ? "]" : "");
    if (parts.port != (parts.is_https ? 443 : 80)) {
        buf_append_format(&whole, ":%u", (unsigned)parts.port);
    }
    append_part(&whole, "", parts.path);
    append_part(&whole, "?", parts.query);
    append_part(&whole, "#", parts.fragment);
    PH_ASSERT(slice_equal(buf_slice(&whole), normal));
}

/* What logs show is the URL without its secrets, and a URL in its normal form. */
static void check_redaction(struct slice normal)
{
    struct url_parts parts;
    BUF_AUTO struct buf shown;
    BUF_AUTO struct buf again;
    buf_init(&shown, URL_LENGTH_MAX);
    buf_init(&again, URL_LENGTH_MAX);
    url_redact(normal, &shown);
    PH_ASSERT(url_split(buf_slice(&shown), &parts));
    PH_ASSERT(parts.username.ptr == NULL && parts.query.ptr == NULL && parts.fragment.ptr == NULL);
    PH_ASSERT(url_normalise(buf_slice(&shown), "url", NULL, &again) == PH_OK);
    PH_ASSERT(slice_equal(buf_slice(&again), buf_slice(&shown)));
}

static void check_normal(struct slice normal)
{
    BUF_AUTO struct buf again;
    buf_init(&again, URL_LENGTH_MAX);
    PH_ASSERT(normal.len <= URL_LENGTH_MAX);
    for (size_t index = 0; index < normal.len; index++) {
        PH_ASSERT(normal.ptr[index] > 0x20 && normal.ptr[index] < 0x7f);
    }
    PH_ASSERT(url_normalise(normal, "url", NULL, &again) == PH_OK);
    PH_ASSERT(slice_equal(buf_slice(&again), normal));
    check_parts(normal);
    check_redaction(normal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = fuzz_text(data, size);
    struct diag diag = {.error = PH_OK};
    BUF_AUTO struct buf normal;
    BUF_AUTO struct buf other;
    buf_init(&normal, URL_LENGTH_MAX);
    buf_init(&other, size + 16);
    if (url_normalise(text, "url", &diag, &normal) == PH_OK) {
        check_normal(buf_slice(&normal));
    } else {
        PH_ASSERT(normal.len == 0);
        PH_ASSERT(diag.error == PH_INVALID && strcmp(diag.field, "url") == 0);
    }
    url_append_decoded(text, &other);
    PH_ASSERT(!other.failed && other.len <= size);
    buf_clear(&other);
    url_redact(text, &other);
    PH_ASSERT(!other.failed && other.len > 0);
    return 0;
}
