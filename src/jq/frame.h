/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server and a worker say to each other on their socket: a fixed head in the machine's
 * byte order (both ends are one executable), then bytes. Pure; any thread.
 *
 * Either side checks what it reads: a worker may have been taken over by a program that found a
 * hole in the jq library.
 */
#ifndef PH_JQ_FRAME_H
#define PH_JQ_FRAME_H

#include "base/buf.h"
#include "jq/pool.h"

#define FRAME_REQUEST_HEAD_BYTES 64
#define FRAME_REPLY_HEAD_BYTES 24

/* To a worker. A program's text comes with its hash once; later the hash stands for it. */
struct frame_request {
    uint64_t id; /* above 0 */
    enum jq_kind kind;
    const uint8_t *hash;  /* JQ_HASH_BYTES */
    struct slice program; /* empty: the worker has it */
    struct slice input;   /* empty for JQ_CHECK */
};

enum frame_status {
    FRAME_READY,         /* the worker has started; the only reply with the id 0, beside FAILED */
    FRAME_FAILED,        /* the worker cannot work, in words, and ends */
    FRAME_OK,            /* with the output of a transform */
    FRAME_FALSE,         /* see enum jq_outcome */
    FRAME_NULL,          /**/
    FRAME_PROGRAM_ERROR, /* in words */
    FRAME_OUTPUT,        /* more output than is allowed */
    FRAME_MEMORY,        /* more memory than is allowed; the worker ends */
    FRAME_UNKNOWN,       /* the worker does not have the program: send its text */
    FRAME_STATUS_COUNT
};

struct frame_reply {
    uint64_t id; /* of the request */
    enum frame_status status;
    struct slice bytes;
};

enum frame_outcome {
    FRAME_DONE, /* one frame was read; *ret_consumed bytes are used up */
    FRAME_MORE, /* it is not all there yet */
    FRAME_BAD   /* this can never become a frame */
};

/* The bytes of a request before `program` and `input`. */
void frame_write_request(const struct frame_request *request, struct buf *bytes);
/* One request at the front of `bytes`; its slices point into it. */
enum frame_outcome frame_read_request(struct slice bytes, struct frame_request *ret_request,
                                      size_t *ret_consumed);
void frame_write_reply(const struct frame_reply *reply, struct buf *bytes);
/* A reply may have at most `bytes_max` bytes behind its head. */
enum frame_outcome frame_read_reply(struct slice bytes, size_t bytes_max,
                                    struct frame_reply *ret_reply, size_t *ret_consumed);

#endif
