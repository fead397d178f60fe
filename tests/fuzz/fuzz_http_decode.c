/* SPDX-License-Identifier: Apache-2.0 */
/* Percent-decoding of paths and queries. */
#include "base/arena.h"
#include "base/buf.h"
#include "fuzz/fuzz.h"
#include "http/decode.h"

#define TEXT_MAX ((size_t)1024 * 1024)

/* Written with every byte encoded, the text decodes to itself. */
static void check_again(struct slice text, struct arena *arena)
{
    struct slice again;
    BUF_AUTO struct buf encoded;
    buf_init(&encoded, TEXT_MAX);
    for (size_t index = 0; index < text.len; index++) {
        buf_append_format(&encoded, index % 2 == 0 ? "%%%02x" : "%%%02X",
                          (unsigned char)text.ptr[index]);
    }
    PH_ASSERT(!encoded.failed);
    PH_ASSERT(http_decode(buf_slice(&encoded), false, arena, &again));
    PH_ASSERT(slice_equal(again, text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice raw = fuzz_text(data, size);
    if (size > TEXT_MAX / 4) {
        return 0;
    }
    for (int plus = 0; plus < 2; plus++) {
        struct slice text;
        ARENA_AUTO struct arena arena;
        arena_init(&arena, TEXT_MAX);
        if (!http_decode(raw, plus != 0, &arena, &text)) {
            continue;
        }
        PH_ASSERT(text.len <= raw.len && slice_is_utf8_text(text));
        PH_ASSERT(plus == 0 || slice_find(raw, '%') < raw.len || slice_find(text, '+') == text.len);
        check_again(text, &arena);
    }
    return 0;
}
