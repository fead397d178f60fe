/* SPDX-License-Identifier: Apache-2.0 */
/* The operations on resources (magpie spec section 8). */
#include "surfaces/magpie/resource_int.h"

#define DETAIL_MAX 128

/* --- what paths name -------------------------------------------------------------------------- */

bool magpie_path_has(const struct api_call *call, const char *parameter)
{
    return strstr(http_route_of(call->request)->pattern, parameter) != NULL;
}

enum ph_error magpie_path_resource_id(struct api_call *call, struct diag *diag, int64_t *ret_id)
{
    struct slice text = http_param(call->request, "resource_id");
    bool is_digits = text.len > 0 && text.ptr[0] >= '0' && text.ptr[0] <= '9';
    return is_digits && slice_to_int64(text, ret_id)
               ? PH_OK
               : diag_set(diag, PH_INVALID, "resource_id", "the id of a resource is a number");
}

enum ph_error magpie_path_resource(struct api_call *call, struct store *store, struct diag *diag,
                                   struct magpie_resource *ret_resource)
{
    int64_t id = 0;
    if (magpie_path_has(call, "{service_name}")) {
        struct magpie_service service;
        enum ph_error error = magpie_service_find(store, http_param(call->request, "service_name"),
                                                  call->arena, diag, &service);
        if (error == PH_OK) {
            *ret_resource = service.resource;
        }
        return error;
    }
    enum ph_error error = magpie_path_resource_id(call, diag, &id);
    return error != PH_OK ? error
                          : magpie_resource_find(store, id, call->arena, diag, ret_resource);
}

/* --- answers ---------------------------------------------------------------------------------- */

void magpie_resource_write_facts(struct json_out *out, const struct magpie_resource *resource)
{
    json_out_member_string(out, "resource_name", resource->name);
    json_out_member_string(out, "resource_display_name",
                           resource->display_name.len > 0 ? resource->display_name
                                                          : resource->name);
    json_out_member_string(out, "resource_type", resource->type);
    json_out_member_int(out, "resource_id", resource->id);
}

void magpie_permission_write_name(struct json_out *out, const struct magpie_permission *permission)
{
    BUF_AUTO struct buf text;
    buf_init(&text, MAGPIE_PERMISSION_TEXT_MAX);
    magpie_permission_append(permission, &text);
    json_out_string(out, buf_slice(&text));
}

void magpie_permission_write(struct json_out *out, const struct magpie_permission *permission,
                             const char *type)
{
    json_out_begin_object(out);
    json_out_member_text(out, "name", permission->name);
    json_out_member_text(out, "access", magpie_access_name(permission->access));
    json_out_member_text(out, "scope", magpie_scope_name(permission->scope));
    json_out_member_text(out, "type", type);
    json_out_end_object(out);
}

/* Every name with all modifiers, for `each` of the two lists. */
static void write_allowed(struct json_out *out, const struct magpie_resource *resource,
                          bool is_names)
{
    json_out_begin_array(out);
    for (size_t index = 0; index < MAGPIE_PERMISSION_COUNT; index++) {
        const char *name = magpie_permission_at(index);
        if (!magpie_may_permit(resource->service_type, resource->type, name)) {
            continue;
        }
        for (unsigned form = 0; form < 4; form++) {
            const struct magpie_permission permission = {
                name, form < 2 ? MAGPIE_ALLOW : MAGPIE_DENY,
                form % 2 == 0 ? MAGPIE_RECURSIVE : MAGPIE_MATCH};
            if (is_names) {
                magpie_permission_write_name(out, &permission);
            } else {
                magpie_permission_write(out, &permission, "allowed");
            }
        }
    }
    json_out_end_array(out);
}

void magpie_resource_write_allowed(struct json_out *out, const struct magpie_resource *resource)
{
    json_out_key(out, "permission_names");
    write_allowed(out, resource, true);
}

enum ph_error magpie_resource_answer_allowed(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct magpie_resource resource;
    struct api_answer answer;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = magpie_path_resource(call, store, diag, &resource);
    }
    if (error != PH_OK) {
        return error;
    }
    magpie_answer_init(&answer, "Get allowed permissions successful.");
    magpie_resource_write_allowed(&answer.out, &resource);
    json_out_key(&answer.out, "permissions");
    write_allowed(&answer.out, &resource, false);
    return magpie_answer_send(call, &answer, PH_OK, diag);
}

enum ph_error magpie_resource_permissions_list(struct api_call *call, struct diag *diag)
{
    return magpie_resource_answer_allowed(call, diag);
}

/* --- trees ------------------------------------------------------------------------------------ */

/* The rows of one parent are found by a pass over those behind it; recursion is at most
 * MAGPIE_DEPTH_MAX deep, as trees are. */
struct tree {
    const struct magpie_resource *rows;
    size_t *first; /* per row, the index of its first child, count = none */
    size_t *next;  /* … of its next sibling */
    size_t count;
};

static void write_siblings(struct json_out *out, const struct tree *tree, size_t index)
{
    json_out_begin_object(out);
    for (; index < tree->count; index = tree->next[index]) {
        const struct magpie_resource *row = &tree->rows[index];
        char key[24];
        (void)snprintf(key, sizeof key, "%lld", (long long)row->id);
        json_out_key(out, key);
        json_out_begin_object(out);
        magpie_resource_write_facts(out, row);
        json_out_member_int(out, "parent_id", row->parent_id);
        json_out_member_int(out, "root_service_id", row->service_id);
        json_out_key(out, "children");
        write_siblings(out, tree, tree->first[index]);
        json_out_end_object(out);
    }
    json_out_end_object(out);
}

/* Ids ascend. */
static size_t index_of(const struct magpie_resource *rows, size_t count, int64_t id)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rows[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < count && rows[low].id == id ? low : count;
}

void magpie_resource_write_children(struct json_out *out, const char *key,
                                    const struct magpie_resource *rows, size_t count, int64_t id)
{
    size_t *links = ph_calloc(2 * count + 1, sizeof links[0]);
    struct tree tree = {rows, links, links + count, count};
    size_t top = count;
    for (size_t index = 0; index < count; index++) {
        tree.first[index] = count;
    }
    /* From behind, so that the first child is the oldest. */
    for (size_t index = count; index-- > 0;) {
        size_t parent = index_of(rows, count, rows[index].parent_id);
        size_t *head = rows[index].parent_id == id ? &top : NULL;
        head = head == NULL && parent < count ? &tree.first[parent] : head;
        if (head != NULL) {
            tree.next[index] = *head;
            *head = index;
        }
    }
    json_out_key(out, key);
    write_siblings(out, &tree, top);
    free(links);
}

enum ph_error magpie_resource_get(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct magpie_resource resource;
    struct magpie_resource *rows = NULL;
    struct api_answer answer;
    size_t count = 0;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = magpie_path_resource(call, store, diag, &resource);
    }
    if (error == PH_OK) {
        error = magpie_resource_tree(store, &resource, &arena, diag, &rows, &count);
    }
    if (error != PH_OK) {
        return error;
    }
    magpie_answer_init(&answer, "Get resource successful.");
    json_out_key(&answer.out, "resource");
    json_out_begin_object(&answer.out);
    magpie_resource_write_facts(&answer.out, &resource);
    json_out_key(&answer.out, "parent_id");
    if (resource.parent_id == 0) {
        json_out_null(&answer.out);
    } else {
        json_out_int(&answer.out, resource.parent_id);
    }
    json_out_member_int(&answer.out, "root_service_id", resource.service_id);
    magpie_resource_write_allowed(&answer.out, &resource);
    magpie_resource_write_children(&answer.out, "children", rows, count, resource.id);
    json_out_end_object(&answer.out);
    return magpie_answer_send(call, &answer, PH_OK, diag);
}

/* --- create ----------------------------------------------------------------------------------- */

struct resource_job {
    struct api_job job;
    struct magpie_resource resource; /* name, display name, type; parent 0 = the path's service */
};

static enum ph_error find_parent(struct resource_job *given, struct writer_txn *txn,
                                 struct diag *diag, struct magpie_resource *ret_parent)
{
    struct api_call *call = given->job.call;
    struct magpie_resource service = {.id = 0};
    bool has_service = magpie_path_has(call, "{service_name}");
    enum ph_error error =
        has_service ? magpie_path_resource(call, txn->store, diag, &service) : PH_OK;
    if (error != PH_OK) {
        return error;
    }
    if (given->resource.parent_id == 0) {
        *ret_parent = service;
        return PH_OK;
    }
    error =
        magpie_resource_find(txn->store, given->resource.parent_id, call->arena, diag, ret_parent);
    if (error == PH_OK && has_service && ret_parent->service_id != service.id) {
        error = PH_NOT_FOUND;
    }
    return magpie_missing(error, "parent_id", "there is no such parent", diag);
}

static enum ph_error run_create(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct resource_job *given = PH_CONTAINER_OF(job, struct resource_job, job);
    struct magpie_resource resource = given->resource;
    struct magpie_resource parent;
    enum ph_error error = find_parent(given, txn, diag, &parent);
    if (error == PH_OK) {
        error = magpie_resource_insert(txn, &parent, &resource, diag);
    }
    if (error == PH_OK) {
        job->status = 201;
        magpie_answer_begin(&job->answer.out, 201, "Create resource successful.");
        json_out_key(&job->answer.out, "resource");
        json_out_begin_object(&job->answer.out);
        magpie_resource_write_facts(&job->answer.out, &resource);
        json_out_end_object(&job->answer.out);
        magpie_answer_end(&job->answer.out);
    }
    return error;
}

static void check_names(struct magpie_body *body, const struct magpie_resource *row)
{
    if (row->name.ptr != NULL && !magpie_is_resource_name(row->name)) {
        magpie_body_refuse(body, PH_INVALID, "resource_name",
                           "a name has letters and digits, with single spaces, _ - . : between");
    }
    if (!magpie_is_text(row->display_name) || row->display_name.len > MAGPIE_NAME_MAX) {
        magpie_body_refuse(body, PH_INVALID, "resource_display_name",
                           "a display name is one line of at most %d bytes", MAGPIE_NAME_MAX);
    }
}

enum ph_error magpie_resource_submit(struct api_call *call, bool is_below_service,
                                     struct diag *diag)
{
    struct magpie_body body;
    struct resource_job *resource = api_job_new(call, sizeof *resource, diag);
    if (resource == NULL) {
        return PH_NO_MEMORY;
    }
    struct magpie_resource *row = &resource->resource;
    magpie_body_of(call, PH_INVALID, diag, &body);
    row->name = magpie_body_required(&body, "resource_name");
    row->type = magpie_body_required(&body, "resource_type");
    enum magpie_given given = magpie_body_number(&body, "parent_id", &row->parent_id);
    if (magpie_body_text(&body, "resource_display_name", &row->display_name) != MAGPIE_GIVEN) {
        row->display_name = SLICE_LITERAL("");
    }
    if (row->parent_id == 0 && (given == MAGPIE_GIVEN || !is_below_service)) {
        magpie_body_refuse(&body, PH_INVALID, "parent_id", "parent_id is the id of a resource");
    }
    check_names(&body, row);
    enum ph_error error = magpie_body_end(&body);
    return error != PH_OK ? error : api_submit(call, &resource->job, run_create, diag);
}

enum ph_error magpie_resource_create(struct api_call *call, struct diag *diag)
{
    return magpie_resource_submit(call, false, diag);
}

/* --- update ----------------------------------------------------------------------------------- */

/* A service is changed as a service. */
static enum ph_error run_patch(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct magpie_resource *given = &PH_CONTAINER_OF(job, struct resource_job, job)->resource;
    struct magpie_resource resource;
    enum ph_error error = magpie_path_resource(job->call, txn->store, diag, &resource);
    if (error == PH_OK && resource.parent_id == 0) {
        error = diag_set(diag, PH_FORBIDDEN, "resource_id", "it is a service: use /services");
    }
    if (error != PH_OK) {
        return error;
    }
    bool has_name = given->name.ptr != NULL && !slice_equal(given->name, resource.name);
    bool has_display_name =
        given->display_name.ptr != NULL && !slice_equal(given->display_name, resource.display_name);
    resource.name = has_name ? given->name : resource.name;
    resource.display_name = has_display_name ? given->display_name : resource.display_name;
    if (!has_name && !has_display_name) {
        return diag_set(diag, PH_BAD_REQUEST, NULL, "there is nothing to change");
    }
    error = magpie_resource_update(txn, &resource, diag);
    if (error == PH_OK) {
        magpie_answer_job(job, 200, "Update resource successful.");
    }
    return error;
}

enum ph_error magpie_resource_patch(struct api_call *call, struct diag *diag)
{
    struct magpie_body body;
    int64_t id;
    struct resource_job *resource = api_job_new(call, sizeof *resource, diag);
    if (resource == NULL) {
        return PH_NO_MEMORY;
    }
    enum ph_error error = magpie_path_resource_id(call, diag, &id);
    if (error != PH_OK) {
        return error;
    }
    magpie_body_of(call, PH_INVALID, diag, &body);
    (void)magpie_body_text(&body, "resource_name", &resource->resource.name);
    (void)magpie_body_text(&body, "resource_display_name", &resource->resource.display_name);
    check_names(&body, &resource->resource);
    error = magpie_body_end(&body);
    return error != PH_OK ? error : api_submit(call, &resource->job, run_patch, diag);
}

/* --- delete ----------------------------------------------------------------------------------- */

static enum ph_error run_remove(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct magpie_resource resource;
    enum ph_error error = magpie_path_resource(job->call, txn->store, diag, &resource);
    if (error == PH_OK) {
        error = magpie_resource_delete(txn, &resource, diag);
    }
    if (error == PH_OK) {
        magpie_answer_job(job, 200,
                          resource.parent_id == 0 ? "Delete service successful."
                                                  : "Delete resource successful.");
    }
    return error;
}

enum ph_error magpie_resource_remove(struct api_call *call, struct diag *diag)
{
    int64_t id = 0;
    struct api_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    enum ph_error error =
        magpie_path_has(call, "{resource_id}") ? magpie_path_resource_id(call, diag, &id) : PH_OK;
    return error != PH_OK ? error : api_submit(call, job, run_remove, diag);
}
