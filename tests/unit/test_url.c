/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/url.h"

static enum ph_error normalise(const char *text, struct buf *normal)
{
    buf_init(normal, (size_t)2 * URL_LENGTH_MAX);
    return url_normalise(slice_of(text), "body.url", NULL, normal);
}

struct row {
    const char *text;
    const char *normal;
};

/* The normal form is what the row says, and is its own normal form. */
static void check_rows(const struct row *rows, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        BUF_AUTO struct buf normal;
        BUF_AUTO struct buf again;
        if (normalise(rows[index].text, &normal) != PH_OK ||
            strcmp(buf_text(&normal), rows[index].normal) != 0) {
            fail_msg("%s: `%s` instead of `%s`", rows[index].text, buf_text(&normal),
                     rows[index].normal);
        }
        assert_int_equal(normalise(rows[index].normal, &again), PH_OK);
        assert_string_equal(buf_text(&again), rows[index].normal);
    }
}

static void check_refused(const char *const *texts, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        struct diag diag;
        BUF_AUTO struct buf normal;
        buf_init(&normal, URL_LENGTH_MAX);
        buf_append_byte(&normal, '!');
        if (url_normalise(slice_of(texts[index]), "body.url", &diag, &normal) != PH_INVALID) {
            fail_msg("taken: %s as %s", texts[index], buf_text(&normal));
        }
        assert_string_equal(diag.field, "body.url");
        assert_string_equal(buf_text(&normal), "!");
    }
}

static void test_scheme_host_and_port(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"http://a", "http://a/"},
        {" \thttp://a/b \n", "http://a/b"},
        {"HTTPS://EXAMPLE.Com", "https://example.com/"},
        {"https://a:443/", "https://a/"},
        {"http://a:80", "http://a/"},
        {"http://a:443/", "http://a:443/"},
        {"https://a:80/", "https://a:80/"},
        {"https://a:00443/", "https://a/"},
        {"https://a:/x", "https://a/x"},
        {"https://a:65535", "https://a:65535/"},
        {"https://a?q", "https://a/?q"},
        {"https://a#f", "https://a/#f"},
        {"https://a?", "https://a/?"},
        {"https://a#", "https://a/#"},
        {"https://ex%41mple.com/", "https://example.com/"},
        {"https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"},
        {"https://a_b-c.d!$&'()*+,;=~/", "https://a_b-c.d!$&'()*+,;=~/"},
        {"https://example.com./", "https://example.com./"},
    };
    check_rows(rows, PH_ARRAY_LENGTH(rows));
}

static void test_path(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"http://h/a/./b", "http://h/a/b"},
        {"http://h/a/../b", "http://h/b"},
        {"http://h/..", "http://h/"},
        {"http://h/../../a", "http://h/a"},
        {"http://h/a/..", "http://h/"},
        {"http://h/a/b/..", "http://h/a/"},
        {"http://h/a/b/../", "http://h/a/"},
        {"http://h/a/.", "http://h/a/"},
        {"http://h/%2e/a/%2E%2e/.%2e/b", "http://h/b"},
        {"http://h/a/%2e%2E", "http://h/"},
        {"http://h/...", "http://h/..."},
        {"http://h/.a/a./..a", "http://h/.a/a./..a"},
        {"http://h/%2e%2e%2e", "http://h/%2e%2e%2e"},
        {"http://h//", "http://h//"},
        {"http://h//a//..//b", "http://h//a//b"},
        {"http://h//..", "http://h/"},
        {"http://h/a\\b\\..\\c", "http://h/a/c"},
        {"http://h/a%2fb", "http://h/a%2fb"},
        {"http://h/%zz%", "http://h/%zz%"},
        {"http://h/\"<>`{}", "http://h/%22%3C%3E%60%7B%7D"},
        {"http://h/[]|!$&'()*+,;=:@~", "http://h/[]|!$&'()*+,;=:@~"},
        {"http://h/a b/ c", "http://h/a%20b/%20c"},
        {"http://h/\xc3\xa9", "http://h/%C3%A9"},
        {"http://h/\xf0\x9f\x98\x80", "http://h/%F0%9F%98%80"},
    };
    check_rows(rows, PH_ARRAY_LENGTH(rows));
}

static void test_query_fragment_and_user(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"http://h/?a=b&c={}|`^\\", "http://h/?a=b&c={}|`^\\"},
        {"http://h/?\"<>'", "http://h/?%22%3C%3E%27"},
        {"http://h/?a?b/../c", "http://h/?a?b/../c"},
        {"http://h/?\xc3\xa9", "http://h/?%C3%A9"},
        {"http://h/?%zz", "http://h/?%zz"},
        {"http://h/?a b", "http://h/?a%20b"},
        {"http://h/#a b", "http://h/#a%20b"},
        {"http://h/#\"<>`", "http://h/#%22%3C%3E%60"},
        {"http://h/#a#b?c'{}", "http://h/#a#b?c'{}"},
        {"http://h?x#y?z", "http://h/?x#y?z"},
        {"http://u@h", "http://u@h/"},
        {"http://u:@h", "http://u@h/"},
        {"http://:p@h", "http://:p@h/"},
        {"http://@h", "http://h/"},
        {"http://:@h", "http://h/"},
        {"http://u:p:q@h", "http://u:p%3Aq@h/"},
        {"http://u@v@h", "http://u%40v@h/"},
        {"http://u;=[]|^:p@h", "http://u%3B%3D%5B%5D%7C%5E:p@h/"},
        {"http://%41:%zz@h", "http://%41:%zz@h/"},
        {"http://h/@x:y", "http://h/@x:y"},
    };
    check_rows(rows, PH_ARRAY_LENGTH(rows));
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "h",
        "//h/",
        "/x",
        "ftp://h/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "httpss://h/",
        "http:h",
        "http:/h",
        "http:///",
        "http://",
        "http://?q",
        "http://#f",
        "http://:80/",
        "http://u@/",
        "http://u@:80/",
        "http:\\\\h\\",
        "http://h\\x/",
        "http://u\\@h/",
        "http://h:0/",
        "http://h:65536/",
        "http://h:99999999999999999999/",
        "http://h:-1/",
        "http://h:+80/",
        "http://h:8 0/",
        "http://h:80a/",
        "http://h:80:80/",
        "http://a b/",
        "http://h\t/",
        "http://h/a\nb",
        "http://h/a\rb",
        "http://h/a\tb",
        "http://h/?a\x01",
        "http://h/#\x7f",
        "http://h/\x80",
        "http://h/\xed\xa0\x80",
        "http://\xc3\xbc.example/",
        "http://%c3%bc.example/",
    };
    check_refused(texts, PH_ARRAY_LENGTH(texts));
}

/* An embedded NUL never cuts a host short. */
static void test_embedded_nul(void **state)
{
    (void)state;
    static const struct slice texts[] = {
        SLICE_LITERAL("http://good\0.evil/"), SLICE_LITERAL("http://h/a\0b"),
        SLICE_LITERAL("http://h/?\0"),        SLICE_LITERAL("http://h/\0"),
        SLICE_LITERAL("http\0://h/"),         SLICE_LITERAL("http://127.0.0.1%00.evil/"),
        SLICE_LITERAL("http://[::1\0]/"),
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(texts); index++) {
        BUF_AUTO struct buf normal;
        buf_init(&normal, URL_LENGTH_MAX);
        assert_int_equal(url_normalise(texts[index], "f", NULL, &normal), PH_INVALID);
        assert_int_equal(normal.len, 0);
    }
}

static void test_lengths(void **state)
{
    (void)state;
    char text[URL_LENGTH_MAX + 1];
    struct diag diag;
    memset(text, 'x', sizeof text);
    memcpy(text, "http://h/", 9);
    BUF_AUTO struct buf normal;
    buf_init(&normal, URL_LENGTH_MAX);
    assert_int_equal(url_normalise((struct slice){text, URL_LENGTH_MAX}, "f", &diag, &normal),
                     PH_OK);
    assert_int_equal(normal.len, URL_LENGTH_MAX);
    buf_clear(&normal);
    assert_int_equal(url_normalise((struct slice){text, URL_LENGTH_MAX + 1}, "f", &diag, &normal),
                     PH_INVALID);
    /* Encoded it is two bytes too long. */
    text[20] = '"';
    assert_int_equal(url_normalise((struct slice){text, URL_LENGTH_MAX}, "f", &diag, &normal),
                     PH_INVALID);
    assert_string_equal(diag.text, "a url has at most 2048 characters when encoded");
    assert_int_equal(normal.len, 0);
    /* What would be short when normalised has the same limit. */
    for (size_t index = 9; index < URL_LENGTH_MAX; index += 2) {
        memcpy(text + index, "./", 2);
    }
    assert_int_equal(url_normalise((struct slice){text, URL_LENGTH_MAX - 1}, "f", &diag, &normal),
                     PH_OK);
    assert_string_equal(buf_text(&normal), "http://h/");
    buf_clear(&normal);
    assert_int_equal(url_normalise((struct slice){text, URL_LENGTH_MAX + 1}, "f", &diag, &normal),
                     PH_INVALID);
    memset(text + 9, 'x', sizeof text - 9);
    text[20] = '"';
    assert_int_equal(url_normalise((struct slice){text, URL_LENGTH_MAX - 2}, "f", &diag, &normal),
                     PH_OK);
    assert_int_equal(normal.len, URL_LENGTH_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scheme_host_and_port),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_query_fragment_and_user),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_embedded_nul),
        cmocka_unit_test(test_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
