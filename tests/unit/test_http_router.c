/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/decode.h"
#include "http/router.h"

static void handler(struct http_request *request)
{
    (void)request;
}

static const struct http_route routes[] = {
    {HTTP_GET, "/", handler, 0, "root"},
    {HTTP_GET, "/api/v1/app", handler, 0, "list"},
    {HTTP_POST, "/api/v1/app", handler, 0, "create"},
    {HTTP_GET, "/api/v1/app/{app_id}", handler, 0, "get"},
    {HTTP_DELETE, "/api/v1/app/{id}", handler, 0, "delete"},
    {HTTP_POST, "/api/v1/app/{app_id}/msg/{msg_id}/resend", handler, 0, "resend"},
    {HTTP_GET, "/api/v1/event-type/{name}", handler, 0, "type"},
    {HTTP_POST, "/api/v1/event-type/import/openapi", handler, 0, "import"},
    {HTTP_PUT, "/a/list", handler, 0, "literal"},
    {HTTP_GET, "/a/{x}", handler, 0, "any"},
    {HTTP_GET, "/a/{x}/b", handler, 0, "below any"},
    {HTTP_GET, "/a/list/c", handler, 0, "below literal"},
    {HTTP_GET, "/files", handler, 0, "files"},
    {HTTP_GET, "/files/{path*}", handler, 0, "file"},
    {HTTP_PUT, "/files/{id}/{path*}", handler, 0, "upload"},
    {HTTP_GET, "/files/{id}/exact", handler, 0, "exact"},
};

struct expectation {
    enum http_method method;
    const char *path;
    const char *data; /* NULL = nothing fits */
    unsigned allowed;
};

#define BIT(method) (1U << (method))

static const struct expectation expectations[] = {
    {HTTP_GET, "", "root", BIT(HTTP_GET) | BIT(HTTP_HEAD)},
    {HTTP_GET, "api/v1/app", "list", BIT(HTTP_GET) | BIT(HTTP_HEAD) | BIT(HTTP_POST)},
    {HTTP_HEAD, "api/v1/app", "list", BIT(HTTP_GET) | BIT(HTTP_HEAD) | BIT(HTTP_POST)},
    {HTTP_POST, "api/v1/app", "create", BIT(HTTP_GET) | BIT(HTTP_HEAD) | BIT(HTTP_POST)},
    {HTTP_PUT, "api/v1/app", NULL, BIT(HTTP_GET) | BIT(HTTP_HEAD) | BIT(HTTP_POST)},
    {HTTP_METHOD_COUNT, "api/v1/app", NULL, BIT(HTTP_GET) | BIT(HTTP_HEAD) | BIT(HTTP_POST)},
    {HTTP_DELETE, "api/v1/app/x", "delete", BIT(HTTP_GET) | BIT(HTTP_HEAD) | BIT(HTTP_DELETE)},
    {HTTP_POST, "api/v1/app/x/msg/y/resend", "resend", BIT(HTTP_POST)},
    {HTTP_POST, "api/v1/app/x/msg/y", NULL, 0},
    {HTTP_GET, "api/v1/app//msg", NULL, 0},
    {HTTP_GET, "api//v1/app", NULL, 0},
    {HTTP_GET, "api/v1/App", NULL, 0},
    {HTTP_GET, "api/v1", NULL, 0},
    {HTTP_GET, "api/v1/event-type/import", "type", BIT(HTTP_GET) | BIT(HTTP_HEAD)},
    {HTTP_POST, "api/v1/event-type/import/openapi", "import", BIT(HTTP_POST)},
    {HTTP_PUT, "a/list", "literal", BIT(HTTP_PUT)},
    {HTTP_GET, "a/list", "any", BIT(HTTP_GET) | BIT(HTTP_HEAD) | BIT(HTTP_PUT)},
    {HTTP_POST, "a/list", NULL, BIT(HTTP_GET) | BIT(HTTP_HEAD) | BIT(HTTP_PUT)},
    {HTTP_GET, "a/list/b", "below any", BIT(HTTP_GET) | BIT(HTTP_HEAD)},
    {HTTP_GET, "a/list/c", "below literal", BIT(HTTP_GET) | BIT(HTTP_HEAD)},
    {HTTP_GET, "a/other/c", NULL, 0},
    {HTTP_GET, "files", "files", BIT(HTTP_GET) | BIT(HTTP_HEAD)},
    {HTTP_GET, "files/x", "file", BIT(HTTP_GET) | BIT(HTTP_HEAD)},
    {HTTP_GET, "files/x/exact", "exact", BIT(HTTP_GET) | BIT(HTTP_HEAD)},
    {HTTP_PUT, "files/x/y/z", "upload", BIT(HTTP_PUT)},
    {HTTP_GET, "files/x/y/z", "file", BIT(HTTP_GET) | BIT(HTTP_HEAD) | BIT(HTTP_PUT)},
    {HTTP_GET, "files/x//z", NULL, 0},
    {HTTP_GET, "files/", NULL, 0},
};

static struct router_match find(const struct router *router, enum http_method method,
                                const char *path, struct slice segments[ROUTER_SEGMENTS_MAX])
{
    size_t count = 0;
    struct slice rest = slice_of(path);
    if (rest.len > 0) {
        while (slice_next(&rest, '/', &segments[count])) {
            count++;
        }
    }
    return router_find(router, method, segments, count);
}

static void test_finds(void **state)
{
    (void)state;
    struct router *router = router_new(routes, PH_ARRAY_LENGTH(routes));
    for (size_t i = 0; i < PH_ARRAY_LENGTH(expectations); i++) {
        const struct expectation *expected = &expectations[i];
        struct slice segments[ROUTER_SEGMENTS_MAX];
        struct router_match match = find(router, expected->method, expected->path, segments);
        if (expected->data == NULL) {
            assert_null(match.row);
        } else {
            assert_non_null(match.row);
            assert_string_equal(match.row->route->data, expected->data);
        }
        assert_int_equal(match.allowed, expected->allowed);
    }
    router_free(router);
}

static void test_names_parameters_per_route(void **state)
{
    (void)state;
    struct router *router = router_new(routes, PH_ARRAY_LENGTH(routes));
    struct slice segments[ROUTER_SEGMENTS_MAX];
    struct router_match match = find(router, HTTP_DELETE, "api/v1/app/x", segments);
    assert_int_equal(match.row->parameter_count, 1);
    assert_true(slice_equal_text(match.row->parameters[0].name, "id"));
    assert_int_equal(match.row->parameters[0].segment, 3);
    match = find(router, HTTP_POST, "api/v1/app/x/msg/y/resend", segments);
    assert_int_equal(match.row->parameter_count, 2);
    assert_true(slice_equal_text(match.row->parameters[1].name, "msg_id"));
    assert_int_equal(match.row->parameters[1].segment, 5);
    router_free(router);
}

static void test_refuses_paths_longer_than_any_route(void **state)
{
    (void)state;
    struct router *router = router_new(routes, PH_ARRAY_LENGTH(routes));
    struct slice segments[ROUTER_SEGMENTS_MAX + 1];
    for (size_t i = 0; i < PH_ARRAY_LENGTH(segments); i++) {
        segments[i] = SLICE_LITERAL("a");
    }
    assert_null(router_find(router, HTTP_GET, segments, PH_ARRAY_LENGTH(segments)).row);
    router_free(router);
}

struct decoding {
    const char *raw;
    bool plus_is_space;
    const char *text; /* NULL = refused */
};

static const struct decoding decodings[] = {
    {"", false, ""},
    {"plain", false, "plain"},
    {"a+b", false, "a+b"},
    {"a+b", true, "a b"},
    {"%41%62", false, "Ab"},
    {"%2f..%2F", false, "/../"},
    {"%e2%82%AC", false, "\xe2\x82\xac"},
    {"%2541", false, "%41"},
    {"\xe2\x82\xac", false, "\xe2\x82\xac"},
    {"%", false, NULL},
    {"a%4", false, NULL},
    {"%4g", false, NULL},
    {"%-1", false, NULL},
    {"%00", false, NULL},
    {"a%00b", true, NULL},
    {"%ff", false, NULL},
    {"%c0%80", false, NULL},
    {"\xff", false, NULL},
};

static void test_decodes(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 4096);
    for (size_t i = 0; i < PH_ARRAY_LENGTH(decodings); i++) {
        struct slice text = SLICE_NONE;
        bool is_valid =
            http_decode(slice_of(decodings[i].raw), decodings[i].plus_is_space, &arena, &text);
        assert_int_equal(is_valid, decodings[i].text != NULL);
        if (is_valid) {
            assert_true(slice_equal_text(text, decodings[i].text));
        }
    }
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds),
        cmocka_unit_test(test_names_parameters_per_route),
        cmocka_unit_test(test_refuses_paths_longer_than_any_route),
        cmocka_unit_test(test_decodes),
    };
    return cmocka_run_group_tests_name("http_router", tests, NULL, NULL);
}
