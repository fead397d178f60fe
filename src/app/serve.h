/* SPDX-License-Identifier: Apache-2.0 */
/* A server in this process: store, flow, API and listener, started and stopped as one. */
#ifndef PH_APP_SERVE_H
#define PH_APP_SERVE_H

#include "app/option.h"
#include "base/log.h"
#include "base/metrics.h"
#include "core/address.h"

struct server;

/* Starts everything. Errors are in words for a person. The options must outlive the server;
 * server_reload alone may change them. */
PH_NODISCARD enum ph_error server_start(const struct options *options, struct log *log,
                                        struct diag *diag, struct server **ret_server);
/* Drains and frees. */
void server_stop(struct server *server);
/* "http://127.0.0.1:8071"; owned by the server. */
const char *server_url(const struct server *server);
/*
 * Takes new options while running. What can change moves into `running`, the options that the
 * server was started with; what needs a restart is named in the log. A certificate that cannot be
 * used leaves the former in place.
 */
void server_reload(struct server *server, struct options *running, struct options *options);

#endif
