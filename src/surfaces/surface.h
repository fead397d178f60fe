/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A surface: our face of one foreign system. It has tables and routes of its own, changes state and
 * emits messages in the same transaction (flow/ingest.h), and gives its endpoints a format
 * (flow/format.h). Nothing below knows any surface; adding one means a folder and a line in
 * surfaces.c.
 *
 * It is mounted under /NAME on the main listener and, with surface_listen.NAME, on listeners of its
 * own, there at the root too. Threads: as api/call.h says of calls and jobs.
 */
#ifndef PH_SURFACES_SURFACE_H
#define PH_SURFACES_SURFACE_H

#include "api/call.h"
#include "flow/format.h"

/* Who may call an operation. */
enum surface_auth {
    SURFACE_AUTH_NONE,  /* nobody is asked; the function may look at the request itself */
    SURFACE_AUTH_TOKEN, /* a token of the surface; `permission` is for the surface to judge */
};

/* The `data` of a surface's route. */
struct surface_operation {
    enum surface_auth auth;
    unsigned permission; /* the surface's own */
    api_function *function;
    const char *id; /* "dbt.webhook.create", for logs and documents */
};

/* Options and what a surface may use; lives as long as the surface runs. */
struct surface_environment {
    struct api *api; /* NULL: no server, a command makes tokens; nothing else is to be started */
    struct flow *flow;
    struct log *log;
    struct metrics *metrics;
    /* Values of options by key ("dbt.profile"), which must be in the option table. Main thread. */
    const char *(*option_text)(const void *options, const char *key);
    double (*option_number)(const void *options, const char *key);
    bool (*option_is_set)(const void *options, const char *key); /* by any source */
    const void *options;                                         /* during start and reload only */
};

/* What a flag of `posthorn token create` gives. */
enum surface_flag_kind {
    SURFACE_FLAG_TEXT,
    SURFACE_FLAG_LIST, /* may be given several times: an array of texts */
    SURFACE_FLAG_SWITCH,
};

struct surface_token_flag {
    const char *flag;   /* "--account" */
    const char *member; /* of the arguments: "account" */
    enum surface_flag_kind kind;
    bool is_required;
    const char *value; /* what stands for its value in documents, "N" or a|b; NULL for a switch */
    const char *help;  /* a sentence that may follow a colon */
};

/* A request for a token, from the command line. */
struct surface_token_request {
    struct slice arguments; /* JSON object by the flags' members: texts, arrays of texts, true */
    struct slice name;      /* SLICE_NONE = none */
    int64_t expires_at_us;  /* 0 = the surface's default */
};

struct surface {
    const char *name;
    /* Patterns begin with a slash and have no mount; the handler is surface_handle and `data` a
     * struct surface_operation. */
    const struct http_route *routes;
    size_t route_count;
    const struct delivery_format *format; /* NULL = none */

    /* Finds the token of a request: the text in the header or wherever it stands, SLICE_NONE when
     * there is none. NULL = `Authorization: Bearer`. */
    struct slice (*token_of)(struct http_request *request);
    /* Finds a text of token_of that is no token of the table, such as a session's: fills what the
     * surface needs of the row. PH_NOT_FOUND when it is nothing. NULL = there are tokens only. */
    enum ph_error (*find_session)(struct api_call *call, struct store *store,
                                  const uint8_t hash[SURFACE_TOKEN_HASH_BYTES], struct diag *diag,
                                  struct surface_token_row *ret_row);
    /* Whether the call's token may do the operation; after it was found in the store. NULL = any
     * valid token. Path parameters can be looked at. */
    enum ph_error (*authorize)(struct api_call *call, const struct surface_operation *operation,
                               struct diag *diag);
    /* Answers an error in the surface's form. NULL = the native envelope. Any thread. */
    void (*respond_error)(struct http_request *request, const struct diag *diag);
    /* Answers what no route fits. NULL = the native envelope. */
    http_handler *not_found;
    /* Answers what the server refuses by itself, true always (http/server.h). NULL = the native
     * envelope. */
    bool (*refuse)(struct http_request *request, int status, const char *detail);

    /* The flags that make_token knows. */
    const struct surface_token_flag *token_flags;
    size_t token_flag_count;
    /* Looks at the arguments alone, in the command: PH_INVALID with words is wrong usage. NULL =
     * they are not looked at before. */
    enum ph_error (*check_token)(struct slice arguments, struct diag *diag);
    /* Makes a token inside the transaction: whatever it stands for may be made along with it.
     * Appends its text. PH_INVALID with words for the command line. NULL = no tokens. */
    enum ph_error (*make_token)(struct surface_instance *instance, struct writer_txn *txn,
                                const struct surface_token_request *request, struct diag *diag,
                                struct buf *ret_text);

    /* Whether the surface needs the application of the default organisation that has this uid: it
     * is not deleted then, and keeps its uid. `state` is what start gave. NULL = it needs none. Any
     * thread. */
    enum ph_error (*owns_application)(void *state, struct store *store, struct slice uid,
                                      struct diag *diag, bool *ret_owns);

    /* Before anything is served / after it was; `*ret_state` is for surface_state. May be NULL. */
    enum ph_error (*start)(const struct surface_environment *environment, struct diag *diag,
                           void **ret_state);
    void (*stop)(void *state);
    /* SIGHUP; an error leaves the former in place and is logged. Main thread. May be NULL. */
    enum ph_error (*reload)(void *state, const struct surface_environment *environment,
                            struct diag *diag);
};

/* The handler of every route of a surface. */
void surface_handle(struct http_request *request);
/* What `start` gave, for the call of one of the surface's operations. */
void *surface_state(const struct api_call *call);

/* Inserts a token with fresh random bytes and appends its text: `prefix` and 43 URL-safe
 * characters. For make_token. */
PH_NODISCARD enum ph_error surface_make_token(struct writer_txn *txn, const struct surface *surface,
                                              struct slice prefix, struct slice subject,
                                              struct slice grants,
                                              const struct surface_token_request *request,
                                              struct diag *diag, struct buf *ret_text);

/* --- for app/ --------------------------------------------------------------------------------- */

struct surfaces;

/* Every surface of this build. */
const struct surface *const *surface_table(size_t *ret_count);
const struct surface *surface_find(const char *name); /* NULL when there is none */
/* Sets the formats; before flow_start. */
void surfaces_register_formats(void);
/* Starts all of them. The environment is copied. */
PH_NODISCARD enum ph_error surfaces_start(const struct surface_environment *environment,
                                          struct diag *diag, struct surfaces **ret_surfaces);
void surfaces_stop(struct surfaces *surfaces); /* NULL is fine */
/* Reloads each; failures are logged. */
void surfaces_reload(struct surfaces *surfaces, const void *options);
/* The native routes and those of all surfaces under their mounts; as long as `surfaces`. */
const struct http_route *surfaces_routes(struct surfaces *surfaces, size_t *ret_count);
/* What no route fits, on a listener with all of them: in the surface's form below its mount. */
void surfaces_not_found(struct http_request *request);
/* And what the server refuses by itself. */
bool surfaces_refuse(struct http_request *request, int status, const char *detail);
/* Those of one at the root and under its mount, for a listener of its own. */
const struct http_route *surface_own_routes(struct surfaces *surfaces,
                                            const struct surface *surface, size_t *ret_count);
struct surface_instance *surfaces_instance(struct surfaces *surfaces,
                                           const struct surface *surface);

#endif
