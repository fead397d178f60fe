/* SPDX-License-Identifier: Apache-2.0 */
/* The operations on permissions: the four collections, which differ in what their paths name
 * (magpie spec section 8). */
#include "surfaces/magpie/grant.h"
#include "surfaces/magpie/resource_int.h"

/* --- what bodies say -------------------------------------------------------------------------- */

/* The name may be under several keys. */
static enum ph_error read_object(struct slice json, const char *field, struct arena *arena,
                                 struct diag *diag, struct magpie_permission *ret_permission)
{
    static const char *const keys[] = {"name", "permission_name", "permission", "perm_name"};
    struct magpie_body object;
    struct slice name = SLICE_NONE;
    struct slice access;
    struct slice scope;
    magpie_body_open_object(&object, json, arena, diag);
    for (size_t index = 0; name.ptr == NULL && index < PH_ARRAY_LENGTH(keys); index++) {
        (void)magpie_body_text(&object, keys[index], &name);
    }
    (void)magpie_body_text(&object, "access", &access);
    (void)magpie_body_text(&object, "scope", &scope);
    enum ph_error error = magpie_body_end(&object);
    return error != PH_OK
               ? error
               : magpie_permission_from(name, access, scope, field, diag, ret_permission);
}

enum ph_error magpie_permission_read(enum scan_type type, struct slice json, const char *field,
                                     struct arena *arena, struct diag *diag,
                                     struct magpie_permission *ret_permission)
{
    struct slice text;
    if (type == SCAN_OBJECT) {
        return read_object(json, field, arena, diag, ret_permission);
    }
    if (type != SCAN_STRING || scan_string(json, arena, diag, &text) != PH_OK) {
        return diag_set(diag, PH_INVALID, field, "a permission is a text or an object");
    }
    return magpie_permission_parse(text, field, diag, ret_permission);
}

/* `permission`, or `permission_name`. */
static enum ph_error read_body(struct api_call *call, struct diag *diag,
                               struct magpie_permission *ret_permission)
{
    struct magpie_body body;
    enum scan_type type;
    struct slice json;
    const char *field = "permission";
    magpie_body_of(call, PH_INVALID, diag, &body);
    enum magpie_given given = magpie_body_value(&body, field, &type, &json);
    if (given != MAGPIE_GIVEN) {
        field = "permission_name";
        given = magpie_body_value(&body, field, &type, &json);
    }
    if (given != MAGPIE_GIVEN) {
        magpie_body_refuse(&body, PH_INVALID, field, "the permission is missing");
    }
    enum ph_error error = magpie_body_end(&body);
    return error != PH_OK
               ? error
               : magpie_permission_read(type, json, field, call->arena, diag, ret_permission);
}

/* --- what paths name -------------------------------------------------------------------------- */

struct target {
    struct magpie_user user;
    struct magpie_group group;
    struct magpie_holder holder;
    struct magpie_resource resource;
};

static enum ph_error find_holder(struct api_call *call, struct store *store, struct diag *diag,
                                 struct target *target)
{
    *target = (struct target){.user = {.id = 0}};
    if (magpie_path_has(call, "{user_name}")) {
        target->holder.user = &target->user;
        return magpie_path_user(call, store, diag, &target->user);
    }
    target->holder.group = &target->group;
    return magpie_group_find(store, http_param(call->request, "group_name"), call->arena, diag,
                             &target->group);
}

static enum ph_error find_target(struct api_call *call, struct store *store, struct diag *diag,
                                 struct target *target)
{
    enum ph_error error = find_holder(call, store, diag, target);
    return error != PH_OK ? error : magpie_path_resource(call, store, diag, &target->resource);
}

/* --- list ------------------------------------------------------------------------------------- */

static void list_name(void *context, const struct magpie_permission *permission)
{
    magpie_permission_write_name(context, permission);
}

static void list_permission(void *context, const struct magpie_permission *permission)
{
    magpie_permission_write(context, permission, "applied");
}

/* What they come to with those of groups and of parents is not known here. */
static enum ph_error refuse_effective(struct api_call *call, struct diag *diag)
{
    return magpie_query_flag(call, "effective") || magpie_query_flag(call, "inherited") ||
                   magpie_query_flag(call, "inherit")
               ? diag_set(diag, PH_NOT_IMPLEMENTED, NULL,
                          "only the permissions of the user or group itself are known here")
               : PH_OK;
}

static bool list_held(void *context, const struct magpie_held *held)
{
    struct json_out *out = context;
    json_out_begin_object(out);
    json_out_member_int(out, "resource_id", held->resource_id);
    json_out_member_string(out, "resource_name", held->resource_name);
    json_out_member_string(out, "resource_type", held->resource_type);
    json_out_member_string(out, "service_name", held->service_name);
    json_out_key(out, "permission_name");
    magpie_permission_write_name(out, &held->permission);
    json_out_key(out, "permission");
    magpie_permission_write(out, &held->permission, "applied");
    json_out_end_object(out);
    return !out->buf->failed;
}

enum ph_error magpie_grant_list_all(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct target target;
    struct api_answer answer;
    enum ph_error error = refuse_effective(call, diag);
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error == PH_OK) {
        error = find_holder(call, store, diag, &target);
    }
    if (error != PH_OK) {
        return error;
    }
    magpie_answer_init(&answer, "Get permissions successful.");
    json_out_key(&answer.out, "permissions");
    json_out_begin_array(&answer.out);
    error = magpie_grant_walk_all(store, &target.holder, list_held, &answer.out, diag);
    json_out_end_array(&answer.out);
    return magpie_answer_send(call, &answer, error, diag);
}

enum ph_error magpie_grant_list(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct target target;
    struct api_answer answer;
    enum ph_error error = refuse_effective(call, diag);
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error == PH_OK) {
        error = find_target(call, store, diag, &target);
    }
    if (error != PH_OK) {
        return error;
    }
    magpie_answer_init(&answer, "Get permissions successful.");
    json_out_key(&answer.out, "permission_names");
    json_out_begin_array(&answer.out);
    error =
        magpie_grant_walk(store, &target.holder, target.resource.id, list_name, &answer.out, diag);
    json_out_end_array(&answer.out);
    json_out_key(&answer.out, "permissions");
    json_out_begin_array(&answer.out);
    if (error == PH_OK) {
        error = magpie_grant_walk(store, &target.holder, target.resource.id, list_permission,
                                  &answer.out, diag);
    }
    json_out_end_array(&answer.out);
    return magpie_answer_send(call, &answer, error, diag);
}

/* --- give ------------------------------------------------------------------------------------- */

struct grant_job {
    struct api_job job;
    struct magpie_permission permission;
    bool may_replace;
};

static void write_given(struct json_out *out, int status, const struct target *target,
                        const struct magpie_permission *permission)
{
    magpie_answer_begin(out, status,
                        status == 201 ? "Create permission successful."
                                      : "Update permission successful.");
    if (target->holder.user != NULL) {
        json_out_member_int(out, "resource_id", target->resource.id);
        if (target->user.id != MAGPIE_USER_ANONYMOUS_ID) {
            json_out_member_int(out, "user_id", target->user.id);
        }
    }
    json_out_key(out, "permission_name");
    magpie_permission_write_name(out, permission);
    json_out_key(out, "permission");
    magpie_permission_write(out, permission, "applied");
    if (target->holder.group != NULL) {
        json_out_key(out, "resource");
        json_out_begin_object(out);
        magpie_resource_write_facts(out, &target->resource);
        json_out_end_object(out);
        json_out_key(out, "group");
        json_out_begin_object(out);
        json_out_member_string(out, "group_name", target->group.name);
        json_out_member_int(out, "group_id", target->group.id);
        json_out_end_object(out);
    }
    magpie_answer_end(out);
}

/* POST takes no permission that is there under any modifiers. */
static enum ph_error refuse_former(const struct grant_job *given, struct store *store,
                                   const struct target *target, struct diag *diag)
{
    struct magpie_permission former;
    bool has_former = false;
    enum ph_error error =
        given->may_replace ? PH_OK
                           : magpie_grant_find(store, &target->holder, target->resource.id,
                                               given->permission.name, diag, &has_former, &former);
    return error == PH_OK && has_former
               ? diag_set(diag, PH_CONFLICT, "permission_name", "this permission is there already")
               : error;
}

static enum ph_error run_give(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct grant_job *given = PH_CONTAINER_OF(job, struct grant_job, job);
    struct target target;
    enum magpie_grant_end end = MAGPIE_GRANT_NEW;
    enum ph_error error = find_target(job->call, txn->store, diag, &target);
    if (error == PH_OK) {
        error = refuse_former(given, txn->store, &target, diag);
    }
    if (error == PH_OK) {
        error = magpie_grant_set(surface_state(job->call), txn, &target.holder, &target.resource,
                                 &given->permission, diag, &end);
    }
    if (error == PH_OK && end == MAGPIE_GRANT_UNCHANGED && target.holder.user != NULL) {
        error = diag_set(diag, PH_CONFLICT, "permission_name", "this permission is there already");
    }
    if (error == PH_OK) {
        job->status = end == MAGPIE_GRANT_NEW ? 201 : 200;
        write_given(&job->answer.out, job->status, &target, &given->permission);
    }
    return error;
}

static enum ph_error give(struct api_call *call, bool may_replace, struct diag *diag)
{
    struct grant_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    job->may_replace = may_replace;
    job->job.job.messages = 2;
    enum ph_error error = read_body(call, diag, &job->permission);
    return error != PH_OK ? error : api_submit(call, &job->job, run_give, diag);
}

enum ph_error magpie_grant_post(struct api_call *call, struct diag *diag)
{
    return give(call, false, diag);
}

enum ph_error magpie_grant_put(struct api_call *call, struct diag *diag)
{
    return give(call, true, diag);
}

/* --- take ------------------------------------------------------------------------------------- */

static enum ph_error run_take(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct grant_job *given = PH_CONTAINER_OF(job, struct grant_job, job);
    struct target target;
    bool had = false;
    enum ph_error error = find_target(job->call, txn->store, diag, &target);
    if (error == PH_OK) {
        error = magpie_grant_remove(surface_state(job->call), txn, &target.holder, &target.resource,
                                    given->permission.name, diag, &had);
    }
    if (error == PH_OK && !had) {
        error = diag_set(diag, PH_NOT_FOUND, "permission_name", "there is no such permission");
    }
    if (error == PH_OK) {
        magpie_answer_job(job, 200, "Delete permission successful.");
    }
    return error;
}

enum ph_error magpie_grant_delete(struct api_call *call, struct diag *diag)
{
    struct grant_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    enum ph_error error = read_body(call, diag, &job->permission);
    return error != PH_OK ? error : api_submit(call, &job->job, run_take, diag);
}

enum ph_error magpie_grant_delete_named(struct api_call *call, struct diag *diag)
{
    struct grant_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    enum ph_error error = magpie_permission_parse(http_param(call->request, "permission_name"),
                                                  "permission_name", diag, &job->permission);
    return error != PH_OK ? error : api_submit(call, &job->job, run_take, diag);
}
