/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of events gives the same whether it comes at once or in pieces. The first byte says how
 * large they are. */
#include "core/event_stream.h"
#include "fuzz/fuzz.h"

static bool note(void *context, const struct stream_event *event)
{
    struct buf *seen = context;
    buf_append_slice(seen, event->name);
    buf_append_byte(seen, '|');
    buf_append_slice(seen, event->id);
    buf_append_byte(seen, '|');
    buf_append_slice(seen, event->data);
    buf_append_byte(seen, ';');
    return true;
}

static void read_all(struct slice text, size_t piece, struct buf *seen)
{
    struct event_stream stream;
    event_stream_init(&stream);
    for (size_t place = 0; place < text.len; place += piece) {
        size_t length = text.len - place < piece ? text.len - place : piece;
        if (event_stream_feed(&stream, (struct slice){text.ptr + place, length}, note, seen,
                              NULL) != PH_OK) {
            break;
        }
    }
    buf_append_slice(seen, event_stream_last_id(&stream));
    buf_append_int64(seen, stream.retry_ms);
    event_stream_done(&stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const struct slice text = {(const char *)data + 1, size - 1};
    BUF_AUTO struct buf whole;
    BUF_AUTO struct buf pieces;
    buf_init(&whole, (size_t)64 << 20);
    buf_init(&pieces, (size_t)64 << 20);
    read_all(text, text.len, &whole);
    read_all(text, 1 + data[0] % 16, &pieces);
    PH_ASSERT(slice_equal(buf_slice(&whole), buf_slice(&pieces)));
    return 0;
}
