/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"

#include <ctype.h>

struct row {
    const char *id;
    int status;
    bool may_succeed_later;
    const char *text;
};

static const struct row table[] = {
#define X(name, status, later, text) {#name, status, later, text},
#include "base/error.def"
#undef X
};

/* The lower-case names are written by hand beside the table; each belongs to its row. */
static void test_names_follow_the_table(void **state)
{
    (void)state;
    assert_int_equal(PH_ARRAY_LENGTH(table), PH_ERROR_COUNT);
    for (unsigned index = 0; index < PH_ERROR_COUNT; index++) {
        const char *name = ph_error_name((enum ph_error)index);
        assert_int_equal(strlen(name), strlen(table[index].id));
        for (size_t at = 0; name[at] != '\0'; at++) {
            assert_int_equal(name[at], tolower((unsigned char)table[index].id[at]));
        }
        assert_string_equal(ph_error_text((enum ph_error)index), table[index].text);
        assert_int_equal(ph_error_http_status((enum ph_error)index), table[index].status);
    }
}

/* Later success is a promise of the server's errors only: a request that is wrong stays wrong. */
static void test_status_and_later(void **state)
{
    (void)state;
    assert_int_equal(PH_OK, 0);
    assert_int_equal(ph_error_http_status(PH_OK), 200);
    for (unsigned index = 1; index < PH_ERROR_COUNT; index++) {
        enum ph_error error = (enum ph_error)index;
        assert_in_range(ph_error_http_status(error), 400, 599);
        if (ph_error_may_succeed_later(error)) {
            assert_in_range(ph_error_http_status(error), 500, 599);
        }
    }
    assert_true(ph_error_may_succeed_later(PH_BUSY));
    assert_true(ph_error_may_succeed_later(PH_STORE_FULL));
    assert_false(ph_error_may_succeed_later(PH_INVALID));
    assert_false(ph_error_may_succeed_later(PH_OK));
    assert_int_equal(ph_error_http_status(PH_INVALID), 422);
    assert_int_equal(ph_error_http_status(PH_STORE_FULL), 507);
}

static void test_diag(void **state)
{
    (void)state;
    struct diag diag;
    assert_int_equal(diag_set(&diag, PH_INVALID, "body.uid", "at most %d, found `%s`", 5, "x"),
                     PH_INVALID);
    assert_int_equal(diag.error, PH_INVALID);
    assert_string_equal(diag.field, "body.uid");
    assert_string_equal(diag.text, "at most 5, found `x`");
    assert_string_equal(diag.code, "");
    diag_code(&diag, "value_error");
    assert_string_equal(diag.code, "value_error");
    assert_string_equal(diag.text, "at most 5, found `x`");
    /* What was there before is gone. */
    assert_int_equal(diag_set(&diag, PH_IO, NULL, "closed"), PH_IO);
    assert_string_equal(diag.field, "");
    assert_string_equal(diag.code, "");
    assert_string_equal(diag.text, "closed");
}

static void test_diag_is_optional(void **state)
{
    (void)state;
    assert_int_equal(diag_set(NULL, PH_CONFLICT, "x", "words"), PH_CONFLICT);
    diag_code(NULL, "code");
}

static void test_longer_words_are_cut(void **state)
{
    (void)state;
    char words[1000];
    struct diag diag;
    memset(words, 'w', sizeof words);
    words[sizeof words - 1] = '\0';
    (void)diag_set(&diag, PH_INVALID, words, "%s", words);
    diag_code(&diag, words);
    assert_int_equal(strlen(diag.field), sizeof diag.field - 1);
    assert_int_equal(strlen(diag.text), sizeof diag.text - 1);
    assert_int_equal(strlen(diag.code), sizeof diag.code - 1);
    assert_int_equal(diag.error, PH_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_follow_the_table),
        cmocka_unit_test(test_status_and_later),
        cmocka_unit_test(test_diag),
        cmocka_unit_test(test_diag_is_optional),
        cmocka_unit_test(test_longer_words_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
