/* SPDX-License-Identifier: Apache-2.0 */
/* What a jq worker reads from its socket. A frame that is taken is written again to the same bytes,
 * and no part of it is taken for a whole one. */
#include "fuzz/fuzz.h"
#include "jq/frame.h"

static void check_frame(struct slice bytes, const struct frame_request *request, size_t consumed)
{
    struct frame_request part;
    size_t part_consumed;
    const char *end = bytes.ptr + consumed;
    PH_ASSERT(consumed >= FRAME_REQUEST_HEAD_BYTES && consumed <= bytes.len);
    PH_ASSERT(request->program.ptr + request->program.len == request->input.ptr);
    PH_ASSERT(request->input.ptr + request->input.len == end);
    PH_ASSERT(request->program.len <= JQ_PROGRAM_BYTES_MAX);
    PH_ASSERT((request->kind == JQ_CHECK) == (request->input.len == 0) && request->id > 0);
    BUF_AUTO struct buf again;
    buf_init(&again, consumed);
    frame_write_request(request, &again);
    PH_ASSERT(slice_equal(buf_slice(&again), (struct slice){bytes.ptr, consumed}));
    for (size_t length = 0; length < consumed; length += length / 3 + 1) {
        PH_ASSERT(frame_read_request((struct slice){bytes.ptr, length}, &part, &part_consumed) ==
                  FRAME_MORE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = fuzz_text(data, size);
    struct frame_request request;
    size_t consumed = 0;
    while (frame_read_request(rest, &request, &consumed) == FRAME_DONE) {
        check_frame(rest, &request, consumed);
        rest = (struct slice){rest.ptr + consumed, rest.len - consumed};
    }
    return 0;
}
