/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Hosts of URLs: WHATWG URL standard, sections 3.5 (hosts) and 3.6 (serialising). */
#include "core/url.h"

/* The host of the normal form of "http://HOST/", NULL when it is refused. Freed by the caller. */
static char *host_of(const char *host)
{
    BUF_AUTO struct buf text;
    BUF_AUTO struct buf normal;
    buf_init(&text, URL_LENGTH_MAX);
    buf_init(&normal, URL_LENGTH_MAX);
    buf_append_format(&text, "http://%s/", host);
    if (url_normalise(buf_slice(&text), "url", NULL, &normal) != PH_OK) {
        return NULL;
    }
    assert_int_equal(normal.data[normal.len - 1], '/');
    return ph_memdup_text(normal.data + 7, normal.len - 8);
}

static void check_hosts(const char *const (*rows)[2], size_t count)
{
    for (size_t index = 0; index < count; index++) {
        PH_AUTO_FREE char *host = host_of(rows[index][0]);
        const char *expected = rows[index][1];
        if (host == NULL || strcmp(host, expected) != 0) {
            fail_msg("%s: %s instead of %s", rows[index][0], host == NULL ? "refused" : host,
                     expected);
        }
    }
}

static void check_refused(const char *const *hosts, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        PH_AUTO_FREE char *host = host_of(hosts[index]);
        if (host != NULL) {
            fail_msg("taken: %s as %s", hosts[index], host);
        }
    }
}

/* All ways of writing an address come out as one, so that the guard cannot be talked around. */
static void test_ipv4(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"127.0.0.1", "127.0.0.1"},
        {"127.0.0.1.", "127.0.0.1"},
        {"127.1", "127.0.0.1"},
        {"127.0.1", "127.0.0.1"},
        {"2130706433", "127.0.0.1"},
        {"017700000001", "127.0.0.1"},
        {"0x7f000001", "127.0.0.1"},
        {"0X7F.1", "127.0.0.1"},
        {"0x7f.0.0.0x1", "127.0.0.1"},
        {"0177.0.0.01", "127.0.0.1"},
        {"%31%32%37.0.0.1", "127.0.0.1"},
        {"127%2e1", "127.0.0.1"},
        {"192.168.257", "192.168.1.1"},
        {"1.16777215", "1.255.255.255"},
        {"1.2.65535", "1.2.255.255"},
        {"4294967295", "255.255.255.255"},
        {"0xffffffff", "255.255.255.255"},
        {"00000000000000000000000000000000001", "0.0.0.1"},
        {"0", "0.0.0.0"},
        {"0x", "0.0.0.0"},
        {"0x.0x.0", "0.0.0.0"},
    };
    check_hosts(rows, PH_ARRAY_LENGTH(rows));
}

/* A last label that is a number makes the host an address, and a bad one is refused. */
static void test_ipv4_refused(void **state)
{
    (void)state;
    static const char *const hosts[] = {
        "256.0.0.1",
        "1.2.3.256",
        "1.256.3",
        "1.16777216",
        "1.2.65536",
        "4294967296",
        "0x100000000",
        "040000000000",
        "1.2.3.4.5",
        "1..2",
        ".1",
        "a.1",
        "a.0x1",
        "a.0x",
        "1.2.3.08",
        "09",
        "a.09",
        "1.2.3.4a.5",
        "0x7g.1",
        "-1.1",
        "99999999999999999999999999",
        "0xfffffffffffffffffffffffff",
        "a.b.1.",
    };
    check_refused(hosts, PH_ARRAY_LENGTH(hosts));
}

static void test_names_that_are_no_numbers(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"1.2.3.4a", "1.2.3.4a"},
        {"0xg", "0xg"},
        {"1e1", "1e1"},
        {"1.a", "1.a"},
        {"127.0.0.1.x", "127.0.0.1.x"},
        {"0x1.A", "0x1.a"},
        {"1.2.3.4..", "1.2.3.4.."},
        {"a.b.", "a.b."},
    };
    check_hosts(rows, PH_ARRAY_LENGTH(rows));
}

static void test_ipv6(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"[::]", "[::]"},
        {"[::1]", "[::1]"},
        {"[0:0:0:0:0:0:0:1]", "[::1]"},
        {"[2001:DB8:0:0:0:0:0:1]", "[2001:db8::1]"},
        {"[2001:0db8::0001]", "[2001:db8::1]"},
        {"[1::]", "[1::]"},
        {"[1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7:8]"},
        {"[1:0:3:4:5:6:7:8]", "[1:0:3:4:5:6:7:8]"},
        {"[1:2:3:4:5:6:7::]", "[1:2:3:4:5:6:7:0]"},
        {"[::2:3:4:5:6:7:8]", "[0:2:3:4:5:6:7:8]"},
        {"[1:0:0:4:0:0:7:8]", "[1::4:0:0:7:8]"},
        {"[1:0:0:4:0:0:0:8]", "[1:0:0:4::8]"},
        {"[0:0:0:4:5:6:0:0]", "[::4:5:6:0:0]"},
        {"[1:2:3:4:5:6:0:0]", "[1:2:3:4:5:6::]"},
        {"[::ffff:127.0.0.1]", "[::ffff:7f00:1]"},
        {"[::ffff:7F00:1]", "[::ffff:7f00:1]"},
        {"[64:ff9b::10.0.0.1]", "[64:ff9b::a00:1]"},
        {"[::1.2.3.4]", "[::102:304]"},
        {"[0:0:0:0:0:ffff:255.255.255.255]", "[::ffff:ffff:ffff]"},
        {"[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]"},
    };
    check_hosts(rows, PH_ARRAY_LENGTH(rows));
}

static void test_ipv6_refused(void **state)
{
    (void)state;
    static const char *const hosts[] = {
        "[]",
        "[",
        "[:]",
        "[:::]",
        "[1]",
        "[::1",
        "::1",
        "1::2",
        "[::1]]",
        "[[::1]]",
        "[::1]x",
        "[::1%25eth0]",
        "[fe80::1%lo]",
        "[12345::]",
        "[1::2::3]",
        "[1:2:3:4:5:6:7]",
        "[1:2:3:4:5:6:7:8:9]",
        "[::g]",
        "[%3a%3a1]",
        "[127.0.0.1]",
        "[::ffff:1.2.3]",
        "[::ffff:1.2.3.256]",
        "[::1.2.3.4:5]",
        "[ ::1]",
        "[v1.x]",
    };
    check_refused(hosts, PH_ARRAY_LENGTH(hosts));
}

/* Each byte inside a name, as it is and percent-encoded. */
static void test_bytes_of_names(void **state)
{
    (void)state;
    for (unsigned byte = 1; byte < 256; byte++) {
        char encoded[16];
        (void)snprintf(encoded, sizeof encoded, "a%%%02xb", byte);
        bool is_bad = byte <= 0x20 || byte >= 0x7f || strchr("#%/:<>?@[\\]^|", (int)byte) != NULL;
        PH_AUTO_FREE char *host = host_of(encoded);
        if ((host == NULL) != is_bad) {
            fail_msg("%s", encoded);
        }
        /* The first byte has no other rules. */
        PH_AUTO_FREE char *first = host_of(encoded + 1);
        assert_true((first == NULL) == is_bad || byte == '.');
        if (host != NULL) {
            assert_int_equal(strlen(host), 3);
            assert_int_equal(host[1], byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
        }
    }
}

static void test_lengths(void **state)
{
    (void)state;
    char text[300];
    memset(text, 'a', sizeof text);
    text[253] = '\0';
    PH_AUTO_FREE char *longest = host_of(text);
    assert_non_null(longest);
    assert_string_equal(longest, text);
    text[253] = 'a';
    text[254] = '\0';
    assert_null(host_of(text));
    /* What is encoded counts once. */
    memcpy(text, "%61", 3);
    text[253] = 'a';
    text[254] = 'a';
    text[255] = '\0';
    PH_AUTO_FREE char *encoded = host_of(text);
    assert_non_null(encoded);
    assert_int_equal(strlen(encoded), 253);
    static const char *const empty[] = {"", ".", "..", "%2e"};
    check_refused(empty, PH_ARRAY_LENGTH(empty));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ipv4),
        cmocka_unit_test(test_ipv4_refused),
        cmocka_unit_test(test_names_that_are_no_numbers),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_ipv6_refused),
        cmocka_unit_test(test_bytes_of_names),
        cmocka_unit_test(test_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
