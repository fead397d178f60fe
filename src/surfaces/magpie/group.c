/* SPDX-License-Identifier: Apache-2.0 */
/* Groups: rows, operations, and who is in them (magpie spec section 8). */
#include "surfaces/magpie/group.h"

#include "surfaces/magpie/identity_int.h"

/* --- rows ------------------------------------------------------------------------------------- */

enum ph_error magpie_group_find(struct store *store, struct slice name, struct arena *arena,
                                struct diag *diag, struct magpie_group *ret_group)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT id, name, description, discoverable, terms FROM magpie_group"
                              " WHERE name = $1");
    db_bind_text(select, 1, name);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    if (!has_row) {
        return diag_set(diag, PH_NOT_FOUND, "group_name", "there is no such group");
    }
    struct magpie_group group = {
        .id = db_int64(select, 0),
        .name = magpie_copy(arena, db_text(select, 1)),
        .description = magpie_copy(arena, db_text(select, 2)),
        .is_discoverable = db_int64(select, 3) != 0,
        .terms = magpie_copy(arena, db_text(select, 4)),
    };
    db_done(select);
    if (group.name.ptr == NULL || group.description.ptr == NULL || group.terms.ptr == NULL) {
        return api_no_memory(diag);
    }
    *ret_group = group;
    return PH_OK;
}

static enum ph_error insert_group(struct writer_txn *txn, const struct magpie_group *group,
                                  struct diag *diag, int64_t *ret_id)
{
    struct db_statement *insert =
        db_prepare(txn->store->db, "INSERT INTO magpie_group (name, description, discoverable,"
                                   " terms) VALUES ($1, $2, $3, $4)"
                                   " ON CONFLICT DO NOTHING RETURNING id");
    db_bind_text(insert, 1, group->name);
    db_bind_text(insert, 2, group->description);
    db_bind_int64(insert, 3, group->is_discoverable);
    db_bind_text(insert, 4, group->terms);
    bool has_row;
    enum ph_error error = db_step(insert, diag, &has_row);
    if (error == PH_OK && !has_row) {
        error = diag_set(diag, PH_CONFLICT, "group_name", "there is a group of this name");
    } else if (error == PH_OK) {
        *ret_id = db_int64(insert, 0);
        db_done(insert);
    }
    return error;
}

static enum ph_error update_group(struct writer_txn *txn, const struct magpie_group *group,
                                  struct diag *diag)
{
    struct magpie_group other = {.id = 0};
    ARENA_AUTO struct arena arena;
    arena_init(&arena, 65536);
    enum ph_error error = magpie_group_find(txn->store, group->name, &arena, diag, &other);
    if (error == PH_OK && other.id != group->id) {
        return diag_set(diag, PH_CONFLICT, "group_name", "there is a group of this name");
    }
    if (error != PH_OK && error != PH_NOT_FOUND) {
        return error;
    }
    struct db_statement *update =
        db_prepare(txn->store->db, "UPDATE magpie_group SET name = $2, description = $3,"
                                   " discoverable = $4, terms = $5 WHERE id = $1");
    db_bind_int64(update, 1, group->id);
    db_bind_text(update, 2, group->name);
    db_bind_text(update, 3, group->description);
    db_bind_int64(update, 4, group->is_discoverable);
    db_bind_text(update, 5, group->terms);
    return db_exec(update, diag);
}

static enum ph_error delete_group(struct writer_txn *txn, int64_t id, struct diag *diag)
{
    static const char *const statements[] = {
        "DELETE FROM magpie_group_permission WHERE group_id = $1",
        "DELETE FROM magpie_membership WHERE group_id = $1",
        "DELETE FROM magpie_group WHERE id = $1",
    };
    enum ph_error error = PH_OK;
    for (size_t index = 0; error == PH_OK && index < PH_ARRAY_LENGTH(statements); index++) {
        struct db_statement *statement = db_prepare(txn->store->db, statements[index]);
        db_bind_int64(statement, 1, id);
        error = db_exec(statement, diag);
    }
    return error;
}

static bool is_reserved(int64_t group_id)
{
    return group_id == MAGPIE_GROUP_ANONYMOUS_ID || group_id == MAGPIE_GROUP_ADMINISTRATORS_ID;
}

/* --- list and get ----------------------------------------------------------------------------- */

/* Writes the first column of every row into an array. */
static enum ph_error write_names(struct db_statement *select, struct json_out *out, const char *key,
                                 struct diag *diag)
{
    bool has_row;
    enum ph_error error;
    json_out_key(out, key);
    json_out_begin_array(out);
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        json_out_string(out, db_text(select, 0));
        if (out->buf->failed) { /* it is refused as a whole */
            db_done(select);
            break;
        }
    }
    json_out_end_array(out);
    return error;
}

static enum ph_error write_members(struct store *store, int64_t group_id, struct json_out *out,
                                   struct diag *diag)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT name FROM magpie_membership JOIN magpie_user"
                              " ON magpie_user.id = magpie_membership.user_id WHERE group_id = $1"
                              " ORDER BY name");
    db_bind_int64(select, 1, group_id);
    return write_names(select, out, "user_names", diag);
}

static enum ph_error count_members(struct store *store, int64_t group_id, struct diag *diag,
                                   int64_t *ret_count)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT count(*) FROM magpie_membership WHERE group_id = $1");
    db_bind_int64(select, 1, group_id);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error == PH_OK && has_row) {
        *ret_count = db_int64(select, 0);
        db_done(select);
    }
    return error;
}

enum ph_error magpie_group_list(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct api_answer answer;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error != PH_OK) {
        return error;
    }
    magpie_answer_init(&answer, "Get groups successful.");
    error = write_names(db_prepare(store->db, "SELECT name FROM magpie_group ORDER BY name"),
                        &answer.out, "group_names", diag);
    return magpie_answer_send(call, &answer, error, diag);
}

static enum ph_error read_path_group(struct api_call *call, struct diag *diag,
                                     struct store **ret_store, struct magpie_group *ret_group)
{
    enum ph_error error = api_begin_read(call, diag, ret_store);
    return error != PH_OK ? error
                          : magpie_group_find(*ret_store, http_param(call->request, "group_name"),
                                              call->arena, diag, ret_group);
}

enum ph_error magpie_group_get(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct magpie_group group = {.id = 0};
    struct api_answer answer;
    int64_t count = 0;
    enum ph_error error = read_path_group(call, diag, &store, &group);
    if (error == PH_OK) {
        error = count_members(store, group.id, diag, &count);
    }
    if (error != PH_OK) {
        return error;
    }
    magpie_answer_init(&answer, "Get group successful.");
    json_out_key(&answer.out, "group");
    json_out_begin_object(&answer.out);
    json_out_member_string(&answer.out, "group_name", group.name);
    json_out_member_int(&answer.out, "group_id", group.id);
    json_out_member_string(&answer.out, "description", group.description);
    json_out_member_bool(&answer.out, "discoverable", group.is_discoverable);
    json_out_member_string(&answer.out, "terms", group.terms);
    json_out_member_int(&answer.out, "member_count", count);
    error = write_members(store, group.id, &answer.out, diag);
    json_out_end_object(&answer.out);
    return magpie_answer_send(call, &answer, error, diag);
}

enum ph_error magpie_group_users_list(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct magpie_group group = {.id = 0};
    struct api_answer answer;
    enum ph_error error = read_path_group(call, diag, &store, &group);
    if (error != PH_OK) {
        return error;
    }
    magpie_answer_init(&answer, "Get group users successful.");
    error = write_members(store, group.id, &answer.out, diag);
    return magpie_answer_send(call, &answer, error, diag);
}

/* --- create and delete ------------------------------------------------------------------------ */

struct group_job {
    struct api_job job;
    struct magpie_group group; /* of an update: SLICE_NONE = not given */
    bool has_discoverable;
};

static enum ph_error run_create(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct magpie_group *group = &PH_CONTAINER_OF(job, struct group_job, job)->group;
    struct json_out *out = &job->answer.out;
    int64_t id = 0;
    enum ph_error error = insert_group(txn, group, diag, &id);
    if (error == PH_OK) {
        job->status = 201;
        magpie_answer_begin(out, 201, "Create group successful.");
        json_out_key(out, "group");
        json_out_begin_object(out);
        json_out_member_string(out, "group_name", group->name);
        json_out_member_int(out, "group_id", id);
        json_out_end_object(out);
        magpie_answer_end(out);
    }
    return error;
}

/* A text that may be left out. */
static struct slice read_text(struct magpie_body *body, const char *name)
{
    struct slice text;
    (void)magpie_body_text(body, name, &text);
    if (text.len > MAGPIE_TEXT_MAX) {
        magpie_body_refuse(body, PH_INVALID, name, "%s is longer than %d bytes", name,
                           MAGPIE_TEXT_MAX);
    }
    return text;
}

static void check_name(struct magpie_body *body, struct slice name)
{
    if (!magpie_is_group_name(name) || slice_equal_text(name, MAGPIE_CURRENT)) {
        magpie_body_refuse(
            body, PH_BAD_REQUEST, "group_name",
            "a group name has letters and digits, with single spaces, _ - . between");
    }
}

static struct slice or_empty(struct slice text)
{
    return text.ptr == NULL ? SLICE_LITERAL("") : text;
}

enum ph_error magpie_group_create(struct api_call *call, struct diag *diag)
{
    struct magpie_body body;
    struct group_job *group = api_job_new(call, sizeof *group, diag);
    if (group == NULL) {
        return PH_NO_MEMORY;
    }
    magpie_body_of(call, PH_INVALID, diag, &body);
    group->group.name = magpie_body_required(&body, "group_name");
    group->group.description = or_empty(read_text(&body, "description"));
    group->group.terms = or_empty(read_text(&body, "terms"));
    (void)magpie_body_bool(&body, "discoverable", &group->group.is_discoverable);
    check_name(&body, group->group.name);
    enum ph_error error = magpie_body_end(&body);
    return error != PH_OK ? error : api_submit(call, &group->job, run_create, diag);
}

/* Puts what is given in place; false when nothing differs. */
static bool merge(const struct group_job *given, struct magpie_group *group)
{
    const struct magpie_group former = *group;
    group->name = given->group.name.ptr != NULL ? given->group.name : group->name;
    group->description =
        given->group.description.ptr != NULL ? given->group.description : group->description;
    group->terms = given->group.terms.ptr != NULL ? given->group.terms : group->terms;
    group->is_discoverable =
        given->has_discoverable ? given->group.is_discoverable : group->is_discoverable;
    return !slice_equal(group->name, former.name) ||
           !slice_equal(group->description, former.description) ||
           !slice_equal(group->terms, former.terms) ||
           group->is_discoverable != former.is_discoverable;
}

static enum ph_error run_patch(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct group_job *given = PH_CONTAINER_OF(job, struct group_job, job);
    struct magpie_group group = {.id = 0};
    struct slice name = http_param(job->call->request, "group_name");
    enum ph_error error = magpie_group_find(txn->store, name, job->call->arena, diag, &group);
    if (error == PH_OK && !merge(given, &group)) {
        error = diag_set(diag, PH_BAD_REQUEST, NULL, "there is nothing to change");
    }
    if (error == PH_OK && is_reserved(group.id) && !slice_equal(group.name, name)) {
        error = diag_set(diag, PH_FORBIDDEN, "group_name", "this group cannot have another name");
    }
    if (error == PH_OK) {
        error = update_group(txn, &group, diag);
    }
    if (error == PH_OK) {
        magpie_answer_job(job, 200, "Update group successful.");
    }
    return error;
}

enum ph_error magpie_group_patch(struct api_call *call, struct diag *diag)
{
    struct magpie_body body;
    struct group_job *group = api_job_new(call, sizeof *group, diag);
    if (group == NULL) {
        return PH_NO_MEMORY;
    }
    magpie_body_of(call, PH_INVALID, diag, &body);
    (void)magpie_body_text(&body, "group_name", &group->group.name);
    group->group.description = read_text(&body, "description");
    group->group.terms = read_text(&body, "terms");
    group->has_discoverable =
        magpie_body_bool(&body, "discoverable", &group->group.is_discoverable) == MAGPIE_GIVEN;
    if (group->group.name.ptr != NULL) {
        check_name(&body, group->group.name);
    }
    enum ph_error error = magpie_body_end(&body);
    return error != PH_OK ? error : api_submit(call, &group->job, run_patch, diag);
}

static enum ph_error run_remove(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct magpie_group group = {.id = 0};
    enum ph_error error = magpie_group_find(
        txn->store, http_param(job->call->request, "group_name"), job->call->arena, diag, &group);
    if (error == PH_OK && is_reserved(group.id)) {
        error = diag_set(diag, PH_FORBIDDEN, "group_name", "this group cannot be deleted");
    }
    if (error == PH_OK) {
        error = delete_group(txn, group.id, diag);
    }
    if (error == PH_OK) {
        magpie_answer_job(job, 200, "Delete group successful.");
    }
    return error;
}

enum ph_error magpie_group_remove(struct api_call *call, struct diag *diag)
{
    struct api_job *job = api_job_new(call, sizeof *job, diag);
    return job == NULL ? PH_NO_MEMORY : api_submit(call, job, run_remove, diag);
}

/* --- who is in them --------------------------------------------------------------------------- */

static void write_name(void *context, struct slice name)
{
    json_out_string(context, name);
}

enum ph_error magpie_user_groups_list(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct magpie_user user = {.id = 0};
    struct api_answer answer;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = magpie_path_user(call, store, diag, &user);
    }
    if (error != PH_OK) {
        return error;
    }
    magpie_answer_init(&answer, "Get user groups successful.");
    json_out_key(&answer.out, "group_names");
    json_out_begin_array(&answer.out);
    error = magpie_user_walk_groups(store, user.id, write_name, &answer.out, diag);
    json_out_end_array(&answer.out);
    return magpie_answer_send(call, &answer, error, diag);
}

/* The user of the path and a group; the anonymous user stays in its own. */
static enum ph_error find_both(struct api_job *job, struct writer_txn *txn, struct slice group_name,
                               struct diag *diag, struct magpie_user *ret_user,
                               struct magpie_group *ret_group)
{
    enum ph_error error = magpie_path_user(job->call, txn->store, diag, ret_user);
    if (error == PH_OK) {
        error = magpie_group_find(txn->store, group_name, job->call->arena, diag, ret_group);
    }
    if (error == PH_OK && ret_user->id == MAGPIE_USER_ANONYMOUS_ID) {
        error = diag_set(diag, PH_FORBIDDEN, "user_name", "the anonymous user cannot be changed");
    }
    return error;
}

static enum ph_error run_add(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct slice group_name = PH_CONTAINER_OF(job, struct group_job, job)->group.name;
    struct json_out *out = &job->answer.out;
    struct magpie_user user = {.id = 0};
    struct magpie_group group = {.id = 0};
    bool is_new = true;
    enum ph_error error = find_both(job, txn, group_name, diag, &user, &group);
    if (error == PH_OK) {
        error = magpie_membership_insert(txn, user.id, group.id, diag, &is_new);
    }
    if (error == PH_OK && !is_new) {
        error = diag_set(diag, PH_CONFLICT, "group_name", "the user is in this group already");
    }
    if (error == PH_OK) {
        job->status = 201;
        magpie_answer_begin(out, 201, "Create user-group assignment successful.");
        json_out_member_string(out, "user_name", user.name);
        json_out_member_string(out, "group_name", group.name);
        magpie_answer_end(out);
    }
    return error;
}

enum ph_error magpie_user_groups_add(struct api_call *call, struct diag *diag)
{
    struct magpie_body body;
    struct group_job *group = api_job_new(call, sizeof *group, diag);
    if (group == NULL) {
        return PH_NO_MEMORY;
    }
    magpie_body_of(call, PH_INVALID, diag, &body);
    group->group.name = magpie_body_required(&body, "group_name");
    enum ph_error error = magpie_body_end(&body);
    return error != PH_OK ? error : api_submit(call, &group->job, run_add, diag);
}

static enum ph_error run_leave(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct slice group_name = http_param(job->call->request, "group_name");
    struct magpie_user user = {.id = 0};
    struct magpie_group group = {.id = 0};
    enum ph_error error = find_both(job, txn, group_name, diag, &user, &group);
    if (error == PH_OK && group.id == MAGPIE_GROUP_ANONYMOUS_ID) {
        error = diag_set(diag, PH_FORBIDDEN, "group_name", "everybody is in this group");
    }
    if (error == PH_OK && group.id == MAGPIE_GROUP_ADMINISTRATORS_ID) {
        error = magpie_check_not_last(txn, &user, "user_name", diag);
    }
    if (error == PH_OK) {
        error = magpie_membership_delete(txn, user.id, group.id, diag);
    }
    if (error == PH_OK) {
        magpie_answer_job(job, 200, "Delete user-group assignment successful.");
    }
    return error;
}

enum ph_error magpie_user_groups_remove(struct api_call *call, struct diag *diag)
{
    struct api_job *job = api_job_new(call, sizeof *job, diag);
    return job == NULL ? PH_NO_MEMORY : api_submit(call, job, run_leave, diag);
}
