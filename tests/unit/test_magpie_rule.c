/* SPDX-License-Identifier: Apache-2.0 */
/* Field rules, status forms, tokens of callbacks, and bodies as JSON and as forms (magpie spec
 * sections 6 to 8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "surfaces/magpie/body.h"
#include "surfaces/magpie/callback.h"
#include "surfaces/magpie/rule.h"

#define UUID "3f0c2a9e-7d41-4b8e-9a57-0c6d2e1b4f83"

static void assert_rule(bool (*rule)(struct slice text), const char *const *good,
                        const char *const *bad)
{
    for (; *good != NULL; good++) {
        if (!rule(slice_of(*good))) {
            fail_msg("refused: %s", *good);
        }
    }
    for (; *bad != NULL; bad++) {
        if (rule(slice_of(*bad))) {
            fail_msg("taken: %s", *bad);
        }
    }
}

static void test_names(void **state)
{
    (void)state;
    char long_name[MAGPIE_USER_NAME_MAX + 2];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    assert_rule(magpie_is_user_name, (const char *[]){"a", "0", "a.b-c_d", "ab12", NULL},
                (const char *[]){"", "A", ".a", "a.", "a..b", "a._b", "a b", "a:b", "\xc3\xbc",
                                 long_name, NULL});
    assert_true(magpie_is_user_name((struct slice){long_name, MAGPIE_USER_NAME_MAX}));
    assert_false(magpie_is_user_name((struct slice){"a\0b", 3}));
    assert_rule(magpie_is_group_name, (const char *[]){"A", "a b", "a\tb", "A.b-C_d 1", NULL},
                (const char *[]){"", " a", "a ", "a  b", "a:b", "a/b", NULL});
    assert_rule(magpie_is_resource_name, (const char *[]){"A", "ws:layer", "a b.nc", NULL},
                (const char *[]){"", ":a", "a:", "a::b", "a/b", "a*", NULL});
}

static void test_other_rules(void **state)
{
    (void)state;
    assert_rule(magpie_is_email, (const char *[]){"a@b", "x+{{user.id}}@h.org", "\xc3\xbc@h", NULL},
                (const char *[]){"", "a", "@b", "a@", "a@b@c", "a b@c", "a@b\n", "\xff@h", NULL});
    assert_rule(magpie_is_service_url,
                (const char *[]){"http://h", "https://h:8443/a?b#c", "http://[::1]/", NULL},
                (const char *[]){"", "h", "/x", "ftp://h", "http://", "http://h\n", NULL});
    assert_rule(magpie_is_text, (const char *[]){"", "a b", "\xc3\xbc", NULL},
                (const char *[]){"a\nb", "\x7f", NULL});
    assert_int_equal(magpie_character_count(slice_of("a\xc3\xbc\xe2\x82\xac\xf0\x9f\x93\xaf")), 4);
}

static void test_status(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t status;
    } forms[] = {
        {"1", 1},
        {"OK", 1},
        {"ok", 1},
        {"Ok", 1},
        {"2", 2},
        {"WebhookError", 2},
        {"webhookerror", 2},
        {"Webhookerror", 2},
        {"WEBHOOKERROR", 2},
        {"4", 4},
        {"Pending", 4},
        {"pending", 4},
        {"PENDING", 4},
        {"0", 0},
        {"3", 0},
        {"8", 0},
        {"oK", 0},
        {"", 0},
        {"webhookError", 0},
        {"+1", 0},
        {"1 ", 0},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(forms); index++) {
        int64_t status = 0;
        assert_int_equal(magpie_status_parse(slice_of(forms[index].text), &status),
                         forms[index].status != 0);
        assert_int_equal(status, forms[index].status);
    }
    int64_t set;
    assert_true(magpie_status_parse_filter(slice_of("all"), &set) && set == 7);
    assert_true(magpie_status_parse_filter(slice_of("ok, 4"), &set) && set == 5);
    assert_false(magpie_status_parse_filter(slice_of("ok,"), &set));
    assert_false(magpie_status_parse_filter(slice_of(""), &set));
    assert_string_equal(magpie_status_name(MAGPIE_STATUS_WEBHOOK_ERROR), "WebhookError");
}

static void test_callback_tokens(void **state)
{
    (void)state;
    char token[MAGPIE_CALLBACK_TOKEN_MAX];
    static const char *const good[] = {UUID, "urn:uuid:3f0c2a9e-7d41-4b8e-9a57-0c6d2e1b4f83",
                                       "3F0C2A9E-7D41-4B8E-9A57-0C6D2E1B4F83"};
    static const char *const bad[] = {"",
                                      "urn:uuid:",
                                      "3f0c2a9e7d414b8e9a570c6d2e1b4f83",
                                      "3f0c2a9e-7d41-4b8e-9a57-0c6d2e1b4f8",
                                      "3f0c2a9e-7d41-4b8e-9a57-0c6d2e1b4f833",
                                      "3f0c2a9-e7d41-4b8e-9a57-0c6d2e1b4f83",
                                      "gf0c2a9e-7d41-4b8e-9a57-0c6d2e1b4f83",
                                      "{3f0c2a9e-7d41-4b8e-9a57-0c6d2e1b4f8}"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(good); index++) {
        assert_true(magpie_callback_parse(slice_of(good[index]), token));
        assert_string_equal(token, UUID);
    }
    for (size_t index = 0; index < PH_ARRAY_LENGTH(bad); index++) {
        assert_false(magpie_callback_parse(slice_of(bad[index]), token));
    }
}

static void open_body(struct magpie_body *body, const char *type, const char *text,
                      struct arena *arena, struct diag *diag)
{
    magpie_body_open(body, slice_of(type), slice_of(text), PH_INVALID, arena, diag);
}

static void assert_text(struct magpie_body *body, const char *name, const char *expected)
{
    struct slice text;
    assert_int_equal(magpie_body_text(body, name, &text), MAGPIE_GIVEN);
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.ptr, expected, text.len);
}

static void test_bodies(void **state)
{
    (void)state;
    struct magpie_body body;
    struct diag diag = {0};
    struct slice text;
    int64_t number;
    bool flag;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, (size_t)1024 * 1024);
    open_body(&body, "Application/X-WWW-Form-Urlencoded ; charset=utf-8",
              "a=1&b=%C3%BC+x&&c&a=2&d=true&e=%7B%7D", &arena, &diag);
    assert_text(&body, "a", "2"); /* the last one */
    assert_text(&body, "b", "\xc3\xbc x");
    assert_text(&body, "c", "");
    assert_int_equal(magpie_body_number(&body, "a", &number), MAGPIE_GIVEN);
    assert_int_equal(number, 2);
    assert_int_equal(magpie_body_bool(&body, "d", &flag), MAGPIE_GIVEN);
    assert_true(flag);
    assert_int_equal(magpie_body_object(&body, "e", &text), MAGPIE_GIVEN);
    assert_int_equal(magpie_body_text(&body, "x", &text), MAGPIE_ABSENT);
    assert_int_equal(magpie_body_end(&body), PH_OK);
    open_body(&body, NULL, " {\"a\":\"\\u00fc\",\"n\":7,\"z\":null,\"m\":\"8\"} ", &arena, &diag);
    assert_text(&body, "a", "\xc3\xbc");
    assert_int_equal(magpie_body_number(&body, "n", &number), MAGPIE_GIVEN);
    assert_int_equal(magpie_body_number(&body, "m", &number), MAGPIE_GIVEN);
    assert_int_equal(number, 8);
    assert_int_equal(magpie_body_text(&body, "z", &text), MAGPIE_GIVEN_NULL);
    assert_int_equal(magpie_body_end(&body), PH_OK);
    assert_int_equal(magpie_body_text(&body, "n", &text), MAGPIE_ABSENT);
    assert_int_equal(magpie_body_end(&body), PH_INVALID);
    assert_string_equal(diag.field, "n");
    open_body(&body, "application/x-www-form-urlencoded", " {\"a\":\"b\"}", &arena, &diag);
    assert_text(&body, "a", "b");
    open_body(&body, "application/json", "", &arena, &diag);
    assert_int_equal(magpie_body_end(&body), PH_OK);
    assert_int_equal(magpie_body_required(&body, "a").len, 0);
    assert_int_equal(magpie_body_end(&body), PH_BAD_REQUEST);
}

static void test_bodies_refused(void **state)
{
    (void)state;
    static const char *const json[] = {"{", "[]", "x", "{}{}", "\"\\ud800\"", "{\"a\":}"};
    static const char *const forms[] = {"a=%", "a=%0", "a=%zz", "%ff=1", "a=%00"};
    struct diag diag = {0};
    struct magpie_body body;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, (size_t)1024 * 1024);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(json); index++) {
        open_body(&body, "application/json", json[index], &arena, &diag);
        assert_int_equal(magpie_body_end(&body), PH_BAD_REQUEST);
    }
    for (size_t index = 0; index < PH_ARRAY_LENGTH(forms); index++) {
        open_body(&body, "application/x-www-form-urlencoded", forms[index], &arena, &diag);
        assert_int_equal(magpie_body_end(&body), PH_BAD_REQUEST);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),  cmocka_unit_test(test_other_rules),
        cmocka_unit_test(test_status), cmocka_unit_test(test_callback_tokens),
        cmocka_unit_test(test_bodies), cmocka_unit_test(test_bodies_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
