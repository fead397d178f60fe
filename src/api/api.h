/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The native API: Svix-compatible routes under /api/v1, health and metrics.
 * Handlers run on http threads; each http thread owns one `struct api_thread` (its read-only
 * store connection).
 */
#ifndef PH_API_API_H
#define PH_API_API_H

#include "base/secret.h"
#include "flow/flow.h"
#include "http/server.h"
#include "store/store.h"

struct api;

struct api_options {
    struct flow *flow;
    const char *store_address;
    struct keyring *keyring;  /* NULL = secrets are stored in plain */
    struct secret jwt_secret; /* copied */
    struct log *log;
    struct metrics *metrics;
};

struct api *api_new(const struct api_options *options);
/* Ends its own threads, while the flow still runs. NULL is fine. */
void api_stop(struct api *api);
void api_free(struct api *api);

/* The route table and the hooks for struct http_server_options; context = the `struct api *`. */
/* What the links that the API gives out begin with: scheme, host and perhaps a path, copied. Once,
 * when the listeners are known; calls that need it before are answered 503. Any thread. */
void api_set_public_url(struct api *api, const char *url);

/* Says by its uid who needs an application of the default organisation: it is not deleted, and
 * keeps its uid. *ret_owner is NULL when nobody does, else a name that stays. */
typedef enum ph_error(api_owner_function)(void *context, struct store *store, struct slice uid,
                                          struct diag *diag, const char **ret_owner);
/* Before anything is served. */
void api_set_owner(struct api *api, api_owner_function *find_owner, void *context);

const struct http_route *api_routes(size_t *ret_count);
void *api_thread_start(void *api);
void api_thread_stop(void *api_thread, void *api);

#endif
