/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/address.h"

static void address_of(const char *text, struct sockaddr_storage *ret_address)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    memset(ret_address, 0, sizeof *ret_address);
    if (strchr(text, ':') != NULL) {
        assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
        memcpy(ret_address, &in6, sizeof in6);
    } else {
        assert_int_equal(inet_pton(AF_INET, text, &in.sin_addr), 1);
        memcpy(ret_address, &in, sizeof in);
    }
}

/* The rule that refuses, NULL when there is none. `allow` is a text, NULL for no set at all. */
static const char *rule_of(const char *text, const char *allow)
{
    struct sockaddr_storage address;
    CIDR_SET_AUTO struct cidr_set set = {NULL, 0};
    const char *rule = NULL;
    address_of(text, &address);
    assert_int_equal(cidr_set_parse(slice_of(allow), "allow", NULL, &set), PH_OK);
    const struct sockaddr *plain = (const struct sockaddr *)&address;
    bool is_allowed = address_check(plain, allow == NULL ? NULL : &set, &rule);
    assert_true(is_allowed == (rule == NULL));
    assert_true(address_check(plain, allow == NULL ? NULL : &set, NULL) == is_allowed);
    return rule;
}

struct row {
    const char *address;
    const char *rule; /* its first words; NULL = may be reached */
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        const char *rule = rule_of(rows[index].address, NULL);
        const char *expected = rows[index].rule;
        if ((rule == NULL) != (expected == NULL) ||
            (rule != NULL && strncmp(rule, expected, strlen(expected)) != 0)) {
            fail_msg("%s: %s", rows[index].address, rule == NULL ? "allowed" : rule);
        }
    }
}

/* The first and the last address of each range, and their neighbours. */
static void test_ipv4_ranges(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"0.0.0.0", "this network"},
        {"0.255.255.255", "this network"},
        {"1.0.0.0", NULL},
        {"9.255.255.255", NULL},
        {"10.0.0.0", "private 10."},
        {"10.255.255.255", "private 10."},
        {"11.0.0.0", NULL},
        {"100.63.255.255", NULL},
        {"100.64.0.0", "shared"},
        {"100.127.255.255", "shared"},
        {"100.128.0.0", NULL},
        {"126.255.255.255", NULL},
        {"127.0.0.1", "loopback 127."},
        {"127.255.255.255", "loopback 127."},
        {"128.0.0.0", NULL},
        {"169.253.255.255", NULL},
        {"169.254.169.254", "link-local"},
        {"169.255.0.0", NULL},
        {"172.15.255.255", NULL},
        {"172.16.0.0", "private 172."},
        {"172.31.255.255", "private 172."},
        {"172.32.0.0", NULL},
        {"192.0.0.0", "protocol"},
        {"192.0.0.255", "protocol"},
        {"192.0.1.0", NULL},
        {"192.0.2.1", "documentation"},
        {"192.0.3.0", NULL},
        {"192.88.99.1", "6to4 relay"},
        {"192.88.98.255", NULL},
        {"192.167.255.255", NULL},
        {"192.168.0.0", "private 192."},
        {"192.168.255.255", "private 192."},
        {"192.169.0.0", NULL},
        {"198.17.255.255", NULL},
        {"198.18.0.0", "benchmarking"},
        {"198.19.255.255", "benchmarking"},
        {"198.20.0.0", NULL},
        {"198.51.100.7", "documentation"},
        {"203.0.113.255", "documentation"},
        {"203.0.114.0", NULL},
        {"223.255.255.255", NULL},
        {"224.0.0.0", "multicast"},
        {"239.255.255.255", "multicast"},
        {"240.0.0.0", "reserved"},
        {"255.255.255.254", "reserved"},
        {"255.255.255.255", "broadcast"},
        {"8.8.8.8", NULL},
    };
    check_rows(rows, PH_ARRAY_LENGTH(rows));
}

static void test_ipv6_ranges(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"::", "unspecified"},
        {"::1", "loopback ::1"},
        {"100::1", "discard"},
        {"2001::1", "Teredo"},
        {"2001:0:ffff::", "Teredo"},
        {"2001:db8::1", "documentation"},
        {"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"},
        {"2001:db9::", NULL},
        {"2001:4860:4860::8888", NULL},
        {"2001:a00:1::", NULL}, /* 10.0.0.1 stands there, but only 2002::/16 is 6to4 */
        {"2a02:a00:1::", NULL},
        {"3fff::1", "documentation"},
        {"3fff:fff:ffff::", "documentation"},
        {"3fff:1000::", NULL},
        {"5f00::1", "segment routing"},
        {"fbff::1", NULL},
        {"fc00::1", "private"},
        {"fdff:ffff::1", "private"},
        {"fe00::1", NULL},
        {"fe80::1", "link-local"},
        {"febf::1", "link-local"},
        {"fec0::1", "site-local"},
        {"feff::1", "site-local"},
        {"ff02::1", "multicast"},
        {"2606:4700::1111", NULL},
    };
    check_rows(rows, PH_ARRAY_LENGTH(rows));
}

/* IPv4 inside IPv6 is judged as what it leads to. */
static void test_ipv4_in_ipv6(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"::ffff:8.8.8.8", NULL},
        {"::ffff:127.0.0.1", "loopback 127."},
        {"::ffff:169.254.169.254", "link-local 169."},
        {"::ffff:0.0.0.0", "this network"},
        {"::ffff:255.255.255.255", "broadcast"},
        {"::127.0.0.1", "loopback 127."},
        {"::10.1.2.3", "private 10."},
        {"::2", "this network"},
        {"64:ff9b::8.8.8.8", "NAT64"},
        {"64:ff9b:1::8.8.8.8", "local NAT64"},
        {"2002:808:808::1", "6to4 2002::"},
        {"2002:7f00:1::1", "6to4 2002::"},
    };
    check_rows(rows, PH_ARRAY_LENGTH(rows));
}

static void test_allow(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        const char *allow;
        bool is_allowed;
    } rows[] = {
        {"127.0.0.1", "", false},
        {"127.0.0.1", "127.0.0.1", true},
        {"127.0.0.2", "127.0.0.1", false},
        {"::ffff:127.0.0.1", "127.0.0.0/8", true},
        {"127.0.0.1", "::ffff:127.0.0.0/104", true},
        {"127.0.0.1", "::/0", false},
        {"::1", "::/0", true},
        {"::1", "0.0.0.0/0", false},
        {"10.0.0.1", "0.0.0.0/0", true},
        {"::7f00:1", "127.0.0.0/8", true},
        {"::7f00:1", "::/96", false},
        {"64:ff9b::808:808", "64:ff9b::/96", true},
        {"64:ff9b::a00:1", "64:ff9b::/96", false},
        {"64:ff9b::a00:1", "10.0.0.0/8", false},
        {"64:ff9b::a00:1", "64:ff9b::/96,10.0.0.0/8", true},
        {"64:ff9b:1::a00:1", "64:ff9b:1::/48", false},
        {"64:ff9b:1::808:808", "64:ff9b:1::/48", true},
        {"2002:7f00:1::1", "2002::/16", false},
        {"2002:7f00:1::1", "2002::/16,127.0.0.1", true},
        {"2002:808:808::1", "2002::/16", true},
        {"fd00::1", "fd00::/8", true},
        {"fc00::1", "fd00::/8", false},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        const char *rule = rule_of(rows[index].address, rows[index].allow);
        if ((rule == NULL) != rows[index].is_allowed) {
            fail_msg("%s with %s", rows[index].address, rows[index].allow);
        }
    }
}

static void test_other_families(void **state)
{
    (void)state;
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    CIDR_SET_AUTO struct cidr_set all = {NULL, 0};
    const char *rule = NULL;
    assert_int_equal(cidr_set_parse(SLICE_LITERAL("0.0.0.0/0,::/0"), "x", NULL, &all), PH_OK);
    assert_false(address_check((const struct sockaddr *)&local, &all, &rule));
    assert_string_equal(rule, "neither IPv4 nor IPv6");
    assert_false(cidr_set_contains(&all, (const struct sockaddr *)&local));
}

/* Every length of prefix, from both sides of its border. */
static void test_prefix_lengths(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits <= 128; bits++) {
        char text[INET6_ADDRSTRLEN + 8];
        CIDR_SET_AUTO struct cidr_set set = {NULL, 0};
        struct sockaddr_in6 address = {.sin6_family = AF_INET6};
        (void)snprintf(text, sizeof text, "5555:5555:5555:5555:5555:5555:5555:5555/%u", bits);
        assert_int_equal(cidr_set_parse(slice_of(text), "x", NULL, &set), PH_OK);
        for (unsigned flipped = 0; flipped < 128; flipped++) {
            memset(&address.sin6_addr, 0x55, sizeof address.sin6_addr);
            address.sin6_addr.s6_addr[flipped / 8] ^= (uint8_t)(0x80U >> flipped % 8);
            assert_true(cidr_set_contains(&set, (const struct sockaddr *)&address) ==
                        (flipped >= bits));
        }
    }
}

static void test_sets(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        size_t count; /* SIZE_MAX = refused */
    } rows[] = {
        {SLICE_NONE, 0},
        {SLICE_LITERAL(""), 0},
        {SLICE_LITERAL(" \t"), 0},
        {SLICE_LITERAL("127.0.0.0/8,::1/128"), 2},
        {SLICE_LITERAL(" 10.0.0.1 , fd00::/8\n"), 2},
        {SLICE_LITERAL("10.255.255.255/8"), 1},
        {SLICE_LITERAL("0.0.0.0/0"), 1},
        {SLICE_LITERAL("1.2.3.4/32"), 1},
        {SLICE_LITERAL(","), SIZE_MAX},
        {SLICE_LITERAL("1.2.3.4,"), SIZE_MAX},
        {SLICE_LITERAL("1.2.3.4,,::1"), SIZE_MAX},
        {SLICE_LITERAL("1.2.3.4/33"), SIZE_MAX},
        {SLICE_LITERAL("::/129"), SIZE_MAX},
        {SLICE_LITERAL("1.2.3.4/"), SIZE_MAX},
        {SLICE_LITERAL("/8"), SIZE_MAX},
        {SLICE_LITERAL("1.2.3.4/-1"), SIZE_MAX},
        {SLICE_LITERAL("1.2.3.4/-0"), SIZE_MAX},
        {SLICE_LITERAL("1.2.3.4/+8"), SIZE_MAX},
        {SLICE_LITERAL("1.2.3.4/8/8"), SIZE_MAX},
        {SLICE_LITERAL("1.2.3.4 /8"), SIZE_MAX},
        {SLICE_LITERAL("1.2.3.4/0008"), SIZE_MAX},
        {SLICE_LITERAL("1.2.3"), SIZE_MAX},
        {SLICE_LITERAL("0x7f.0.0.1"), SIZE_MAX},
        {SLICE_LITERAL("1.2.3.4\0"), SIZE_MAX},
        {SLICE_LITERAL("[::1]"), SIZE_MAX},
        {SLICE_LITERAL("fe80::1%lo"), SIZE_MAX},
        {SLICE_LITERAL("localhost"), SIZE_MAX},
        {SLICE_LITERAL("10.0.0.0/8 192.168.0.0/16"), SIZE_MAX},
        {SLICE_LITERAL("0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"), SIZE_MAX},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        struct diag diag;
        CIDR_SET_AUTO struct cidr_set set = {NULL, 77};
        enum ph_error error = cidr_set_parse(rows[index].text, "http.allow", &diag, &set);
        bool is_bad = rows[index].count == SIZE_MAX;
        if (error != (is_bad ? PH_INVALID : PH_OK)) {
            fail_msg("%.*s", SLICE_ARG(rows[index].text));
        }
        assert_int_equal(set.count, is_bad ? 77 : rows[index].count);
        if (is_bad) {
            assert_string_equal(diag.field, "http.allow");
            set.count = 0;
        }
    }
}

static void test_largest_set(void **state)
{
    (void)state;
    char *text = ph_malloc((size_t)(CIDR_SET_MAX + 1) * 4);
    size_t length = 0;
    for (size_t index = 0; index <= CIDR_SET_MAX; index++) {
        memcpy(text + length, "::1,", 4);
        length += 4;
    }
    struct diag diag;
    CIDR_SET_AUTO struct cidr_set set = {NULL, 0};
    assert_int_equal(cidr_set_parse((struct slice){text, length - 1}, "x", &diag, &set),
                     PH_INVALID);
    assert_string_equal(diag.text, "at most 1024 networks");
    assert_int_equal(cidr_set_parse((struct slice){text, length - 5}, "x", &diag, &set), PH_OK);
    assert_int_equal(set.count, CIDR_SET_MAX);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ipv4_ranges),    cmocka_unit_test(test_ipv6_ranges),
        cmocka_unit_test(test_ipv4_in_ipv6),   cmocka_unit_test(test_allow),
        cmocka_unit_test(test_other_families), cmocka_unit_test(test_prefix_lengths),
        cmocka_unit_test(test_sets),           cmocka_unit_test(test_largest_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
