/* SPDX-License-Identifier: Apache-2.0 */
/* Documents as the original's reader takes them: scalars of YAML 1.1, merges, variables, JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "surfaces/magpie/yaml_scalar.h"

struct document {
    struct arena arena;
    struct magpie_yaml yaml;
    struct diag diag;
    struct yaml_node *root;
};

static void open_document(struct document *document, const char *text)
{
    *document = (struct document){.root = NULL};
    arena_init(&document->arena, YAML_ARENA_BYTES);
    document->yaml = (struct magpie_yaml){.arena = &document->arena, .diag = &document->diag};
    if (yaml_read(slice_of(text), &document->arena, &document->diag, &document->yaml.line,
                  &document->root) != PH_OK) {
        fail_msg("%s: %s", text, document->diag.text);
    }
}

/* All that a hook's section goes through. */
static enum ph_error convert(struct document *document, struct buf *json)
{
    enum ph_error error = magpie_yaml_check(&document->yaml, document->root);
    if (error == PH_OK) {
        error = magpie_yaml_expand(&document->yaml, document->root);
    }
    return error == PH_OK ? magpie_yaml_write(&document->yaml, document->root, json) : error;
}

static void assert_is(const char *text, const char *expected)
{
    struct document document;
    BUF_AUTO struct buf json;
    buf_init(&json, 1 << 20);
    open_document(&document, text);
    if (convert(&document, &json) != PH_OK) {
        fail_msg("%s: %s", text, document.diag.text);
    }
    assert_string_equal(buf_text(&json), expected);
    arena_done(&document.arena);
}

static void assert_refused(const char *text, const char *words, size_t line)
{
    struct document document;
    BUF_AUTO struct buf json;
    buf_init(&json, 1 << 20);
    open_document(&document, text);
    assert_int_equal(convert(&document, &json), PH_INVALID);
    if (strstr(document.diag.text, words) == NULL) {
        fail_msg("%s: \"%s\" has no \"%s\"", text, document.diag.text, words);
    }
    assert_int_equal(document.yaml.line, line);
    arena_done(&document.arena);
}

/* Held against the original's reader, PyYAML 6. */
static const char *const vectors[][2] = {
    {"~", "null"},
    {"null", "null"},
    {"Null", "null"},
    {"NULL", "null"},
    {"nUll", "\"nUll\""},
    {"'null'", "\"null\""},
    {"yes", "true"},
    {"Yes", "true"},
    {"on", "true"},
    {"TRUE", "true"},
    {"off", "false"},
    {"No", "false"},
    {"y", "\"y\""},
    {"n", "\"n\""},
    {"oN", "\"oN\""},
    {"0", "0"},
    {"-0", "0"},
    {"+7", "7"},
    {"-12", "-12"},
    {"1_000", "1000"},
    {"1_", "1"},
    {"_1", "\"_1\""},
    {"010", "8"},
    {"-017", "-15"},
    {"08", "\"08\""},
    {"0_7", "7"},
    {"0x1F", "31"},
    {"-0xff", "-255"},
    {"0x", "\"0x\""},
    {"0b101", "5"},
    {"0b12", "\"0b12\""},
    {"0o17", "\"0o17\""},
    {"1:30", "90"},
    {"-1:30:05", "-5405"},
    {"190:20:30", "685230"},
    {"1:60", "\"1:60\""},
    {"0:30", "\"0:30\""},
    {"8080:80", "\"8080:80\""},
    {"123456789012345678901234567890", "123456789012345678901234567890"},
    {"1.5", "1.5"},
    {"2.", "2.0"},
    {"-2.50", "-2.5"},
    {".5", "0.5"},
    {"-.5", "\"-.5\""},
    {"1e3", "\"1e3\""},
    {"1.0e3", "\"1.0e3\""},
    {"1.0e+3", "1000.0"},
    {"1.5E-7", "1.5e-07"},
    {"1_0.5", "10.5"},
    {"1.0e+16", "1e+16"},
    {"1.0e+15", "1000000000000000.0"},
    {"1.25e+20", "1.25e+20"},
    {"0.0001", "0.0001"},
    {"0.00001", "1e-05"},
    {"0.1", "0.1"},
    {"3.14159265358979", "3.14159265358979"},
    {"1:30.5", "90.5"},
    {"-0.0", "-0.0"},
    {"1.2.3", "\"1.2.3\""},
    {"+.", "\"+.\""},
    {"2001-12-14x", "\"2001-12-14x\""},
    {"2001-1-4", "\"2001-1-4\""},
    {"=", "\"=\""},
    {"a b", "\"a b\""},
    {"http://h/x", "\"http://h/x\""},
    {"Hello {{user.name}}, x", "\"Hello {{user.name}}, x\""},
    {"{user.name}", "{\"user.name\":null}"},
    {"'{{user.name}}'", "\"{{user.name}}\""},
    {"!!str 5", "\"5\""},
    {"!!int '5'", "5"},
    {"!!float 5", "5.0"},
    {"! 5", "5"},
    {"!!null ''", "null"},
    {"!!bool 'yes'", "true"},
    {"!!map {a: 1}", "{\"a\":1}"},
    {"!!seq [1]", "[1]"},
    {"\"a\\tb\\u00e9\"", "\"a\\tb\xc3\xa9\""},
    {"|\n  a\n  b\n", "\"a\\nb\\n\""},
    {">-\n  a\n  b\n", "\"a b\""},
    {"[]", "[]"},
    {"{}", "{}"},
};

static void test_scalars(void **state)
{
    (void)state;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(vectors); index++) {
        assert_is(vectors[index][0], vectors[index][1]);
    }
}

static void test_times_and_numbers_are_refused(void **state)
{
    (void)state;
    static const char *const times[] = {
        "a: 2001-12-14",
        "a: 2001-12-14T21:59:43.10-05:00",
        "a: 2001-12-14 21:59:43.10 -5",
        "a: 2001-1-4 1:59:43",
        "a: 2001-12-14t21:59:43Z",
        "a: 2001-12-15 2:59:43.10",
        "a: !!timestamp '2001-12-14'",
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(times); index++) {
        assert_refused(times[index], "a date is no value", 1);
    }
    assert_refused("a:\n- .inf", "JSON has no such number", 2);
    assert_refused("- -.INF", "JSON has no such number", 1);
    assert_refused("- .nan", "JSON has no such number", 1);
    assert_refused("- 1.0e+999", "JSON has no such number", 1);
    assert_refused("- 0xfffffffffffffffff", "JSON has no such number", 1);
    assert_refused("- 0b_", "JSON has no such number", 1);
}

static void test_keys(void **state)
{
    (void)state;
    assert_is("a: 1\n'5': 2\n\"yes\": 3\n", "{\"a\":1,\"5\":2,\"yes\":3}");
    assert_refused("a: 1\n5: 2\n", "a key must be a text, and this one is an integer", 2);
    assert_refused("on: 2\n", "a key must be a text, and this one is a boolean", 1);
    assert_refused("~: 2\n", "this one is null", 1);
    assert_refused("2001-12-14: 2\n", "this one is a date", 1);
    assert_refused("[{1.5: 2}]", "this one is a number", 1);
    /* A text that begins with `{` and has no quotes. */
    assert_refused("a: {{user.name}}\n", "a key is a mapping or a list", 1);
    assert_refused("x: 1\n{{user.name}}: 1\n", "a key is a mapping or a list", 2);
    assert_refused("? [a]\n: 1\n", "a key is a mapping or a list", 1);
}

static void test_tags(void **state)
{
    (void)state;
    assert_refused("!mine 5", "the tag is not known", 1);
    assert_refused("a: !!python/object:os.system x", "the tag is not known", 1);
    assert_refused("a: !!set {b: null}", "the tag is not known", 1);
    assert_refused("!!int x", "the tag does not fit", 1);
    assert_refused("!!int 1.5", "the tag does not fit", 1);
    assert_refused("!!seq {a: 1}", "the tag does not fit", 1);
    assert_refused("!!map [1]", "the tag does not fit", 1);
    assert_refused("!!str [1]", "the tag does not fit", 1);
}

static void test_merges_and_equal_keys(void **state)
{
    (void)state;
    assert_is("a: 1\nb: 2\na: 3\n", "{\"a\":3,\"b\":2}");
    assert_is("d: &d {a: 1, b: 2}\ne:\n  c: 0\n  <<: *d\n  b: 3\n",
              "{\"d\":{\"a\":1,\"b\":2},\"e\":{\"a\":1,\"b\":3,\"c\":0}}");
    assert_is("{<<: [{a: 1}, {a: 2, b: 2}], c: 3}", "{\"a\":1,\"b\":2,\"c\":3}");
    assert_is("{<<: {<<: {a: 1}, b: 2}, <<: {c: 3}}", "{\"a\":1,\"b\":2,\"c\":3}");
    assert_is("'<<': 5", "{\"<<\":5}");
    assert_is("a: &x [1]\nb: [*x, *x]\n", "{\"a\":[1],\"b\":[[1],[1]]}");
    assert_refused("{<<: 1}", "`<<` merges a mapping", 1);
    assert_refused("{<<: [1]}", "`<<` merges a mapping", 1);
}

static void test_variables(void **state)
{
    (void)state;
    assert_int_equal(setenv("MAGPIE_TEST_HOST", "h.example", 1), 0);
    assert_int_equal(setenv("MAGPIE_TEST_NUMBER", "5", 1), 0);
    assert_int_equal(setenv("MAGPIE_TEST_EMPTY", "", 1), 0);
    assert_int_equal(setenv("MAGPIE_TEST_AGAIN", "$MAGPIE_TEST_HOST", 1), 0);
    assert_int_equal(setenv("MAGPIE_TEST_BYTES", "\xff", 1), 0);
    assert_is("http://$MAGPIE_TEST_HOST/x", "\"http://h.example/x\"");
    assert_is("a${MAGPIE_TEST_HOST}b", "\"ah.exampleb\"");
    assert_is("[$MAGPIE_TEST_HOSTS, $, a$, $$, '${', '${}', '${no }', $-x]",
              "[\"$MAGPIE_TEST_HOSTS\",\"$\",\"a$\",\"$$\",\"${\",\"${}\",\"${no }\",\"$-x\"]");
    assert_is("$MAGPIE_TEST_NUMBER", "\"5\""); /* a text stays one */
    assert_is("\"$MAGPIE_TEST_EMPTY\"", "\"\"");
    assert_is("{$MAGPIE_TEST_HOST: {a: '$MAGPIE_TEST_NUMBER$MAGPIE_TEST_NUMBER'}}",
              "{\"h.example\":{\"a\":\"55\"}}");
    /* Once, in what an alias repeats too. */
    assert_is("[&x $MAGPIE_TEST_AGAIN, *x]", "[\"$MAGPIE_TEST_HOST\",\"$MAGPIE_TEST_HOST\"]");
    assert_refused("a:\n  $MAGPIE_TEST_BYTES", "not UTF-8", 2);
    char *large = malloc(MAGPIE_YAML_TEXT_MAX + 2);
    assert_non_null(large);
    memset(large, 'x', MAGPIE_YAML_TEXT_MAX + 1);
    large[MAGPIE_YAML_TEXT_MAX + 1] = '\0';
    assert_int_equal(setenv("MAGPIE_TEST_LARGE", large, 1), 0);
    free(large);
    assert_refused("$MAGPIE_TEST_LARGE", "too long with its variables", 1);
    assert_int_equal(unsetenv("MAGPIE_TEST_LARGE"), 0);
}

static void test_falsy(void **state)
{
    (void)state;
    static const char *const falsy[] = {"~", "''", "no", "0", "0.0", "0x0", "-0", "[]", "{}"};
    static const char *const truthy[] = {"x", "' '", "yes", "1", "0.1", "[0]", "{a: 0}", "'0'"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(falsy); index++) {
        struct document document;
        open_document(&document, falsy[index]);
        assert_true(magpie_yaml_is_falsy(document.root));
        arena_done(&document.arena);
    }
    for (size_t index = 0; index < PH_ARRAY_LENGTH(truthy); index++) {
        struct document document;
        open_document(&document, truthy[index]);
        assert_false(magpie_yaml_is_falsy(document.root));
        arena_done(&document.arena);
    }
}

static void test_too_many_keys(void **state)
{
    (void)state;
    BUF_AUTO struct buf text;
    buf_init(&text, 1 << 20);
    for (int index = 0; index < MAGPIE_YAML_MEMBERS_MAX; index++) {
        buf_append_format(&text, "k%d: 1\n", index);
    }
    struct document document;
    BUF_AUTO struct buf json;
    buf_init(&json, 1 << 20);
    open_document(&document, buf_text(&text));
    assert_int_equal(convert(&document, &json), PH_OK);
    arena_done(&document.arena);
    buf_append_text(&text, "more: 1\n");
    assert_refused(buf_text(&text), "too many keys", MAGPIE_YAML_MEMBERS_MAX + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_times_and_numbers_are_refused),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_merges_and_equal_keys),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_falsy),
        cmocka_unit_test(test_too_many_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
