/* SPDX-License-Identifier: Apache-2.0 */
/* Event types of OpenAPI documents: what is taken over, and how schemas come to stand alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/import_openapi.h"
#include "api/import_schema.h"
#include "base/buf.h"

#define FIELD "body.spec"

struct rig {
    json_t *document;
    struct arena arena;
    struct import_item *items;
    size_t count;
    struct diag diag;
};

static enum ph_error import_text(struct rig *rig, const char *text)
{
    json_error_t reason;
    memset(rig, 0, sizeof *rig);
    arena_init(&rig->arena, (size_t)64 * 1024 * 1024);
    rig->document = json_loads(text, JSON_DECODE_ANY, &reason);
    if (rig->document == NULL) {
        fail_msg("%s: %s", text, reason.text);
    }
    return import_openapi(rig->document, FIELD, &rig->arena, &rig->diag, &rig->items, &rig->count);
}

static void rig_done(struct rig *rig)
{
    json_decref(rig->document);
    arena_done(&rig->arena);
}

static void assert_slice(struct slice text, const char *expected)
{
    if (expected == NULL) {
        assert_null(text.ptr);
        return;
    }
    assert_non_null(text.ptr);
    assert_string_equal(text.ptr, expected); /* in the arena with a NUL */
    assert_int_equal(text.len, strlen(expected));
}

static void assert_refused(const char *text, const char *words)
{
    struct rig rig;
    assert_int_equal(import_text(&rig, text), PH_INVALID);
    assert_string_equal(rig.diag.field, FIELD);
    if (strstr(rig.diag.text, words) == NULL) {
        fail_msg("%s: \"%s\" has no \"%s\"", text, rig.diag.text, words);
    }
    rig_done(&rig);
}

/* The schemas of the only webhook of a document whose request body has this schema. */
static void assert_schema(const char *components, const char *media, const char *expected)
{
    struct rig rig;
    BUF_AUTO struct buf text;
    buf_init(&text, 65536);
    buf_append_format(
        &text,
        "{\"openapi\":\"3.0.3\",\"components\":{\"schemas\":%s},\"x-webhooks\":{\"a\":"
        "{\"post\":{\"requestBody\":{\"content\":{\"application/json\":%s}}}}}}",
        components, media);
    if (import_text(&rig, buf_text(&text)) != PH_OK) {
        fail_msg("%s: %s", media, rig.diag.text);
    }
    assert_int_equal(rig.count, 1);
    assert_slice(rig.items[0].schemas, expected);
    rig_done(&rig);
}

static void assert_bad_schema(const char *components, const char *schema, const char *words)
{
    BUF_AUTO struct buf text;
    buf_init(&text, 65536);
    buf_append_format(&text,
                      "{\"components\":{\"schemas\":%s},\"webhooks\":{\"a\":{\"post\":"
                      "{\"requestBody\":{\"content\":{\"x/y\":{\"schema\":%s}}}}}}}",
                      components, schema);
    assert_refused(buf_text(&text), words);
}

static void test_everything_is_taken_over(void **state)
{
    (void)state;
    struct rig rig;
    assert_int_equal(
        import_text(&rig,
                    "{\"openapi\":\"3.1.0\",\"webhooks\":{\"pet.new\":{\"post\":{"
                    "\"operationId\":\"x\",\"description\":\"A new pet\",\"deprecated\":true,"
                    "\"x-svix-feature-flags\":[\"a\",\"b\"],\"x-svix-group-name\":\"pets\","
                    "\"requestBody\":{\"content\":{\"application/json\":{\"schema\":"
                    "{\"type\":\"object\"}}}}}},"
                    "\"pet.old\":{\"summary\":\"Old\",\"put\":{\"x-svix-feature-flag\":\"c\"}},"
                    "\"pet.ref\":{\"$ref\":\"#/components/pathItems/P\"}},"
                    "\"x-webhooks\":{\"pet.old\":{\"post\":{}},\"more\":{\"get\":{}}},"
                    "\"components\":{\"pathItems\":{\"P\":{\"post\":{\"summary\":\"By"
                    " reference\"}}}}}"),
        PH_OK);
    assert_int_equal(rig.count, 4);
    const struct import_item *item = &rig.items[0];
    assert_slice(item->name, "pet.new");
    assert_slice(item->description, "A new pet");
    assert_true(item->is_deprecated);
    assert_slice(item->feature_flags, "[\"a\",\"b\"]");
    assert_slice(item->group_name, "pets");
    assert_slice(item->schemas, "{\"1\":{\"type\":\"object\"}}");
    item = &rig.items[1];
    assert_slice(item->name, "pet.old");
    assert_slice(item->description, "Old");
    assert_false(item->is_deprecated);
    assert_slice(item->feature_flags, "[\"c\"]");
    assert_slice(item->schemas, NULL);
    assert_slice(item->group_name, NULL);
    assert_slice(rig.items[2].description, "By reference");
    assert_slice(rig.items[3].name, "more");
    assert_slice(rig.items[3].description, "");
    rig_done(&rig);
}

static void test_versions(void **state)
{
    (void)state;
    static const char *const good[] = {"{\"webhooks\":{}}",
                                       "{\"openapi\":\"3.0.0\",\"x-webhooks\":{}}",
                                       "{\"openapi\":3.1,\"webhooks\":{}}"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(good); index++) {
        struct rig rig;
        assert_int_equal(import_text(&rig, good[index]), PH_OK);
        assert_int_equal(rig.count, 0);
        rig_done(&rig);
    }
    assert_refused("{\"openapi\":\"2.0\",\"webhooks\":{}}", "version 3");
    assert_refused("{\"openapi\":4,\"webhooks\":{}}", "version 3");
    assert_refused("{\"openapi\":null,\"webhooks\":{}}", "version 3");
    assert_refused("{\"swagger\":\"2.0\",\"x-webhooks\":{}}", "version 3");
    assert_refused("{\"openapi\":\"3.1.0\",\"paths\":{}}", "neither `webhooks` nor");
    assert_refused("{\"webhooks\":[]}", "`webhooks` is not an object");
    assert_refused("[]", "no object");
}

static void test_what_a_webhook_cannot_be(void **state)
{
    (void)state;
    assert_refused("{\"webhooks\":{\"a b\":{\"post\":{}}}}", "webhook a b: its name");
    assert_refused("{\"webhooks\":{\"\":{\"post\":{}}}}", "its name");
    assert_refused("{\"webhooks\":{\"a\":{}}}", "webhook a: it has no operation");
    assert_refused("{\"webhooks\":{\"a\":{\"post\":1}}}", "it has no operation");
    assert_refused("{\"webhooks\":{\"a\":{\"$ref\":\"#/nowhere\"}}}", "it has no operation");
    assert_refused("{\"webhooks\":{\"a\":{\"$ref\":\"#/webhooks/a\"}}}", "it has no operation");
    assert_refused("{\"webhooks\":{\"a\":{\"post\":{\"x-svix-group-name\":1}}}}", "group name");
    assert_refused("{\"webhooks\":{\"a\":{\"post\":{\"x-svix-feature-flag\":1}}}}", "flags");
    assert_refused("{\"webhooks\":{\"a\":{\"post\":{\"x-svix-feature-flags\":\"f\"}}}}", "flags");
}

static void test_schemas_stand_alone(void **state)
{
    (void)state;
    /* Used, used by what is used, used by itself; what nobody uses stays behind. */
    assert_schema("{\"A\":{\"properties\":{\"b\":{\"$ref\":\"#/components/schemas/B\"}}},"
                  "\"B\":{\"items\":{\"$ref\":\"#/components/schemas/B\"}},\"C\":{}}",
                  "{\"schema\":{\"anyOf\":[{\"$ref\":\"#/components/schemas/A\"}]}}",
                  "{\"1\":{\"anyOf\":[{\"$ref\":\"#/definitions/A\"}],\"definitions\":{"
                  "\"A\":{\"properties\":{\"b\":{\"$ref\":\"#/definitions/B\"}}},"
                  "\"B\":{\"items\":{\"$ref\":\"#/definitions/B\"}}}}}");
    /* A schema that is nothing but a reference is what it refers to. */
    assert_schema("{\"A\":{\"$ref\":\"#/components/schemas/B\"},\"B\":{\"type\":\"object\"}}",
                  "{\"schema\":{\"$ref\":\"#/components/schemas/A\"}}",
                  "{\"1\":{\"type\":\"object\"}}");
    /* Names that pointers escape, and places inside of a component. */
    assert_schema("{\"a/b ~\":{\"properties\":{\"x\":{\"type\":\"null\"}}}}",
                  "{\"schema\":{\"items\":{\"$ref\":"
                  "\"#/components/schemas/a~1b%20~0/properties/x\"}}}",
                  "{\"1\":{\"items\":{\"$ref\":\"#/definitions/a~1b%20~0/properties/x\"},"
                  "\"definitions\":{\"a/b ~\":{\"properties\":{\"x\":{\"type\":\"null\"}}}}}}");
    /* Properties may have the names of keywords, and values look like schemas. */
    assert_schema("{}",
                  "{\"schema\":{\"properties\":{\"$ref\":{\"type\":\"string\"},\"nullable\":true,"
                  "\"enum\":{\"enum\":[{\"$ref\":\"#/x\"}]}},\"default\":{\"nullable\":true}}}",
                  "{\"1\":{\"properties\":{\"$ref\":{\"type\":\"string\"},\"nullable\":true,"
                  "\"enum\":{\"enum\":[{\"$ref\":\"#/x\"}]}},\"default\":{\"nullable\":true}}}");
    assert_schema("{}", "{\"schema\":true}", "{\"1\":true}");
    assert_schema("{}", "{}", NULL);
}

static void test_words_of_openapi_3_0(void **state)
{
    (void)state;
    assert_schema("{}",
                  "{\"schema\":{\"properties\":{\"n\":{\"type\":\"number\",\"minimum\":1,"
                  "\"exclusiveMinimum\":true,\"maximum\":9,\"exclusiveMaximum\":false}}}}",
                  "{\"1\":{\"properties\":{\"n\":{\"type\":\"number\",\"maximum\":9,"
                  "\"exclusiveMinimum\":1}}}}");
    assert_schema("{}",
                  "{\"schema\":{\"items\":{\"type\":\"string\",\"nullable\":true,\"enum\":[\"a\"]},"
                  "\"not\":{\"nullable\":false,\"type\":\"string\"}}}",
                  "{\"1\":{\"items\":{\"type\":[\"string\",\"null\"],\"enum\":[\"a\",null]},"
                  "\"not\":{\"type\":\"string\"}}}");
    assert_schema("{}", "{\"schema\":{\"multipleOf\":0.01}}", "{\"1\":{\"multipleOf\":0.01}}");
}

static void test_examples(void **state)
{
    (void)state;
    assert_schema("{}", "{\"schema\":{\"example\":{\"n\":1}}}",
                  "{\"1\":{\"examples\":[{\"n\":1}]}}");
    assert_schema(
        "{}",
        "{\"schema\":{\"examples\":[3]},\"example\":1,\"examples\":{\"two\":{\"value\":2},"
        "\"none\":{}}}",
        "{\"1\":{\"examples\":[1,2,3]}}");
    assert_schema("{}", "{\"schema\":false,\"example\":1}", "{\"1\":false}");
}

static void test_schemas_that_cannot_be_taken(void **state)
{
    (void)state;
    assert_bad_schema("{}", "{\"$ref\":\"#/components/schemas/None\"}", "what is not there");
    assert_bad_schema("{\"A\":{\"$ref\":\"#/components/schemas/A\"}}",
                      "{\"$ref\":\"#/components/schemas/A\"}", "what is not there");
    assert_bad_schema("{}", "{\"items\":{\"$ref\":\"#/components/schemas/None\"}}",
                      "a: the reference #/components/schemas/None leads nowhere");
    assert_bad_schema("{\"A\":{}}", "{\"items\":{\"$ref\":\"#/components/schemas/A/x\"}}",
                      "leads nowhere");
    assert_bad_schema("{}", "{\"items\":{\"$ref\":\"https://example.com/s.json\"}}",
                      "does not lead to");
    assert_bad_schema("{}", "{\"items\":{\"$ref\":\"#\"}}", "does not lead to");
    assert_bad_schema(
        "{\"A\":{}}",
        "{\"items\":{\"$ref\":\"#/components/schemas/A\"},\"definitions\":{\"A\":{}}}",
        "also a definition");
    assert_bad_schema("{}", "{\"type\":\"objekt\"}", "`type` of the schema");
    assert_bad_schema("{}", "7", "neither an object nor a boolean");
}

static void test_definitions_do_not_grow_without_a_limit(void **state)
{
    (void)state;
    BUF_AUTO struct buf text;
    buf_init(&text, (size_t)4 * 1024 * 1024);
    buf_append_text(&text, "{\"components\":{\"schemas\":{\"A\":{\"description\":\"");
    for (int index = 0; index < 100000; index++) {
        buf_append_byte(&text, 'x');
    }
    buf_append_text(&text, "\"}}},\"webhooks\":{");
    for (int index = 0; index < 1000; index++) {
        buf_append_format(&text,
                          "%s\"w%d\":{\"post\":{\"requestBody\":{\"content\":{\"application/json\":"
                          "{\"schema\":{\"$ref\":\"#/components/schemas/A\"}}}}}}",
                          index > 0 ? "," : "", index);
    }
    buf_append_text(&text, "}}");
    assert_refused(buf_text(&text), "larger than 16777216 bytes in all");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_is_taken_over),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_what_a_webhook_cannot_be),
        cmocka_unit_test(test_schemas_stand_alone),
        cmocka_unit_test(test_words_of_openapi_3_0),
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_schemas_that_cannot_be_taken),
        cmocka_unit_test(test_definitions_do_not_grow_without_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
