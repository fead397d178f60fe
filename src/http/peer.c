/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>

#include "http/server_int.h"

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

bool http_address_bytes(const struct sockaddr *address, uint8_t ret_bytes[16])
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in ipv4;
        memcpy(&ipv4, address, sizeof ipv4);
        http_address_from_ipv4(&ipv4.sin_addr, ret_bytes);
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

/* Adds every header of the name; false when there is none. */
static bool add_headers(struct forwarded *forwarded, const struct http_request *request,
                        const char *name, void (*add)(struct forwarded *, struct slice))
{
    bool is_present = false;
    for (size_t i = 0; i < request->field_count; i++) {
        if (slice_equal_nocase(request->fields[i].name, slice_of(name))) {
            add(forwarded, request->fields[i].value);
            is_present = true;
        }
    }
    return is_present;
}

const char *http_peer(const struct http_request *request)
{
    return request->peer;
}

bool http_peer_read(struct http_request *request, uint8_t ret_address[16])
{
    struct http_connection *connection = request->connection;
    if (!connection->is_proxy) {
        return false;
    }
    /* Most proxies write X-Forwarded-For only and pass a Forwarded of the client's on unseen. */
    struct forwarded forwarded = {
        .proxies = connection->settings->proxies,
        .proxy_count = connection->settings->proxy_count,
    };
    if (!add_headers(&forwarded, request, "x-forwarded-for", forwarded_add_list)) {
        (void)add_headers(&forwarded, request, "forwarded", forwarded_add_elements);
    }
    if (!forwarded.is_known) {
        return false;
    }
    http_peer_text(forwarded.address, request->peer);
    memcpy(ret_address, forwarded.address, 16);
    return true;
}
