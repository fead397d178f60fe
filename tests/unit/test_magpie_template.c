/* SPDX-License-Identifier: Apache-2.0 */
/* The vectors of the magpie specification, section 4, and its JSON, section 5.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "surfaces/magpie/template.h"

static const struct magpie_parameter items[] = {
    {"user.name", {MAGPIE_STRING, SLICE_LITERAL("ann"), 0}},
    {"user.id", {MAGPIE_INTEGER, {0}, 7}},
    {"service.name", {MAGPIE_NULL, {0}, 0}},
    {"permission", {MAGPIE_STRING, SLICE_LITERAL("read-allow-match"), 0}},
    {"permission.name", {MAGPIE_STRING, SLICE_LITERAL("read"), 0}},
    {"user.status", {MAGPIE_INTEGER, {0}, 1}},
    {"user.email", {MAGPIE_STRING, SLICE_LITERAL("{{user.id}}@x"), 0}},
};
static const struct magpie_parameters parameters = {items, PH_ARRAY_LENGTH(items)};

static void assert_renders(const char *payload, const char *expected)
{
    struct arena arena;
    struct buf json;
    struct diag diag = {0};
    arena_init(&arena, 1 << 20);
    buf_init(&json, 1 << 20);
    assert_int_equal(magpie_render_json(slice_of(payload), &parameters, &arena, &diag, &json),
                     PH_OK);
    assert_string_equal(buf_text(&json), expected);
    buf_done(&json);
    arena_done(&arena);
}

static void test_vectors(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {
        {"\"{{user.name}}\"", "\"ann\""},
        {"\"{{user.id}}\"", "7"},
        {"\"'{{user.id}}'\"", "\"7\""},
        {"\"\\\"{{user.id}}\\\"\"", "\"7\""},
        {"\"\\\"'{{user.id}}'\\\"\"", "\"\\\"'7'\\\"\""},
        {"\"''{{user.id}}''\"", "\"''7''\""},
        {"\" {{user.id}}\"", "\" 7\""},
        {"\"{{user.id}}{{user.id}}\"", "\"77\""},
        {"\"'{{user.name}}'\"", "\"'ann'\""},
        {"\"a '{{user.id}}' b\"", "\"a '7' b\""},
        {"[[\"{{user.id}}\"]]", "[[7]]"},
        {"\"{{service.name}}\"", "null"},
        {"\"'{{service.name}}'\"", "\"None\""},
        {"\"x{{service.name}}\"", "\"xNone\""},
        {"\"{{ user.id }}\"", "\"{{ user.id }}\""},
        {"\"{{unknown}}\"", "\"{{unknown}}\""},
        {"\"{user.name}\"", "\"{user.name}\""},
        {"\"{{{user.name}}}\"", "\"{ann}\""},
        {"\"{{USER.NAME}}\"", "\"{{USER.NAME}}\""},
        {"\"{{user.status}}\"", "1"},
        {"\"{{permission}} {{permission.name}}\"", "\"read-allow-match read\""},
        {"{\"{{user.id}}\":1}", "{\"7\": 1}"},
        {"{\"{{service.name}}\":\"{{service.name}}\"}", "{\"None\": null}"},
        {"[true,null,3,1.5]", "[true, null, 3, 1.5]"},
        {"\"{{user.email}}\"", "\"{{user.id}}@x\""}, /* never looked at again */
        {"\"{{user.name\"", "\"{{user.name\""},
        {"\"\"", "\"\""},
        {"{}", "{}"},
        {"[]", "[]"},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(vectors); index++) {
        assert_renders(vectors[index][0], vectors[index][1]);
    }
}

static void test_json_of_the_original(void **state)
{
    (void)state;
    assert_renders("{\"b\":[1,{\"c\":\"d\"}],\"a\":{}}", "{\"b\": [1, {\"c\": \"d\"}], \"a\": {}}");
    assert_renders("\"\\u00e9\\ud83d\\ude00\\n\\u0001/\\\"\\\\\\u007f\"",
                   "\"\\u00e9\\ud83d\\ude00\\n\\u0001/\\\"\\\\\\u007f\"");
    /* The place of the first of equal keys, the value of the last. */
    assert_renders("{\"{{user.id}}\":1,\"x\":2,\"7\":3}", "{\"7\": 3, \"x\": 2}");
}

static void test_text(void **state)
{
    (void)state;
    struct arena arena;
    struct buf text;
    struct diag diag = {0};
    arena_init(&arena, 1 << 20);
    buf_init(&text, 1 << 20);
    assert_int_equal(magpie_render_text(SLICE_LITERAL("\"id={{user.id}} \\u00e9\\n\""), &parameters,
                                        &arena, &diag, &text),
                     PH_OK);
    assert_string_equal(buf_text(&text), "id=7 \xc3\xa9\n");
    assert_int_equal(magpie_render_text(SLICE_LITERAL("{}"), &parameters, &arena, &diag, &text),
                     PH_INVALID);
    buf_done(&text);
    arena_done(&arena);
}

static void test_an_arena_that_is_too_small(void **state)
{
    (void)state;
    struct arena arena;
    struct buf json;
    struct diag diag = {0};
    arena_init(&arena, 64);
    buf_init(&json, 1 << 20);
    static const char payload[] =
        "[\"{{user.name}}{{user.name}}{{user.name}}{{user.name}}{{user.name}}{{user.name}}"
        "{{user.name}}{{user.name}}{{user.name}}{{user.name}}{{user.name}}{{user.name}}"
        "{{user.name}}{{user.name}}{{user.name}}{{user.name}}{{user.name}}{{user.name}}"
        "{{user.name}}{{user.name}}{{user.name}}{{user.name}}{{user.name}}{{user.name}}\"]";
    assert_int_equal(magpie_render_json(slice_of(payload), &parameters, &arena, &diag, &json),
                     PH_NO_MEMORY);
    buf_done(&json);
    arena_done(&arena);
}

static void collect(void *context, struct slice name)
{
    buf_append_slice(context, name);
    buf_append_byte(context, ' ');
}

static void test_names(void **state)
{
    (void)state;
    struct arena arena;
    struct buf names;
    arena_init(&arena, 1 << 20);
    buf_init(&names, 1 << 20);
    magpie_template_names(
        SLICE_LITERAL(
            "{\"{{k}}\":[\"{{user.name}} {{ no }} {{x.y}}{{}}\",{\"a\":\"{{z\"}],\"b\":1}"),
        &arena, collect, &names);
    assert_string_equal(buf_text(&names), "k user.name  no  x.y ");
    assert_true(magpie_template_knows(SLICE_LITERAL("callback_url")));
    assert_false(magpie_template_knows(SLICE_LITERAL("service.configurable")));
    buf_done(&names);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors), cmocka_unit_test(test_json_of_the_original),
        cmocka_unit_test(test_text),    cmocka_unit_test(test_an_arena_that_is_too_small),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
