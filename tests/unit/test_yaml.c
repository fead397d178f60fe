/* SPDX-License-Identifier: Apache-2.0 */
/* YAML trees: what a document becomes before any schema, and the limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "core/yaml.h"

struct document {
    struct arena arena;
    struct yaml_node *root;
    size_t line;
    struct diag diag;
};

static enum ph_error read(struct document *document, struct slice text, size_t arena_bytes)
{
    *document = (struct document){.line = 0};
    arena_init(&document->arena, arena_bytes);
    return yaml_read(text, &document->arena, &document->diag, &document->line, &document->root);
}

static void assert_refused(struct slice text, const char *words, size_t line)
{
    struct document document;
    assert_int_equal(read(&document, text, YAML_ARENA_BYTES), PH_INVALID);
    if (strstr(document.diag.text, words) == NULL) {
        fail_msg("\"%s\" has no \"%s\"", document.diag.text, words);
    }
    if (line != 0) {
        assert_int_equal(document.line, line);
    }
    assert_string_equal(document.diag.field, "");
    arena_done(&document.arena);
}

static void test_a_tree(void **state)
{
    (void)state;
    struct document document;
    static const char text[] = "# first\na: 1\n'b':\n  - !!str x\n  - \"y\\0z\"\n";
    assert_int_equal(read(&document, slice_of(text), YAML_ARENA_BYTES), PH_OK);
    const struct yaml_node *root = document.root;
    assert_int_equal(root->kind, YAML_NODE_MAP);
    assert_int_equal(root->count, 2);
    assert_int_equal(root->weight, 7);
    assert_int_equal(root->depth, 2);
    const struct yaml_entry *a = root->first;
    assert_true(slice_equal_text(a->key->text, "a") && a->key->is_plain);
    assert_int_equal(a->value->line, 2);
    const struct yaml_entry *b = a->next;
    assert_true(slice_equal_text(b->key->text, "b") && !b->key->is_plain);
    assert_null(b->next);
    assert_int_equal(b->value->kind, YAML_NODE_SEQUENCE);
    const struct yaml_node *x = b->value->first->value;
    assert_null(b->value->first->key);
    assert_true(slice_equal_text(x->tag, "tag:yaml.org,2002:str"));
    assert_int_equal(x->line, 4);
    const struct yaml_node *y = b->value->first->next->value;
    assert_true(slice_equal(y->text, (struct slice){"y\0z", 3}));
    assert_null(y->tag.ptr);
    arena_done(&document.arena);
}

static void test_aliases_are_the_same_node(void **state)
{
    (void)state;
    struct document document;
    static const char text[] = "a: &x [1, 2]\nb: *x\nc: &x 5\nd: *x\n<<: {e: 1}\n";
    assert_int_equal(read(&document, slice_of(text), YAML_ARENA_BYTES), PH_OK);
    const struct yaml_entry *a = document.root->first;
    assert_ptr_equal(a->value, a->next->value);
    const struct yaml_entry *c = a->next->next;
    assert_ptr_equal(c->value, c->next->value);
    assert_true(slice_equal_text(c->value->text, "5"));
    assert_true(yaml_is_merge(c->next->next->key));
    assert_false(yaml_is_merge(c->key));
    /* Twice three, two times one, a map of one, keys and itself. */
    assert_int_equal(document.root->weight, 3 + 3 + 1 + 1 + 3 + 5 + 1);
    arena_done(&document.arena);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    assert_refused(slice_of(""), "there is no document", 0);
    assert_refused(slice_of("a: b\nc: }\n"), "not YAML", 2);
    assert_refused(slice_of("a: *x"), "an alias without an anchor", 1);
    assert_refused(slice_of("a: &x\n  - *x"), "an alias without an anchor", 2);
    assert_refused(slice_of("a: 1\n---\nb: 1\n"), "only one document", 2);
    assert_refused((struct slice){"a: \xff", 4}, "not YAML", 0);
}

static void append_times(struct buf *text, const char *what, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        buf_append_text(text, what);
    }
}

static void test_limits(void **state)
{
    (void)state;
    struct document document;
    BUF_AUTO struct buf text;
    buf_init(&text, 1 << 22);
    append_times(&text, "[", YAML_DEPTH_MAX);
    append_times(&text, "]", YAML_DEPTH_MAX);
    assert_int_equal(read(&document, buf_slice(&text), YAML_ARENA_BYTES), PH_OK);
    assert_int_equal(document.root->depth, YAML_DEPTH_MAX - 1);
    arena_done(&document.arena);
    buf_clear(&text);
    append_times(&text, "[", YAML_DEPTH_MAX + 2);
    assert_refused(buf_slice(&text), "nested too deeply", 1);
    /* Aliases do not make it deeper than that either. */
    buf_clear(&text);
    buf_append_text(&text, "- &a ");
    append_times(&text, "[", YAML_DEPTH_MAX / 2);
    append_times(&text, "]", YAML_DEPTH_MAX / 2);
    buf_append_text(&text, "\n- ");
    append_times(&text, "[", YAML_DEPTH_MAX / 2 + 2);
    buf_append_text(&text, "*a");
    append_times(&text, "]", YAML_DEPTH_MAX / 2 + 2);
    assert_refused(buf_slice(&text), "nested too deeply", 2);
    buf_clear(&text);
    buf_append_byte(&text, '[');
    append_times(&text, "1,", YAML_NODES_MAX);
    assert_refused(buf_slice(&text), "too large", 1);
    buf_clear(&text);
    for (int index = 0; index < YAML_ANCHORS_MAX + 1; index++) {
        buf_append_format(&text, "- &n%d x\n", index);
    }
    assert_refused(buf_slice(&text), "too many anchors", 0);
    assert_int_equal(read(&document, SLICE_LITERAL("[a, b, c]"), 64), PH_NO_MEMORY);
    arena_done(&document.arena);
}

/* Ten times ten times …: small to write, without an end to copy. */
static void test_a_bomb(void **state)
{
    (void)state;
    BUF_AUTO struct buf text;
    buf_init(&text, 1 << 20);
    buf_append_text(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for (int index = 1; index < 12; index++) {
        buf_append_format(&text, "a%d: &a%d [", index, index);
        for (int copy = 0; copy < 10; copy++) {
            buf_append_format(&text, "%s*a%d", copy == 0 ? "" : ",", index - 1);
        }
        buf_append_text(&text, "]\n");
    }
    assert_refused(buf_slice(&text), "too large", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_tree),          cmocka_unit_test(test_aliases_are_the_same_node),
        cmocka_unit_test(test_what_is_refused), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_a_bomb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
