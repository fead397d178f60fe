/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How one endpoint wants its deliveries, beside URL, headers and keys: the fields of EndpointIn
 * that only this server has. The store keeps them as two JSON objects of what was set: `options`,
 * and `credentials`, which is secret and sealed.
 *
 * Pure; any thread. What is read is slices into the text or the arena, and lives as long as both.
 */
#ifndef PH_FLOW_ENDPOINT_OPTIONS_H
#define PH_FLOW_ENDPOINT_OPTIONS_H

#include "base/arena.h"
#include "base/json_out.h"
#include "core/retry.h"
#include "sinks/policy.h"

#define ENDPOINT_TIMEOUT_MS_MAX 300000
#define ENDPOINT_IN_FLIGHT_MAX 1024
#define ENDPOINT_PROGRAM_BYTES_MAX 51200 /* of a filter, a transform */

enum endpoint_method {
    ENDPOINT_METHOD_POST,
    ENDPOINT_METHOD_PUT,
    ENDPOINT_METHOD_PATCH,
    ENDPOINT_METHOD_COUNT
};

/* Which deliveries of the endpoint are made one after the other, in the order of their messages. */
enum endpoint_ordering {
    ENDPOINT_ORDERING_NONE,
    ENDPOINT_ORDERING_ENDPOINT, /* all */
    ENDPOINT_ORDERING_KEY,      /* those whose messages have equal ordering keys */
    ENDPOINT_ORDERING_COUNT
};

/* How the body is signed instead of by Standard Webhooks in its usual headers. */
struct endpoint_signature {
    bool is_set;
    bool is_hmac;        /* hmac-sha256 of the body alone; else the standard text */
    bool is_base64;      /* of the hmac; else hex */
    bool with_standard;  /* the standard headers beside the hmac */
    bool is_none;        /* no signature, no id and no time: headers of ours stay away */
    struct slice header; /* SLICE_NONE = the standard one's usual names */
    struct slice prefix; /* before the hmac, may be SLICE_NONE */
};

struct endpoint_options {
    int64_t timeout_ms; /* 0 = the server's */
    bool has_retry_schedule;
    struct retry_schedule retry_schedule; /* its jitter is the server's */
    unsigned max_in_flight;               /* 0 = the server's */
    enum endpoint_method method;
    enum endpoint_ordering ordering;
    bool is_gzip;
    struct endpoint_signature signature;
    struct slice filter;    /* jq, SLICE_NONE = none */
    struct slice transform; /* jq, SLICE_NONE = none */
    bool is_transform_off;
    struct slice variables; /* of the transform: JSON object, SLICE_NONE = none */
    int64_t transform_updated_us;

    /* Of surfaces; not in the native API. */
    bool is_steady;             /* no failure, 410 or breaker disables it or holds it back */
    struct slice format;        /* name (flow/format.h), SLICE_NONE = the payload is sent */
    struct slice format_config; /* JSON object for the format, SLICE_NONE = none */
};

/* Nothing set. */
extern const struct endpoint_options endpoint_options_default;

const char *endpoint_method_name(enum endpoint_method method);       /* "POST" */
const char *endpoint_ordering_name(enum endpoint_ordering ordering); /* "none" */
/* False when it is no such name. */
bool endpoint_method_parse(struct slice text, enum endpoint_method *ret_method);
bool endpoint_ordering_parse(struct slice text, enum endpoint_ordering *ret_ordering);

/* The stored text (SLICE_NONE: nothing is set). PH_STORE when it is none of ours, PH_NO_MEMORY. */
PH_NODISCARD enum ph_error endpoint_options_read(struct slice json, struct arena *arena,
                                                 struct diag *diag,
                                                 struct endpoint_options *ret_options);
/* Writes an object of what is set. */
void endpoint_options_write(struct json_out *out, const struct endpoint_options *options);
bool endpoint_options_are_default(const struct endpoint_options *options);
/* The `signature` member's value: an object, or null. */
void endpoint_signature_write(struct json_out *out, const struct endpoint_signature *signature);

enum endpoint_auth {
    ENDPOINT_AUTH_NONE,
    ENDPOINT_AUTH_BASIC,
    ENDPOINT_AUTH_BEARER,
    ENDPOINT_AUTH_OAUTH2, /* client credentials, RFC 6749 section 4.4 */
    ENDPOINT_AUTH_MTLS,
    ENDPOINT_AUTH_COUNT
};

struct endpoint_credentials {
    enum endpoint_auth auth;
    struct slice username; /* basic */
    struct slice password;
    struct slice token;     /* bearer */
    struct slice token_url; /* oauth2 */
    struct slice client_id;
    struct slice client_secret;
    struct slice scopes;   /* with spaces between, may be SLICE_NONE */
    struct slice cert_pem; /* mtls */
    struct slice key_pem;
    struct slice ca_pem; /* may be SLICE_NONE */
    struct slice proxy;  /* URL, SLICE_NONE = none; with any auth */
};

const char *endpoint_auth_name(enum endpoint_auth auth); /* "basic" */
bool endpoint_auth_parse(struct slice text, enum endpoint_auth *ret_auth);
bool endpoint_credentials_are_none(const struct endpoint_credentials *credentials);
/* As endpoint_options_read. */
PH_NODISCARD enum ph_error endpoint_credentials_read(struct slice json, struct arena *arena,
                                                     struct diag *diag,
                                                     struct endpoint_credentials *ret_credentials);
/* How connections are made with them: slices into the credentials, identified. */
struct sink_policy endpoint_credentials_policy(const struct endpoint_credentials *credentials);
void endpoint_credentials_write(struct json_out *out,
                                const struct endpoint_credentials *credentials);

#endif
