/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/magpie/resource.h"

#include "surfaces/magpie/magpie_int.h"
#include "surfaces/magpie/permission.h"

#define COLUMNS                                                                                    \
    "magpie_resource.id, parent_id, service_id, name, display_name, magpie_resource.type,"         \
    " magpie_service.type, sync_type, url, configuration"
/* COALESCE: a service is its own root. */
#define SELECT_RESOURCE                                                                            \
    "SELECT " COLUMNS " FROM magpie_resource JOIN magpie_service"                                  \
    " ON magpie_service.resource_id = COALESCE(service_id, magpie_resource.id)"

static enum ph_error no_memory(struct diag *diag)
{
    return diag_set(diag, PH_NO_MEMORY, NULL, "the request needs more memory than its limit");
}

/* --- reading ---------------------------------------------------------------------------------- */

/* The row as it is; its texts live until the next step. */
static struct magpie_service row_of(struct db_statement *select)
{
    struct magpie_service service = {
        .resource = {.id = db_int64(select, 0),
                     .parent_id = db_int64(select, 1),
                     .service_id = db_int64(select, 2),
                     .name = db_text(select, 3),
                     .display_name = db_text(select, 4),
                     .type = db_text(select, 5),
                     .service_type = db_text(select, 6),
                     .sync_type = db_text(select, 7)},
        .url = db_text(select, 8),
        .configuration = db_text(select, 9),
    };
    if (service.resource.service_id == 0) {
        service.resource.service_id = service.resource.id;
    }
    return service;
}

/* False at the arena's cap. */
static bool copy_text(struct arena *arena, struct slice *text)
{
    bool is_absent = text->ptr == NULL;
    *text = magpie_copy(arena, *text);
    return is_absent || text->ptr != NULL;
}

static bool copy_resource(struct arena *arena, struct magpie_resource *resource)
{
    return copy_text(arena, &resource->name) && copy_text(arena, &resource->display_name) &&
           copy_text(arena, &resource->type) && copy_text(arena, &resource->service_type) &&
           copy_text(arena, &resource->sync_type);
}

/* PH_NOT_FOUND naming `field`. */
static enum ph_error read_one(struct db_statement *select, const char *field, struct arena *arena,
                              struct diag *diag, struct magpie_service *ret_row)
{
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error != PH_OK) {
        return error;
    }
    if (!has_row) {
        return diag_set(diag, PH_NOT_FOUND, field, "there is no such %s",
                        strcmp(field, "service_name") == 0 ? "service" : "resource");
    }
    struct magpie_service row = row_of(select);
    bool is_copied = copy_resource(arena, &row.resource) && copy_text(arena, &row.url) &&
                     copy_text(arena, &row.configuration);
    db_done(select);
    if (!is_copied) {
        return no_memory(diag);
    }
    *ret_row = row;
    return PH_OK;
}

enum ph_error magpie_resource_find(struct store *store, int64_t id, struct arena *arena,
                                   struct diag *diag, struct magpie_resource *ret_resource)
{
    struct magpie_service row;
    enum ph_error error = magpie_service_find_id(store, id, arena, diag, &row);
    if (error == PH_OK) {
        *ret_resource = row.resource;
    }
    return error;
}

enum ph_error magpie_service_find_id(struct store *store, int64_t id, struct arena *arena,
                                     struct diag *diag, struct magpie_service *ret_service)
{
    struct db_statement *select =
        db_prepare(store->db, SELECT_RESOURCE " WHERE magpie_resource.id = $1");
    db_bind_int64(select, 1, id);
    return read_one(select, "resource_id", arena, diag, ret_service);
}

enum ph_error magpie_service_find(struct store *store, struct slice name, struct arena *arena,
                                  struct diag *diag, struct magpie_service *ret_service)
{
    struct db_statement *select =
        db_prepare(store->db, SELECT_RESOURCE " WHERE name = $1 AND parent_id IS NULL");
    db_bind_text(select, 1, name);
    return read_one(select, "service_name", arena, diag, ret_service);
}

enum ph_error magpie_resource_find_child(struct store *store, int64_t parent_id, struct slice name,
                                         struct arena *arena, struct diag *diag,
                                         struct magpie_resource *ret_resource)
{
    struct magpie_service row;
    struct db_statement *select =
        db_prepare(store->db, SELECT_RESOURCE " WHERE parent_id = $1 AND name = $2");
    db_bind_int64(select, 1, parent_id);
    db_bind_text(select, 2, name);
    enum ph_error error = read_one(select, "resource_name", arena, diag, &row);
    if (error == PH_OK) {
        *ret_resource = row.resource;
    }
    return error;
}

/* The resource and all below it. */
#define SUBTREE                                                                                    \
    "WITH RECURSIVE below (id) AS (SELECT id FROM magpie_resource WHERE id = $1 UNION ALL"         \
    " SELECT magpie_resource.id FROM magpie_resource JOIN below"                                   \
    " ON magpie_resource.parent_id = below.id) "

/* Those of a service are found without a walk. */
static struct db_statement *prepare_below(struct store *store, const struct magpie_resource *root,
                                          const char *of_service, const char *of_resource)
{
    struct db_statement *select =
        db_prepare(store->db, root->parent_id == 0 ? of_service : of_resource);
    db_bind_int64(select, 1, root->id);
    return select;
}

/* How many there should be, for the memory. */
static enum ph_error count_tree(struct store *store, const struct magpie_resource *root,
                                struct diag *diag, size_t *ret_count)
{
    struct db_statement *select =
        prepare_below(store, root, "SELECT count(*) FROM magpie_resource WHERE service_id = $1",
                      SUBTREE "SELECT count(*) - 1 FROM below");
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    if (error == PH_OK) {
        *ret_count = has_row ? (size_t)db_int64(select, 0) : 0;
        db_done(select);
    }
    return error;
}

enum ph_error magpie_resource_tree(struct store *store, const struct magpie_resource *root,
                                   struct arena *arena, struct diag *diag,
                                   struct magpie_resource **ret_rows, size_t *ret_count)
{
    size_t capacity = 0;
    size_t count = 0;
    bool has_row;
    enum ph_error error = count_tree(store, root, diag, &capacity);
    if (error != PH_OK) {
        return error;
    }
    struct magpie_resource *rows = arena_calloc(arena, capacity + 1, sizeof rows[0]);
    if (rows == NULL) {
        return no_memory(diag);
    }
    struct db_statement *select = prepare_below(
        store, root, SELECT_RESOURCE " WHERE service_id = $1 ORDER BY magpie_resource.id",
        SUBTREE SELECT_RESOURCE " WHERE magpie_resource.id IN (SELECT id FROM below)"
                                " AND magpie_resource.id <> $1 ORDER BY magpie_resource.id");
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        PH_ASSERT(count < capacity); /* one snapshot */
        struct magpie_service row = row_of(select);
        if (!copy_resource(arena, &row.resource)) {
            db_done(select);
            return no_memory(diag);
        }
        rows[count++] = row.resource;
    }
    *ret_rows = rows;
    *ret_count = count;
    return error;
}

enum ph_error magpie_service_walk(struct store *store, magpie_service_each *each, void *context,
                                  struct diag *diag)
{
    struct db_statement *select =
        db_prepare(store->db, SELECT_RESOURCE " WHERE parent_id IS NULL"
                                              " ORDER BY magpie_service.type, name");
    bool has_row;
    enum ph_error error;
    while ((error = db_step(select, diag, &has_row)) == PH_OK && has_row) {
        const struct magpie_service row = row_of(select);
        if (!each(context, &row)) {
            db_done(select);
            return PH_OK;
        }
    }
    return error;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* The id of a fresh row; PH_CONFLICT naming `field` when the name is taken. */
static enum ph_error insert_row(struct writer_txn *txn, const struct magpie_resource *resource,
                                const char *field, struct diag *diag, int64_t *ret_id)
{
    struct db_statement *insert =
        db_prepare(txn->store->db, "INSERT INTO magpie_resource (parent_id, service_id, name,"
                                   " display_name, type) VALUES ($1, $2, $3, $4, $5)"
                                   " ON CONFLICT DO NOTHING RETURNING id");
    if (resource->parent_id == 0) {
        db_bind_null(insert, 1);
        db_bind_null(insert, 2);
    } else {
        db_bind_int64(insert, 1, resource->parent_id);
        db_bind_int64(insert, 2, resource->service_id);
    }
    db_bind_text(insert, 3, resource->name);
    db_bind_text(insert, 4, resource->display_name);
    db_bind_text(insert, 5, resource->type);
    bool has_row;
    enum ph_error error = db_step(insert, diag, &has_row);
    if (error == PH_OK && !has_row) {
        error = diag_set(diag, PH_CONFLICT, field, "there is one of this name already");
    } else if (error == PH_OK) {
        *ret_id = db_int64(insert, 0);
        db_done(insert);
    }
    return error;
}

enum ph_error magpie_service_insert(struct writer_txn *txn, struct magpie_service *service,
                                    struct diag *diag)
{
    int64_t id = 0;
    enum ph_error error = insert_row(txn, &service->resource, "service_name", diag, &id);
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *insert =
        db_prepare(txn->store->db, "INSERT INTO magpie_service (resource_id, type, url, sync_type,"
                                   " configuration, resources) VALUES ($1, $2, $3, NULL, $4, 0)");
    db_bind_int64(insert, 1, id);
    db_bind_text(insert, 2, service->resource.service_type);
    db_bind_text(insert, 3, service->url);
    db_bind_text(insert, 4, service->configuration);
    service->resource.id = id;
    service->resource.service_id = id;
    return db_exec(insert, diag);
}

/* How many are above; one look-up each, so at most MAGPIE_DEPTH_MAX. */
static enum ph_error find_depth(struct store *store, int64_t id, struct diag *diag,
                                int64_t *ret_depth)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT parent_id FROM magpie_resource WHERE id = $1");
    enum ph_error error = PH_OK;
    int64_t depth = 0;
    for (; error == PH_OK && id != 0 && depth <= MAGPIE_DEPTH_MAX; depth++) {
        bool has_row;
        db_bind_int64(select, 1, id);
        error = db_step(select, diag, &has_row);
        id = error == PH_OK && has_row ? db_int64(select, 0) : 0;
        db_done(select);
    }
    *ret_depth = depth;
    return error;
}

/* One more stands below the service: PH_FORBIDDEN when there are too many. */
static enum ph_error count_one(struct writer_txn *txn, int64_t service_id, struct diag *diag)
{
    struct db_statement *update =
        db_prepare(txn->store->db, "UPDATE magpie_service SET resources = resources + 1"
                                   " WHERE resource_id = $1 AND resources < $2");
    db_bind_int64(update, 1, service_id);
    db_bind_int64(update, 2, MAGPIE_RESOURCES_MAX);
    enum ph_error error = db_exec(update, diag);
    if (error == PH_OK && db_changes(txn->store->db) == 0) {
        error = diag_set(diag, PH_FORBIDDEN, "resource_name", "a service has at most %d resources",
                         MAGPIE_RESOURCES_MAX);
    }
    return error;
}

enum ph_error magpie_resource_insert(struct writer_txn *txn, const struct magpie_resource *parent,
                                     struct magpie_resource *child, struct diag *diag)
{
    int64_t depth;
    if (!magpie_may_nest(parent->service_type, parent->type, child->type)) {
        return diag_set(diag, PH_FORBIDDEN, "resource_type",
                        "a resource of this type may not stand there");
    }
    enum ph_error error = find_depth(txn->store, parent->id, diag, &depth);
    if (error == PH_OK && depth > MAGPIE_DEPTH_MAX) {
        error = diag_set(diag, PH_FORBIDDEN, "parent_id", "resources are at most %d deep",
                         MAGPIE_DEPTH_MAX);
    }
    child->parent_id = parent->id;
    child->service_id = parent->service_id;
    child->service_type = parent->service_type;
    child->sync_type = parent->sync_type;
    if (error == PH_OK) {
        error = insert_row(txn, child, "resource_name", diag, &child->id);
    }
    return error == PH_OK ? count_one(txn, child->service_id, diag) : error;
}

/* Whether a sibling has the name; services are each other's. */
static enum ph_error find_sibling(struct store *store, const struct magpie_resource *resource,
                                  struct diag *diag, bool *ret_has)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT 1 FROM magpie_resource WHERE name = $1 AND id <> $2"
                              " AND (parent_id = $3 OR (parent_id IS NULL AND $3 = 0))");
    db_bind_text(select, 1, resource->name);
    db_bind_int64(select, 2, resource->id);
    db_bind_int64(select, 3, resource->parent_id);
    enum ph_error error = db_step(select, diag, ret_has);
    db_done(select);
    return error;
}

enum ph_error magpie_resource_update(struct writer_txn *txn, const struct magpie_resource *resource,
                                     struct diag *diag)
{
    bool is_taken;
    enum ph_error error = find_sibling(txn->store, resource, diag, &is_taken);
    if (error == PH_OK && is_taken) {
        return diag_set(diag, PH_CONFLICT,
                        resource->parent_id == 0 ? "service_name" : "resource_name",
                        "there is one of this name already");
    }
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *update = db_prepare(
        txn->store->db, "UPDATE magpie_resource SET name = $2, display_name = $3 WHERE id = $1");
    db_bind_int64(update, 1, resource->id);
    db_bind_text(update, 2, resource->name);
    db_bind_text(update, 3, resource->display_name);
    return db_exec(update, diag);
}

enum ph_error magpie_service_update(struct writer_txn *txn, const struct magpie_service *service,
                                    struct diag *diag)
{
    enum ph_error error = magpie_resource_update(txn, &service->resource, diag);
    if (error != PH_OK) {
        return error;
    }
    struct db_statement *update =
        db_prepare(txn->store->db,
                   "UPDATE magpie_service SET url = $2, configuration = $3 WHERE resource_id = $1");
    db_bind_int64(update, 1, service->resource.id);
    db_bind_text(update, 2, service->url);
    db_bind_text(update, 3, service->configuration);
    return db_exec(update, diag);
}

enum ph_error magpie_resource_delete(struct writer_txn *txn, const struct magpie_resource *resource,
                                     struct diag *diag)
{
    static const char *const statements[] = {
        SUBTREE "DELETE FROM magpie_user_permission"
                " WHERE resource_id IN (SELECT id FROM below)",
        SUBTREE "DELETE FROM magpie_group_permission"
                " WHERE resource_id IN (SELECT id FROM below)",
        "DELETE FROM magpie_service WHERE resource_id = $1",
        SUBTREE "DELETE FROM magpie_resource WHERE id IN (SELECT id FROM below)",
    };
    enum ph_error error = PH_OK;
    for (size_t index = 0; error == PH_OK && index < PH_ARRAY_LENGTH(statements); index++) {
        struct db_statement *statement = db_prepare(txn->store->db, statements[index]);
        db_bind_int64(statement, 1, resource->id);
        error = db_exec(statement, diag);
    }
    if (error != PH_OK || resource->parent_id == 0) {
        return error;
    }
    struct db_statement *update =
        db_prepare(txn->store->db, "UPDATE magpie_service SET resources = resources - $2"
                                   " WHERE resource_id = $1");
    db_bind_int64(update, 1, resource->service_id);
    db_bind_int64(update, 2, db_changes(txn->store->db));
    return db_exec(update, diag);
}
