/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PATCH /permissions: a path of resources, with permissions to give or take along it, in one
 * transaction (magpie spec section 8). Each entry stands below the one before.
 */
#include "surfaces/magpie/grant.h"
#include "surfaces/magpie/resource_int.h"

#define ENTRIES_MAX (MAGPIE_DEPTH_MAX + 1)
#define FIELD_MAX 64
#define MEMBER_MAX 32

struct entry {
    struct slice name;
    struct slice type;
    bool has_permission;
    struct magpie_permission permission;
    struct slice user; /* SLICE_NONE = none */
    struct slice group;
    bool is_removal;
};

struct batch_job {
    struct api_job job;
    struct entry entries[ENTRIES_MAX];
    size_t count;
    size_t made_count; /* so many are made when they are missing: up to the last that gives */
};

/* --- what is asked for ------------------------------------------------------------------------ */

static enum ph_error refuse(struct diag *diag, size_t index, const char *name, const char *words)
{
    char field[FIELD_MAX];
    (void)snprintf(field, sizeof field, "permissions[%zu].%s", index, name);
    return diag_set(diag, PH_BAD_REQUEST, field, "%s", words);
}

static enum ph_error check_entry(const struct entry *entry, size_t index, struct diag *diag)
{
    bool is_service = slice_equal_text(entry->type, MAGPIE_TYPE_SERVICE);
    bool has_holder = entry->user.ptr != NULL || entry->group.ptr != NULL;
    if (is_service != (index == 0)) {
        return refuse(diag, index, "resource_type",
                      index == 0 ? "the first resource is to be a service"
                                 : "only the first resource is a service");
    }
    if (!magpie_is_resource_type(entry->type)) {
        return refuse(diag, index, "resource_type", "there is no such type of resources");
    }
    if (!magpie_is_resource_name(entry->name)) {
        return refuse(diag, index, "resource_name",
                      "a name has letters and digits, with single spaces, _ - . : between");
    }
    if (entry->has_permission && !has_holder) {
        return refuse(diag, index, "user", "a permission needs a user or a group");
    }
    if (slice_equal_text(entry->user, MAGPIE_ANONYMOUS) ||
        slice_equal_text(entry->user, MAGPIE_ADMINISTRATOR) ||
        slice_equal_text(entry->user, MAGPIE_CURRENT)) {
        (void)refuse(diag, index, "user", "the permissions of this user are not changed so");
        return diag->error = PH_FORBIDDEN;
    }
    return PH_OK;
}

static enum ph_error read_action(struct magpie_body *object, size_t index, struct diag *diag,
                                 bool *ret_is_removal)
{
    struct slice action;
    if (magpie_body_text(object, "action", &action) != MAGPIE_GIVEN) {
        return PH_OK;
    }
    *ret_is_removal = slice_equal_text(action, "remove");
    return *ret_is_removal || slice_equal_text(action, "create")
               ? PH_OK
               : refuse(diag, index, "action", "the action is create or remove");
}

/* A text; an empty one is none. */
static struct slice read_name(struct magpie_body *object, const char *name)
{
    struct slice text;
    return magpie_body_text(object, name, &text) == MAGPIE_GIVEN && text.len > 0 ? text
                                                                                 : SLICE_NONE;
}

/* Reads what stands alone; errors name members without their place. */
static enum ph_error read_members(struct magpie_body *object, struct diag *diag,
                                  struct entry *entry)
{
    enum scan_type type;
    struct slice permission;
    enum ph_error error = PH_OK;
    entry->name = magpie_body_required(object, "resource_name");
    entry->type = magpie_body_required(object, "resource_type");
    entry->user = read_name(object, "user");
    entry->group = read_name(object, "group");
    if (magpie_body_value(object, "permission", &type, &permission) == MAGPIE_GIVEN) {
        entry->has_permission = true;
        error = magpie_permission_read(type, permission, "permission", object->arena, diag,
                                       &entry->permission);
    }
    return object->error != PH_OK ? object->error : error;
}

static enum ph_error read_entry(struct api_call *call, struct slice json, enum scan_type type,
                                size_t index, struct diag *diag, struct entry *entry)
{
    struct magpie_body object;
    char member[MEMBER_MAX];
    if (type != SCAN_OBJECT) {
        return diag_set(diag, PH_BAD_REQUEST, "permissions", "entry %zu is no object", index);
    }
    magpie_body_open_object(&object, json, call->arena, diag);
    object.type_error = PH_BAD_REQUEST;
    enum ph_error error = read_members(&object, diag, entry);
    if (error != PH_OK) {
        (void)snprintf(member, sizeof member, "%.*s", MEMBER_MAX - 1, diag->field);
        (void)snprintf(diag->field, sizeof diag->field, "permissions[%zu].%s", index, member);
        return error;
    }
    error = read_action(&object, index, diag, &entry->is_removal);
    return error == PH_OK ? check_entry(entry, index, diag) : error;
}

static enum ph_error read_entries(struct api_call *call, struct slice json, struct diag *diag,
                                  struct batch_job *batch)
{
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    unsigned permissions = 0;
    scan_cursor_init(&cursor, json);
    while (scan_next_element(&cursor, &type, &value)) {
        struct entry *entry = &batch->entries[batch->count];
        if (batch->count == ENTRIES_MAX) {
            return diag_set(diag, PH_BAD_REQUEST, "permissions", "resources are at most %d deep",
                            MAGPIE_DEPTH_MAX);
        }
        enum ph_error error = read_entry(call, value, type, batch->count, diag, entry);
        if (error != PH_OK) {
            return error;
        }
        batch->count++;
        permissions += entry->has_permission;
        batch->made_count = entry->is_removal ? batch->made_count : batch->count;
    }
    batch->job.job.messages = 4 * permissions;
    return permissions > 0
               ? PH_OK
               : diag_set(diag, PH_BAD_REQUEST, "permissions", "there is no permission in it");
}

/* --- what is done ----------------------------------------------------------------------------- */

/* The resource of an entry below `parent` (NULL at the first); *ret_has is false when it is missing
 * and nothing wants it. */
static enum ph_error step(struct batch_job *batch, struct writer_txn *txn, size_t index,
                          const struct magpie_resource *parent, struct diag *diag,
                          struct magpie_resource *ret_resource, bool *ret_has)
{
    const struct entry *entry = &batch->entries[index];
    struct arena *arena = batch->job.call->arena;
    *ret_has = true;
    if (parent == NULL) {
        struct magpie_service service;
        enum ph_error error = magpie_service_find(txn->store, entry->name, arena, diag, &service);
        if (error == PH_OK) {
            *ret_resource = service.resource;
        }
        return error == PH_NOT_FOUND
                   ? refuse(diag, index, "resource_name", "there is no such service")
                   : error;
    }
    enum ph_error error =
        magpie_resource_find_child(txn->store, parent->id, entry->name, arena, diag, ret_resource);
    if (error == PH_OK && !slice_equal(ret_resource->type, entry->type)) {
        return refuse(diag, index, "resource_type", "the resource is of another type");
    }
    if (error != PH_NOT_FOUND) {
        return error;
    }
    *ret_has = index < batch->made_count;
    if (!*ret_has) {
        return PH_OK;
    }
    if (!magpie_may_nest(parent->service_type, parent->type, entry->type)) {
        return refuse(diag, index, "resource_type", "a resource of this type may not stand there");
    }
    *ret_resource = (struct magpie_resource){
        .name = entry->name, .display_name = SLICE_LITERAL(""), .type = entry->type};
    return magpie_resource_insert(txn, parent, ret_resource, diag);
}

static enum ph_error change(struct batch_job *batch, struct writer_txn *txn,
                            const struct entry *entry, const struct magpie_holder *holder,
                            const struct magpie_resource *resource, struct diag *diag)
{
    struct magpie *magpie = surface_state(batch->job.call);
    enum magpie_grant_end end;
    bool had;
    return entry->is_removal
               ? magpie_grant_remove(magpie, txn, holder, resource, entry->permission.name, diag,
                                     &had)
               : magpie_grant_set(magpie, txn, holder, resource, &entry->permission, diag, &end);
}

/* The group first, then the user. */
static enum ph_error apply(struct batch_job *batch, struct writer_txn *txn, size_t index,
                           const struct magpie_resource *resource, struct diag *diag)
{
    const struct entry *entry = &batch->entries[index];
    struct arena *arena = batch->job.call->arena;
    enum ph_error error = PH_OK;
    if (entry->has_permission && entry->group.ptr != NULL) {
        struct magpie_group group;
        error = magpie_group_find(txn->store, entry->group, arena, diag, &group);
        if (error == PH_NOT_FOUND) {
            return refuse(diag, index, "group", "there is no such group");
        }
        const struct magpie_holder holder = {.group = &group};
        error = error == PH_OK ? change(batch, txn, entry, &holder, resource, diag) : error;
    }
    if (error == PH_OK && entry->has_permission && entry->user.ptr != NULL) {
        struct magpie_user user;
        error = magpie_user_find(txn->store, entry->user, arena, diag, &user);
        if (error == PH_NOT_FOUND) {
            return refuse(diag, index, "user", "there is no such user");
        }
        const struct magpie_holder holder = {.user = &user};
        error = error == PH_OK ? change(batch, txn, entry, &holder, resource, diag) : error;
    }
    return error;
}

static enum ph_error run_patch(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct batch_job *batch = PH_CONTAINER_OF(job, struct batch_job, job);
    struct magpie_resource parent = {.id = 0};
    enum ph_error error = PH_OK;
    bool has_resource = true;
    for (size_t index = 0; error == PH_OK && index < batch->count; index++) {
        struct magpie_resource resource;
        if (has_resource) {
            error = step(batch, txn, index, index == 0 ? NULL : &parent, diag, &resource,
                         &has_resource);
        }
        if (error == PH_OK && has_resource) {
            error = apply(batch, txn, index, &resource, diag);
            parent = resource;
        }
    }
    if (error == PH_OK) {
        magpie_answer_job(job, 200, "Permissions update successful.");
    }
    return error;
}

enum ph_error magpie_batch_patch(struct api_call *call, struct diag *diag)
{
    struct magpie_body body;
    enum scan_type type = SCAN_NULL;
    struct slice json;
    struct batch_job *batch = api_job_new(call, sizeof *batch, diag);
    if (batch == NULL) {
        return PH_NO_MEMORY;
    }
    magpie_body_of(call, PH_BAD_REQUEST, diag, &body);
    (void)magpie_body_value(&body, "permissions", &type, &json);
    if (type != SCAN_ARRAY) {
        magpie_body_refuse(&body, PH_BAD_REQUEST, "permissions",
                           "a list of permissions is missing");
    }
    enum ph_error error = magpie_body_end(&body);
    if (error == PH_OK) {
        error = read_entries(call, json, diag, batch);
    }
    return error != PH_OK ? error : api_submit(call, &batch->job, run_patch, diag);
}
