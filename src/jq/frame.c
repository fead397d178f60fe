/* SPDX-License-Identifier: Apache-2.0 */
#include "jq/frame.h"

/* Differs from text and zeros, so that bytes out of step are noticed. */
#define REQUEST_MARK 0x31514a50u /* PJQ1 */
#define REPLY_MARK 0x31524a50u   /* PJR1 */

struct request_head {
    uint32_t mark;
    uint32_t kind;
    uint64_t id;
    uint32_t program_bytes;
    uint32_t input_bytes;
    uint8_t hash[JQ_HASH_BYTES];
    uint64_t reserved; /* 0 */
};

struct reply_head {
    uint32_t mark;
    uint32_t status;
    uint64_t id;
    uint32_t bytes;
    uint32_t reserved; /* 0 */
};

_Static_assert(sizeof(struct request_head) == FRAME_REQUEST_HEAD_BYTES, "no padding");
_Static_assert(sizeof(struct reply_head) == FRAME_REPLY_HEAD_BYTES, "no padding");

void frame_write_request(const struct frame_request *request, struct buf *bytes)
{
    PH_ASSERT(request->id > 0 && request->program.len <= JQ_PROGRAM_BYTES_MAX &&
              request->input.len <= JQ_INPUT_BYTES_MAX);
    struct request_head head = {
        .mark = REQUEST_MARK,
        .kind = (uint32_t)request->kind,
        .id = request->id,
        .program_bytes = (uint32_t)request->program.len,
        .input_bytes = (uint32_t)request->input.len,
    };
    memcpy(head.hash, request->hash, sizeof head.hash);
    buf_append(bytes, &head, sizeof head);
    buf_append_slice(bytes, request->program);
    buf_append_slice(bytes, request->input);
}

enum frame_outcome frame_read_request(struct slice bytes, struct frame_request *ret_request,
                                      size_t *ret_consumed)
{
    struct request_head head;
    if (bytes.len < sizeof head) {
        return FRAME_MORE;
    }
    memcpy(&head, bytes.ptr, sizeof head);
    if (head.mark != REQUEST_MARK || head.kind > JQ_CHECK || head.id == 0 || head.reserved != 0 ||
        head.program_bytes > JQ_PROGRAM_BYTES_MAX || head.input_bytes > JQ_INPUT_BYTES_MAX ||
        (head.kind == JQ_CHECK) != (head.input_bytes == 0)) {
        return FRAME_BAD;
    }
    size_t length = sizeof head + head.program_bytes + head.input_bytes;
    if (bytes.len < length) {
        return FRAME_MORE;
    }
    const char *program = bytes.ptr + sizeof head;
    *ret_request = (struct frame_request){
        .id = head.id,
        .kind = (enum jq_kind)head.kind,
        .hash = (const uint8_t *)bytes.ptr + offsetof(struct request_head, hash),
        .program = {program, head.program_bytes},
        .input = {program + head.program_bytes, head.input_bytes},
    };
    *ret_consumed = length;
    return FRAME_DONE;
}

void frame_write_reply(const struct frame_reply *reply, struct buf *bytes)
{
    struct reply_head head = {
        .mark = REPLY_MARK,
        .status = (uint32_t)reply->status,
        .id = reply->id,
        .bytes = (uint32_t)reply->bytes.len,
    };
    buf_append(bytes, &head, sizeof head);
    buf_append_slice(bytes, reply->bytes);
}

enum frame_outcome frame_read_reply(struct slice bytes, size_t bytes_max,
                                    struct frame_reply *ret_reply, size_t *ret_consumed)
{
    struct reply_head head;
    if (bytes.len < sizeof head) {
        return FRAME_MORE;
    }
    memcpy(&head, bytes.ptr, sizeof head);
    bool is_greeting = head.status == FRAME_READY || head.status == FRAME_FAILED;
    if (head.mark != REPLY_MARK || head.status >= FRAME_STATUS_COUNT || head.reserved != 0 ||
        head.bytes > bytes_max || is_greeting != (head.id == 0)) {
        return FRAME_BAD;
    }
    if (bytes.len < sizeof head + head.bytes) {
        return FRAME_MORE;
    }
    *ret_reply = (struct frame_reply){
        .id = head.id,
        .status = (enum frame_status)head.status,
        .bytes = {bytes.ptr + sizeof head, head.bytes},
    };
    *ret_consumed = sizeof head + head.bytes;
    return FRAME_DONE;
}
