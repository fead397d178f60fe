/* SPDX-License-Identifier: Apache-2.0 */
/* The operations on users (magpie spec section 8). */
#include "surfaces/magpie/group.h"
#include "surfaces/magpie/identity_int.h"
#include "surfaces/magpie/notice.h"
#include "surfaces/magpie/session.h"

/* --- answers ---------------------------------------------------------------------------------- */

static void write_facts(struct json_out *out, const struct magpie_user *user)
{
    json_out_member_string(out, "user_name", user->name);
    json_out_member_string(out, "email", user->email);
    json_out_member_text(out, "status", magpie_status_name(user->status));
}

/* The anonymous user has no id for others. */
static void write_rest(struct json_out *out, const struct magpie_user *user)
{
    json_out_member_bool(out, "has_pending_group", false);
    if (user->id != MAGPIE_USER_ANONYMOUS_ID) {
        json_out_member_int(out, "user_id", user->id);
    }
    json_out_end_object(out);
}

static void write_name(void *context, struct slice name)
{
    json_out_string(context, name);
}

enum ph_error magpie_user_write(struct store *store, const struct magpie_user *user,
                                struct json_out *out, struct diag *diag)
{
    json_out_begin_object(out);
    write_facts(out, user);
    json_out_key(out, "group_names");
    json_out_begin_array(out);
    enum ph_error error = magpie_user_walk_groups(store, user->id, write_name, out, diag);
    json_out_end_array(out);
    write_rest(out, user);
    return error;
}

/* --- list and get ----------------------------------------------------------------------------- */

/* A list of users in the making; each comes once for every group. */
struct listing {
    struct json_out *out;
    struct magpie_user last;
};

static void end_user(struct listing *listing)
{
    if (listing->last.id != 0) {
        json_out_end_array(listing->out);
        write_rest(listing->out, &listing->last);
    }
}

static bool list_user(void *context, const struct magpie_user *user, struct slice group)
{
    struct listing *listing = context;
    if (user->id != listing->last.id) {
        end_user(listing);
        json_out_begin_object(listing->out);
        write_facts(listing->out, user);
        json_out_key(listing->out, "group_names");
        json_out_begin_array(listing->out);
        listing->last.id = user->id;
    }
    if (group.ptr != NULL) {
        json_out_string(listing->out, group);
    }
    return !listing->out->buf->failed;
}

static bool list_name(void *context, const struct magpie_user *user, struct slice group)
{
    struct json_out *out = context;
    (void)group;
    json_out_string(out, user->name);
    return !out->buf->failed;
}

enum ph_error magpie_user_list(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct api_answer answer;
    int64_t statuses = MAGPIE_STATUS_ALL;
    struct slice filter = http_query(call->request, "status", 0);
    bool has_detail = magpie_query_flag(call, "detail");
    if (filter.ptr != NULL && !magpie_status_parse_filter(filter, &statuses)) {
        return diag_set(diag, PH_BAD_REQUEST, "status", "the status is not one of users");
    }
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error != PH_OK) {
        return error;
    }
    magpie_answer_init(&answer, "Get users successful.");
    struct listing listing = {.out = &answer.out};
    json_out_key(&answer.out, has_detail ? "users" : "user_names");
    json_out_begin_array(&answer.out);
    error = has_detail ? magpie_user_walk(store, statuses, true, list_user, &listing, diag)
                       : magpie_user_walk(store, statuses, false, list_name, &answer.out, diag);
    end_user(&listing);
    json_out_end_array(&answer.out);
    return magpie_answer_send(call, &answer, error, diag);
}

enum ph_error magpie_user_get(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct magpie_user user;
    struct api_answer answer;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = magpie_path_user(call, store, diag, &user);
    }
    if (error != PH_OK) {
        return error;
    }
    magpie_answer_init(&answer, "Get user successful.");
    json_out_key(&answer.out, "user");
    error = magpie_user_write(store, &user, &answer.out, diag);
    return magpie_answer_send(call, &answer, error, diag);
}

/* --- what is given ---------------------------------------------------------------------------- */

/* Of create and of update. */
struct user_job {
    struct api_job job;
    struct password_job hashing;
    struct magpie_user user; /* name and e-mail SLICE_NONE, status 0 = not given */
    struct slice password;   /* likewise */
    struct slice group;
};

static void check_name(struct magpie_body *body, struct slice name)
{
    if (!magpie_is_user_name(name)) {
        magpie_body_refuse(body, PH_BAD_REQUEST, "user_name",
                           "a user name has 1 to %d of a-z and 0-9, with single _ - . between",
                           MAGPIE_USER_NAME_MAX);
    } else if (slice_equal_text(name, MAGPIE_CURRENT) ||
               slice_equal_text(name, MAGPIE_ADMINISTRATOR)) {
        magpie_body_refuse(body, PH_BAD_REQUEST, "user_name", "this name is reserved");
    }
}

static void check_password(struct magpie_body *body, struct slice password)
{
    if (password.ptr != NULL && (magpie_character_count(password) < MAGPIE_PASSWORD_MIN ||
                                 password.len > PASSWORD_BYTES_MAX)) {
        magpie_body_refuse(body, PH_BAD_REQUEST, "password",
                           "a password has at least %d characters, and at most %d bytes",
                           MAGPIE_PASSWORD_MIN, PASSWORD_BYTES_MAX);
    }
}

static void check_email(struct magpie_body *body, struct slice email)
{
    if (!magpie_is_email(email)) {
        magpie_body_refuse(body, PH_BAD_REQUEST, "email", "this is no e-mail address");
    }
}

/* --- passwords -------------------------------------------------------------------------------- */

static void hashed(struct password_job *hashing)
{
    struct user_job *user = PH_CONTAINER_OF(hashing, struct user_job, hashing);
    if (hashing->error == PH_OK) {
        api_enqueue(&user->job);
        return;
    }
    struct diag diag = hashing->diag;
    user->job.call->respond_error(user->job.call->request, &diag);
}

/* The password is hashed elsewhere before the job is queued. */
static enum ph_error submit(struct api_call *call, struct user_job *user,
                            enum ph_error (*run)(struct api_job *job, struct writer_txn *txn,
                                                 struct diag *diag),
                            struct diag *diag)
{
    user->job.job.messages = 1;
    if (user->password.ptr == NULL) {
        return api_submit(call, &user->job, run, diag);
    }
    user->hashing.password = user->password;
    user->hashing.done = hashed;
    list_init(&user->hashing.node);
    api_suspend(call, &user->job, run);
    return passwords_submit(call->api->passwords, &user->hashing, diag);
}

static struct slice hash_of(const struct user_job *user)
{
    return user->password.ptr == NULL ? SLICE_NONE : slice_of(user->hashing.text);
}

/* --- create ----------------------------------------------------------------------------------- */

static void write_created(struct json_out *out, const struct magpie_user *user, struct slice group)
{
    struct slice names[2] = {SLICE_LITERAL(MAGPIE_ANONYMOUS), group};
    bool has_group = group.ptr != NULL;
    if (has_group && slice_compare(names[1], names[0]) < 0) {
        names[1] = names[0];
        names[0] = group;
    }
    json_out_key(out, "user");
    json_out_begin_object(out);
    write_facts(out, user);
    json_out_key(out, "group_names");
    json_out_begin_array(out);
    json_out_string(out, names[0]);
    if (has_group) {
        json_out_string(out, names[1]);
    }
    json_out_end_array(out);
    write_rest(out, user);
}

/* Everybody is in the anonymous group, some in another one. */
static enum ph_error join(struct writer_txn *txn, int64_t user_id, int64_t group_id,
                          struct diag *diag)
{
    bool is_new;
    enum ph_error error =
        magpie_membership_insert(txn, user_id, MAGPIE_GROUP_ANONYMOUS_ID, diag, &is_new);
    return error != PH_OK || group_id == 0
               ? error
               : magpie_membership_insert(txn, user_id, group_id, diag, &is_new);
}

static enum ph_error run_create(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct user_job *given = PH_CONTAINER_OF(job, struct user_job, job);
    struct magpie_user user = given->user;
    struct magpie_group group = {.id = 0};
    enum ph_error error = PH_OK;
    if (given->group.ptr != NULL) {
        error = magpie_group_find(txn->store, given->group, job->call->arena, diag, &group);
    }
    if (error == PH_OK) {
        error = magpie_user_insert(txn, &user, hash_of(given), diag, &user.id);
    }
    if (error == PH_OK) {
        error = join(txn, user.id, group.id, diag);
    }
    if (error == PH_OK) {
        error = magpie_notice_user_created(surface_state(job->call), txn, &user, diag);
    }
    if (error == PH_OK) {
        job->status = 201;
        magpie_answer_begin(&job->answer.out, 201, "Add user to db successful.");
        write_created(&job->answer.out, &user, given->group);
        magpie_answer_end(&job->answer.out);
    }
    return error;
}

enum ph_error magpie_user_create(struct api_call *call, struct diag *diag)
{
    struct magpie_body body;
    struct user_job *user = api_job_new(call, sizeof *user, diag);
    if (user == NULL) {
        return PH_NO_MEMORY;
    }
    magpie_body_of(call, PH_BAD_REQUEST, diag, &body);
    user->user.name = magpie_body_required(&body, "user_name");
    user->user.email = magpie_body_required(&body, "email");
    user->user.status = MAGPIE_STATUS_OK;
    (void)magpie_body_text(&body, "password", &user->password);
    (void)magpie_body_text(&body, "group_name", &user->group);
    check_name(&body, user->user.name);
    check_email(&body, user->user.email);
    check_password(&body, user->password);
    if (slice_equal_text(user->group, MAGPIE_ANONYMOUS)) {
        user->group = SLICE_NONE;
    }
    enum ph_error error = magpie_body_end(&body);
    return error != PH_OK ? error : submit(call, user, run_create, diag);
}

/* --- update ----------------------------------------------------------------------------------- */

/* Whether the caller may change what is given, and all of it of this user. */
static enum ph_error judge_update(const struct api_call *call, const struct user_job *given,
                                  const struct magpie_user *user, struct diag *diag)
{
    const char *field = given->user.name.ptr != NULL ? "user_name" : "status";
    bool is_for_administrators = given->user.name.ptr != NULL || given->user.status != 0;
    if (user->id == MAGPIE_USER_ANONYMOUS_ID) {
        return diag_set(diag, PH_FORBIDDEN, "user_name", "the anonymous user cannot be changed");
    }
    if (is_for_administrators && !magpie_caller_of(call)->user.is_administrator) {
        return diag_set(diag, PH_FORBIDDEN, field, "only administrators may change this");
    }
    if (given->user.name.ptr != NULL && slice_equal_text(user->name, MAGPIE_ADMINISTRATOR) &&
        !slice_equal(given->user.name, user->name)) {
        return diag_set(diag, PH_FORBIDDEN, "user_name", "this user cannot have another name");
    }
    if (slice_equal_text(given->user.name, MAGPIE_ADMINISTRATOR) &&
        !slice_equal(given->user.name, user->name)) {
        return diag_set(diag, PH_BAD_REQUEST, "user_name", "this name is reserved");
    }
    return PH_OK;
}

/* Puts what is given in place; false when nothing differs. */
static bool merge(const struct user_job *given, struct magpie_user *user)
{
    bool is_changed = given->password.ptr != NULL;
    if (given->user.name.ptr != NULL && !slice_equal(given->user.name, user->name)) {
        user->name = given->user.name;
        is_changed = true;
    }
    if (given->user.email.ptr != NULL && !slice_equal(given->user.email, user->email)) {
        user->email = given->user.email;
        is_changed = true;
    }
    if (given->user.status != 0 && given->user.status != user->status) {
        user->status = given->user.status;
        is_changed = true;
    }
    return is_changed;
}

/* Who knew the old password is signed out. */
static enum ph_error end_sessions(const struct api_call *call, struct writer_txn *txn,
                                  int64_t user_id, struct diag *diag)
{
    const struct magpie_caller *caller = magpie_caller_of(call);
    return magpie_session_delete_others(txn, user_id,
                                        caller->user.id == user_id ? caller->session_id : 0, diag);
}

static enum ph_error run_patch(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct user_job *given = PH_CONTAINER_OF(job, struct user_job, job);
    struct magpie_user user;
    enum ph_error error = magpie_path_user(job->call, txn->store, diag, &user);
    if (error == PH_OK) {
        error = judge_update(job->call, given, &user, diag);
    }
    if (error != PH_OK) {
        return error;
    }
    int64_t former_status = user.status;
    if (!merge(given, &user)) {
        return diag_set(diag, PH_BAD_REQUEST, NULL, "there is nothing to change");
    }
    error = magpie_user_update(txn, &user, hash_of(given), diag);
    if (error == PH_OK && given->password.ptr != NULL) {
        error = end_sessions(job->call, txn, user.id, diag);
    }
    if (error == PH_OK && user.status != former_status) {
        error = magpie_notice_user_status(surface_state(job->call), txn, &user, diag);
    }
    if (error == PH_OK) {
        magpie_answer_job(job, 200, "Update user successful.");
    }
    return error;
}

/* A name or a number. */
static int64_t read_status(struct magpie_body *body)
{
    enum scan_type type;
    struct slice json;
    struct slice text;
    int64_t status = 0;
    if (magpie_body_value(body, "status", &type, &json) != MAGPIE_GIVEN) {
        return 0;
    }
    if (type == SCAN_STRING) {
        (void)magpie_body_text(body, "status", &text);
    } else {
        text = type == SCAN_NUMBER ? json : SLICE_NONE;
    }
    if (!magpie_status_parse(text, &status)) {
        magpie_body_refuse(body, PH_BAD_REQUEST, "status",
                           "the status is OK (1), WebhookError (2) or Pending (4)");
    }
    return status;
}

enum ph_error magpie_user_patch(struct api_call *call, struct diag *diag)
{
    struct magpie_body body;
    struct user_job *user = api_job_new(call, sizeof *user, diag);
    if (user == NULL) {
        return PH_NO_MEMORY;
    }
    magpie_body_of(call, PH_BAD_REQUEST, diag, &body);
    (void)magpie_body_text(&body, "user_name", &user->user.name);
    (void)magpie_body_text(&body, "email", &user->user.email);
    (void)magpie_body_text(&body, "password", &user->password);
    user->user.status = read_status(&body);
    if (user->user.name.ptr != NULL && !slice_equal_text(user->user.name, MAGPIE_ADMINISTRATOR)) {
        check_name(&body, user->user.name);
    }
    if (user->user.email.ptr != NULL) {
        check_email(&body, user->user.email);
    }
    check_password(&body, user->password);
    enum ph_error error = magpie_body_end(&body);
    return error != PH_OK ? error : submit(call, user, run_patch, diag);
}

/* --- delete ----------------------------------------------------------------------------------- */

static enum ph_error run_remove(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct magpie_user user;
    enum ph_error error = magpie_path_user(job->call, txn->store, diag, &user);
    if (error == PH_OK && (user.id == MAGPIE_USER_ANONYMOUS_ID ||
                           slice_equal_text(user.name, MAGPIE_ADMINISTRATOR))) {
        error = diag_set(diag, PH_FORBIDDEN, "user_name", "this user cannot be deleted");
    }
    if (error == PH_OK) {
        error = magpie_check_not_last(txn, &user, "user_name", diag);
    }
    if (error == PH_OK) {
        error = magpie_notice_user_deleted(surface_state(job->call), txn, &user, diag);
    }
    if (error == PH_OK) {
        error = magpie_user_delete(txn, user.id, diag);
    }
    if (error == PH_OK) {
        magpie_answer_job(job, 200, "Delete user successful.");
    }
    return error;
}

enum ph_error magpie_user_remove(struct api_call *call, struct diag *diag)
{
    struct api_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    job->job.messages = 1;
    return api_submit(call, job, run_remove, diag);
}
