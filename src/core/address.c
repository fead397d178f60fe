/* SPDX-License-Identifier: Apache-2.0 */
#include "core/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

struct v4_rule {
    const char *text;
    uint32_t network;
    uint8_t bits;
};

#define V4(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (d))

/* IANA IPv4 Special-Purpose Address Registry; narrower ranges first. */
static const struct v4_rule v4_rules[] = {
    {"this network 0.0.0.0/8", V4(0, 0, 0, 0), 8},
    {"private 10.0.0.0/8", V4(10, 0, 0, 0), 8},
    {"shared 100.64.0.0/10", V4(100, 64, 0, 0), 10},
    {"loopback 127.0.0.0/8", V4(127, 0, 0, 0), 8},
    {"link-local 169.254.0.0/16", V4(169, 254, 0, 0), 16},
    {"private 172.16.0.0/12", V4(172, 16, 0, 0), 12},
    {"protocol assignments 192.0.0.0/24", V4(192, 0, 0, 0), 24},
    {"documentation 192.0.2.0/24", V4(192, 0, 2, 0), 24},
    {"6to4 relay 192.88.99.0/24", V4(192, 88, 99, 0), 24},
    {"private 192.168.0.0/16", V4(192, 168, 0, 0), 16},
    {"benchmarking 198.18.0.0/15", V4(198, 18, 0, 0), 15},
    {"documentation 198.51.100.0/24", V4(198, 51, 100, 0), 24},
    {"documentation 203.0.113.0/24", V4(203, 0, 113, 0), 24},
    {"multicast 224.0.0.0/4", V4(224, 0, 0, 0), 4},
    {"broadcast 255.255.255.255", V4(255, 255, 255, 255), 32},
    {"reserved 240.0.0.0/4", V4(240, 0, 0, 0), 4},
};

struct v6_rule {
    const char *text;
    uint8_t bytes[16];
    uint8_t bits;
};

/* IANA IPv6 Special-Purpose Address Registry. */
static const struct v6_rule v6_rules[] = {
    {"unspecified ::", {0}, 128},
    {"loopback ::1", {[15] = 1}, 128},
    {"NAT64 64:ff9b::/96", {0, 0x64, 0xff, 0x9b}, 96},
    {"local NAT64 64:ff9b:1::/48", {0, 0x64, 0xff, 0x9b, 0, 1}, 48},
    {"discard 100::/64", {0x01, 0x00}, 64},
    {"Teredo 2001::/32", {0x20, 0x01}, 32},
    {"documentation 2001:db8::/32", {0x20, 0x01, 0x0d, 0xb8}, 32},
    {"6to4 2002::/16", {0x20, 0x02}, 16},
    {"documentation 3fff::/20", {0x3f, 0xff}, 20},
    {"segment routing 5f00::/16", {0x5f, 0x00}, 16},
    {"private fc00::/7", {0xfc}, 7},
    {"link-local fe80::/10", {0xfe, 0x80}, 10},
    {"site-local fec0::/10", {0xfe, 0xc0}, 10},
    {"multicast ff00::/8", {0xff}, 8},
};

static bool has_prefix(const uint8_t *address, const uint8_t *prefix, unsigned bits)
{
    unsigned whole = bits / 8;
    if (memcmp(address, prefix, whole) != 0) {
        return false;
    }
    unsigned rest = bits % 8;
    return rest == 0 || ((address[whole] ^ prefix[whole]) >> (8 - rest)) == 0;
}

static bool is_zero(const uint8_t *bytes, size_t length)
{
    for (size_t index = 0; index < length; index++) {
        if (bytes[index] != 0) {
            return false;
        }
    }
    return true;
}

static bool is_mapped(const uint8_t bytes[16])
{
    return is_zero(bytes, 10) && bytes[10] == 0xff && bytes[11] == 0xff;
}

struct plain_address {
    uint8_t bytes[16];
    bool is_v6;
};

/* An IPv4-mapped address comes out as its IPv4. False for other families. */
static bool plain_of(const struct sockaddr *address, struct plain_address *ret_plain)
{
    struct plain_address plain = {.is_v6 = false};
    /* Copied, since nobody promises how the caller's memory is aligned. */
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        memcpy(plain.bytes, &in.sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        memcpy(plain.bytes, &in6.sin6_addr, 16);
        plain.is_v6 = !is_mapped(plain.bytes);
        if (!plain.is_v6) {
            memmove(plain.bytes, plain.bytes + 12, 4);
        }
    } else {
        return false;
    }
    *ret_plain = plain;
    return true;
}

static bool set_has(const struct cidr_set *set, const struct plain_address *plain)
{
    for (size_t index = 0; set != NULL && index < set->count; index++) {
        const struct cidr *item = &set->items[index];
        if (item->is_v6 == plain->is_v6 && has_prefix(plain->bytes, item->bytes, item->bits)) {
            return true;
        }
    }
    return false;
}

bool cidr_set_contains(const struct cidr_set *set, const struct sockaddr *address)
{
    struct plain_address plain;
    return plain_of(address, &plain) && set_has(set, &plain);
}

/* Name of the rule that refuses an IPv4 address, or NULL. */
static const char *judge_v4(const uint8_t bytes[4], const struct cidr_set *allow)
{
    struct plain_address plain = {.is_v6 = false};
    memcpy(plain.bytes, bytes, 4);
    uint32_t address = V4(bytes[0], bytes[1], bytes[2], bytes[3]);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(v4_rules); index++) {
        const struct v4_rule *rule = &v4_rules[index];
        if (((address ^ rule->network) >> (32 - rule->bits)) == 0) {
            return set_has(allow, &plain) ? NULL : rule->text;
        }
    }
    return NULL;
}

/* The IPv4 address that an IPv6 address leads to, or NULL. */
static const uint8_t *embedded_v4(const uint8_t bytes[16])
{
    static const uint8_t nat64[16] = {0, 0x64, 0xff, 0x9b};
    static const uint8_t local_nat64[16] = {0, 0x64, 0xff, 0x9b, 0, 1};
    if (bytes[0] == 0x20 && bytes[1] == 0x02) {
        return bytes + 2;
    }
    if (has_prefix(bytes, nat64, 96) || has_prefix(bytes, local_nat64, 48)) {
        return bytes + 12;
    }
    /* IPv4-translated, ::ffff:0:a.b.c.d (RFC 2765). */
    static const uint8_t translated[16] = {[8] = 0xff, [9] = 0xff};
    if (has_prefix(bytes, translated, 96)) {
        return bytes + 12;
    }
    /* IPv4-compatible; `::` and `::1` have rules of their own. */
    if (is_zero(bytes, 12) && !(is_zero(bytes + 12, 3) && bytes[15] <= 1)) {
        return bytes + 12;
    }
    return NULL;
}

static const char *judge_v6(const struct plain_address *plain, const struct cidr_set *allow)
{
    for (size_t index = 0; index < PH_ARRAY_LENGTH(v6_rules); index++) {
        const struct v6_rule *rule = &v6_rules[index];
        if (has_prefix(plain->bytes, rule->bytes, rule->bits)) {
            if (!set_has(allow, plain)) {
                return rule->text;
            }
            break;
        }
    }
    const uint8_t *inner = embedded_v4(plain->bytes);
    return inner == NULL ? NULL : judge_v4(inner, allow);
}

bool address_check(const struct sockaddr *address, const struct cidr_set *allow,
                   const char **ret_rule)
{
    struct plain_address plain;
    const char *rule = "neither IPv4 nor IPv6";
    if (plain_of(address, &plain)) {
        rule = plain.is_v6 ? judge_v6(&plain, allow) : judge_v4(plain.bytes, allow);
    }
    if (rule != NULL && ret_rule != NULL) {
        *ret_rule = rule;
    }
    return rule == NULL;
}

/* "10.0.0.0/8" */
static bool parse_cidr(struct slice text, struct cidr *ret_cidr)
{
    char address[INET6_ADDRSTRLEN];
    struct cidr cidr = {.is_v6 = slice_find(text, ':') < text.len};
    size_t slash = slice_find(text, '/');
    if (slash >= sizeof address || slash == 0 || memchr(text.ptr, '\0', slash) != NULL) {
        return false;
    }
    memcpy(address, text.ptr, slash);
    address[slash] = '\0';
    if (inet_pton(cidr.is_v6 ? AF_INET6 : AF_INET, address, cidr.bytes) != 1) {
        return false;
    }
    int64_t bits = cidr.is_v6 ? 128 : 32;
    if (slash < text.len) {
        struct slice digits = {text.ptr + slash + 1, text.len - slash - 1};
        int64_t written;
        if (digits.len > 3 || !slice_to_int64(digits, &written) || written < 0 || written > bits ||
            digits.ptr[0] == '-') {
            return false;
        }
        bits = written;
    }
    if (cidr.is_v6 && is_mapped(cidr.bytes) && bits >= 96) {
        memmove(cidr.bytes, cidr.bytes + 12, 4);
        cidr.is_v6 = false;
        bits -= 96;
    }
    cidr.bits = (uint8_t)bits;
    *ret_cidr = cidr;
    return true;
}

enum ph_error cidr_set_parse(struct slice text, const char *field, struct diag *diag,
                             struct cidr_set *ret_set)
{
    struct slice rest = slice_trim(text);
    struct slice part;
    CIDR_SET_AUTO struct cidr_set set = {NULL, 0};
    if (rest.len == 0) {
        rest = SLICE_NONE;
    }
    while (slice_next(&rest, ',', &part)) {
        if (set.count == CIDR_SET_MAX) {
            return diag_set(diag, PH_INVALID, field, "at most %d networks", CIDR_SET_MAX);
        }
        set.items = ph_realloc(set.items, (set.count + 1) * sizeof set.items[0]);
        part = slice_trim(part);
        if (!parse_cidr(part, &set.items[set.count])) {
            return diag_set(diag, PH_INVALID, field,
                            "expected networks such as 10.0.0.0/8 or fd00::/8 separated by "
                            "commas, found `%.*s`",
                            (int)(part.len < 60 ? part.len : 60), part.ptr);
        }
        set.count++;
    }
    *ret_set = set;
    set = (struct cidr_set){NULL, 0};
    return PH_OK;
}

void cidr_set_done(struct cidr_set *set)
{
    free(set->items);
    *set = (struct cidr_set){NULL, 0};
}

void cidr_set_copy(const struct cidr_set *set, struct cidr_set *ret_copy)
{
    struct cidr_set copy = {ph_calloc(set->count, sizeof copy.items[0]), set->count};
    if (set->count > 0) {
        memcpy(copy.items, set->items, set->count * sizeof copy.items[0]);
    }
    *ret_copy = copy;
}

bool cidr_set_equal(const struct cidr_set *left, const struct cidr_set *right)
{
    if (left->count != right->count) {
        return false;
    }
    for (size_t i = 0; i < left->count; i++) {
        const struct cidr *a = &left->items[i];
        const struct cidr *b = &right->items[i];
        if (a->bits != b->bits || a->is_v6 != b->is_v6 ||
            memcmp(a->bytes, b->bytes, sizeof a->bytes) != 0) {
            return false;
        }
    }
    return true;
}
