/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The official JSON-Schema-Test-Suite, its part for draft 7, as fetch_schema_suite puts it under
 * POSTHORN_SCHEMA_SUITE. Its files are walked by our own scanner, so that numbers stay as written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>

#include "base/buf.h"
#include "base/clock.h"
#include "core/schema.h"

#define FILE_BYTES_MAX ((size_t)1024 * 1024)
#define MEMBERS_MAX 8

/* What is not as the suite has it, and why. */
static const struct exception {
    const char *file;
    const char *group; /* NULL = any of the file */
    const char *test;  /* NULL = any of the group */
    const char *reason;
} exceptions[] = {
#include "test_schema_suite.def"
};

struct tally {
    const char *file;
    size_t passed;
    size_t failed;
    size_t excepted;
    bool was_used[PH_ARRAY_LENGTH(exceptions)];
};

static bool is_text(struct slice value, const char *text)
{
    struct slice inside = {value.ptr + 1, value.len - 2};
    return text == NULL || slice_equal_text(inside, text);
}

static bool is_excepted(struct tally *tally, struct slice group, struct slice test)
{
    for (size_t index = 0; index < PH_ARRAY_LENGTH(exceptions); index++) {
        const struct exception *exception = &exceptions[index];
        if (strcmp(exception->file, tally->file) == 0 && is_text(group, exception->group) &&
            is_text(test, exception->test)) {
            tally->was_used[index] = true;
            return true;
        }
    }
    return false;
}

static struct slice member_of(struct slice object, const char *name)
{
    struct scan_member members[MEMBERS_MAX];
    struct diag diag;
    size_t count;
    if (scan_object(object, members, MEMBERS_MAX, &count, &diag, NULL) != PH_OK) {
        fail_msg("%.*s: %s", SLICE_ARG(object), diag.text);
    }
    const struct scan_member *member = scan_find(members, count, name);
    return member == NULL ? SLICE_NONE : member->value;
}

/* `schema` is NULL when the group's was refused. */
static void run_case(struct tally *tally, struct slice group, const struct schema *schema,
                     struct slice test)
{
    struct diag diag = {.text = ""};
    struct slice words = member_of(test, "description");
    struct slice data = member_of(test, "data");
    bool is_valid = slice_equal_text(member_of(test, "valid"), "true");
    bool is_right = false;
    if (schema != NULL) {
        struct schema_budget budget = schema_budget(data.len);
        enum ph_error error =
            schema_validate(schema, data, clock_thread_us, &budget, "body", &diag);
        is_right = (error == PH_OK) == is_valid;
    }
    if (is_right) {
        tally->passed++;
    } else if (is_excepted(tally, group, words)) {
        tally->excepted++;
    } else {
        tally->failed++;
        print_error("%s: %.*s: %.*s: %s %s\n", tally->file, SLICE_ARG(group), SLICE_ARG(words),
                    schema == NULL ? "refused" : "decided otherwise:", diag.text);
    }
}

static void run_cases(struct tally *tally, struct slice group)
{
    struct schema *schema = NULL;
    struct diag diag = {.text = ""};
    struct slice words = member_of(group, "description");
    struct slice tests = member_of(group, "tests");
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice test;
    if (schema_compile(member_of(group, "schema"), "schema", &diag, &schema) != PH_OK) {
        schema = NULL;
        if (!is_excepted(tally, words, SLICE_LITERAL("\"\""))) {
            print_error("%s: %.*s: %s\n", tally->file, SLICE_ARG(words), diag.text);
        }
    }
    scan_cursor_init(&cursor, tests);
    while (scan_next_element(&cursor, &type, &test)) {
        run_case(tally, words, schema, test);
    }
    schema_free(schema);
}

static void read_file(const char *path, struct buf *text)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        fail_msg("%s: %s", path, strerror(errno));
    }
    char piece[4096];
    size_t length;
    while ((length = fread(piece, 1, sizeof piece, file)) > 0) {
        buf_append(text, piece, length);
    }
    (void)fclose(file);
    assert_false(text->failed);
}

static void run_file(struct tally *tally, const char *folder, const char *name)
{
    char path[4096];
    BUF_AUTO struct buf text;
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice group;
    struct diag diag;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    buf_init(&text, FILE_BYTES_MAX);
    read_file(path, &text);
    assert_int_equal(scan_document(buf_slice(&text), &type, &diag, NULL), PH_OK);
    assert_int_equal(type, SCAN_ARRAY);
    scan_cursor_init(&cursor, slice_trim(buf_slice(&text)));
    tally->file = name;
    while (scan_next_element(&cursor, &type, &group)) {
        run_cases(tally, group);
    }
}

static size_t run_folder(struct tally *tally, const char *folder)
{
    DIR *directory = opendir(folder);
    if (directory == NULL) {
        fail_msg("%s: %s", folder, strerror(errno));
    }
    size_t count = 0;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (length > 5 && strcmp(entry->d_name + length - 5, ".json") == 0) {
            run_file(tally, folder, entry->d_name);
            count++;
        }
    }
    (void)closedir(directory);
    return count;
}

static void test_all(void **state)
{
    (void)state;
    struct tally tally = {.passed = 0};
    char folder[4096];
    const char *suite = getenv("POSTHORN_SCHEMA_SUITE");
    if (suite == NULL) {
        fail_msg("POSTHORN_SCHEMA_SUITE is not set");
    }
    (void)snprintf(folder, sizeof folder, "%s/tests/draft7", suite);
    assert_int_equal(run_folder(&tally, folder), 37);
    (void)snprintf(folder, sizeof folder, "%s/tests/draft7/optional", suite);
    assert_true(run_folder(&tally, folder) > 5);
    print_message("%zu as the suite has it, %zu excepted, %zu not\n", tally.passed, tally.excepted,
                  tally.failed);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(exceptions); index++) {
        if (!tally.was_used[index]) {
            fail_msg("no longer an exception: %s: %s", exceptions[index].file,
                     exceptions[index].group);
        }
    }
    assert_int_equal(tally.failed, 0);
    assert_true(tally.passed > 900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
