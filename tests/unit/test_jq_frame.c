/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "jq/frame.h"

static const uint8_t hash[JQ_HASH_BYTES] = {1, 2, 3};

/* Copied to memory of exactly that size, so that a sanitizer sees a read beyond. */
static enum frame_outcome read_request(const char *bytes, size_t length)
{
    struct frame_request request;
    size_t consumed = 0;
    PH_AUTO_FREE char *copy = ph_malloc(length + (length == 0));
    memcpy(copy, bytes, length);
    return frame_read_request((struct slice){copy, length}, &request, &consumed);
}

static enum frame_outcome read_reply(const char *bytes, size_t length, size_t bytes_max)
{
    struct frame_reply reply;
    size_t consumed = 0;
    PH_AUTO_FREE char *copy = ph_malloc(length + (length == 0));
    memcpy(copy, bytes, length);
    return frame_read_reply((struct slice){copy, length}, bytes_max, &reply, &consumed);
}

static void write_sample(struct buf *bytes)
{
    const struct frame_request request = {.id = 7,
                                          .kind = JQ_TRANSFORM,
                                          .hash = hash,
                                          .program = SLICE_LITERAL(".a"),
                                          .input = SLICE_LITERAL("{\"a\":1}")};
    buf_init(bytes, 4096);
    frame_write_request(&request, bytes);
}

static void test_requests_are_read_as_written(void **state)
{
    (void)state;
    BUF_AUTO struct buf bytes;
    write_sample(&bytes);
    size_t first = bytes.len;
    const struct frame_request second = {.id = 8, .kind = JQ_CHECK, .hash = hash};
    frame_write_request(&second, &bytes);
    struct frame_request request;
    size_t consumed = 0;
    assert_int_equal(frame_read_request(buf_slice(&bytes), &request, &consumed), FRAME_DONE);
    assert_int_equal(consumed, first);
    assert_int_equal(request.id, 7);
    assert_int_equal(request.kind, JQ_TRANSFORM);
    assert_memory_equal(request.hash, hash, sizeof hash);
    assert_true(slice_equal_text(request.program, ".a"));
    assert_true(slice_equal_text(request.input, "{\"a\":1}"));
    struct slice rest = {bytes.data + consumed, bytes.len - consumed};
    assert_int_equal(frame_read_request(rest, &request, &consumed), FRAME_DONE);
    assert_int_equal(consumed, FRAME_REQUEST_HEAD_BYTES);
    assert_int_equal(request.kind, JQ_CHECK);
    for (size_t length = 0; length < first; length++) {
        assert_int_equal(read_request(bytes.data, length), FRAME_MORE);
    }
}

/* Each byte of the head that is not free to have any value. */
static void test_wrong_requests_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t offset;
        uint32_t value;
    } rows[] = {
        {0, 0},                         /* mark */
        {4, JQ_CHECK + 1},              /* kind */
        {4, JQ_CHECK},                  /* which has no input */
        {8, 0},                         /* id */
        {16, JQ_PROGRAM_BYTES_MAX + 1}, /* length of the program */
        {20, JQ_INPUT_BYTES_MAX + 1},   /* length of the input */
        {20, 0},                        /* which a transform has */
        {56, 1},                        /* reserved */
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        BUF_AUTO struct buf bytes;
        write_sample(&bytes);
        memcpy(bytes.data + rows[index].offset, &rows[index].value, sizeof rows[index].value);
        assert_int_equal(read_request(bytes.data, bytes.len), FRAME_BAD);
        assert_int_equal(read_request(bytes.data, FRAME_REQUEST_HEAD_BYTES), FRAME_BAD);
    }
}

static void test_replies_are_read_as_written(void **state)
{
    (void)state;
    BUF_AUTO struct buf bytes;
    buf_init(&bytes, 4096);
    frame_write_reply(
        &(struct frame_reply){.id = 3, .status = FRAME_OK, .bytes = SLICE_LITERAL("[1]")}, &bytes);
    struct frame_reply reply;
    size_t consumed = 0;
    assert_int_equal(frame_read_reply(buf_slice(&bytes), 3, &reply, &consumed), FRAME_DONE);
    assert_int_equal(consumed, bytes.len);
    assert_int_equal(reply.id, 3);
    assert_int_equal(reply.status, FRAME_OK);
    assert_true(slice_equal_text(reply.bytes, "[1]"));
    for (size_t length = 0; length < bytes.len; length++) {
        assert_int_equal(read_reply(bytes.data, length, 3), FRAME_MORE);
    }
    /* Longer than is allowed: known before it is there. */
    assert_int_equal(read_reply(bytes.data, FRAME_REPLY_HEAD_BYTES, 2), FRAME_BAD);
}

static void test_wrong_replies_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t offset;
        uint32_t value;
    } rows[] = {
        {0, 0},                  /* mark */
        {4, FRAME_STATUS_COUNT}, /* status */
        {4, FRAME_READY},        /* which has no id */
        {8, 0},                  /* id */
        {16, UINT32_MAX},        /* length */
        {20, 1},                 /* reserved */
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        BUF_AUTO struct buf bytes;
        buf_init(&bytes, 4096);
        frame_write_reply(&(struct frame_reply){.id = 3, .status = FRAME_FALSE}, &bytes);
        memcpy(bytes.data + rows[index].offset, &rows[index].value, sizeof rows[index].value);
        assert_int_equal(read_reply(bytes.data, bytes.len, 100), FRAME_BAD);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_are_read_as_written),
        cmocka_unit_test(test_wrong_requests_are_refused),
        cmocka_unit_test(test_replies_are_read_as_written),
        cmocka_unit_test(test_wrong_replies_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
