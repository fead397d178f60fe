/* SPDX-License-Identifier: Apache-2.0 */
/* The table of operations and schemas.json fit each other, and so do the documents made of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/api_int.h"
#include "api/json_schema.h"
#include "api/openapi.h"
#include "api/reference.h"

#define PAGE_MAX ((size_t)4 * 1024 * 1024)
#define DEPTH_MAX 32

struct tables {
    const struct http_route *routes;
    size_t count;
    json_t *components;
    json_t *document;
};

static int set_up(void **state)
{
    static struct tables tables;
    tables.routes = api_routes(&tables.count);
    tables.components = openapi_components();
    tables.document = openapi_document(tables.routes, tables.count);
    *state = &tables;
    return 0;
}

static int tear_down(void **state)
{
    struct tables *tables = *state;
    json_decref(tables->components);
    json_decref(tables->document);
    return 0;
}

static const struct api_operation *operation_at(const struct tables *tables, size_t index)
{
    return tables->routes[index].data;
}

static json_t *component(const struct tables *tables, const char *section, const char *name)
{
    return json_object_get(json_object_get(tables->components, section), name);
}

/* --- rows ------------------------------------------------------------------------------------- */

static void test_ids_are_unique(void **state)
{
    const struct tables *tables = *state;
    json_t *seen = json_object();
    for (size_t index = 0; index < tables->count; index++) {
        const char *id = operation_at(tables, index)->id;
        if (json_object_get(seen, id) != NULL) {
            fail_msg("two operations have the id %s", id);
        }
        assert_int_equal(json_object_set_new(seen, id, json_true()), 0);
    }
    json_decref(seen);
}

static void test_summaries_are_one_line(void **state)
{
    const struct tables *tables = *state;
    for (size_t index = 0; index < tables->count; index++) {
        const char *summary = operation_at(tables, index)->summary;
        size_t length = strlen(summary);
        assert_in_range(length, 5, 80);
        assert_in_range(summary[0], 'A', 'Z');
        assert_int_not_equal(summary[length - 1], '.');
        assert_null(strchr(summary, '\n'));
    }
}

static void check_schema_name(const struct tables *tables, const char *id, const char *name)
{
    if (name != NULL && strchr(name, '/') == NULL) {
        const char *bare = name + (name[0] == '?' ? 1 : 0);
        if (component(tables, "schemas", bare) == NULL) {
            fail_msg("%s names the schema %s, which schemas.json does not have", id, bare);
        }
    }
}

static void check_parameter(const struct tables *tables, const char *id, const char *key,
                            const char *place)
{
    json_t *parameter = component(tables, "parameters", key);
    if (parameter == NULL) {
        fail_msg("%s names the parameter %s, which schemas.json does not have", id, key);
    }
    assert_string_equal(json_string_value(json_object_get(parameter, "in")), place);
    if (strcmp(place, "path") == 0) {
        assert_string_equal(json_string_value(json_object_get(parameter, "name")), key);
        assert_true(json_is_true(json_object_get(parameter, "required")));
    }
}

static void test_names_of_rows_exist(void **state)
{
    const struct tables *tables = *state;
    for (size_t index = 0; index < tables->count; index++) {
        const struct api_operation *operation = operation_at(tables, index);
        check_schema_name(tables, operation->id, operation->request);
        check_schema_name(tables, operation->id, operation->response);
        char name[OPENAPI_NAME_MAX];
        struct slice path = slice_of(tables->routes[index].pattern);
        while (openapi_next_path_parameter(&path, name)) {
            check_parameter(tables, operation->id, name, "path");
        }
        struct slice query = slice_of(operation->query);
        while (openapi_next_name(&query, name)) {
            bool is_header = strcmp(name, "last-event-id") == 0;
            check_parameter(tables, operation->id, name, is_header ? "header" : "query");
        }
    }
}

/* An answer without a body has no schema, one with a body has one. */
static void test_statuses_fit_bodies(void **state)
{
    const struct tables *tables = *state;
    for (size_t index = 0; index < tables->count; index++) {
        const struct api_operation *operation = operation_at(tables, index);
        struct slice statuses = slice_of(operation->statuses);
        char status[OPENAPI_NAME_MAX];
        bool is_planned = openapi_is_built(&tables->routes[index]);
        while (openapi_next_name(&statuses, status)) {
            is_planned = true;
            int64_t number;
            assert_true(slice_to_int64(slice_of(status), &number));
            assert_in_range(number, 200, 500);
            bool is_bare = number == 204 || number == 307;
            if (is_bare != (operation->response == NULL)) {
                fail_msg("%s answers %s with the body %s", operation->id, status,
                         operation->response == NULL ? "of no schema" : operation->response);
            }
        }
        if (is_planned == (operation->statuses[0] == '\0')) {
            fail_msg("%s is built and has no statuses", operation->id);
        }
    }
}

/* --- components ------------------------------------------------------------------------------- */

/* Notes what is referred to from `value`, and from there on. */
static void follow(const struct tables *tables, json_t *value, json_t *seen, unsigned depth)
{
    assert_in_range(depth, 0, DEPTH_MAX);
    const char *key;
    json_t *member;
    size_t index;
    json_array_foreach(value, index, member)
    {
        follow(tables, member, seen, depth + 1);
    }
    json_object_foreach(value, key, member)
    {
        if (strcmp(key, "$ref") != 0) {
            follow(tables, member, seen, depth + 1);
            continue;
        }
        const char *pointer = json_string_value(member);
        if (json_object_get(seen, pointer) == NULL) {
            assert_int_equal(json_object_set_new(seen, pointer, json_true()), 0);
            char section[OPENAPI_NAME_MAX];
            char name[OPENAPI_NAME_MAX];
            if (sscanf(pointer, "#/components/%63[a-z]/%63s", section, name) != 2 ||
                component(tables, section, name) == NULL) {
                fail_msg("%s points to nothing", pointer);
            }
            follow(tables, component(tables, section, name), seen, depth + 1);
        }
    }
}

static void test_components_are_used(void **state)
{
    const struct tables *tables = *state;
    json_t *seen = json_object();
    follow(tables, json_object_get(tables->document, "paths"), seen, 0);
    const char *section;
    json_t *members;
    json_object_foreach(tables->components, section, members)
    {
        const char *name;
        json_t *member;
        json_object_foreach(members, name, member)
        {
            char pointer[256];
            (void)snprintf(pointer, sizeof pointer, "#/components/%s/%s", section, name);
            if (json_object_get(seen, pointer) == NULL) {
                fail_msg("nothing uses %s", pointer);
            }
        }
    }
    json_decref(seen);
}

static void test_schemas_are_schemas(void **state)
{
    const struct tables *tables = *state;
    const char *name;
    json_t *schema;
    json_object_foreach(json_object_get(tables->components, "schemas"), name, schema)
    {
        const char *keyword = json_schema_find_error(schema);
        if (keyword != NULL) {
            fail_msg("schema %s: wrong value of `%s`", name, keyword);
        }
    }
    json_t *parameter;
    json_object_foreach(json_object_get(tables->components, "parameters"), name, parameter)
    {
        assert_non_null(json_object_get(parameter, "schema"));
        assert_null(json_schema_find_error(json_object_get(parameter, "schema")));
    }
}

static void test_required_members_exist(void **state)
{
    const struct tables *tables = *state;
    const char *name;
    json_t *schema;
    json_object_foreach(json_object_get(tables->components, "schemas"), name, schema)
    {
        size_t index;
        json_t *each;
        json_array_foreach(json_object_get(schema, "required"), index, each)
        {
            const char *member = json_string_value(each);
            if (json_object_get(json_object_get(schema, "properties"), member) == NULL) {
                fail_msg("schema %s requires %s, which it does not describe", name, member);
            }
        }
    }
}

/* --- the document ----------------------------------------------------------------------------- */

static json_t *operation_in(const struct tables *tables, const char *path, const char *method)
{
    json_t *paths = json_object_get(tables->document, "paths");
    return json_object_get(json_object_get(paths, path), method);
}

static void test_document_has_every_operation(void **state)
{
    const struct tables *tables = *state;
    for (size_t index = 0; index < tables->count; index++) {
        const struct http_route *route = &tables->routes[index];
        json_t *operation = operation_in(tables, route->pattern, openapi_method(route));
        assert_string_equal(json_string_value(json_object_get(operation, "operationId")),
                            operation_at(tables, index)->id);
        json_t *responses = json_object_get(operation, "responses");
        assert_in_range(json_object_size(responses), 1, 20);
        assert_int_equal(json_object_get(responses, "501") == NULL, openapi_is_built(route));
    }
}

static void test_document_of_one_operation(void **state)
{
    const struct tables *tables = *state;
    json_t *create = operation_in(tables, "/api/v1/app", "post");
    char *text = json_dumps(create, JSON_COMPACT);
    assert_string_equal(
        text, "{\"operationId\":\"v1.application.create\",\"summary\":\"Create an application\","
              "\"description\":\"Tokens of the organisation\",\"tags\":[\"application\"],"
              "\"parameters\":[{\"$ref\":\"#/components/parameters/get_if_exists\"},"
              "{\"$ref\":\"#/components/parameters/idempotency-key\"}],\"requestBody\":{"
              "\"required\":true,\"content\":{\"application/json\":{\"schema\":{"
              "\"$ref\":\"#/components/schemas/ApplicationIn\"}}}},\"responses\":{\"201\":{"
              "\"description\":\"Create an application\",\"content\":{\"application/json\":{"
              "\"schema\":{\"$ref\":\"#/components/schemas/ApplicationOut\"}}}},\"200\":{"
              "\"description\":\"Create an application\",\"content\":{\"application/json\":{"
              "\"schema\":{\"$ref\":\"#/components/schemas/ApplicationOut\"}}}},"
              "\"400\":{\"$ref\":\"#/components/responses/BadRequest\"},"
              "\"401\":{\"$ref\":\"#/components/responses/Unauthorized\"},"
              "\"403\":{\"$ref\":\"#/components/responses/Forbidden\"},"
              "\"409\":{\"$ref\":\"#/components/responses/Conflict\"},"
              "\"413\":{\"$ref\":\"#/components/responses/TooLarge\"},"
              "\"414\":{\"$ref\":\"#/components/responses/UriTooLong\"},"
              "\"422\":{\"$ref\":\"#/components/responses/Invalid\"},"
              "\"500\":{\"$ref\":\"#/components/responses/Failed\"},"
              "\"503\":{\"$ref\":\"#/components/responses/Busy\"},"
              "\"507\":{\"$ref\":\"#/components/responses/StoreFull\"}}}");
    free(text);
}

static void test_open_operations_need_no_token(void **state)
{
    const struct tables *tables = *state;
    for (size_t index = 0; index < tables->count; index++) {
        const struct http_route *route = &tables->routes[index];
        json_t *operation = operation_in(tables, route->pattern, openapi_method(route));
        json_t *security = json_object_get(operation, "security");
        assert_int_equal(security != NULL, operation_at(tables, index)->auth == API_AUTH_NONE);
        assert_int_equal(json_array_size(security), 0);
    }
}

static void test_tags(void **state)
{
    (void)state;
    char tag[OPENAPI_NAME_MAX];
    openapi_tag("v1.event-type.list", tag);
    assert_string_equal(tag, "event-type");
    openapi_tag("v1.message.poller.poll", tag);
    assert_string_equal(tag, "message");
    openapi_tag("health.live", tag);
    assert_string_equal(tag, "health");
    openapi_tag("metrics", tag);
    assert_string_equal(tag, "server");
    openapi_tag("v1.openapi", tag);
    assert_string_equal(tag, "server");
}

/* --- the page --------------------------------------------------------------------------------- */

static void test_page_links_lead_somewhere(void **state)
{
    const struct tables *tables = *state;
    BUF_AUTO struct buf page;
    buf_init(&page, PAGE_MAX);
    reference_write(&page, tables->routes, tables->count);
    assert_false(page.failed);
    const char *rest = buf_text(&page);
    unsigned links = 0;
    while ((rest = strstr(rest, "href=\"#")) != NULL) {
        rest += strlen("href=\"#");
        char anchor[OPENAPI_NAME_MAX + 16];
        (void)snprintf(anchor, sizeof anchor, " id=\"%.*s\"", (int)strcspn(rest, "\""), rest);
        if (strstr(buf_text(&page), anchor) == NULL) {
            fail_msg("no element has%s", anchor);
        }
        links++;
    }
    assert_in_range(links, 100, 100000);
    for (size_t index = 0; index < tables->count; index++) {
        char anchor[OPENAPI_NAME_MAX + 16];
        (void)snprintf(anchor, sizeof anchor, " id=\"%s\"", operation_at(tables, index)->id);
        assert_non_null(strstr(buf_text(&page), anchor));
    }
}

static void test_page_stands_alone(void **state)
{
    const struct tables *tables = *state;
    BUF_AUTO struct buf page;
    buf_init(&page, PAGE_MAX);
    reference_write(&page, tables->routes, tables->count);
    static const char *const foreign[] = {"<script", "<link", "<img", "src=", "@import", "url("};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(foreign); index++) {
        assert_null(strstr(buf_text(&page), foreign[index]));
    }
    assert_null(strstr(buf_text(&page), "href=\"http"));
}

static void test_page_escapes(void **state)
{
    (void)state;
    BUF_AUTO struct buf page;
    buf_init(&page, 256);
    reference_text(&page, "<b a=\"1\">&'");
    assert_string_equal(buf_text(&page), "&lt;b a=&quot;1&quot;&gt;&amp;'");
}

static void check_type(const char *schema, const char *expected)
{
    json_t *value = json_loads(schema, 0, NULL);
    assert_non_null(value);
    BUF_AUTO struct buf page;
    buf_init(&page, 1024);
    reference_type(&page, value);
    assert_string_equal(buf_text(&page), expected);
    json_decref(value);
}

static void test_page_names_types(void **state)
{
    (void)state;
    check_type("{}", "anything");
    check_type("{\"type\":[\"integer\",\"null\"],\"minimum\":1,\"maximum\":9}",
               "integer or null, 1 to 9");
    check_type("{\"type\":\"string\",\"minLength\":1,\"pattern\":\"^[<]+$\"}",
               "string, at least 1 characters, <code>^[&lt;]+$</code>");
    check_type(
        "{\"type\":\"array\",\"maxItems\":3,\"items\":{\"$ref\":\"#/components/schemas/A\"}}",
        "array of <a href=\"#A\">A</a>, at most 3 items");
    check_type("{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}",
               "object of string");
    check_type("{\"const\":\"basic\"}", "<code>&quot;basic&quot;</code>");
    check_type("{\"enum\":[\"a\",2]}", "<code>&quot;a&quot;</code> or <code>2</code>");
    check_type("{\"anyOf\":[{\"$ref\":\"#/components/schemas/A\"},{\"type\":\"null\"}]}",
               "<a href=\"#A\">A</a> or null");
}

static void test_page_shows_kinds(void **state)
{
    (void)state;
    json_t *components =
        json_loads("{\"schemas\":{\"A\":{\"properties\":{\"k\":{\"type\":\"string\"}},\"oneOf\":["
                   "{\"required\":[\"x\"],\"properties\":{\"x\":{\"type\":\"integer\"}}},"
                   "{\"properties\":{\"y\":{}}}]}}}",
                   0, NULL);
    assert_non_null(components);
    BUF_AUTO struct buf page;
    buf_init(&page, 4096);
    reference_schemas(&page, components);
    static const char *const parts[] = {
        "<h3 id=\"A\">A</h3>", "<code>k</code><td>string<td>\n</table>\n<p>One of:</p>\n<table>",
        "<code>x</code> *<td>integer<td>\n</table>\n<p>or:</p>\n<table>",
        "<code>y</code><td>anything<td>\n</table>\n"};
    const char *rest = buf_text(&page);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(parts); index++) {
        const char *part = strstr(rest, parts[index]);
        if (part == NULL) {
            fail_msg("the page has no %s where it belongs:\n%s", parts[index], buf_text(&page));
        }
        rest = part == NULL ? "" : part;
    }
    json_decref(components);
}

static void test_page_examples(void **state)
{
    const struct tables *tables = *state;
    BUF_AUTO struct buf text;
    buf_init(&text, 1024);
    reference_example(&text, tables->components, component(tables, "schemas", "MessageIn"));
    assert_string_equal(buf_text(&text),
                        "{\"eventType\":\"job.completed\",\"payload\":{\"runId\":\"918\"}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_are_unique),
        cmocka_unit_test(test_summaries_are_one_line),
        cmocka_unit_test(test_names_of_rows_exist),
        cmocka_unit_test(test_statuses_fit_bodies),
        cmocka_unit_test(test_components_are_used),
        cmocka_unit_test(test_schemas_are_schemas),
        cmocka_unit_test(test_required_members_exist),
        cmocka_unit_test(test_document_has_every_operation),
        cmocka_unit_test(test_document_of_one_operation),
        cmocka_unit_test(test_open_operations_need_no_token),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_page_links_lead_somewhere),
        cmocka_unit_test(test_page_stands_alone),
        cmocka_unit_test(test_page_escapes),
        cmocka_unit_test(test_page_names_types),
        cmocka_unit_test(test_page_shows_kinds),
        cmocka_unit_test(test_page_examples),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
