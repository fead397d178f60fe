/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the control socket: what is written is read, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/care.h"

static enum ph_error read_text(const char *text, struct care_request *ret_request)
{
    struct diag diag = {0};
    enum ph_error error = care_request_read(slice_of(text), &diag, ret_request);
    if (error != PH_OK) {
        assert_int_equal(error, PH_INVALID);
        assert_true(diag.text[0] != '\0');
    }
    return error;
}

static struct care_request around(const struct care_request *request)
{
    BUF_AUTO struct buf text;
    buf_init(&text, CARE_REQUEST_BYTES_MAX);
    care_request_write(request, &text);
    struct care_request again = {0};
    assert_int_equal(read_text(buf_text(&text), &again), PH_OK);
    return again;
}

static void test_requests_go_around(void **state)
{
    (void)state;
    char path[] = "/a \"b\"\\\n/c";
    const struct care_request backup = {.kind = CARE_BACKUP, .path = path, .is_forced = true};
    struct care_request again = around(&backup);
    assert_int_equal(again.kind, CARE_BACKUP);
    assert_string_equal(again.path, path);
    assert_true(again.is_forced);
    care_request_done(&again);
    const struct care_request prune = {
        .kind = CARE_PRUNE, .older_than_us = INT64_C(86400000000), .is_dry_run = true};
    again = around(&prune);
    assert_int_equal(again.kind, CARE_PRUNE);
    assert_int_equal(again.older_than_us, INT64_C(86400000000));
    assert_true(again.is_dry_run);
    care_request_done(&again);
}

static void test_requests_for_tokens_go_around(void **state)
{
    (void)state;
    char surface[] = "dbt";
    char arguments[] = "{\"account\":\"1\",\"permission\":[\"a \\\" b\"]}";
    char name[] = "for \"me\"";
    const struct care_request create = {.kind = CARE_TOKEN_CREATE,
                                        .surface = surface,
                                        .arguments = arguments,
                                        .name = name,
                                        .expires_at_us = 77};
    struct care_request again = around(&create);
    assert_int_equal(again.kind, CARE_TOKEN_CREATE);
    assert_string_equal(again.surface, surface);
    assert_string_equal(again.arguments, arguments);
    assert_string_equal(again.name, name);
    assert_int_equal(again.expires_at_us, 77);
    care_request_done(&again);
    const struct care_request list = {.kind = CARE_TOKEN_LIST, .surface = surface, .after = name};
    again = around(&list);
    assert_int_equal(again.kind, CARE_TOKEN_LIST);
    assert_string_equal(again.after, name);
    care_request_done(&again);
    const struct care_request revoke = {
        .kind = CARE_TOKEN_REVOKE, .surface = surface, .name = name};
    again = around(&revoke);
    assert_int_equal(again.kind, CARE_TOKEN_REVOKE);
    assert_string_equal(again.name, name);
    care_request_done(&again);
}

static void test_everything_else_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{",
        "null",
        "[]",
        "{}",
        "{\"command\":1}",
        "{\"command\":\"\"}",
        "{\"command\":\"stop\"}",
        "{\"command\":\"backup\"}",
        "{\"command\":\"backup\",\"path\":\"relative\"}",
        "{\"command\":\"backup\",\"path\":\"\"}",
        "{\"command\":\"backup\",\"path\":\"/a\\u0000b\"}",
        "{\"command\":\"backup\",\"path\":\"/a\",\"path\":7}",
        "{\"command\":\"backup\",\"path\":\"/a\",\"force\":\"yes\"}",
        "{\"command\":\"backup\",\"path\":\"/a\",\"other\":1}",
        "{\"command\":\"prune\",\"older_than_us\":-1}",
        "{\"command\":\"prune\",\"older_than_us\":1.5}",
        "{\"command\":\"prune\",\"older_than_us\":99999999999999999999}",
        "{\"command\":\"prune\",\"older_than_us\":\"1\"}",
        "{\"command\":\"prune\"} {}",
        "{\"command\":\"token list\"}",
        "{\"command\":\"token create\",\"surface\":\"dbt\"}",
        "{\"command\":\"token create\",\"surface\":\"dbt\",\"arguments\":{}}",
        "{\"command\":\"token revoke\",\"surface\":\"dbt\"}",
        "{\"command\":\"token revoke\",\"surface\":\"\",\"name\":\"x\"}",
        "{\"command\":\"token list\",\"surface\":\"dbt\",\"expires_at_us\":-1}",
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(texts); index++) {
        struct care_request request;
        if (read_text(texts[index], &request) == PH_OK) {
            print_error("taken: %s\n", texts[index]);
            fail();
        }
    }
}

static void test_results_are_read(void **state)
{
    (void)state;
    BUF_AUTO struct buf result;
    buf_init(&result, 1024);
    assert_int_equal(care_result_number(&result, "bytes"), 0);
    buf_append_text(&result, "{\"bytes\":12,\"text\":\"x\"}");
    assert_int_equal(care_result_number(&result, "bytes"), 12);
    assert_int_equal(care_result_number(&result, "text"), 0);
    assert_int_equal(care_result_number(&result, "other"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_go_around),
        cmocka_unit_test(test_requests_for_tokens_go_around),
        cmocka_unit_test(test_everything_else_is_refused),
        cmocka_unit_test(test_results_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
