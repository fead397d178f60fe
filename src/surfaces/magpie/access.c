/* SPDX-License-Identifier: Apache-2.0 */
/* Who calls: tokens, sessions, and who may do what (magpie spec section 8). */
#include "api/input.h"
#include "base/clock.h"
#include "core/scan.h"
#include "surfaces/magpie/identity_int.h"
#include "surfaces/magpie/session.h"

#define BEARER "Bearer"
#define TOKEN_PREFIX "mgp_"
#define GRANTS_MAX 64
#define SUBJECT_MAX 128
#define ARGUMENTS_ARENA_BYTES 65536

/* --- finding the caller ----------------------------------------------------------------------- */

static struct slice bearer_of(struct http_request *request)
{
    struct slice header = http_header(request, "authorization");
    size_t space = slice_find(header, ' ');
    if (header.ptr == NULL || space == header.len ||
        !slice_equal_nocase((struct slice){header.ptr, space}, SLICE_LITERAL(BEARER))) {
        return SLICE_NONE;
    }
    return slice_trim((struct slice){header.ptr + space, header.len - space});
}

static struct slice cookie_of(struct http_request *request)
{
    struct slice rest = http_header(request, "cookie");
    struct slice part;
    while (slice_next(&rest, ';', &part)) {
        part = slice_trim(part);
        size_t length = strlen(MAGPIE_SESSION_COOKIE "=");
        if (slice_starts_with(part, MAGPIE_SESSION_COOKIE "=")) {
            return (struct slice){part.ptr + length, part.len - length};
        }
    }
    return SLICE_NONE;
}

struct slice magpie_token_of(struct http_request *request)
{
    struct slice token = bearer_of(request);
    return token.ptr != NULL ? token : cookie_of(request);
}

const struct magpie_caller *magpie_caller_of(const struct api_call *call)
{
    return http_user(call->request);
}

/* Sessions leave the caller at the request, with no more than the ids. */
static struct magpie_caller *new_caller(struct api_call *call)
{
    struct magpie_caller *caller = arena_calloc(call->arena, 1, sizeof *caller);
    if (caller != NULL) {
        http_set_user(call->request, caller);
    }
    return caller;
}

enum ph_error magpie_find_session(struct api_call *call, struct store *store,
                                  const uint8_t hash[SURFACE_TOKEN_HASH_BYTES], struct diag *diag,
                                  struct surface_token_row *ret_row)
{
    int64_t id;
    int64_t user_id;
    enum ph_error error = magpie_session_find(store, hash, clock_wall_us(), diag, &id, &user_id);
    if (error != PH_OK) {
        return error;
    }
    struct magpie_caller *caller = new_caller(call);
    if (caller == NULL) {
        return api_no_memory(diag);
    }
    caller->session_id = id;
    caller->user.id = user_id;
    *ret_row = (struct surface_token_row){.id = id};
    return PH_OK;
}

/* Of an API token: `{"user":7}`. */
static enum ph_error read_grants(struct slice grants, struct diag *diag, int64_t *ret_user_id)
{
    struct scan_member members[4];
    size_t count;
    if (scan_object(grants, members, PH_ARRAY_LENGTH(members), &count, NULL, NULL) == PH_OK) {
        const struct scan_member *user = scan_find(members, count, "user");
        if (user != NULL && scan_int64(user->value, ret_user_id)) {
            return PH_OK;
        }
    }
    return diag_set(diag, PH_STORE, "store", "the grants of a token cannot be read");
}

/* The user that the token or session stands for, as it is now. */
static enum ph_error load_user(struct api_call *call, struct magpie_caller *caller,
                               struct diag *diag)
{
    struct store *store;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = magpie_user_find_id(store, caller->user.id, call->arena, diag, &caller->user);
    }
    return error == PH_NOT_FOUND ? diag_set(diag, PH_UNAUTHORIZED, NULL, "the user is gone")
                                 : error;
}

static bool is_own(const struct api_call *call, const struct magpie_caller *caller)
{
    struct slice name = http_param(call->request, "user_name");
    return slice_equal_text(name, MAGPIE_CURRENT) || slice_equal(name, caller->user.name);
}

enum ph_error magpie_authorize(struct api_call *call, const struct surface_operation *operation,
                               struct diag *diag)
{
    struct magpie_caller *caller = http_user(call->request);
    enum ph_error error = PH_OK;
    if (caller == NULL) {
        caller = new_caller(call);
        if (caller == NULL) {
            return api_no_memory(diag);
        }
        error = read_grants(call->surface_token->grants, diag, &caller->user.id);
    }
    if (error == PH_OK) {
        error = load_user(call, caller, diag);
    }
    if (error != PH_OK || caller->user.is_administrator) {
        return error;
    }
    return operation->permission == MAGPIE_NEED_SELF && is_own(call, caller)
               ? PH_OK
               : diag_set(diag, PH_FORBIDDEN, NULL, "Forbidden: this is for administrators.");
}

enum ph_error magpie_find_caller(struct api_call *call, struct diag *diag,
                                 struct magpie_caller *ret_caller)
{
    struct store *store;
    struct surface_token_row row;
    uint8_t hash[SURFACE_TOKEN_HASH_BYTES];
    struct slice text = magpie_token_of(call->request);
    struct magpie_caller caller = {0};
    if (text.len == 0) {
        return diag_set(diag, PH_UNAUTHORIZED, NULL, "nobody is signed in");
    }
    surface_token_hash(text, hash);
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = surface_token_find(store, slice_of(surface_magpie.name), hash, clock_wall_us(),
                                   call->arena, diag, &row);
        if (error == PH_OK) {
            error = read_grants(row.grants, diag, &caller.user.id);
        } else if (error == PH_NOT_FOUND) {
            error = magpie_session_find(store, hash, clock_wall_us(), diag, &caller.session_id,
                                        &caller.user.id);
        }
    }
    if (error == PH_OK) {
        error = load_user(call, &caller, diag);
    }
    if (error == PH_NOT_FOUND) {
        error = diag_set(diag, PH_UNAUTHORIZED, NULL, "nobody is signed in");
    }
    if (error == PH_OK) {
        *ret_caller = caller;
    }
    return error;
}

/* --- what paths name -------------------------------------------------------------------------- */

enum ph_error magpie_path_user(struct api_call *call, struct store *store, struct diag *diag,
                               struct magpie_user *ret_user)
{
    struct slice name = http_param(call->request, "user_name");
    enum ph_error error = slice_equal_text(name, MAGPIE_CURRENT)
                              ? magpie_user_find_id(store, magpie_caller_of(call)->user.id,
                                                    call->arena, diag, ret_user)
                              : magpie_user_find(store, name, call->arena, diag, ret_user);
    return magpie_missing(error, "user_name", "there is no such user", diag);
}

enum ph_error magpie_check_not_last(struct writer_txn *txn, const struct magpie_user *user,
                                    const char *field, struct diag *diag)
{
    bool has_other = true;
    enum ph_error error = user->is_administrator
                              ? magpie_has_other_administrator(txn, user->id, diag, &has_other)
                              : PH_OK;
    return error != PH_OK || has_other
               ? error
               : diag_set(diag, PH_FORBIDDEN, field,
                          "this is the last administrator: make another one before");
}

/* --- making tokens ---------------------------------------------------------------------------- */

const struct surface_token_flag magpie_token_flags[MAGPIE_TOKEN_FLAG_COUNT] = {
    {"--user", "user", SURFACE_FLAG_TEXT, true, "NAME",
     "whose token it is; a user who is new is made, and is an administrator."},
};

static enum ph_error read_arguments(struct slice arguments, struct arena *arena, struct diag *diag,
                                    struct slice *ret_name)
{
    struct input input;
    input_open(&input, arguments, arena, diag);
    (void)input_string(&input, "user", INPUT_REQUIRED, "user", ret_name);
    enum ph_error error = input_end(&input);
    if (error == PH_OK &&
        (!magpie_is_user_name(*ret_name) || slice_equal_text(*ret_name, MAGPIE_ANONYMOUS) ||
         slice_equal_text(*ret_name, MAGPIE_CURRENT))) {
        error = diag_set(diag, PH_INVALID, NULL,
                         "--user wants the name of a person: a-z and 0-9, with _ - or . between");
    }
    return error;
}

enum ph_error magpie_token_check(struct slice arguments, struct diag *diag)
{
    struct slice name;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, ARGUMENTS_ARENA_BYTES);
    return read_arguments(arguments, &arena, diag, &name);
}

/* The first administrator has to come from somewhere, as the original's comes from its settings:
 * nobody is told. */
static enum ph_error make_administrator(struct writer_txn *txn, struct slice name,
                                        struct diag *diag, int64_t *ret_id)
{
    static const int64_t groups[] = {MAGPIE_GROUP_ANONYMOUS_ID, MAGPIE_GROUP_ADMINISTRATORS_ID};
    const struct magpie_user user = {.name = name, .status = MAGPIE_STATUS_OK};
    enum ph_error error = magpie_user_insert(txn, &user, SLICE_NONE, diag, ret_id);
    for (size_t index = 0; error == PH_OK && index < PH_ARRAY_LENGTH(groups); index++) {
        bool is_new;
        error = magpie_membership_insert(txn, *ret_id, groups[index], diag, &is_new);
    }
    return error;
}

enum ph_error magpie_token_make(struct surface_instance *instance, struct writer_txn *txn,
                                const struct surface_token_request *request, struct diag *diag,
                                struct buf *ret_text)
{
    (void)instance;
    struct slice name;
    struct magpie_user user;
    char grants[GRANTS_MAX];
    char subject[SUBJECT_MAX];
    ARENA_AUTO struct arena arena;
    arena_init(&arena, ARGUMENTS_ARENA_BYTES);
    enum ph_error error = read_arguments(request->arguments, &arena, diag, &name);
    if (error == PH_OK) {
        error = magpie_user_find(txn->store, name, &arena, diag, &user);
    }
    if (error == PH_NOT_FOUND) {
        error = make_administrator(txn, name, diag, &user.id);
    }
    if (error != PH_OK) {
        return error;
    }
    (void)snprintf(grants, sizeof grants, "{\"user\":%lld}", (long long)user.id);
    (void)snprintf(subject, sizeof subject, "user %.*s", SLICE_ARG(name));
    return surface_make_token(txn, &surface_magpie, SLICE_LITERAL(TOKEN_PREFIX), slice_of(subject),
                              slice_of(grants), request, diag, ret_text);
}
