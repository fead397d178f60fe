/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json_out.h"
#include "core/scan.h"

static void check_string(struct slice text, const char *expected)
{
    BUF_AUTO struct buf buf;
    struct json_out out;
    buf_init(&buf, 4096);
    json_out_init(&out, &buf);
    json_out_string(&out, text);
    json_out_end_document(&out);
    if (strcmp(buf_text(&buf), expected) != 0) {
        fail_msg("%s instead of %s", buf_text(&buf), expected);
    }
}

static void test_commas_and_nesting(void **state)
{
    (void)state;
    BUF_AUTO struct buf buf;
    struct json_out out;
    buf_init(&buf, 4096);
    json_out_init(&out, &buf);
    json_out_begin_object(&out);
    json_out_key(&out, "a");
    json_out_begin_array(&out);
    json_out_end_array(&out);
    json_out_key(&out, "b");
    json_out_begin_array(&out);
    json_out_int(&out, 1);
    json_out_begin_object(&out);
    json_out_end_object(&out);
    json_out_begin_array(&out);
    json_out_null(&out);
    json_out_bool(&out, true);
    json_out_end_array(&out);
    json_out_raw(&out, SLICE_LITERAL("{\"x\": 1}"));
    json_out_string(&out, SLICE_LITERAL("s"));
    json_out_end_array(&out);
    json_out_key(&out, "c");
    json_out_bool(&out, false);
    json_out_end_object(&out);
    json_out_end_document(&out);
    assert_string_equal(buf_text(&buf),
                        "{\"a\":[],\"b\":[1,{},[null,true],{\"x\": 1},\"s\"],\"c\":false}");
}

static void test_members(void **state)
{
    (void)state;
    BUF_AUTO struct buf buf;
    struct json_out out;
    buf_init(&buf, 4096);
    json_out_init(&out, &buf);
    json_out_begin_object(&out);
    json_out_member_string(&out, "none", SLICE_NONE);
    json_out_member_string(&out, "empty", SLICE_LITERAL(""));
    json_out_member_text(&out, "text", "t");
    json_out_member_text(&out, "absent", NULL);
    json_out_member_int(&out, "least", INT64_MIN);
    json_out_member_int(&out, "most", INT64_MAX);
    json_out_member_bool(&out, "bool", true);
    json_out_member_null(&out, "null");
    json_out_member_time(&out, "time", INT64_C(1767607872131415));
    json_out_member_raw(&out, "raw", SLICE_LITERAL("[1, 2]"));
    json_out_end_object(&out);
    assert_string_equal(buf_text(&buf),
                        "{\"none\":null,\"empty\":\"\",\"text\":\"t\",\"absent\":null,"
                        "\"least\":-9223372036854775808,\"most\":9223372036854775807,"
                        "\"bool\":true,\"null\":null,"
                        "\"time\":\"2026-01-05T10:11:12.131415Z\",\"raw\":[1, 2]}");
}

static void test_strings(void **state)
{
    (void)state;
    check_string(SLICE_NONE, "\"\"");
    check_string(SLICE_LITERAL("\"\\/"), "\"\\\"\\\\/\"");
    check_string(SLICE_LITERAL("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"");
    check_string(SLICE_LITERAL("a\0b"), "\"a\\u0000b\"");
    check_string(SLICE_LITERAL("\x01\x1f\x7f"), "\"\\u0001\\u001f\x7f\"");
    check_string(SLICE_LITERAL("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
                 "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
}

#define LOST "\xef\xbf\xbd"

static void test_bytes_that_are_not_utf8(void **state)
{
    (void)state;
    check_string(SLICE_LITERAL("\xff"), "\"" LOST "\"");
    check_string(SLICE_LITERAL("a\x80z"), "\"a" LOST "z\"");
    check_string(SLICE_LITERAL("\xc3"), "\"" LOST "\"");
    check_string(SLICE_LITERAL("\xc3\""), "\"" LOST "\\\"\"");
    check_string(SLICE_LITERAL("\xc3\xc3\xa9"), "\"" LOST "\xc3\xa9\"");
    check_string(SLICE_LITERAL("\xc0\x80"), "\"" LOST LOST "\"");
    check_string(SLICE_LITERAL("\xed\xa0\x80"), "\"" LOST LOST LOST "\"");
    check_string(SLICE_LITERAL("\xf4\x90\x80\x80"), "\"" LOST LOST LOST LOST "\"");
    check_string(SLICE_LITERAL("\xe2\x82"), "\"" LOST LOST "\"");
}

/* Whatever two bytes a text has, what comes out is a valid JSON string. */
static void test_all_pairs_of_bytes(void **state)
{
    (void)state;
    for (unsigned pair = 0; pair < 65536; pair++) {
        const char text[] = {(char)(pair >> 8), (char)(pair & 255)};
        BUF_AUTO struct buf buf;
        struct json_out out;
        enum scan_type type;
        buf_init(&buf, 64);
        json_out_init(&out, &buf);
        json_out_string(&out, (struct slice){text, 2});
        assert_int_equal(scan_document(buf_slice(&buf), &type, NULL, NULL), PH_OK);
        assert_int_equal(type, SCAN_STRING);
    }
}

static void test_doubles(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0.0, "0"},
        {1.0, "1"},
        {10.0, "10"},
        {-1.5, "-1.5"},
        {0.1, "0.1"},
        {0.000001, "0.000001"},
        {100.25, "100.25"},
        {1234567.891, "1234567.891"},
        {2.0000004, "2"},
        {0.3333333333, "0.333333"},
        {1e15, "1000000000000000"},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        BUF_AUTO struct buf buf;
        struct json_out out;
        buf_init(&buf, 64);
        json_out_init(&out, &buf);
        json_out_double(&out, rows[index].value);
        assert_string_equal(buf_text(&buf), rows[index].text);
    }
}

static void test_a_full_buffer_fails(void **state)
{
    (void)state;
    for (size_t max = 1; max <= 20; max++) {
        BUF_AUTO struct buf buf;
        struct json_out out;
        buf_init(&buf, max);
        json_out_init(&out, &buf);
        json_out_begin_object(&out);
        json_out_member_string(&out, "key", SLICE_LITERAL("a\nb\xff"));
        json_out_end_object(&out);
        json_out_end_document(&out);
        assert_true(buf.failed == (max < strlen("{\"key\":\"a\\nb" LOST "\"}")));
    }
}

/* Runs `break_rules` in a process of its own: a programmer error ends it with SIGABRT. */
static void check_aborts(void (*break_rules)(struct json_out *out))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct buf buf;
        struct json_out out;
        (void)close(STDERR_FILENO);
        (void)signal(SIGABRT, SIG_DFL);
        buf_init(&buf, 64);
        json_out_init(&out, &buf);
        break_rules(&out);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void leave_open(struct json_out *out)
{
    json_out_begin_array(out);
    json_out_end_document(out);
}

static void test_unbalanced_documents_abort(void **state)
{
    (void)state;
    check_aborts(leave_open);
    check_aborts(json_out_end_object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commas_and_nesting),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_bytes_that_are_not_utf8),
        cmocka_unit_test(test_all_pairs_of_bytes),
        cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_a_full_buffer_fails),
        cmocka_unit_test(test_unbalanced_documents_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
