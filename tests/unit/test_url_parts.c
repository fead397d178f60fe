/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The parts of a normal form, and what may be shown of it. */
#include "core/url.h"

static void check_slice(struct slice part, const char *expected)
{
    if (expected == NULL) {
        assert_null(part.ptr);
    } else {
        assert_non_null(part.ptr);
        assert_true(slice_equal_text(part, expected));
    }
}

static void test_split(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool is_https;
        uint16_t port;
        const char *username, *password, *host, *path, *query, *fragment;
    } rows[] = {
        {"http://h/", false, 80, NULL, NULL, "h", "/", NULL, NULL},
        {"https://h/", true, 443, NULL, NULL, "h", "/", NULL, NULL},
        {"https://u@h:8443/a/b?#", true, 8443, "u", NULL, "h", "/a/b", "", ""},
        {"http://u:p%40@h/?q?#f#", false, 80, "u", "p%40", "h", "/", "q?", "f#"},
        {"http://:p@h/", false, 80, "", "p", "h", "/", NULL, NULL},
        {"http://[::1]/", false, 80, NULL, NULL, "::1", "/", NULL, NULL},
        {"http://u@[2001:db8::1]:65535/x", false, 65535, "u", NULL, "2001:db8::1", "/x", NULL,
         NULL},
        {"http://h/@x:1", false, 80, NULL, NULL, "h", "/@x:1", NULL, NULL},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        struct url_parts parts;
        assert_true(url_split(slice_of(rows[index].url), &parts));
        assert_true(parts.is_https == rows[index].is_https);
        assert_int_equal(parts.port, rows[index].port);
        check_slice(parts.username, rows[index].username);
        check_slice(parts.password, rows[index].password);
        check_slice(parts.host, rows[index].host);
        check_slice(parts.path, rows[index].path);
        check_slice(parts.query, rows[index].query);
        check_slice(parts.fragment, rows[index].fragment);
    }
    static const char *const bad[] = {
        "",
        "h",
        "http://",
        "http://h",
        "http:///",
        "ftp://h/",
        "http://h:0/",
        "http://h:/",
        "http://h:65536/",
        "http://h:x/",
        "http://[]/",
        "http://[::1/",
        "http://[::1]x/",
        "http://h\\/",
        "http://h /",
        "http://h/\x01",
        "http://h/\xff",
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(bad); index++) {
        struct url_parts parts;
        if (url_split(slice_of(bad[index]), &parts)) {
            fail_msg("taken: %s", bad[index]);
        }
    }
}

struct row {
    const char *text;
    const char *result;
};

static void test_decoding(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", ""},       {"abc", "abc"}, {"%41%62", "Ab"}, {"a%40b%3a", "a@b:"},
        {"%", "%"},     {"%4", "%4"},   {"%4g", "%4g"},   {"%g4", "%g4"},
        {"%%41", "%A"}, {"+", "+"},     {"%2541", "%41"}, {"%c3%a9", "\xc3\xa9"},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        BUF_AUTO struct buf text;
        buf_init(&text, 64);
        url_append_decoded(slice_of(rows[index].text), &text);
        assert_string_equal(buf_text(&text), rows[index].result);
    }
    BUF_AUTO struct buf text;
    buf_init(&text, 64);
    url_append_decoded(SLICE_LITERAL("a%00b"), &text);
    assert_int_equal(text.len, 3);
    assert_memory_equal(text.data, "a\0b", 4);
}

static void test_redaction(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"https://user:secret@h:8443/p?token=x#f", "https://h:8443/p"},
        {"http://h/", "http://h/"},
        {"http://h:80/a", "http://h/a"},
        {"http://u@[::1]:81/a?b", "http://[::1]:81/a"},
        {"user:secret@h", "(not a url)"},
        {"", "(not a url)"},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        BUF_AUTO struct buf text;
        buf_init(&text, URL_LENGTH_MAX);
        url_redact(slice_of(rows[index].text), &text);
        assert_string_equal(buf_text(&text), rows[index].result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_decoding),
        cmocka_unit_test(test_redaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
