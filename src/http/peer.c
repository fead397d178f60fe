/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>

#include "http/server_int.h"

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static void from_ipv4(const struct in_addr *address, uint8_t ret_bytes[16])
{
    memcpy(ret_bytes, mapped_prefix, sizeof mapped_prefix);
    memcpy(ret_bytes + 12, address, 4);
}

bool http_address_bytes(const struct sockaddr *address, uint8_t ret_bytes[16])
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in ipv4;
        memcpy(&ipv4, address, sizeof ipv4);
        from_ipv4(&ipv4.sin_addr, ret_bytes);
        return true;
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 ipv6;
        memcpy(&ipv6, address, sizeof ipv6);
        memcpy(ret_bytes, &ipv6.sin6_addr, 16);
        return true;
    }
    return false;
}

void http_peer_text(const uint8_t address[16], char ret_text[HTTP_PEER_MAX])
{
    bool is_mapped = memcmp(address, mapped_prefix, sizeof mapped_prefix) == 0;
    const char *text = is_mapped ? inet_ntop(AF_INET, address + 12, ret_text, HTTP_PEER_MAX)
                                 : inet_ntop(AF_INET6, address, ret_text, HTTP_PEER_MAX);
    PH_ASSERT(text != NULL);
}

static bool parse_address(const char *text, uint8_t ret_bytes[16], unsigned *ret_offset_bits)
{
    struct in_addr ipv4;
    if (inet_pton(AF_INET, text, &ipv4) == 1) {
        from_ipv4(&ipv4, ret_bytes);
        *ret_offset_bits = 96;
        return true;
    }
    *ret_offset_bits = 0;
    return inet_pton(AF_INET6, text, ret_bytes) == 1;
}

static bool parse_network(const char *text, struct http_network *ret_network)
{
    char address[HTTP_PEER_MAX];
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

/*
 * Each proxy appends the address it saw to X-Forwarded-For, so the list is believed from its end,
 * as long as the one that wrote an entry is trusted: the client is the first that is not.
 */
static void find_client(struct http_request *request, char ret_text[HTTP_PEER_MAX])
{
    const struct http_server *server = request->daemon->server;
    for (size_t i = request->field_count; i-- > 0;) {
        if (!slice_equal_nocase(request->fields[i].name, SLICE_LITERAL("x-forwarded-for"))) {
            continue;
        }
        struct slice list = request->fields[i].value;
        while (list.len > 0) {
            size_t start = list.len;
            while (start > 0 && list.ptr[start - 1] != ',') {
                start--;
            }
            struct slice entry = slice_trim((struct slice){list.ptr + start, list.len - start});
            list.len = start == 0 ? 0 : start - 1;
            char text[HTTP_PEER_MAX];
            uint8_t address[16];
            unsigned ignored;
            if (entry.len >= sizeof text) {
                return;
            }
            memcpy(text, entry.ptr, entry.len);
            text[entry.len] = '\0';
            if (!parse_address(text, address, &ignored)) {
                return;
            }
            http_peer_text(address, ret_text);
            if (!http_networks_contain(server->proxies, server->proxy_count, address)) {
                return;
            }
        }
    }
}

const char *http_peer(const struct http_request *request)
{
    return request->peer;
}

void http_peer_read(struct http_request *request)
{
    if (request->connection->is_proxy) {
        find_client(request, request->peer);
    }
}
