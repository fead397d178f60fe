/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Immutable snapshots of endpoint and application configuration.
 *
 * Concurrency: made by the writer thread from the store, then only read. Reference counts are
 * atomic; whoever drops the last one frees. Nothing in a snapshot changes after it was made.
 */
#ifndef PH_FLOW_CONFIG_H
#define PH_FLOW_CONFIG_H

#include <stdatomic.h>

#include "core/signature.h"
#include "flow/endpoint_options.h"
#include "flow/format.h"
#include "jq/program.h"
#include "sinks/sink.h"
#include "store/store.h"

/* A set of names; empty with `is_any` means that everything fits. */
struct name_set {
    struct slice *names; /* sorted */
    size_t count;
    bool is_any;
};

struct endpoint_key {
    struct signing_key *key;
    int64_t expires_at_us; /* INT64_MAX for the current key */
};

struct endpoint_config {
    atomic_int references;
    int64_t id;
    int64_t application_id;
    int64_t version; /* of the application's configuration when it was read */
    int64_t generation;
    int64_t shard;
    int64_t throttle_rate; /* deliveries per second, 0 = no limit */
    int64_t application_throttle_rate;
    int64_t failing_since_us; /* 0 = not failing */
    bool is_disabled;         /* or deleted */
    char *url;
    struct sink_header *headers;
    size_t header_count;
    struct endpoint_key *keys; /* the current key first */
    size_t key_count;
    struct name_set event_types;
    struct name_set channels;
    const struct endpoint_options *options;         /* never NULL */
    const struct endpoint_credentials *credentials; /* NULL = none */
    struct jq_program *filter;                      /* NULL = none */
    struct jq_program *transform;                   /* NULL also while it is switched off */
    const char *token_url;                          /* of OAuth2 credentials, else NULL */
    const struct delivery_format *format;           /* NULL = the payload is sent */
    const struct sink_policy *policy;               /* NULL = the common way to connect */
    struct endpoint_extras *extras;                 /* what these point into; NULL = nothing */
};

struct application_config {
    atomic_int references;
    int64_t id;
    int64_t version;
    char *org;
    struct endpoint_config **endpoints; /* enabled ones only, by id */
    size_t endpoint_count;
};

struct endpoint_config *endpoint_config_ref(struct endpoint_config *config);
void endpoint_config_unref(struct endpoint_config *config); /* NULL is fine */
struct application_config *application_config_ref(struct application_config *config);
void application_config_unref(struct application_config *config);

/* Reads one endpoint (deleted or disabled ones too: is_disabled is set). PH_NOT_FOUND when there is
 * no such row. */
PH_NODISCARD enum ph_error endpoint_config_load(struct store *store, int64_t endpoint_id,
                                                struct diag *diag,
                                                struct endpoint_config **ret_config);
/* Reads an application with its enabled endpoints. PH_NOT_FOUND when it is gone. */
PH_NODISCARD enum ph_error application_config_load(struct store *store, int64_t application_id,
                                                   struct diag *diag,
                                                   struct application_config **ret_config);

/* Whether the endpoint wants a message (svix-api spec section 13, filtering): not disabled, no
 * event types or one of them, no channels or one in common. `channels` are the message's. */
bool endpoint_config_matches(const struct endpoint_config *config, struct slice event_type,
                             const struct slice *channels, size_t channel_count);
/* The order that a delivery to the endpoint is in: those with equal keys go one after the other.
 * 0 = in none. `message_key` stands for the message's orderingKey, 0 without one: where order is by
 * key, it is in an order with nobody then. */
int64_t endpoint_order_key(const struct endpoint_config *config, int64_t message_key,
                           int64_t message_id);

enum endpoint_match {
    ENDPOINT_WANTS_IT,
    ENDPOINT_WANTS_OTHER_TYPES,
    ENDPOINT_WANTS_OTHER_CHANNELS
};

/* What decides that, as it is stored: JSON arrays, SLICE_NONE = all. */
struct endpoint_names {
    int64_t endpoint_id; /* for errors */
    struct slice event_types;
    struct slice channels;
};
/* What keeps a message from an endpoint that is not disabled. PH_STORE when a text is no such
 * array. Pure. */
PH_NODISCARD enum ph_error endpoint_match(const struct endpoint_names *names,
                                          struct slice event_type, const struct slice *channels,
                                          size_t channel_count, struct diag *diag,
                                          enum endpoint_match *ret_match);

/* Whether a message would go to any endpoint of the application, without reading secrets. */
PH_NODISCARD enum ph_error application_would_match(struct store *store, int64_t application_id,
                                                   struct slice event_type,
                                                   const struct slice *channels,
                                                   size_t channel_count, struct diag *diag,
                                                   bool *ret_would_match);

#endif
