/* SPDX-License-Identifier: Apache-2.0 */
/* The input of programs, the result of transforms, the texts of programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "jq/event.h"
#include "jq/program.h"

static void test_an_event_is_written(void **state)
{
    (void)state;
    BUF_AUTO struct buf json;
    const struct slice channels[] = {SLICE_LITERAL("a"), SLICE_LITERAL("b\"c")};
    const struct jq_header headers[] = {
        {SLICE_LITERAL("X-Team"), SLICE_LITERAL("d\\e")},
        {SLICE_LITERAL("authorization"), SLICE_LITERAL("Bearer x")},
    };
    const struct jq_event event = {
        .type = SLICE_LITERAL("user.created"),
        .data = SLICE_LITERAL("{ \"n\": 12345678901234567890, \"m\":1.10 }"),
        .id = SLICE_LITERAL("msg_1"),
        .channels = channels,
        .channel_count = 2,
        .timestamp_us = INT64_C(1767607872131415),
        .headers = headers,
        .header_count = 2,
    };
    buf_init(&json, 4096);
    jq_event_write(&event, &json);
    assert_string_equal(
        buf_text(&json),
        "{\"type\":\"user.created\",\"data\":{ \"n\": 12345678901234567890, \"m\":1.10 },"
        "\"id\":\"msg_1\",\"channels\":[\"a\",\"b\\\"c\"],"
        "\"timestamp\":\"2026-01-05T10:11:12.131415Z\","
        "\"headers\":{\"x-team\":\"d\\\\e\",\"authorization\":\"Bearer x\"}}");
    const struct jq_event least = {
        .type = SLICE_LITERAL("a"), .data = SLICE_LITERAL("null"), .id = SLICE_LITERAL("msg_1")};
    buf_clear(&json);
    jq_event_write(&least, &json);
    assert_string_equal(buf_text(&json),
                        "{\"type\":\"a\",\"data\":null,\"id\":\"msg_1\",\"channels\":[],"
                        "\"timestamp\":\"1970-01-01T00:00:00.000000Z\",\"headers\":{}}");
}

static enum ph_error read(const char *output, struct arena *arena, struct diag *diag,
                          struct jq_transformed *transformed)
{
    return jq_transformed_read(slice_of(output), arena, diag, transformed);
}

static void test_a_transform_may_set_everything(void **state)
{
    (void)state;
    ARENA_AUTO struct arena arena;
    struct diag diag = {.error = PH_OK};
    struct jq_transformed out;
    arena_init(&arena, 65536);
    assert_int_equal(
        read("{\"body\":{\"a\":[1, 2]},\"headers\":{\"X-A\":\"b\",\"\\u0078-c\":\"d\"},"
             "\"url\":\"HTTPS://Example.com\",\"method\":\"PUT\"}",
             &arena, &diag, &out),
        PH_OK);
    assert_true(slice_equal_text(out.body, "{\"a\":[1, 2]}"));
    assert_true(out.is_body_json);
    assert_int_equal(out.header_count, 2);
    assert_true(slice_equal_text(out.headers[0].name, "X-A"));
    assert_true(slice_equal_text(out.headers[0].value, "b"));
    assert_true(slice_equal_text(out.headers[1].name, "x-c"));
    assert_true(slice_equal_text(out.url, "https://example.com/"));
    assert_true(slice_equal_text(out.method, "PUT"));
}

static void test_a_transform_may_set_the_body_alone(void **state)
{
    (void)state;
    static const struct {
        const char *output;
        const char *body;
        bool is_json;
    } rows[] = {
        {"{\"body\":\"a\\n\\u00eb\\\"\"}", "a\n\xc3\xab\"", false},
        {"{\"body\":\"\"}", "", false},
        {"{\"body\":null}", "null", true},
        {"{\"body\":false}", "false", true},
        {"{\"body\":1.10}", "1.10", true},
        {"{\"body\":[],\"headers\":null,\"url\":null,\"method\":null}", "[]", true},
        {"{\"\\u0062ody\":1,\"body\":2}", "2", true},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        ARENA_AUTO struct arena arena;
        struct diag diag = {.error = PH_OK};
        struct jq_transformed out;
        arena_init(&arena, 65536);
        enum ph_error error = read(rows[index].output, &arena, &diag, &out);
        if (index + 1 == PH_ARRAY_LENGTH(rows)) {
            /* Escaped names of members are not ours; jq never writes them. */
            assert_int_equal(error, PH_INVALID);
            continue;
        }
        assert_int_equal(error, PH_OK);
        assert_true(slice_equal_text(out.body, rows[index].body));
        assert_non_null(out.body.ptr);
        assert_int_equal(out.is_body_json, rows[index].is_json);
        assert_int_equal(out.header_count, 0);
        assert_null(out.url.ptr);
        assert_null(out.method.ptr);
    }
}

static void test_wrong_results_name_their_member(void **state)
{
    (void)state;
    static const struct {
        const char *output;
        const char *field;
        const char *words;
    } rows[] = {
        {"1", "transform", "must be null or an object"},
        {"[{\"body\":1}]", "transform", "must be null or an object"},
        {"null", "transform", "must be null or an object"},
        {"{}", "transform.body", "has no body"},
        {"{\"payload\":1}", "transform", "unknown member \"payload\""},
        {"{\"body\":1,\"headers\":[]}", "transform.headers", "not array"},
        {"{\"body\":1,\"headers\":{\"a\":1}}", "transform.headers", "must be a string, not number"},
        {"{\"body\":1,\"headers\":{\"a b\":\"c\"}}", "transform.headers", ""},
        {"{\"body\":1,\"headers\":{\"\":\"c\"}}", "transform.headers", ""},
        {"{\"body\":1,\"headers\":{\"a\":\"b\\r\\nc: d\"}}", "transform.headers", ""},
        {"{\"body\":1,\"headers\":{\"content-length\":\"0\"}}", "transform.headers", ""},
        {"{\"body\":1,\"headers\":{\"webhook-id\":\"0\"}}", "transform.headers", ""},
        {"{\"body\":1,\"method\":\"GET\"}", "transform.method", "must be POST, PUT or PATCH"},
        {"{\"body\":1,\"method\":\"post\"}", "transform.method", "must be POST, PUT or PATCH"},
        {"{\"body\":1,\"method\":1}", "transform.method", "must be a string, not number"},
        {"{\"body\":1,\"url\":\"ftp://example.com\"}", "transform.url", ""},
        {"{\"body\":1,\"url\":\"/relative\"}", "transform.url", ""},
        {"{\"body\":1,\"url\":{}}", "transform.url", "must be a string, not object"},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        ARENA_AUTO struct arena arena;
        struct diag diag = {.error = PH_OK};
        struct jq_transformed out;
        arena_init(&arena, 65536);
        assert_int_equal(read(rows[index].output, &arena, &diag, &out), PH_INVALID);
        assert_string_equal(diag.field, rows[index].field);
        if (strstr(diag.text, rows[index].words) == NULL) {
            fail_msg("%s: \"%s\"", rows[index].output, diag.text);
        }
    }
}

static void test_headers_have_a_limit(void **state)
{
    (void)state;
    ARENA_AUTO struct arena arena;
    BUF_AUTO struct buf text;
    struct diag diag = {.error = PH_OK};
    struct jq_transformed out;
    arena_init(&arena, 65536);
    for (int count = 100; count <= 101; count++) {
        buf_init(&text, 65536);
        buf_append_text(&text, "{\"body\":1,\"headers\":{");
        for (int index = 0; index < count; index++) {
            buf_append_format(&text, "%s\"x-%d\":\"y\"", index > 0 ? "," : "", index);
        }
        buf_append_text(&text, "}}");
        assert_int_equal(jq_transformed_read(buf_slice(&text), &arena, &diag, &out),
                         count == 100 ? PH_OK : PH_INVALID);
        buf_done(&text);
    }
    assert_string_equal(diag.text, "at most 100 headers");
    arena_reset(&arena);
    arena.max_bytes = 64;
    assert_int_equal(read("{\"body\":1,\"headers\":{}}", &arena, &diag, &out), PH_NO_MEMORY);
}

static void test_programs_are_text(void **state)
{
    (void)state;
    struct jq_program *program = NULL;
    struct diag diag = {.error = PH_OK};
    static char longest[JQ_PROGRAM_BYTES_MAX + 1];
    memset(longest, ' ', sizeof longest);
    longest[0] = '.';
    assert_int_equal(jq_program_new(slice_of(".a"), "filter", &diag, &program), PH_OK);
    /* echo -n .a | sha256sum */
    assert_memory_equal(program->hash, "\x36\x79\x7c\x3a", 4);
    assert_string_equal(program->text.ptr, ".a");
    jq_program_unref(jq_program_ref(program));
    jq_program_unref(program);
    jq_program_unref(NULL);
    const struct slice bad[] = {
        SLICE_LITERAL(""),         SLICE_LITERAL(" \n\t"),    SLICE_LITERAL(".a\0.b"),
        SLICE_LITERAL("\"\xff\""), {longest, sizeof longest},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(bad); index++) {
        assert_int_equal(jq_program_new(bad[index], "filter", &diag, &program), PH_INVALID);
        assert_string_equal(diag.field, "filter");
    }
    assert_int_equal(
        jq_program_new((struct slice){longest, JQ_PROGRAM_BYTES_MAX}, "filter", &diag, &program),
        PH_OK);
    jq_program_unref(program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_event_is_written),
        cmocka_unit_test(test_a_transform_may_set_everything),
        cmocka_unit_test(test_a_transform_may_set_the_body_alone),
        cmocka_unit_test(test_wrong_results_name_their_member),
        cmocka_unit_test(test_headers_have_a_limit),
        cmocka_unit_test(test_programs_are_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
