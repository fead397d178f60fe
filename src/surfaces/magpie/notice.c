/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/magpie/notice.h"

#include "surfaces/magpie/callback.h"
#include "surfaces/magpie/magpie_int.h"

#define URL_MAX 8192

/* Parameters in the making. */
struct list {
    struct magpie_parameter items[MAGPIE_PARAMETERS_MAX];
    size_t count;
};

static void add_text(struct list *list, const char *name, struct slice text)
{
    PH_ASSERT(list->count < MAGPIE_PARAMETERS_MAX);
    list->items[list->count++] = (struct magpie_parameter){
        name, {.type = text.ptr == NULL ? MAGPIE_NULL : MAGPIE_STRING, .text = text}};
}

static void add_number(struct list *list, const char *name, int64_t number)
{
    PH_ASSERT(list->count < MAGPIE_PARAMETERS_MAX);
    list->items[list->count++] =
        (struct magpie_parameter){name, {.type = MAGPIE_INTEGER, .number = number}};
}

static enum ph_error emit(struct magpie *magpie, struct writer_txn *txn, enum magpie_action action,
                          int64_t user_id, const struct list *list, struct diag *diag)
{
    const struct magpie_parameters parameters = {list->items, list->count};
    return magpie_emit(magpie, txn, action, user_id, &parameters, diag);
}

/* --- users ------------------------------------------------------------------------------------ */

enum ph_error magpie_notice_user_created(struct magpie *magpie, struct writer_txn *txn,
                                         const struct magpie_user *user, struct diag *diag)
{
    struct list list = {.count = 0};
    BUF_AUTO struct buf url;
    buf_init(&url, URL_MAX);
    enum ph_error error = magpie_callback_make(magpie, txn, user->id, diag, &url);
    if (error != PH_OK) {
        return error;
    }
    add_text(&list, "user.name", user->name);
    add_number(&list, "user.id", user->id);
    add_text(&list, "user.email", user->email);
    add_text(&list, "callback_url", buf_slice(&url));
    return emit(magpie, txn, MAGPIE_CREATE_USER, user->id, &list, diag);
}

enum ph_error magpie_notice_user_status(struct magpie *magpie, struct writer_txn *txn,
                                        const struct magpie_user *user, struct diag *diag)
{
    struct list list = {.count = 0};
    BUF_AUTO struct buf url;
    buf_init(&url, URL_MAX);
    enum ph_error error = magpie_callback_make(magpie, txn, user->id, diag, &url);
    if (error != PH_OK) {
        return error;
    }
    add_text(&list, "user.name", user->name);
    add_number(&list, "user.id", user->id);
    add_number(&list, "user.status", user->status);
    add_text(&list, "callback_url", buf_slice(&url));
    return emit(magpie, txn, MAGPIE_UPDATE_USER_STATUS, user->id, &list, diag);
}

enum ph_error magpie_notice_user_deleted(struct magpie *magpie, struct writer_txn *txn,
                                         const struct magpie_user *user, struct diag *diag)
{
    struct list list = {.count = 0};
    add_text(&list, "user.name", user->name);
    add_number(&list, "user.id", user->id);
    add_text(&list, "user.email", user->email);
    return emit(magpie, txn, MAGPIE_DELETE_USER, user->id, &list, diag);
}

/* --- permissions ------------------------------------------------------------------------------ */

/* The anonymous user has no id for others. */
static void add_user(struct list *list, const struct magpie_user *user)
{
    add_text(list, "user.name", user->name);
    add_text(list, "user.email", user->email);
    add_text(list, "user.status", slice_of(magpie_status_name(user->status)));
    if (user->id != MAGPIE_USER_ANONYMOUS_ID) {
        add_number(list, "user.id", user->id);
    }
}

/* Of a resource that is no service, only the type of its service is told. */
static void add_target(struct list *list, const struct magpie_resource *resource,
                       struct slice public_url)
{
    bool is_service = resource->parent_id == 0;
    add_number(list, "resource.id", resource->id);
    add_text(list, "resource.type", resource->type);
    add_text(list, "resource.name", resource->name);
    add_text(list, "resource.display_name",
             resource->display_name.len > 0 ? resource->display_name : resource->name);
    add_text(list, "service.name", is_service ? resource->name : SLICE_NONE);
    add_text(list, "service.type", resource->service_type);
    add_text(list, "service.public_url", is_service ? public_url : SLICE_NONE);
    add_text(list, "service.sync_type", is_service ? resource->sync_type : SLICE_NONE);
}

static enum magpie_action action_of(const struct magpie_permission_change *change)
{
    if (change->holder->user != NULL) {
        return change->is_given ? MAGPIE_CREATE_USER_PERMISSION : MAGPIE_DELETE_USER_PERMISSION;
    }
    return change->is_given ? MAGPIE_CREATE_GROUP_PERMISSION : MAGPIE_DELETE_GROUP_PERMISSION;
}

enum ph_error magpie_notice_permission(struct magpie *magpie, struct writer_txn *txn,
                                       const struct magpie_permission_change *change,
                                       struct diag *diag)
{
    struct list list = {.count = 0};
    const struct magpie_holder *holder = change->holder;
    const struct magpie_permission *permission = change->permission;
    BUF_AUTO struct buf url;
    BUF_AUTO struct buf explicit_name;
    buf_init(&url, URL_MAX);
    buf_init(&explicit_name, MAGPIE_PERMISSION_TEXT_MAX);
    PH_ASSERT((holder->user == NULL) != (holder->group == NULL));
    if (holder->user != NULL) {
        add_user(&list, holder->user);
    } else {
        add_text(&list, "group.name", holder->group->name);
        add_number(&list, "group.id", holder->group->id);
    }
    magpie_append_public_url(magpie, change->resource->name, &url);
    magpie_permission_append(permission, &explicit_name);
    add_target(&list, change->resource, buf_slice(&url));
    add_text(&list, "permission.name", slice_of(permission->name));
    add_text(&list, "permission.access", slice_of(magpie_access_name(permission->access)));
    add_text(&list, "permission.scope", slice_of(magpie_scope_name(permission->scope)));
    add_text(&list, "permission", buf_slice(&explicit_name));
    const struct magpie_user *user = holder->user;
    bool has_id = user != NULL && user->id != MAGPIE_USER_ANONYMOUS_ID;
    return emit(magpie, txn, action_of(change), has_id ? user->id : 0, &list, diag);
}
