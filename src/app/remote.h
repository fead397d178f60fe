/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server that a command talks to, and its token: as they were given (--url, --token, else
 * POSTHORN_URL, POSTHORN_TOKEN), or those of the server that runs on the data directory. Main
 * thread.
 */
#ifndef PH_APP_REMOTE_H
#define PH_APP_REMOTE_H

#include "app/option.h"
#include "base/buf.h"

struct remote {
    struct buf url;
    struct buf token;
    bool is_local; /* the url is of the data directory, see client.h */
    /* Wall clock, of a token that is made: the same time gives the same token, and so the same
     * place for idempotency keys. 0 = the hour's beginning. It is valid for two days then. */
    int64_t token_made_at_us;
};

void remote_init(struct remote *remote);
void remote_done(struct remote *remote);
/* `url` and `token` may be NULL. Errors say what to give. May be called again: a server of the data
 * directory can have another address after its restart, and a token that was made here is good for
 * an hour at least. */
PH_NODISCARD enum ph_error remote_find(struct remote *remote, const struct options *options,
                                       const char *url, const char *token, struct diag *diag);

struct remote_request {
    const char *method;
    const char *path;            /* behind the url, from "/api/v1" on */
    const char *idempotency_key; /* NULL = none */
    struct slice body;           /* JSON, SLICE_NONE = none */
};

/* One call; `answer` is emptied first. PH_OK with any status; PH_IO with words when there was no
 * answer. */
PH_NODISCARD enum ph_error remote_call(const struct remote *remote,
                                       const struct remote_request *request, struct buf *answer,
                                       struct diag *diag, long *ret_status);
/* What a server says that did not do what was asked for: the status, its words, and what to do. */
void remote_describe(long status, struct slice answer, struct buf *words);
/* The same as a complaint; gives EXIT_FAILED. */
int remote_complain(long status, struct slice answer);

#endif
