/* SPDX-License-Identifier: Apache-2.0 */
/* Content types and bodies of every format (magpie spec section 5.2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "surfaces/magpie/format.h"

static void test_words(void **state)
{
    (void)state;
    static const struct {
        const char *word; /* NULL = none */
        const char *content_type;
        bool is_known;
    } rows[] = {
        {NULL, "application/json", true},
        {"json", "application/json", true},
        {"application/json", "application/json", true},
        {"html", "text/html", true},
        {"text/html", "text/html", true},
        {"text", "text/plain", true},
        {"plain", "text/plain", true},
        {"text/plain", "text/plain", true},
        {"xml", "text/xml", true},
        {"text/xml", "text/xml", true},
        {"application/xml", "application/xml", true},
        {"yaml", "application/json", false},
        {"form", "application/json", false},
        {"", "application/json", false},
        {"HTML", "application/json", false},
        {"Text/Plain", "application/json", false},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        bool is_known;
        const struct magpie_body_format *format =
            magpie_body_format_find(slice_of(rows[index].word), &is_known);
        assert_string_equal(format->content_type, rows[index].content_type);
        assert_int_equal(is_known, rows[index].is_known);
        assert_int_equal(format->is_json, strcmp(format->content_type, "application/json") == 0);
    }
}

static void assert_body(const char *format, const char *payload, const char *expected)
{
    bool is_known;
    struct magpie_parameter items[MAGPIE_PARAMETERS_MAX];
    struct magpie_parameters parameters = magpie_action_sample(MAGPIE_CREATE_USER, items);
    const struct magpie_request request = {
        "POST", magpie_body_format_find(slice_of(format), &is_known), slice_of(payload)};
    struct diag diag = {0};
    ARENA_AUTO struct arena arena;
    BUF_AUTO struct buf body;
    arena_init(&arena, 1 << 20);
    buf_init(&body, 1 << 20);
    assert_int_equal(magpie_body_render(&request, &parameters, &arena, &diag, &body), PH_OK);
    assert_string_equal(buf_text(&body), expected);
}

static void test_bodies(void **state)
{
    (void)state;
    assert_body(NULL, NULL, "");
    assert_body("json", "\"\"", "\"\"");
    assert_body("json", "{}", "{}");
    assert_body("json", "[]", "[]");
    assert_body("json", "5", "5");
    assert_body("json", "\"a \\\"{{user.name}}\\\"\\n\"", "\"a \\\"ann\\\"\\n\"");
    assert_body("json",
                "{\"event\":\"created\",\"id\":\"{{user.id}}\",\"\xc3\xa9\":\"{{group.id}}\"}",
                "{\"event\": \"created\", \"id\": 7, \"\\u00e9\": \"{{group.id}}\"}");
    assert_body("yaml", "{\"a\":1}", "{\"a\": 1}");
    static const char *const others[] = {"html", "text", "plain", "xml", "application/xml"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(others); index++) {
        assert_body(others[index], NULL, "");
        assert_body(others[index], "\"\"", "");
        assert_body(others[index], "{}", "");
        assert_body(others[index], "[]", "");
        assert_body(others[index], "\"<u>{{user.name}}</u> \\u00e9 \\\"{{user.id}}\\\"\\n\"",
                    "<u>ann</u> \xc3\xa9 \"7\"\n");
        assert_body(others[index], "\"{{user.id}}\"", "7");
    }
}

static void test_methods(void **state)
{
    (void)state;
    static const char *const good[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
    static const char *const bad[] = {"", "get", "OPTIONS", "TRACE", "POST ", NULL};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(good); index++) {
        assert_string_equal(magpie_method_find(slice_of(good[index])), good[index]);
    }
    for (size_t index = 0; index < PH_ARRAY_LENGTH(bad); index++) {
        assert_null(magpie_method_find(slice_of(bad[index])));
    }
}

/* --- as a delivery ---------------------------------------------------------------------------- */

static enum ph_error render(const char *config, const char *payload, struct arena *arena,
                            struct diag *diag, struct jq_transformed *ret_request)
{
    const struct format_event event = {
        .event_type = SLICE_LITERAL("magpie.create_user"),
        .payload = slice_of(payload),
        .config = slice_of(config),
    };
    return magpie_format.render(&event, arena, diag, ret_request);
}

static void test_a_delivery(void **state)
{
    (void)state;
    struct jq_transformed request;
    struct diag diag = {0};
    ARENA_AUTO struct arena arena;
    arena_init(&arena, 1 << 20);
    assert_int_equal(
        render(
            "{\"key\":\"k\",\"method\":\"HEAD\",\"format\":\"xml\",\"payload\":\"<a>{{user.id}}\"}",
            "{\"action\":\"create_user\",\"params\":{\"user.id\":9}}", &arena, &diag, &request),
        PH_OK);
    assert_true(slice_equal_text(request.body, "<a>9"));
    assert_true(slice_equal_text(request.method, "HEAD"));
    assert_false(request.is_body_json);
    assert_null(request.url.ptr);
    assert_int_equal(request.header_count, 1);
    assert_true(slice_equal_text(request.headers[0].name, "Content-Type"));
    assert_true(slice_equal_text(request.headers[0].value, "text/xml"));
    assert_int_equal(render("{\"method\":\"POST\"}", "{\"params\":{}}", &arena, &diag, &request),
                     PH_OK);
    assert_non_null(request.body.ptr);
    assert_int_equal(request.body.len, 0);
    assert_true(slice_equal_text(request.headers[0].value, "application/json"));
}

static void test_deliveries_that_are_not_made(void **state)
{
    (void)state;
    struct jq_transformed request;
    struct diag diag = {0};
    ARENA_AUTO struct arena arena;
    arena_init(&arena, 1 << 20);
    static const char *const configs[] = {NULL, "{}", "[]", "{\"method\":\"OPTIONS\"}"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(configs); index++) {
        assert_int_equal(render(configs[index], "{\"params\":{}}", &arena, &diag, &request),
                         PH_STORE);
    }
    assert_int_equal(render("{\"method\":\"POST\"}", "{\"n\":1}", &arena, &diag, &request),
                     PH_INVALID);
    assert_non_null(strstr(diag.text, "no event of magpie"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_a_delivery),
        cmocka_unit_test(test_deliveries_that_are_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
