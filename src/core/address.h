/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard against requests to internal addresses (SSRF): judges the resolved address at connect
 * time. Pure; a cidr_set is read-only once parsed and may be shared.
 */
#ifndef PH_CORE_ADDRESS_H
#define PH_CORE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct sockaddr;

struct cidr {
    uint8_t bytes[16]; /* network order; IPv4 uses the first four */
    uint8_t bits;      /* of the prefix */
    bool is_v6;
};

struct cidr_set {
    struct cidr *items;
    size_t count;
};

#define CIDR_SET_MAX 1024 /* entries of one set */
#define CIDR_SET_AUTO PH_CLEANUP(cidr_set_done)

/* "127.0.0.0/8,::1/128"; an address alone is that address; empty text is the empty set. Spaces
 * around entries are fine; bits behind the prefix are ignored. PH_INVALID naming `field`. The
 * caller frees with cidr_set_done. */
PH_NODISCARD enum ph_error cidr_set_parse(struct slice text, const char *field, struct diag *diag,
                                          struct cidr_set *ret_set);
void cidr_set_done(struct cidr_set *set);
/* A deep copy, freed with cidr_set_done. */
void cidr_set_copy(const struct cidr_set *set, struct cidr_set *ret_copy);
/* The same networks in the same order. */
bool cidr_set_equal(const struct cidr_set *left, const struct cidr_set *right);
/* Whether the address is in one of the networks. An IPv4-mapped IPv6 address is its IPv4. */
bool cidr_set_contains(const struct cidr_set *set, const struct sockaddr *address);

/*
 * True when Posthorn may connect to `address`. False for the private, loopback, link-local,
 * multicast, documentation, transition and reserved ranges (the table is in address.c) unless
 * `allow` (may be NULL) has it, and for families other than IPv4 and IPv6; then *ret_rule (may be
 * NULL) names the range, such as "loopback 127.0.0.0/8": static text.
 *
 * An IPv4-mapped address is judged as its IPv4. The IPv4 inside an IPv4-compatible, NAT64 or 6to4
 * address is judged too, even where `allow` opens the outer range: it must be allowed by itself.
 */
bool address_check(const struct sockaddr *address, const struct cidr_set *allow,
                   const char **ret_rule);

#endif
