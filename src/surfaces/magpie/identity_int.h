/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the identity model share (users, groups, services, resources, permissions): who
 * calls, how it is answered, and the operations.
 */
#ifndef PH_SURFACES_MAGPIE_IDENTITY_INT_H
#define PH_SURFACES_MAGPIE_IDENTITY_INT_H

#include "surfaces/magpie/body.h"
#include "surfaces/magpie/magpie_int.h"
#include "surfaces/magpie/user.h"

/* --- routes ----------------------------------------------------------------------------------- */

#define MAGPIE_ROUTE_COUNT 60
extern const struct http_route magpie_routes[];

/* --- who calls (access.c) --------------------------------------------------------------------- */

/* What an operation needs; surface_operation.permission. */
enum magpie_need {
    MAGPIE_NEED_ADMINISTRATOR,
    MAGPIE_NEED_SELF, /* an administrator, or the user that the path names */
};

/* In the request's arena; of calls that need a token, and of sessions. */
struct magpie_caller {
    struct magpie_user user;
    int64_t session_id; /* 0 = an API token */
};

const struct magpie_caller *magpie_caller_of(const struct api_call *call);

/* surface.token_of: `Authorization: Bearer`, else the session's cookie. */
struct slice magpie_token_of(struct http_request *request);
/* surface.find_session */
PH_NODISCARD enum ph_error magpie_find_session(struct api_call *call, struct store *store,
                                               const uint8_t hash[SURFACE_TOKEN_HASH_BYTES],
                                               struct diag *diag,
                                               struct surface_token_row *ret_row);
/* surface.authorize: 401 when the user is gone, 403. */
PH_NODISCARD enum ph_error magpie_authorize(struct api_call *call,
                                            const struct surface_operation *operation,
                                            struct diag *diag);
/* Who is signed in, of an operation that needs no token; PH_UNAUTHORIZED when nobody is. */
PH_NODISCARD enum ph_error magpie_find_caller(struct api_call *call, struct diag *diag,
                                              struct magpie_caller *ret_caller);

#define MAGPIE_TOKEN_FLAG_COUNT 1
extern const struct surface_token_flag magpie_token_flags[MAGPIE_TOKEN_FLAG_COUNT];
/* surface.check_token and surface.make_token */
PH_NODISCARD enum ph_error magpie_token_check(struct slice arguments, struct diag *diag);
PH_NODISCARD enum ph_error magpie_token_make(struct surface_instance *instance,
                                             struct writer_txn *txn,
                                             const struct surface_token_request *request,
                                             struct diag *diag, struct buf *ret_text);

/* --- answers (answer.c) ----------------------------------------------------------------------- */

/* `{"code":…,"type":"application/json","detail":…`: write the members behind it, then end. */
void magpie_answer_begin(struct json_out *out, int status, const char *detail);
void magpie_answer_end(struct json_out *out);
/* An answer of a function that only reads; *ret_answer is sent by magpie_answer_send. */
void magpie_answer_init(struct api_answer *answer, const char *detail);
PH_NODISCARD enum ph_error magpie_answer_send(struct api_call *call, struct api_answer *answer,
                                              enum ph_error error, struct diag *diag);
/* The answer of a job that has no more to say. */
void magpie_answer_job(struct api_job *job, int status, const char *detail);
/* surface.respond_error: with `param` for what names a field. */
void magpie_respond_error(struct http_request *request, const struct diag *diag);
/* surface.not_found */
void magpie_not_found(struct http_request *request);
bool magpie_refuse(struct http_request *request, int status, const char *detail);
/* 404 naming `field`, which nobody has. */
PH_NODISCARD enum ph_error magpie_missing(enum ph_error error, const char *field, const char *words,
                                          struct diag *diag);

/* The body of a call, JSON or form. */
void magpie_body_of(struct api_call *call, enum ph_error type_error, struct diag *diag,
                    struct magpie_body *ret_body);
/* Whether a flag of the query is set: `detail`, `detail=true`. */
bool magpie_query_flag(struct api_call *call, const char *name);

/* --- what paths name -------------------------------------------------------------------------- */

/* `user_name`, with `current`. 404 naming it. */
PH_NODISCARD enum ph_error magpie_path_user(struct api_call *call, struct store *store,
                                            struct diag *diag, struct magpie_user *ret_user);

/* PH_FORBIDDEN naming `field` when the user is the last administrator: without one nobody could
 * change anything any more. */
PH_NODISCARD enum ph_error magpie_check_not_last(struct writer_txn *txn,
                                                 const struct magpie_user *user, const char *field,
                                                 struct diag *diag);

/* The `user` of answers. */
PH_NODISCARD enum ph_error magpie_user_write(struct store *store, const struct magpie_user *user,
                                             struct json_out *out, struct diag *diag);

/* --- operations ------------------------------------------------------------------------------- */

api_function magpie_sign_in, magpie_sign_out, magpie_session_get;
api_function magpie_callback_use;
api_function magpie_user_list, magpie_user_create, magpie_user_get, magpie_user_patch;
api_function magpie_user_remove;
api_function magpie_user_groups_list, magpie_user_groups_add, magpie_user_groups_remove;
api_function magpie_group_list, magpie_group_create, magpie_group_get, magpie_group_remove;
api_function magpie_group_users_list;
api_function magpie_service_type_list, magpie_service_type_get;
api_function magpie_service_list, magpie_service_create, magpie_service_get, magpie_service_remove;
api_function magpie_service_resources_list, magpie_service_resources_create;
api_function magpie_service_permissions_list;
api_function magpie_resource_list, magpie_resource_create, magpie_resource_get;
api_function magpie_resource_remove, magpie_resource_permissions_list;
api_function magpie_grant_list_all;
api_function magpie_group_patch, magpie_service_patch, magpie_resource_patch;
api_function magpie_grant_list, magpie_grant_post, magpie_grant_put, magpie_grant_delete;
api_function magpie_grant_delete_named;
api_function magpie_batch_patch;

#endif
