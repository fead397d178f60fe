/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Schema beyond the official suite: words, places, limits, and what is decided here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "core/schema.h"

#define TEXT_BYTES ((size_t)4 * 1024 * 1024)

/* --- helpers -------------------------------------------------------------------------------------
 */

static int64_t clock_now_us;
static int64_t clock_step_us;

static int64_t stepping_clock(void)
{
    clock_now_us += clock_step_us;
    return clock_now_us;
}

static struct schema *compiled(const char *text)
{
    struct schema *schema = NULL;
    struct diag diag;
    if (schema_compile(slice_of(text), "schema", &diag, &schema) != PH_OK) {
        fail_msg("%s: %s", text, diag.text);
    }
    return schema;
}

static void assert_refused(const char *text, const char *words)
{
    struct schema *schema = NULL;
    struct diag diag = {.text = ""};
    if (schema_compile(slice_of(text), "body.schemas", &diag, &schema) != PH_INVALID) {
        fail_msg("%.200s: was not refused", text);
    }
    assert_null(schema);
    assert_string_equal(diag.field, "body.schemas");
    if (strstr(diag.text, words) == NULL) {
        fail_msg("%.200s: \"%s\" has no \"%s\"", text, diag.text, words);
    }
}

static enum ph_error validate(const char *schema_text, const char *value, struct diag *diag)
{
    struct schema *schema = compiled(schema_text);
    struct schema_budget budget = schema_budget(strlen(value));
    memset(diag, 0, sizeof *diag);
    enum ph_error error =
        schema_validate(schema, slice_of(value), stepping_clock, &budget, "body.payload", diag);
    schema_free(schema);
    return error;
}

static void assert_fits(const char *schema, const char *value)
{
    struct diag diag;
    if (validate(schema, value, &diag) != PH_OK) {
        fail_msg("%s: %.200s: %s", schema, value, diag.text);
    }
}

/* The parts of the place with `|` between them, and the words. */
static void assert_misfit(const char *schema, const char *value, const char *parts,
                          const char *words)
{
    struct diag diag;
    if (validate(schema, value, &diag) != PH_INVALID) {
        fail_msg("%s: %.200s: fits", schema, value);
    }
    for (char *at = diag.field; *at != '\0'; at++) {
        *at = *at == DIAG_PART ? '|' : *at;
    }
    assert_string_equal(diag.field, parts);
    assert_string_equal(diag.text, words);
}

static void repeat(struct buf *text, const char *piece, size_t count)
{
    while (count-- > 0) {
        buf_append_text(text, piece);
    }
}

/* --- refused schemas
 * ------------------------------------------------------------------------------ */

static void test_places_in_a_schema(void **state)
{
    (void)state;
    assert_refused("{", "is not JSON");
    assert_refused("3", "`/`: a schema is an object or a boolean");
    assert_refused("{\"properties\":{\"a/b~\":{\"items\":[true,{\"type\":\"text\"}]}}}",
                   "`/properties/a~1b~0/items/1/type`: must be object, array");
    assert_refused("{\"definitions\":{\"a\":{\"maxLength\":-1}}}",
                   "`/definitions/a/maxLength`: must be a whole number of 0 or more");
    assert_refused("{\"minItems\":1.5}", "`/minItems`: must be a whole number");
    assert_refused("{\"multipleOf\":0}", "`/multipleOf`: must be above 0");
    assert_refused("{\"multipleOf\":1.234567890123456789}", "has more than 18 digits");
    assert_refused("{\"required\":[\"a\",1]}", "`/required/1`: must be a string");
    assert_refused("{\"allOf\":[]}", "`/allOf`: must have a schema at least");
    assert_refused("{\"type\":[]}", "`/type`: must name a type at least");
    assert_refused("{\"not\":null}", "`/not`: a schema is an object or a boolean");
    assert_refused("{\"uniqueItems\":1}", "`/uniqueItems`: must be true or false");
    assert_refused("{\"enum\":{}}", "`/enum`: must be an array");
    assert_refused("{\"properties\":[]}", "`/properties`: must be an object");
    assert_refused("{\"dependencies\":{\"a\":1}}", "`/dependencies/a`: a schema is");
    assert_refused("{\"minimum\":\"1\"}", "`/minimum`: must be a number");
    assert_refused("{\"required\":[\"\\ud800\"]}", "`/required/0`: ");
    assert_refused("{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\"}",
                   "`/$schema`: payloads are validated by draft 7 only");
}

static void test_expressions_that_are_none(void **state)
{
    (void)state;
    assert_refused("{\"pattern\":\"a(\"}", "`/pattern`: is no regular expression: missing closing");
    assert_refused("{\"pattern\":1}", "`/pattern`: must be a string");
    assert_refused("{\"patternProperties\":{\"[\":true}}", "`/patternProperties/[`: is no regular");
    assert_refused("{\"pattern\":\"(*UCP)\\\\d\"}", "is no regular expression");
    assert_refused("{\"pattern\":\"(*LIMIT_MATCH=9)a\"}", "is no regular expression");
    assert_refused("{\"pattern\":\"\\\\C\"}", "is no regular expression");
}

static void test_references_that_lead_nowhere(void **state)
{
    (void)state;
    assert_refused("{\"$ref\":\"http://example.com/a\"}", "`/`: the reference leads out of");
    assert_refused("{\"items\":{\"$ref\":\"b.json\"}}", "`/items`: the reference leads out of");
    assert_refused("{\"items\":{\"$ref\":\"#/definitions/a\"}}",
                   "`/items`: the reference leads to");
    assert_refused("{\"items\":{\"$ref\":\"#a\"}}", "`/items`: the reference leads to nothing");
    assert_refused("{\"a\":[1],\"items\":{\"$ref\":\"#/a/1\"}}",
                   "`/items`: the reference leads to");
    assert_refused("{\"a\":[1],\"items\":{\"$ref\":\"#/a/0\"}}", "`/a/0`: a schema is an object");
    assert_refused("{\"$ref\":\"#\"}", "`/`: it refers to itself without an end");
    assert_refused("{\"definitions\":{\"a\":{\"anyOf\":[{\"$ref\":\"#/definitions/b\"}]},"
                   "\"b\":{\"not\":{\"$ref\":\"#/definitions/a\"}}}}",
                   "refers to itself without an end");
    assert_refused("{\"dependencies\":{\"a\":{\"$ref\":\"#\"}}}", "refers to itself");
    /* One that goes a step down in the value each time does end. */
    assert_fits("{\"properties\":{\"next\":{\"$ref\":\"#\"}}}", "{\"next\":{\"next\":{}}}");
}

static void test_limits_of_a_schema(void **state)
{
    (void)state;
    BUF_AUTO struct buf text;
    buf_init(&text, TEXT_BYTES);
    buf_append_text(&text, "{\"title\":\"");
    repeat(&text, "x", SCHEMA_TEXT_MAX);
    buf_append_text(&text, "\"}");
    assert_refused(buf_text(&text), "the schema has more than 524288 bytes");

    buf_clear(&text);
    buf_append_text(&text, "{\"items\":[true");
    repeat(&text, ",true", SCHEMA_NODES_MAX - 1);
    buf_append_text(&text, "]}");
    assert_refused(buf_text(&text), "more than 10000 schemas in one");

    buf_clear(&text);
    buf_append_text(&text, "{\"items\":[true");
    for (int index = 0; index < SCHEMA_IDS_MAX; index++) {
        buf_append_format(&text, ",{\"$id\":\"http://example.com/%d\"}", index);
    }
    buf_append_text(&text, "]}");
    assert_refused(buf_text(&text), "more than 1000 `$id`");

    buf_clear(&text);
    buf_append_text(&text, "{\"items\":[true");
    for (int index = 0; index <= SCHEMA_IDS_MAX; index++) {
        buf_append_format(&text, ",{\"$id\":\"#%d\"}", index);
    }
    buf_append_text(&text, "]}");
    assert_refused(buf_text(&text), "more than 1000 `$id`");

    buf_clear(&text);
    buf_append_text(&text, "{\"$id\":\"");
    repeat(&text, "x", 3000);
    buf_append_text(&text, "\"}");
    assert_refused(buf_text(&text), "`/$id`: the `$id` is too long");
}

static void test_limits_of_chains(void **state)
{
    (void)state;
    BUF_AUTO struct buf text;
    buf_init(&text, TEXT_BYTES);
    for (int length = SCHEMA_CHAIN_MAX - 1; length <= 2000; length += 1901) {
        buf_clear(&text);
        buf_append_text(&text, "{\"definitions\":{\"0\":{\"type\":\"null\"}");
        for (int index = 1; index < length; index++) {
            buf_append_format(&text, ",\"%d\":{\"$ref\":\"#/definitions/%d\"}", index, index - 1);
        }
        buf_append_format(&text, "},\"allOf\":[{\"$ref\":\"#/definitions/%d\"}]}", length - 3);
        if (length < SCHEMA_CHAIN_MAX) {
            assert_fits(buf_text(&text), "null");
            assert_misfit(buf_text(&text), "1", "body.payload", "`/`: is not of type null");
        } else {
            assert_refused(buf_text(&text), "more than 100 schemas hold for one value");
        }
    }
}

/* References that each look through the whole of a long array. */
static void test_limit_of_compiling_work(void **state)
{
    (void)state;
    BUF_AUTO struct buf text;
    buf_init(&text, TEXT_BYTES);
    buf_append_text(&text, "{\"a\":[true");
    repeat(&text, ",\"some words that take their place in it\"", 4000);
    buf_append_text(&text, "],\"items\":[true");
    repeat(&text, ",{\"$ref\":\"#/a/0\"}", 5000);
    buf_append_text(&text, "]}");
    assert_refused(buf_text(&text), "the schema takes too much work");
}

/* References by name are found without looking through everything each time. */
static void test_many_references(void **state)
{
    (void)state;
    BUF_AUTO struct buf text;
    buf_init(&text, TEXT_BYTES);
    buf_append_text(&text, "{\"definitions\":{\"z\":false");
    for (int index = 0; index < 4000; index++) {
        buf_append_format(&text, ",\"%d\":{\"title\":\"some words that take a place\"}", index);
    }
    buf_append_text(&text, ",\"\\u007a\":{\"type\":\"null\"}},\"items\":[true");
    repeat(&text, ",{\"$ref\":\"#/definitions/z\"}", 5000);
    buf_append_text(&text, "]}");
    assert_fits(buf_text(&text), "[1,null]");
    assert_misfit(buf_text(&text), "[1,2]", "body|payload|[1]", "`/1`: is not of type null");
}

static void test_limits_of_expressions(void **state)
{
    (void)state;
    BUF_AUTO struct buf text;
    buf_init(&text, TEXT_BYTES);
    buf_append_text(&text, "{\"pattern\":\"");
    repeat(&text, "a", SCHEMA_PATTERN_MAX + 1);
    buf_append_text(&text, "\"}");
    assert_refused(buf_text(&text), "is no regular expression: pattern string is longer");

    buf_clear(&text);
    buf_append_text(&text, "{\"pattern\":\"");
    repeat(&text, "(", 200);
    repeat(&text, ")", 200);
    buf_append_text(&text, "\"}");
    assert_refused(buf_text(&text), "parentheses are too deeply nested");

    buf_clear(&text);
    buf_append_text(&text, "{\"patternProperties\":{\"a\":true");
    for (int index = 0; index < 1000; index++) {
        buf_append_format(&text, ",\"(?:(?:a|%d){2,90}d){2,30}\":true", index);
    }
    buf_append_text(&text, "}}");
    assert_refused(buf_text(&text), "the regular expressions take too much memory");
}

/* --- values
 * ----------------------------------------------------------------------------------------- */

static void test_words_of_a_value(void **state)
{
    (void)state;
    assert_misfit("false", "1", "body.payload", "`/`: is not allowed");
    assert_misfit("{\"type\":[\"string\",\"null\"]}", "1", "body.payload",
                  "`/`: is not of type string or null");
    assert_misfit("{\"required\":[\"a\",\"b\"]}", "{\"a\":1}", "body.payload",
                  "`/`: lacks `b`, which is required");
    assert_misfit("{\"properties\":{\"a\":{\"items\":{\"maximum\":3}}}}", "{\"a\":[1,2,3,4]}",
                  "body|payload|a|[3]", "`/a/3`: is above `maximum`");
    assert_misfit("{\"additionalProperties\":false,\"properties\":{\"a\":true}}",
                  "{\"a\":1,\"b\":2}", "body|payload|b", "`/b`: is not allowed");
    assert_misfit("{\"dependencies\":{\"a\":[\"b\"]}}", "{\"a\":1}", "body.payload",
                  "`/`: lacks `b`, which goes with `a`");
    assert_misfit("{\"anyOf\":[{\"type\":\"null\"}]}", "1", "body.payload",
                  "`/`: fits no schema of `anyOf`");
    assert_misfit("{\"oneOf\":[true,true]}", "1", "body.payload",
                  "`/`: fits more than one schema of `oneOf`");
    assert_misfit("{\"oneOf\":[false]}", "1", "body.payload", "`/`: fits no schema of `oneOf`");
    assert_misfit("{\"not\":true}", "1", "body.payload", "`/`: fits the schema of `not`");
    assert_misfit("{\"if\":{\"type\":\"null\"},\"then\":false}", "null", "body.payload",
                  "`/`: is not allowed");
    assert_misfit("{\"propertyNames\":{\"maxLength\":3}}", "{\"long\":1}", "body|payload|long",
                  "`/long`: has more than 3 characters");
    assert_misfit("{\"maxProperties\":1}", "{\"a\":1,\"b\":1}", "body.payload",
                  "`/`: has more than 1 members");
    assert_misfit("{\"contains\":{\"type\":\"null\"}}", "[1]", "body.payload",
                  "`/`: has no element that fits `contains`");
    assert_misfit("{\"minItems\":2}", "[1]", "body.payload", "`/`: has fewer than 2 elements");
}

/* What the payload says is nobody's business: keys are shown, values are not. */
static void test_no_content_in_words(void **state)
{
    (void)state;
    static const char *const schemas[] = {
        "{\"properties\":{\"a\":{\"const\":1}}}",
        "{\"properties\":{\"a\":{\"enum\":[1]}}}",
        "{\"properties\":{\"a\":{\"maxLength\":1}}}",
        "{\"properties\":{\"a\":{\"type\":\"null\"}}}",
        "{\"properties\":{\"a\":{\"pattern\":\"^y\"}}}",
        "{\"properties\":{\"a\":false}}",
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(schemas); index++) {
        struct diag diag;
        assert_int_equal(validate(schemas[index], "{\"a\":\"hidden\"}", &diag), PH_INVALID);
        assert_null(strstr(diag.text, "hidden"));
        assert_non_null(strstr(diag.text, "`/a`: "));
    }
}

static void test_keys_of_places(void **state)
{
    (void)state;
    assert_misfit("{\"additionalProperties\":false}", "{\"a.b/c~\":1}", "body|payload|a.b/c~",
                  "`/a.b~1c~0`: is not allowed");
    assert_misfit("{\"additionalProperties\":false}", "{\"\\u001f\\n\\u00e9\":1}",
                  "body|payload|??é", "`/??é`: is not allowed");
    assert_misfit("{\"additionalProperties\":false}", "{\"\\ud800\":1}",
                  "body|payload|\xef\xbf\xbd", "`/\xef\xbf\xbd`: is not allowed");
    assert_misfit("{\"additionalProperties\":false}", "{\"\":1}", "body|payload|",
                  "`/`: is not allowed");
}

/* Long places are cut between parts, and between characters. */
static void test_long_places(void **state)
{
    (void)state;
    struct diag diag;
    BUF_AUTO struct buf value;
    BUF_AUTO struct buf expected;
    buf_init(&value, TEXT_BYTES);
    buf_init(&expected, TEXT_BYTES);
    repeat(&value, "{\"\xc3\xa9\":", 120);
    buf_append_text(&value, "1");
    repeat(&value, "}", 120);
    assert_int_equal(
        validate("{\"properties\":{\"\xc3\xa9\":{\"$ref\":\"#\"}},\"type\":\"object\"}",
                 buf_text(&value), &diag),
        PH_INVALID);
    buf_append_text(&expected, "body\x1fpayload");
    repeat(&expected, "\x1f\xc3\xa9", (sizeof diag.field - 1 - 12) / 3);
    assert_string_equal(diag.field, buf_text(&expected));
    assert_true(slice_is_utf8_text(slice_of(diag.text)));
    assert_non_null(strstr(diag.text, "`: is not of type object"));
}

static void test_numbers_are_exact(void **state)
{
    (void)state;
    assert_misfit("{\"maximum\":9007199254740992}", "9007199254740993", "body.payload",
                  "`/`: is above `maximum`");
    assert_fits("{\"maximum\":9007199254740993}", "9007199254740993");
    assert_fits("{\"const\":1e400}", "10e399");
    assert_misfit("{\"const\":0.1}", "0.1000000000000000000001", "body.payload",
                  "`/`: is not the value of `const`");
    assert_fits("{\"multipleOf\":0.01}", "123456789012345678901234567890.11");
    assert_misfit("{\"multipleOf\":0.01}", "123456789012345678901234567890.111", "body.payload",
                  "`/`: is no multiple of `multipleOf`");
    assert_fits("{\"multipleOf\":3}", "3e1000000");
    assert_misfit("{\"multipleOf\":7}", "1e1000000", "body.payload",
                  "`/`: is no multiple of `multipleOf`");
    assert_fits("{\"type\":\"integer\"}", "1.50e1");
    assert_misfit("{\"type\":\"integer\"}", "1.5", "body.payload", "`/`: is not of type integer");
    assert_fits("{\"minimum\":-0,\"maximum\":0.0}", "-0e5");
    assert_fits("{\"maximum\":1e999999999999999999999}", "1e999999999999999999998");
}

static void test_same_values(void **state)
{
    (void)state;
    assert_misfit("{\"uniqueItems\":true}", "[1,\"a\",1.0]", "body.payload",
                  "`/`: has the same element twice");
    assert_misfit("{\"uniqueItems\":true}",
                  "[{\"a\":1,\"b\":[\"\\u0061\"]},{\"b\":[\"a\"],\"a\":1e0}]", "body.payload",
                  "`/`: has the same element twice");
    assert_fits("{\"uniqueItems\":true}", "[[],{},\"\",0,false,null,true,[0],[false],\"0\"]");
    assert_fits("{\"enum\":[{\"a\":[1,{\"b\":null}]}]}", " {\"a\" : [1.0, {\"b\":null}]} ");
}

/* Each of members with the same key has to fit: who knows which one a receiver takes. */
static void test_doubled_and_escaped_keys(void **state)
{
    (void)state;
    assert_misfit("{\"properties\":{\"a\":{\"type\":\"null\"}}}", "{\"a\":1,\"a\":null}",
                  "body|payload|a", "`/a`: is not of type null");
    assert_misfit("{\"properties\":{\"a\":{\"type\":\"null\"}}}", "{\"a\":null,\"\\u0061\":1}",
                  "body|payload|a", "`/a`: is not of type null");
    assert_fits("{\"required\":[\"\\u0061b\"]}", "{\"a\\u0062\":1}");
    assert_fits("{\"patternProperties\":{\"^a\":{\"type\":\"null\"}}}", "{\"\\u0061b\":null}");
    /* In a schema the last one counts. */
    assert_fits("{\"type\":\"null\",\"type\":\"string\"}", "\"a\"");
    assert_fits("{\"properties\":{\"a\":false,\"a\":true}}", "{\"a\":1}");
    assert_fits("{\"\\u0074ype\":\"null\"}", "null");
    assert_misfit("{\"\\u0074ype\":\"null\"}", "1", "body.payload", "`/`: is not of type null");
}

static void test_expressions(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *fits;
        const char *misfits;
    } rows[] = {
        {"^[a-z]+$", "\"abc\"", "\"abc\\n\""},
        {"b", "\"abc\"", "\"ac\""},
        {"^\\\\d$", "\"1\"", "\"\\u0967\""},
        {"^.$", "\"\\ud83d\\ude00\"", "\"\\n\""},
        {"^\\\\u00e9$", "\"\\u00E9\"", "\"e\""},
        {"^\\\\p{Lu}$", "\"\xc3\x89\"", "\"\xc3\xa9\""},
        {"^(?<year>[0-9]{4})$", "\"2026\"", "\"26\""},
        {"^\xef\xbf\xbd$", "\"\\ud800\"", "\"a\""},
        {"^a/b$", "\"a\\/b\"", "\"a\""},
        {"", "\"\"", NULL},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        char schema[100];
        (void)snprintf(schema, sizeof schema, "{\"pattern\":\"%s\"}", rows[index].pattern);
        assert_fits(schema, rows[index].fits);
        if (rows[index].misfits != NULL) {
            assert_misfit(schema, rows[index].misfits, "body.payload",
                          "`/`: does not match `pattern`");
        }
    }
}

/* A match anywhere in a long text is found, wherever the stretches that are searched end. */
static void test_long_texts(void **state)
{
    (void)state;
    BUF_AUTO struct buf value;
    buf_init(&value, TEXT_BYTES);
    for (size_t length = 0; length < 700; length++) {
        buf_clear(&value);
        buf_append_byte(&value, '"');
        repeat(&value, "\xc3\xa9", length);
        buf_append_text(&value, "z\"");
        assert_fits("{\"pattern\":\"(?<!a)z\"}", buf_text(&value));
        struct diag diag;
        assert_int_equal(validate("{\"pattern\":\"zz\"}", buf_text(&value), &diag), PH_INVALID);
        assert_string_equal(diag.text, "`/`: does not match `pattern`");
    }
}

/* --- limits of a validation
 * --------------------------------------------------------------------------- */

static const char exhausted[] = "it takes too much work to validate this by the schema";

/* The steps of one match are limited, whatever the time. */
static void test_limit_of_steps(void **state)
{
    (void)state;
    clock_step_us = 0;
    assert_misfit("{\"pattern\":\"^(a+)+$\"}",
                  "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"", "body.payload",
                  exhausted);
    /* A failure that is looked for is none when it was not reached by work. */
    assert_misfit("{\"not\":{\"pattern\":\"^(a+)+$\"}}",
                  "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"", "body.payload",
                  exhausted);
}

static void test_limit_of_time(void **state)
{
    (void)state;
    BUF_AUTO struct buf value;
    buf_init(&value, TEXT_BYTES);
    buf_append_byte(&value, '"');
    repeat(&value, "1", 100000);
    buf_append_byte(&value, '"');
    clock_step_us = schema_budget(0).match_us;
    assert_misfit("{\"pattern\":\"1+x\"}", buf_text(&value), "body.payload", exhausted);
    /* What is found at once asks for no time. */
    clock_step_us = 2 * schema_budget(0).match_us;
    assert_fits("{\"pattern\":\"1+\"}", buf_text(&value));
    clock_step_us = 0;
}

static void test_limit_of_work(void **state)
{
    (void)state;
    BUF_AUTO struct buf schema;
    BUF_AUTO struct buf value;
    buf_init(&schema, TEXT_BYTES);
    buf_init(&value, TEXT_BYTES);
    buf_append_text(&schema, "{\"items\":{\"enum\":[0");
    repeat(&schema, ",\"0123456789\"", 9000);
    buf_append_text(&schema, "]}}");
    buf_append_text(&value, "[\"012345678x\"");
    repeat(&value, ",\"012345678x\"", 9000);
    buf_append_text(&value, "]");
    assert_misfit(buf_text(&schema), buf_text(&value), "body|payload|[0]",
                  "`/0`: is none of the values of `enum`");
    buf_clear(&schema);
    buf_append_text(&schema, "{\"items\":{\"not\":{\"enum\":[0");
    repeat(&schema, ",\"0123456789\"", 9000);
    buf_append_text(&schema, "]}}}");
    assert_misfit(buf_text(&schema), buf_text(&value), "body.payload", exhausted);
}

/* Several values share a budget; a larger one has more of it. */
static void test_a_budget(void **state)
{
    (void)state;
    struct schema *schema = compiled("{\"items\":{\"pattern\":\"^(a+)+$\"}}");
    struct schema_budget budget = schema_budget(100);
    const struct schema_budget whole = budget;
    struct diag diag;
    assert_int_equal(
        schema_validate(schema, slice_of("[\"aa\"]"), stepping_clock, &budget, "body", &diag),
        PH_OK);
    assert_true(budget.work < whole.work && budget.match_us == whole.match_us);
    clock_step_us = 1000;
    assert_int_equal(schema_validate(schema, slice_of("[\"aaaaaaaaaaaaaaaaaaab\"]"), stepping_clock,
                                     &budget, "body", &diag),
                     PH_INVALID);
    assert_string_equal(diag.text, "`/0`: does not match `pattern`");
    assert_true(budget.match_us < whole.match_us && budget.match_us > 0);
    clock_step_us = 0;
    budget.match_us = 0;
    assert_int_equal(schema_validate(schema, slice_of("[\"aaaaaaaaaaaaaaaaaaab\"]"), stepping_clock,
                                     &budget, "body", &diag),
                     PH_INVALID);
    assert_string_equal(diag.text, exhausted);
    budget.work = 100;
    assert_int_equal(
        schema_validate(schema, slice_of("[\"aa\"]"), stepping_clock, &budget, "body", &diag),
        PH_INVALID);
    assert_string_equal(diag.text, exhausted);
    schema_free(schema);
    assert_true(schema_budget(10000000).work > whole.work);
    assert_true(schema_budget(10000000).match_us > whole.match_us);
}

/* Branches that double at each level of the value. */
static void test_limit_of_branches(void **state)
{
    (void)state;
    BUF_AUTO struct buf value;
    buf_init(&value, TEXT_BYTES);
    repeat(&value, "[", 60);
    repeat(&value, "]", 60);
    assert_misfit("{\"oneOf\":[{\"items\":{\"$ref\":\"#\"}},{\"items\":{\"$ref\":\"#\"},"
                  "\"minItems\":5}]}",
                  buf_text(&value), "body.payload", exhausted);
}

static void test_limit_of_depth(void **state)
{
    (void)state;
    BUF_AUTO struct buf schema;
    BUF_AUTO struct buf value;
    buf_init(&schema, TEXT_BYTES);
    buf_init(&value, TEXT_BYTES);
    repeat(&schema, "{\"allOf\":[", 40);
    buf_append_text(&schema, "{\"items\":{\"$ref\":\"#\"}}");
    repeat(&schema, "]}", 40);
    repeat(&value, "[", 20);
    repeat(&value, "]", 20);
    assert_fits(buf_text(&schema), buf_text(&value));
    buf_clear(&value);
    repeat(&value, "[", 40);
    repeat(&value, "]", 40);
    assert_misfit(buf_text(&schema), buf_text(&value), "body.payload", exhausted);
}

/* Flags of required members pile up with the depth of the value. */
static void test_limit_of_required(void **state)
{
    (void)state;
    BUF_AUTO struct buf schema;
    BUF_AUTO struct buf value;
    buf_init(&schema, TEXT_BYTES);
    buf_init(&value, TEXT_BYTES);
    buf_append_text(&schema, "{\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"");
    for (int index = 0; index < 50000; index++) {
        buf_append_format(&schema, ",\"%d\"", index);
    }
    buf_append_text(&schema, "]}");
    repeat(&value, "{\"a\":", 30);
    buf_append_text(&value, "1");
    repeat(&value, "}", 30);
    assert_misfit(buf_text(&schema), buf_text(&value), "body.payload", exhausted);
}

/* Keys with escapes are copied. */
static void test_limit_of_scratch(void **state)
{
    (void)state;
    BUF_AUTO struct buf value;
    buf_init(&value, (size_t)16 * 1024 * 1024);
    buf_append_text(&value, "{\"a\":1");
    repeat(&value, ",\"\\u0061\":1", 600000);
    buf_append_text(&value, "}");
    assert_misfit("{\"required\":[\"a\"]}", buf_text(&value), "body.payload", exhausted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places_in_a_schema),
        cmocka_unit_test(test_expressions_that_are_none),
        cmocka_unit_test(test_references_that_lead_nowhere),
        cmocka_unit_test(test_limits_of_a_schema),
        cmocka_unit_test(test_limits_of_chains),
        cmocka_unit_test(test_limit_of_compiling_work),
        cmocka_unit_test(test_many_references),
        cmocka_unit_test(test_limits_of_expressions),
        cmocka_unit_test(test_words_of_a_value),
        cmocka_unit_test(test_no_content_in_words),
        cmocka_unit_test(test_keys_of_places),
        cmocka_unit_test(test_long_places),
        cmocka_unit_test(test_numbers_are_exact),
        cmocka_unit_test(test_same_values),
        cmocka_unit_test(test_doubled_and_escaped_keys),
        cmocka_unit_test(test_expressions),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_limit_of_steps),
        cmocka_unit_test(test_limit_of_time),
        cmocka_unit_test(test_limit_of_work),
        cmocka_unit_test(test_a_budget),
        cmocka_unit_test(test_limit_of_branches),
        cmocka_unit_test(test_limit_of_depth),
        cmocka_unit_test(test_limit_of_required),
        cmocka_unit_test(test_limit_of_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
