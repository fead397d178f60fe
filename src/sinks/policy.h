/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a connection to an endpoint is made when not in the common way: a client certificate, other
 * certificate authorities, a proxy. Requests with equal policies share kept connections, requests
 * with different ones never do.
 *
 * A policy is filled once and not changed afterwards; then any thread may read it.
 */
#ifndef PH_SINKS_POLICY_H
#define PH_SINKS_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

#define SINK_POLICY_KEY_BYTES 32
#define SINK_POLICY_PEM_MAX 65536 /* bytes of each PEM text */

/* Not owned, secret (all but `ca_pem`); an empty slice is an absent part. */
struct sink_policy {
    struct slice cert_pem; /* our certificate, then its intermediates; needs key_pem */
    struct slice key_pem;  /* its private key, without a passphrase */
    struct slice ca_pem;   /* authorities for the receiver's certificate, in place of the common */
    /* http://, https:// or socks5h://, [USER:PASSWORD@]HOST[:PORT]; socks5:// means the same as
     * socks5h://. Default ports 80, 443, 1080. User name and password are percent-encoded. */
    struct slice proxy;
    uint8_t key[SINK_POLICY_KEY_BYTES]; /* by sink_policy_identify */
};

/* Fills `key` from the other fields: a hash, so equal policies have equal keys. */
void sink_policy_identify(struct sink_policy *policy);
/* Whether nothing is set: as good as no policy. */
bool sink_policy_is_empty(const struct sink_policy *policy);

/*
 * Whether the policy can be used: PEM texts parse, the key has no passphrase and belongs to the
 * certificate, TLS takes both, the proxy URL has the right shape. Nothing is looked up or
 * connected. PH_INVALID names "cert_pem", "key_pem", "ca_pem" or "proxy"; the words have no secret
 * in them.
 */
PH_NODISCARD enum ph_error sink_policy_check(const struct sink_policy *policy, struct diag *diag);
/* The same for a proxy URL alone (of an option, too), with a field name of the caller's. */
PH_NODISCARD enum ph_error sink_policy_check_proxy(struct slice url, const char *field,
                                                   struct diag *diag);

#endif
