/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/event_stream.h"

/* What came out, as "name|id|data;". */
static bool note(void *context, const struct stream_event *event)
{
    struct buf *seen = context;
    buf_append_format(seen, "%.*s|%.*s|%.*s;", SLICE_ARG(event->name), SLICE_ARG(event->id),
                      SLICE_ARG(event->data));
    return true;
}

static void feed(struct event_stream *stream, struct slice bytes, struct buf *seen)
{
    struct diag diag;
    assert_int_equal(event_stream_feed(stream, bytes, note, seen, &diag), PH_OK);
}

/* The same whether it comes at once or in pieces of any size. */
static void check(struct slice text, const char *expected, const char *last_id)
{
    for (size_t piece = 1; piece <= text.len; piece++) {
        struct event_stream stream;
        BUF_AUTO struct buf seen;
        buf_init(&seen, 4096);
        event_stream_init(&stream);
        for (size_t place = 0; place < text.len; place += piece) {
            size_t length = text.len - place < piece ? text.len - place : piece;
            feed(&stream, (struct slice){text.ptr + place, length}, &seen);
        }
        assert_string_equal(buf_text(&seen), expected);
        assert_true(slice_equal_text(event_stream_last_id(&stream), last_id));
        event_stream_done(&stream);
    }
}
#define CHECK(text, expected, last_id) check(SLICE_LITERAL(text), expected, last_id)

static void test_events(void **state)
{
    (void)state;
    CHECK("id: 1\nevent: a\ndata: x\n\n", "a|1|x;", "1");
    CHECK("data: x\n\ndata: y\n\n", "message||x;message||y;", "");
    CHECK("data: one\ndata: two\ndata\ndata:\n\n", "message||one\ntwo\n\n;", "");
    CHECK("data\n\ndata\ndata\n\ndata:", "message||;message||\n;", "");
    /* The id stays, an empty one takes it away. */
    CHECK("id: 1\ndata: x\n\ndata: y\n\nid\ndata: z\n\n", "message|1|x;message|1|y;message||z;",
          "");
}

static void test_lines_end_in_three_ways(void **state)
{
    (void)state;
    CHECK("id: 1\r\ndata: x\r\n\r\n", "message|1|x;", "1");
    CHECK("id: 1\rdata: x\r\r", "message|1|x;", "1");
    CHECK("data: x\r\n\ndata: y\n\r", "message||x;message||y;", "");
    CHECK("\xef\xbb\xbf"
          "data: x\n\n",
          "message||x;", "");
    CHECK("\xef\xbb\xbf\xef\xbb\xbf"
          "data: x\n\n",
          "", "");
}

static void test_what_is_no_event(void **state)
{
    (void)state;
    CHECK(": comment\n:\n\nid: 7\n\n", "", "7");
    CHECK("id: 7\n\nid: 8\n", "", "7");
    CHECK("event: a\n\ndata: x\n\n", "message||x;", "");
    CHECK("dat: x\nDATA: x\n data: x\n\n", "", "");
    CHECK("data: x", "", "");
    CHECK("data: x\n", "", "");
    CHECK("data:x\nid:  two\n\n", "message| two|x;", " two");
    CHECK("id: a\0b\ndata: x\n\n", "message||x;", "");
}

static void test_retry(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t retry_ms;
    } rows[] = {
        {"retry: 20\n", 20}, {"retry: x\n", 5}, {"retry: -1\n", 5},
        {"retry:\n", 5},     {"retry: 0\n", 0}, {"retry: 99999999999\n", 3600000},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        struct event_stream stream;
        BUF_AUTO struct buf seen;
        buf_init(&seen, 16);
        event_stream_init(&stream);
        stream.retry_ms = 5;
        feed(&stream, slice_of(rows[index].text), &seen);
        assert_int_equal(stream.retry_ms, rows[index].retry_ms);
        event_stream_done(&stream);
    }
}

static void test_a_new_connection(void **state)
{
    (void)state;
    struct event_stream stream;
    BUF_AUTO struct buf seen;
    buf_init(&seen, 4096);
    event_stream_init(&stream);
    event_stream_set_last_id(&stream, SLICE_LITERAL("5"));
    assert_true(slice_equal_text(event_stream_last_id(&stream), "5"));
    feed(&stream, SLICE_LITERAL("data: a\n\nid: 6\nevent: e\ndata: lo"), &seen);
    event_stream_restart(&stream);
    assert_true(slice_equal_text(event_stream_last_id(&stream), "5"));
    feed(&stream, SLICE_LITERAL("st\ndata: b\n\n"), &seen);
    assert_string_equal(buf_text(&seen), "message|5|a;message|5|b;");
    event_stream_done(&stream);
}

static bool refuse(void *context, const struct stream_event *event)
{
    (void)event;
    (*(int *)context)++;
    return false;
}

static void test_reading_may_end(void **state)
{
    (void)state;
    struct event_stream stream;
    struct diag diag;
    int count = 0;
    event_stream_init(&stream);
    assert_int_equal(
        event_stream_feed(&stream, SLICE_LITERAL("data: a\n\ndata: b\n\n"), refuse, &count, &diag),
        PH_OK);
    assert_int_equal(count, 1);
    event_stream_done(&stream);
}

static void test_too_long(void **state)
{
    (void)state;
    static const char *const begins[] = {"data: ", "x", "id: ", "event: "};
    struct diag diag;
    size_t size = EVENT_STREAM_LINE_MAX;
    PH_AUTO_FREE char *text = ph_malloc(size);
    memset(text, 'x', size);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(begins); index++) {
        struct event_stream stream;
        BUF_AUTO struct buf seen;
        buf_init(&seen, 16);
        event_stream_init(&stream);
        feed(&stream, slice_of(begins[index]), &seen);
        enum ph_error error =
            event_stream_feed(&stream, (struct slice){text, size}, note, &seen, &diag);
        assert_int_equal(error, PH_INVALID);
        event_stream_done(&stream);
    }
    /* In lines that are not too long each. */
    struct event_stream stream;
    BUF_AUTO struct buf seen;
    buf_init(&seen, 16);
    event_stream_init(&stream);
    text[size / 2] = '\n';
    feed(&stream, SLICE_LITERAL("data: "), &seen);
    feed(&stream, (struct slice){text, size / 2 + 1}, &seen);
    feed(&stream, SLICE_LITERAL("data: "), &seen);
    assert_int_equal(
        event_stream_feed(&stream, (struct slice){text, size / 2 + 1}, note, &seen, &diag),
        PH_INVALID);
    event_stream_done(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),           cmocka_unit_test(test_lines_end_in_three_ways),
        cmocka_unit_test(test_what_is_no_event), cmocka_unit_test(test_retry),
        cmocka_unit_test(test_a_new_connection), cmocka_unit_test(test_reading_may_end),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests_name("event_stream", tests, NULL, NULL);
}
