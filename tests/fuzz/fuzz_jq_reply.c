/* SPDX-License-Identifier: Apache-2.0 */
/* What the server reads from a jq worker, which may have been taken over. A frame that is taken is
 * written again to the same bytes, and no part of it is taken for a whole one. */
#include "fuzz/fuzz.h"
#include "jq/frame.h"

#define BYTES_MAX 512

static void check_frame(struct slice bytes, const struct frame_reply *reply, size_t consumed)
{
    struct frame_reply part;
    size_t part_consumed;
    PH_ASSERT(consumed >= FRAME_REPLY_HEAD_BYTES && consumed <= bytes.len);
    PH_ASSERT(reply->bytes.len <= BYTES_MAX && reply->status < FRAME_STATUS_COUNT);
    PH_ASSERT(reply->bytes.ptr + reply->bytes.len == bytes.ptr + consumed);
    BUF_AUTO struct buf again;
    buf_init(&again, consumed);
    frame_write_reply(reply, &again);
    PH_ASSERT(slice_equal(buf_slice(&again), (struct slice){bytes.ptr, consumed}));
    for (size_t length = 0; length < consumed; length++) {
        PH_ASSERT(frame_read_reply((struct slice){bytes.ptr, length}, BYTES_MAX, &part,
                                   &part_consumed) == FRAME_MORE);
    }
    if (reply->bytes.len > 0) {
        PH_ASSERT(frame_read_reply(bytes, reply->bytes.len - 1, &part, &part_consumed) ==
                  FRAME_BAD);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = fuzz_text(data, size);
    struct frame_reply reply;
    size_t consumed = 0;
    while (frame_read_reply(rest, BYTES_MAX, &reply, &consumed) == FRAME_DONE) {
        check_frame(rest, &reply, consumed);
        rest = (struct slice){rest.ptr + consumed, rest.len - consumed};
    }
    return 0;
}
