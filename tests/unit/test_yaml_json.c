/* SPDX-License-Identifier: Apache-2.0 */
/* YAML as JSON: what each form becomes, and what is refused with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/yaml_json.h"
#include "base/buf.h"

static void assert_is(const char *yaml, const char *expected)
{
    struct diag diag = {0};
    json_t *value = NULL;
    if (yaml_to_json(slice_of(yaml), "body.spec_raw", &diag, &value) != PH_OK) {
        fail_msg("%s: %s", yaml, diag.text);
    }
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_string_equal(text, expected);
    free(text);
    json_decref(value);
}

static void assert_refused(const char *yaml, const char *words)
{
    struct diag diag = {0};
    json_t *value = NULL;
    assert_int_equal(yaml_to_json(slice_of(yaml), "body.spec_raw", &diag, &value), PH_INVALID);
    assert_string_equal(diag.field, "body.spec_raw");
    if (strstr(diag.text, words) == NULL) {
        fail_msg("%s: \"%s\" has no \"%s\"", yaml, diag.text, words);
    }
}

static void test_scalars(void **state)
{
    (void)state;
    assert_is("[null, ~, Null, '']", "[null,null,null,\"\"]");
    assert_is("[true, True, FALSE, yes, no, on, \"true\"]",
              "[true,true,false,\"yes\",\"no\",\"on\",\"true\"]");
    assert_is("[0, -12, +7, 010, 9223372036854775807]", "[0,-12,7,10,9223372036854775807]");
    assert_is("[1.5, -.5, 2., 1e3, 1.5E-1]", "[1.5,-0.5,2.0,1000.0,0.14999999999999999]");
    assert_is("[1.2.3, 0x10, 1e, e1, -, ., +., .inf, .nan, 1_000]",
              "[\"1.2.3\",\"0x10\",\"1e\",\"e1\",\"-\",\".\",\"+.\",\".inf\",\".nan\",\"1_000\"]");
    assert_is("[9223372036854775808, 1e999]", "[9.2233720368547758e18,\"1e999\"]");
    assert_is("- !!str 5\n- '5'\n- \"5\\n\"\n- |\n  a\n  b\n",
              "[\"5\",\"5\",\"5\\n\",\"a\\nb\\n\"]");
    assert_is("plain text: # comment\n", "{\"plain text\":null}");
    assert_is("ü: ✓", "{\"ü\":\"✓\"}");
}

static void test_maps_and_sequences(void **state)
{
    (void)state;
    assert_is("a:\n  - 1\n  - b: 2\n    c: []\nd: {}\n200: x\ntrue: y\n",
              "{\"a\":[1,{\"b\":2,\"c\":[]}],\"d\":{},\"200\":\"x\",\"true\":\"y\"}");
    assert_is("{\"a\": [1, {\"b\": null}]}", "{\"a\":[1,{\"b\":null}]}");
    assert_is("--- \na: 1\n...\n", "{\"a\":1}");
}

static void test_anchors_and_merges(void **state)
{
    (void)state;
    assert_is("a: &x {n: 1}\nb: *x\nc: [*x, *x]\n",
              "{\"a\":{\"n\":1},\"b\":{\"n\":1},\"c\":[{\"n\":1},{\"n\":1}]}");
    assert_is("a: &x 1\nb: &x 2\nc: *x\n", "{\"a\":1,\"b\":2,\"c\":2}");
    assert_is("d: &d {a: 1, b: 2}\ne:\n  <<: *d\n  b: 3\n",
              "{\"d\":{\"a\":1,\"b\":2},\"e\":{\"b\":3,\"a\":1}}");
    assert_is("e: {<<: [{a: 1}, {a: 2, b: 2}], c: 3}", "{\"e\":{\"c\":3,\"a\":1,\"b\":2}}");
    assert_is("\"<<\": 5", "{\"<<\":5}");
}

static void test_what_is_refused(void **state)
{
    (void)state;
    assert_refused("", "there is no document");
    assert_refused("# nothing\n", "there is no document");
    assert_refused("a: [", "line 2: not YAML");
    assert_refused("a: 1\n\tb: 2\n", "line 2: not YAML");
    assert_refused("a: 1\nb: 2\na: 3\n", "line 3: a key stands twice");
    assert_refused("? [a]\n: 1\n", "a key is a plain text");
    assert_refused("a: 1\n--- \nb: 2\n", "only one document");
    assert_refused("a: *x\n", "an alias without an anchor");
    assert_refused("a: &x [*x]\n", "an alias without an anchor");
    assert_refused("a: {<<: 1}", "`<<` merges maps only");
    assert_refused("a: {<<: [1]}", "`<<` merges maps only");
    assert_refused("a: \"\\0\"", "NUL");
    assert_refused("\"\\0\": 1", "a key is a plain text");
}

static void test_limits(void **state)
{
    (void)state;
    BUF_AUTO struct buf deep;
    BUF_AUTO struct buf wide;
    BUF_AUTO struct buf bomb;
    buf_init(&deep, 1 << 20);
    buf_init(&wide, 1 << 20);
    buf_init(&bomb, 1 << 20);
    for (int index = 0; index < YAML_DEPTH_MAX + 2; index++) {
        buf_append_byte(&deep, '[');
    }
    assert_refused(buf_text(&deep), "nested too deeply");
    buf_append_byte(&wide, '[');
    for (int index = 0; index < YAML_NODES_MAX; index++) {
        buf_append_text(&wide, "1,");
    }
    buf_append_byte(&wide, ']');
    assert_refused(buf_text(&wide), "too large");
    /* Ten times ten times …: small to write, without an end to copy. */
    buf_append_text(&bomb, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int index = 1; index < 12; index++) {
        buf_append_format(&bomb, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n",
                          index, index, index - 1, index - 1, index - 1, index - 1, index - 1,
                          index - 1, index - 1, index - 1, index - 1, index - 1);
    }
    assert_refused(buf_text(&bomb), "too large");
    BUF_AUTO struct buf anchors;
    buf_init(&anchors, 1 << 20);
    for (int index = 0; index < 1001; index++) {
        buf_append_format(&anchors, "k%d: &n%d x\n", index, index);
    }
    assert_refused(buf_text(&anchors), "too many anchors");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_maps_and_sequences),
        cmocka_unit_test(test_anchors_and_merges),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
