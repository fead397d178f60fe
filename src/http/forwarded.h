/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the client behind trusted proxies is. Pure.
 *
 * Each proxy appends the address it saw, so the list is believed from its end, as long as the one
 * that wrote an entry is trusted: the client is the last entry that is no trusted proxy, or the
 * first of all when each of them is. An entry that is no address ends the search: what stands
 * before it was written by nobody we know. The entries are added in their order.
 */
#ifndef PH_HTTP_FORWARDED_H
#define PH_HTTP_FORWARDED_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

/* An address block, everything as IPv6 (IPv4 mapped). */
struct http_network {
    uint8_t address[16];
    unsigned prefix_bits;
};

struct forwarded {
    const struct http_network *proxies;
    size_t proxy_count;
    bool is_known;
    uint8_t address[16];
};

/* The value of an X-Forwarded-For header. */
void forwarded_add_list(struct forwarded *forwarded, struct slice list);
/* The value of a Forwarded header (RFC 7239, section 4). */
void forwarded_add_elements(struct forwarded *forwarded, struct slice header);

/* PH_INVALID naming the text that is no network. The caller frees. */
PH_NODISCARD enum ph_error http_networks_parse(const char *const *texts, size_t count,
                                               struct diag *diag,
                                               struct http_network **ret_networks);
bool http_networks_contain(const struct http_network *networks, size_t count,
                           const uint8_t address[16]);
void http_address_from_ipv4(const struct in_addr *address, uint8_t ret_bytes[16]);

#endif
