/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work on the store that a command asks for: `backup`, `prune`, and the tokens of surfaces. The
 * request is done by the process that has the data directory's lock: the running server, reached
 * through its control socket, or else this one (care_perform finds out). Requests and results are
 * JSON objects on the way.
 */
#ifndef PH_APP_CARE_H
#define PH_APP_CARE_H

#include "app/option.h"
#include "base/json_out.h"
#include "base/log.h"
#include "flow/care.h"

struct surfaces;

#define CARE_REQUEST_BYTES_MAX 16384
#define CARE_RESULT_BYTES_MAX 32768

enum care_kind {
    CARE_BACKUP,
    CARE_PRUNE,
    CARE_TOKEN_CREATE,
    CARE_TOKEN_LIST,
    CARE_TOKEN_REVOKE,
    CARE_KIND_COUNT
};

/* Tokens are kept or ended in one short transaction: they need not wait for a backup or a prune. */
static inline bool care_is_of_tokens(enum care_kind kind)
{
    return kind >= CARE_TOKEN_CREATE;
}

struct care_request {
    enum care_kind kind;
    char *path;            /* backup: absolute */
    bool is_forced;        /* backup: an existing file is replaced */
    int64_t older_than_us; /* prune; 0 = the retention of whoever does it */
    bool is_dry_run;       /* prune */

    char *surface;         /* tokens: of which one, "dbt" */
    char *arguments;       /* create: JSON object, see surface_token_request */
    char *name;            /* create: NULL = none; revoke: name or id */
    int64_t expires_at_us; /* create: wall clock, 0 = the surface's default */
    char *after;           /* list: id of the last one seen, NULL = from the start */
};

void care_request_done(struct care_request *request);
void care_request_write(const struct care_request *request, struct buf *text);
/* PH_INVALID with words. `ret_request` is to be freed with care_request_done. */
PH_NODISCARD enum ph_error care_request_read(struct slice text, struct diag *diag,
                                             struct care_request *ret_request);

/* What the process that does it has. */
struct care_context {
    struct flow *flow;
    const char *jwt_secret_path; /* of the file, which may be missing */
    struct log *log;             /* may be NULL */
    struct surfaces *surfaces;   /* for tokens */
};

/* Appends the result, a JSON object: of a backup `bytes` and `has_jwt_secret`; of a prune
 * `messages`, `payloads`, `deliveries`, `attempts`, `freed_bytes` and `older_than_s`; of a token
 * `token`; of a list `tokens` and perhaps `after`, where to go on. */
PH_NODISCARD enum ph_error care_run(const struct care_context *context,
                                    const struct care_request *request,
                                    const struct care_watch *watch, struct diag *diag,
                                    struct buf *result);

/* --- for commands ------------------------------------------------------------------------------
 */

/* Has the request done, by the server or in this process; shows progress on a terminal. */
PH_NODISCARD enum ph_error care_perform(const struct options *options,
                                        const struct care_request *request, struct diag *diag,
                                        struct buf *result);
/* A number of a result, 0 when it has none of this name. */
int64_t care_result_number(const struct buf *result, const char *name);

/* --- for care.c --------------------------------------------------------------------------------
 */

PH_NODISCARD enum ph_error care_run_tokens(const struct care_context *context,
                                           const struct care_request *request, struct diag *diag,
                                           struct json_out *out);

#endif
