/* SPDX-License-Identifier: Apache-2.0 */
/* Event types: a catalogue by name, archived ones kept, pages in the order of the bytes. */
#include "contract/contract.h"
#include "contract/store_rig.h"

#include "base/buf.h"
#include "store/event_type.h"

#define ORG TEXT("org_a")
#define OTHER_ORG TEXT("org_b")

static struct event_type_row row_of(int64_t id, const char *name)
{
    return (struct event_type_row){
        .id = id,
        .org = ORG,
        .name = slice_of(name),
        .description = TEXT(""),
        .created_at_us = NOW_US,
        .updated_at_us = NOW_US,
    };
}

static void insert(struct store_rig *rig, const struct event_type_row *row)
{
    struct diag diag = {0};
    CONTRACT_OK(event_type_insert(rig->store, row, &diag), &diag);
}

static void add(struct store_rig *rig, int64_t id, const char *name)
{
    const struct event_type_row row = row_of(id, name);
    insert(rig, &row);
}

static struct event_type_row found(struct store_rig *rig, const char *name)
{
    struct diag diag = {0};
    struct event_type_row row;
    CONTRACT_OK(event_type_find(rig->store, ORG, slice_of(name), &rig->arena, &diag, &row), &diag);
    return row;
}

static bool is_active(struct store_rig *rig, struct slice org, const char *name)
{
    struct diag diag = {0};
    bool result = false;
    CONTRACT_OK(event_type_is_active(rig->store, org, slice_of(name), &diag, &result), &diag);
    return result;
}

static void test_a_row_comes_back_as_it_went_in(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct event_type_row row = row_of(5, "run.failed");
    row.description = TEXT("Größe");
    row.is_deprecated = true;
    row.schemas = TEXT("{ \"1\" : {} }");
    row.feature_flags = TEXT("[\"beta\"]");
    row.group_name = TEXT("run");
    row.validates_payload = true;
    row.updated_at_us = LATER_US;
    insert(&rig, &row);
    add(&rig, 6, "run.ended");

    row = found(&rig, "run.failed");
    assert_int_equal(row.id, 5);
    assert_text_is(row.org, "org_a");
    assert_text_is(row.name, "run.failed");
    assert_text_is(row.description, "Größe");
    assert_false(row.is_archived);
    assert_true(row.is_deprecated);
    assert_true(row.validates_payload);
    assert_text_is(row.schemas, "{ \"1\" : {} }");
    assert_text_is(row.feature_flags, "[\"beta\"]");
    assert_text_is(row.group_name, "run");
    assert_int_equal(row.created_at_us, NOW_US);
    assert_int_equal(row.updated_at_us, LATER_US);
    row = found(&rig, "run.ended");
    assert_text_is(row.description, "");
    assert_false(row.validates_payload);
    assert_null(row.schemas.ptr);
    assert_null(row.feature_flags.ptr);
    assert_null(row.group_name.ptr);

    const struct slice strangers[] = {TEXT("run"), TEXT("RUN.failed"), TEXT(""), TEXT("run\xff"),
                                      TEXT("run.failed\0")};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(strangers); index++) {
        assert_int_equal(event_type_find(rig.store, ORG, strangers[index], &rig.arena, NULL, &row),
                         PH_NOT_FOUND);
    }
    assert_int_equal(
        event_type_find(rig.store, OTHER_ORG, TEXT("run.failed"), &rig.arena, NULL, &row),
        PH_NOT_FOUND);
    struct arena small;
    arena_init(&small, 16);
    assert_int_equal(event_type_find(rig.store, ORG, TEXT("run.failed"), &small, NULL, &row),
                     PH_NO_MEMORY);
    arena_done(&small);
    store_rig_close(&rig);
}

static void test_changes_and_the_archive(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct event_type_row row = row_of(5, "run.failed");
    row.schemas = TEXT("{}");
    row.feature_flags = TEXT("[]");
    row.group_name = TEXT("run");
    insert(&rig, &row);
    add(&rig, 6, "run.ended");
    assert_true(is_active(&rig, ORG, "run.failed"));
    assert_false(is_active(&rig, OTHER_ORG, "run.failed"));
    assert_false(is_active(&rig, ORG, "run"));

    struct diag diag = {0};
    row = row_of(5, "never written");
    row.org = OTHER_ORG;
    row.description = TEXT("new");
    row.is_archived = true;
    row.created_at_us = LATER_US;
    row.updated_at_us = LATER_US;
    CONTRACT_OK(event_type_update(rig.store, &row, &diag), &diag);
    row = found(&rig, "run.failed");
    assert_text_is(row.org, "org_a");
    assert_text_is(row.description, "new");
    assert_true(row.is_archived);
    assert_false(row.is_deprecated);
    assert_null(row.schemas.ptr);
    assert_null(row.feature_flags.ptr);
    assert_null(row.group_name.ptr);
    assert_int_equal(row.created_at_us, NOW_US);
    assert_int_equal(row.updated_at_us, LATER_US);
    assert_false(is_active(&rig, ORG, "run.failed"));
    assert_true(is_active(&rig, ORG, "run.ended"));
    store_rig_close(&rig);
}

static void test_a_name_is_taken_once_in_an_organisation(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct event_type_row row = row_of(5, "run.failed");
    row.is_archived = true;
    insert(&rig, &row);
    struct diag diag = {0};
    row = row_of(6, "run.failed");
    assert_int_equal(event_type_insert(rig.store, &row, &diag), PH_CONFLICT);
    assert_string_equal(diag.text, "An event_type with that name already exists");
    assert_string_equal(diag.code, "event_type_exists");
    row.org = OTHER_ORG;
    insert(&rig, &row);
    add(&rig, 7, "Run.failed"); /* another name */

    /* Deleting is for good. */
    CONTRACT_OK(event_type_delete(rig.store, 5, &diag), &diag);
    assert_int_equal(event_type_find(rig.store, ORG, TEXT("run.failed"), &rig.arena, NULL, &row),
                     PH_NOT_FOUND);
    assert_true(is_active(&rig, OTHER_ORG, "run.failed"));
    add(&rig, 8, "run.failed");
    assert_int_equal(found(&rig, "run.failed").id, 8);
    store_rig_close(&rig);
}

static void assert_page(struct store_rig *rig, struct event_type_page page, const char *names,
                        bool has_more)
{
    struct event_type_row rows[RIG_ROWS_MAX];
    size_t count = SIZE_MAX;
    bool more = !has_more;
    struct diag diag = {0};
    arena_reset(&rig->arena);
    CONTRACT_OK(event_type_page(rig->store, ORG, &page, &rig->arena, &diag, rows, &count, &more),
                &diag);
    char text[256] = "";
    for (size_t index = 0; index < count; index++) {
        size_t length = strlen(text);
        (void)snprintf(text + length, sizeof text - length, "%s%.*s", index == 0 ? "" : " ",
                       SLICE_ARG(rows[index].name));
        assert_int_equal(rows[index].schemas.ptr != NULL, page.with_schemas);
    }
    assert_string_equal(text, names);
    assert_int_equal(more, has_more);
}

static void test_pages_go_by_the_bytes_of_names(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    assert_page(&rig, (struct event_type_page){.limit = 10}, "", false);
    static const char *const names[] = {"a.b", "b", "a-b", "B", "a_b", "a", "aB", "ab", "c"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(names); index++) {
        struct event_type_row row = row_of((int64_t)index + 1, names[index]);
        row.schemas = TEXT("{}");
        row.is_archived = strcmp(names[index], "c") == 0;
        insert(&rig, &row);
    }
    struct event_type_row foreign = row_of(50, "aa");
    foreign.org = OTHER_ORG;
    insert(&rig, &foreign);

    struct event_type_page page = {.limit = 10};
    assert_page(&rig, page, "B a a-b a.b aB a_b ab b", false);
    page.with_archived = true;
    page.with_schemas = true;
    assert_page(&rig, page, "B a a-b a.b aB a_b ab b c", false);
    page.is_descending = true;
    page.limit = 3;
    assert_page(&rig, page, "c b ab", true);
    page.upper = TEXT("ab");
    assert_page(&rig, page, "a_b aB a.b", true);
    page.with_schemas = false;
    page.upper = TEXT("a-b");
    assert_page(&rig, page, "a B", false);

    page = (struct event_type_page){.lower = TEXT("a"), .upper = TEXT("ab"), .limit = 4};
    assert_page(&rig, page, "a-b a.b aB a_b", false);
    page.limit = 2;
    assert_page(&rig, page, "a-b a.b", true);
    page.lower = TEXT("zz");
    page.upper = SLICE_NONE;
    assert_page(&rig, page, "", false);
    store_rig_close(&rig);
}

static bool has_a_dot(void *context, struct slice name)
{
    (*(int *)context)++;
    return slice_find(name, '.') < name.len;
}

static void test_all_but_some_are_archived(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    static const char *const names[] = {"B", "a.b", "ab", "z"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(names); index++) {
        add(&rig, 10 + (int64_t)index, names[index]);
    }
    struct event_type_row row = row_of(20, "ab");
    row.org = OTHER_ORG;
    insert(&rig, &row);
    row = row_of(21, "archived");
    row.is_archived = true;
    insert(&rig, &row);
    int asked = 0;
    bool has_more;
    CONTRACT_OK(
        event_type_archive_others(rig.store, ORG, LATER_US, has_a_dot, &asked, 2, &diag, &has_more),
        &diag);
    assert_true(has_more);
    assert_false(is_active(&rig, ORG, "B"));
    assert_false(is_active(&rig, ORG, "ab"));
    assert_true(is_active(&rig, ORG, "z"));
    CONTRACT_OK(
        event_type_archive_others(rig.store, ORG, LATER_US, has_a_dot, &asked, 2, &diag, &has_more),
        &diag);
    assert_false(has_more);
    assert_int_equal(asked, 3 + 2);
    assert_true(is_active(&rig, ORG, "a.b"));
    assert_false(is_active(&rig, ORG, "B"));
    assert_false(is_active(&rig, ORG, "ab"));
    assert_false(is_active(&rig, ORG, "z"));
    assert_true(is_active(&rig, OTHER_ORG, "ab"));
    assert_true(found(&rig, "z").updated_at_us == LATER_US);
    assert_true(found(&rig, "archived").updated_at_us == NOW_US);
    store_rig_close(&rig);
}

static void count_names(void *context, struct slice org, struct slice name)
{
    struct buf *names = context;
    buf_append_format(names, "%.*s/%.*s ", SLICE_ARG(org), SLICE_ARG(name));
}

static void test_those_that_validate_are_named(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    struct diag diag = {0};
    BUF_AUTO struct buf names;
    buf_init(&names, 4096);
    add(&rig, 10, "plain");
    struct event_type_row row = row_of(11, "on");
    row.validates_payload = true;
    insert(&rig, &row);
    row = row_of(12, "archived");
    row.validates_payload = true;
    row.is_archived = true;
    insert(&rig, &row);
    row = row_of(13, "other");
    row.org = OTHER_ORG;
    row.validates_payload = true;
    insert(&rig, &row);
    CONTRACT_OK(event_type_each_validating(rig.store, 10, count_names, &names, &diag), &diag);
    assert_true(strcmp(buf_text(&names), "org_a/on org_b/other ") == 0 ||
                strcmp(buf_text(&names), "org_b/other org_a/on ") == 0);
    buf_clear(&names);
    CONTRACT_OK(event_type_each_validating(rig.store, 1, count_names, &names, &diag), &diag);
    assert_int_equal(slice_find(buf_slice(&names), ' '), names.len - 1);
    row = row_of(11, "on");
    CONTRACT_OK(event_type_update(rig.store, &row, &diag), &diag);
    assert_false(found(&rig, "on").validates_payload);
    buf_clear(&names);
    CONTRACT_OK(event_type_each_validating(rig.store, 10, count_names, &names, &diag), &diag);
    assert_string_equal(buf_text(&names), "org_b/other ");
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_a_row_comes_back_as_it_went_in),
        CONTRACT_BOTH(test_changes_and_the_archive),
        CONTRACT_BOTH(test_a_name_is_taken_once_in_an_organisation),
        CONTRACT_BOTH(test_pages_go_by_the_bytes_of_names),
        CONTRACT_BOTH(test_all_but_some_are_archived),
        CONTRACT_BOTH(test_those_that_validate_are_named),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
