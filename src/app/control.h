/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DATA/control.sock (0600): how other subcommands reach the running server. A client sends one
 * line, a care_request as JSON; the answers are lines too:
 *
 *   {"progress":{"done":N,"total":N}}   any number of them
 *   {"result":{…}}  or  {"error":"words","result":{…}}   the last one
 *
 * One request a connection. One backup or prune at a time; who wants another meanwhile is told so,
 * tokens are made and ended all the same. A client that goes away ends its request.
 *
 * Concurrency: control_start and control_stop are called by the main thread; a thread of its own
 * serves. control_call: any thread of another process.
 */
#ifndef PH_APP_CONTROL_H
#define PH_APP_CONTROL_H

#include "app/care.h"

struct control;

/* The caller has the data directory's lock, so a socket that stands there is stale. `context` and
 * what it points at must outlive the control. */
PH_NODISCARD enum ph_error control_start(const char *directory, const struct care_context *context,
                                         struct diag *diag, struct control **ret_control);
/* Ends a request in work, removes the socket and frees. NULL is fine. */
void control_stop(struct control *control);

/* Sends the request and waits for its end. PH_NOT_FOUND when nobody listens. `on_progress` may be
 * NULL. `result` is appended to, on errors too. */
PH_NODISCARD enum ph_error control_call(const char *directory, const struct care_request *request,
                                        void (*on_progress)(int64_t done, int64_t total),
                                        struct diag *diag, struct buf *result);

#endif
