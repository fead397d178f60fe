/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"

struct item {
    int number;
    struct list_node node;
};

/* The numbers of the list in order, forwards and backwards. */
static void check(struct list_node *list, const char *expected)
{
    size_t count = strlen(expected);
    struct list_node *node = list->next;
    for (size_t index = 0; index < count; index++) {
        assert_ptr_not_equal(node, list);
        assert_int_equal(LIST_ELEMENT(node, struct item, node)->number, expected[index] - '0');
        node = node->next;
    }
    assert_ptr_equal(node, list);
    node = list->previous;
    for (size_t index = count; index > 0; index--) {
        assert_ptr_not_equal(node, list);
        assert_int_equal(LIST_ELEMENT(node, struct item, node)->number, expected[index - 1] - '0');
        node = node->previous;
    }
    assert_ptr_equal(node, list);
    assert_true(list_is_empty(list) == (count == 0));
}

static void number(struct item *items, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        items[index].number = (int)index;
        list_init(&items[index].node);
    }
}

static void test_order(void **state)
{
    (void)state;
    struct item items[4];
    struct list_node list;
    number(items, 4);
    list_init(&list);
    check(&list, "");
    assert_true(list_is_alone(&items[0].node));
    list_append(&list, &items[1].node);
    assert_false(list_is_alone(&items[1].node));
    list_append(&list, &items[2].node);
    list_prepend(&list, &items[0].node);
    list_prepend(&list, &items[3].node);
    check(&list, "3012");
}

static void test_removal(void **state)
{
    (void)state;
    struct item items[4];
    struct list_node list;
    number(items, 4);
    list_init(&list);
    for (size_t index = 0; index < 4; index++) {
        list_append(&list, &items[index].node);
    }
    list_remove(&items[1].node);
    assert_true(list_is_alone(&items[1].node));
    check(&list, "023");
    list_remove(&items[1].node); /* of a node that is on no list: nothing happens */
    check(&list, "023");
    list_remove(&items[0].node);
    list_remove(&items[3].node);
    check(&list, "2");
    assert_ptr_equal(list_take_first(&list), &items[2].node);
    assert_true(list_is_alone(&items[2].node));
    check(&list, "");
    assert_null(list_take_first(&list));
    list_append(&list, &items[1].node);
    check(&list, "1");
}

static void test_take_first_is_in_order(void **state)
{
    (void)state;
    struct item items[3];
    struct list_node list;
    number(items, 3);
    list_init(&list);
    for (size_t index = 0; index < 3; index++) {
        list_append(&list, &items[index].node);
    }
    for (size_t index = 0; index < 3; index++) {
        assert_ptr_equal(list_take_first(&list), &items[index].node);
    }
    assert_null(list_take_first(&list));
}

static void test_walk_with_removal(void **state)
{
    (void)state;
    struct item items[6];
    struct list_node list;
    number(items, 6);
    list_init(&list);
    for (size_t index = 0; index < 6; index++) {
        list_append(&list, &items[index].node);
    }
    int seen = 0;
    LIST_FOR_EACH(node, following, &list)
    {
        assert_int_equal(LIST_ELEMENT(node, struct item, node)->number, seen);
        if (seen % 2 == 0) {
            list_remove(node);
        }
        seen++;
    }
    assert_int_equal(seen, 6);
    check(&list, "135");
    LIST_FOR_EACH(node, following, &list)
    {
        list_remove(node);
    }
    check(&list, "");
    LIST_FOR_EACH(node, following, &list)
    {
        fail_msg("an empty list has no elements");
    }
}

static void test_splice(void **state)
{
    (void)state;
    struct item items[4];
    struct list_node to;
    struct list_node from;
    number(items, 4);
    list_init(&to);
    list_init(&from);
    list_splice(&to, &from);
    check(&to, "");
    list_append(&from, &items[0].node);
    list_append(&from, &items[1].node);
    list_splice(&to, &from);
    check(&to, "01");
    check(&from, "");
    list_splice(&to, &from);
    check(&to, "01");
    list_append(&from, &items[2].node);
    list_append(&from, &items[3].node);
    list_splice(&to, &from);
    check(&to, "0123");
    check(&from, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_removal),
        cmocka_unit_test(test_take_first_is_in_order),
        cmocka_unit_test(test_walk_with_removal),
        cmocka_unit_test(test_splice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
