/* SPDX-License-Identifier: Apache-2.0 */
#include "http/forwarded.h"

#include <arpa/inet.h>

#define NODE_TEXT_MAX 48

void http_address_from_ipv4(const struct in_addr *address, uint8_t ret_bytes[16])
{
    static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};
    memcpy(ret_bytes, mapped_prefix, sizeof mapped_prefix);
    memcpy(ret_bytes + 12, address, 4);
}

static bool parse_address(const char *text, uint8_t ret_bytes[16], unsigned *ret_offset_bits)
{
    struct in_addr ipv4;
    if (inet_pton(AF_INET, text, &ipv4) == 1) {
        http_address_from_ipv4(&ipv4, ret_bytes);
        *ret_offset_bits = 96;
        return true;
    }
    *ret_offset_bits = 0;
    return inet_pton(AF_INET6, text, ret_bytes) == 1;
}

static bool parse_network(const char *text, struct http_network *ret_network)
{
    char address[NODE_TEXT_MAX];
    struct slice rest = slice_of(text);
    size_t slash = slice_find(rest, '/');
    if (slash >= sizeof address) {
        return false;
    }
    memcpy(address, text, slash);
    address[slash] = '\0';
    unsigned offset_bits;
    if (!parse_address(address, ret_network->address, &offset_bits)) {
        return false;
    }
    int64_t bits = 128 - (int64_t)offset_bits;
    if (slash < rest.len) {
        int64_t limit = bits;
        struct slice number = {text + slash + 1, rest.len - slash - 1};
        if (!slice_to_int64(number, &bits) || bits < 0 || bits > limit) {
            return false;
        }
    }
    ret_network->prefix_bits = (unsigned)bits + offset_bits;
    return true;
}

enum ph_error http_networks_parse(const char *const *texts, size_t count, struct diag *diag,
                                  struct http_network **ret_networks)
{
    struct http_network *networks = ph_calloc(count, sizeof *networks);
    for (size_t i = 0; i < count; i++) {
        if (!parse_network(texts[i], &networks[i])) {
            free(networks);
            return diag_set(diag, PH_INVALID, "trusted_proxies",
                            "\"%s\" is no address and no network such as 10.0.0.0/8", texts[i]);
        }
    }
    *ret_networks = networks;
    return PH_OK;
}

static bool contains(const struct http_network *network, const uint8_t address[16])
{
    unsigned whole = network->prefix_bits / 8;
    unsigned rest = network->prefix_bits % 8;
    if (memcmp(network->address, address, whole) != 0) {
        return false;
    }
    return rest == 0 || (unsigned)(network->address[whole] ^ address[whole]) >> (8 - rest) == 0;
}

bool http_networks_contain(const struct http_network *networks, size_t count,
                           const uint8_t address[16])
{
    for (size_t i = 0; i < count; i++) {
        if (contains(&networks[i], address)) {
            return true;
        }
    }
    return false;
}

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80". */
static bool parse_node(struct slice node, uint8_t ret_bytes[16])
{
    size_t end = slice_find(node, ']');
    if (node.len > 0 && node.ptr[0] == '[' && end < node.len) {
        node = (struct slice){node.ptr + 1, end - 1};
    } else if (slice_find(node, '.') < slice_find(node, ':')) {
        node.len = slice_find(node, ':');
    }
    char text[NODE_TEXT_MAX];
    if (node.len >= sizeof text) {
        return false;
    }
    memcpy(text, node.ptr, node.len);
    text[node.len] = '\0';
    unsigned ignored;
    return parse_address(text, ret_bytes, &ignored);
}

static void add_entry(struct forwarded *forwarded, struct slice node)
{
    uint8_t address[16];
    if (node.len == 0 || !parse_node(node, address)) {
        forwarded->is_known = false;
        return;
    }
    bool is_proxy = http_networks_contain(forwarded->proxies, forwarded->proxy_count, address);
    if (!is_proxy || !forwarded->is_known) {
        memcpy(forwarded->address, address, sizeof address);
        forwarded->is_known = true;
    }
}

void forwarded_add_list(struct forwarded *forwarded, struct slice list)
{
    struct slice entry;
    while (slice_next(&list, ',', &entry)) {
        add_entry(forwarded, slice_trim(entry));
    }
}

/* Takes what stands before the first of `marks` outside of quotes. */
static struct slice take_part(struct slice *text, const char *marks)
{
    bool is_quoted = false;
    size_t at = 0;
    for (; at < text->len; at++) {
        char byte = text->ptr[at];
        if (byte == '\\' && is_quoted) {
            at++;
        } else if (byte == '"') {
            is_quoted = !is_quoted;
        } else if (!is_quoted && strchr(marks, byte) != NULL) {
            break;
        }
    }
    at = at > text->len ? text->len : at;
    struct slice part = {text->ptr, at};
    text->ptr += at;
    text->len -= at;
    return part;
}

/* The `for` of one element of a Forwarded header (RFC 7239, section 4), without its quotes. */
static struct slice forwarded_for(struct slice element)
{
    while (element.len > 0) {
        struct slice pair = slice_trim(take_part(&element, ";"));
        if (element.len > 0) {
            element = (struct slice){element.ptr + 1, element.len - 1};
        }
        if (pair.len < 4 ||
            !slice_equal_nocase((struct slice){pair.ptr, 4}, SLICE_LITERAL("for="))) {
            continue;
        }
        struct slice value = {pair.ptr + 4, pair.len - 4};
        if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"') {
            value = (struct slice){value.ptr + 1, value.len - 2};
        }
        return value;
    }
    return SLICE_LITERAL("");
}

void forwarded_add_elements(struct forwarded *forwarded, struct slice header)
{
    bool is_last = false;
    while (!is_last) {
        struct slice element = take_part(&header, ",");
        is_last = header.len == 0;
        if (!is_last) {
            header = (struct slice){header.ptr + 1, header.len - 1};
        }
        add_entry(forwarded, forwarded_for(slice_trim(element)));
    }
}
