/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/header_rule.h"

static enum ph_error check_name(const char *name)
{
    return header_rule_check_name(slice_of(name), "body.headers", NULL);
}

static void test_names_taken(void **state)
{
    (void)state;
    static const char *const names[] = {
        "Authorization",         "X-Api-Key",     "x",      "Accept",  "webhook-ids", "Hosts",
        "!#$%&'*+-.^_`|~09azAZ", "X-Amz",         "x-goog", "svix",    "x-svix",      "x-fd",
        "content-typ",           "content-types", "tea",    "X-FDA-1",
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(names); index++) {
        if (check_name(names[index]) != PH_OK) {
            fail_msg("refused: %s", names[index]);
        }
    }
}

static void test_names_refused(void **state)
{
    (void)state;
    static const char *const names[] = {
        "user-agent",
        "User-Agent",
        "keep-alive",
        "proxy-authenticate",
        "te",
        "TE",
        "trailers",
        "proxy-authorization",
        "transfer-encoding",
        "upgrade",
        "age",
        "cache-control",
        "clear-site-data",
        "expires",
        "pragma",
        "warning",
        "content-length",
        "Content-Type",
        "content-encoding",
        "content-language",
        "content-location",
        "connection",
        "Proxy-Connection",
        "Trailer",
        "HTTP2-Settings",
        "Expect",
        "Host",
        "HOST",
        "Webhook-Id",
        "webhook-timestamp",
        "webhook-signature",
        "x-amz-date",
        "X-AMZN-trace",
        "x-google",
        "x-google-anything",
        "x-googles",
        "x-goog-meta",
        "x-gfe",
        "x-gfe-1",
        "x-azure-ref",
        "x-fd-1",
        "X-Svix-Id",
        "svix-id",
        "Svix-Signature",
        "svix-",
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(names); index++) {
        struct diag diag;
        if (header_rule_check_name(slice_of(names[index]), "body.headers", &diag) != PH_INVALID) {
            fail_msg("taken: %s", names[index]);
        }
        assert_string_equal(diag.field, "body.headers");
        assert_non_null(strstr(diag.text, names[index]));
    }
}

/* RFC 9110 section 5.6.2: every byte that is no tchar is refused wherever it stands. */
static void test_bytes_of_names(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        bool is_letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                         (byte >= '0' && byte <= '9');
        bool is_good = is_letter || (byte != 0 && strchr("!#$%&'*+-.^_`|~", (int)byte) != NULL);
        const char last[] = {'n', (char)byte};
        const char first[] = {(char)byte, 'n'};
        enum ph_error expected = is_good ? PH_OK : PH_INVALID;
        assert_int_equal(header_rule_check_name((struct slice){last, 2}, "f", NULL), expected);
        assert_int_equal(header_rule_check_name((struct slice){first, 2}, "f", NULL), expected);
    }
}

static void test_length_of_names(void **state)
{
    (void)state;
    char name[HEADER_NAME_MAX + 1];
    memset(name, 'n', sizeof name);
    assert_int_equal(header_rule_check_name((struct slice){name, HEADER_NAME_MAX}, "f", NULL),
                     PH_OK);
    assert_int_equal(header_rule_check_name((struct slice){name, HEADER_NAME_MAX + 1}, "f", NULL),
                     PH_INVALID);
    assert_int_equal(header_rule_check_name(SLICE_NONE, "f", NULL), PH_INVALID);
    assert_int_equal(check_name(""), PH_INVALID);
}

static void test_values(void **state)
{
    (void)state;
    char value[HEADER_VALUE_MAX + 1];
    memset(value, 'v', sizeof value);
    assert_int_equal(header_rule_check_value((struct slice){value, HEADER_VALUE_MAX}, "f", NULL),
                     PH_OK);
    struct diag diag;
    assert_int_equal(
        header_rule_check_value((struct slice){value, HEADER_VALUE_MAX + 1}, "body.h", &diag),
        PH_INVALID);
    assert_string_equal(diag.field, "body.h");
    assert_int_equal(header_rule_check_value(SLICE_NONE, "f", NULL), PH_OK);
    for (unsigned byte = 0; byte < 256; byte++) {
        const char text[] = {'a', (char)byte, 'b'};
        bool is_good = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
        assert_int_equal(header_rule_check_value((struct slice){text, 3}, "f", NULL),
                         is_good ? PH_OK : PH_INVALID);
    }
    assert_int_equal(header_rule_check_value(SLICE_LITERAL("a\r\nHost: evil"), "f", NULL),
                     PH_INVALID);
}

static void test_sensitive(void **state)
{
    (void)state;
    static const char *const names[] = {
        /* The original's. */
        "x-auth-token",
        "X-API-Key",
        "www-authenticate",
        "AUTHORIZATION",
        "proxy-authenticate",
        "Proxy-Authorization",
        /* Ours. */
        "cookie",
        "Set-Cookie",
        "X-Authorization",
        "X-Forwarded-Authorization",
        "X-Auth",
        "X-Vault-Token",
        "token",
        "X_ACCESS_TOKEN",
        "X-Token-Value",
        "X-Client-Secret",
        "secret-thing",
        "X-Password",
        "Db_Passwd",
        "X-ApiKey",
        "Ocp-Apim-Subscription-Key",
        "Routing-Key",
        "key",
        "-key",
        "X-Session-Id",
        "X-JWT-Assertion",
        "X-Credentials",
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(names); index++) {
        if (!header_rule_is_sensitive(slice_of(names[index]))) {
            fail_msg("shown: %s", names[index]);
        }
    }
    static const struct slice others[] = {
        SLICE_NONE,
        SLICE_LITERAL(""),
        SLICE_LITERAL("-"),
        SLICE_LITERAL("x-api"),
        SLICE_LITERAL("x-api-keys"),
        SLICE_LITERAL("authorization\0"),
        SLICE_LITERAL("X-Author"),
        SLICE_LITERAL("X-Keyboard"),
        SLICE_LITERAL("X-Key-Id"),
        SLICE_LITERAL("Idempotency-Key"),
        SLICE_LITERAL("X-Ordering-Key"),
        SLICE_LITERAL("X-Tokens"),
        SLICE_LITERAL("monkey"),
        SLICE_LITERAL("Accept"),
        SLICE_LITERAL("X-Tenant"),
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(others); index++) {
        if (header_rule_is_sensitive(others[index])) {
            fail_msg("hidden: %.*s", SLICE_ARG(others[index]));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_taken),    cmocka_unit_test(test_names_refused),
        cmocka_unit_test(test_bytes_of_names), cmocka_unit_test(test_length_of_names),
        cmocka_unit_test(test_values),         cmocka_unit_test(test_sensitive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
