/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the magpie surface: users, groups, resources, permissions, callbacks and sessions. */
#include "contract/contract.h"
#include "contract/store_rig.h"

#include "surfaces/magpie/callback.h"
#include "surfaces/magpie/grant.h"
#include "surfaces/magpie/session.h"

#define DAY_US INT64_C(86400000000)
#define TOKEN "3f0c2a9e-7d41-4b8e-9a57-0c6d2e1b4f83"

static struct writer_txn txn_of(struct store_rig *rig)
{
    return (struct writer_txn){.store = rig->store, .now_us = NOW_US};
}

static enum ph_error user_error(struct store_rig *rig, const char *name, const char *email,
                                struct diag *diag, int64_t *ret_id)
{
    struct writer_txn txn = txn_of(rig);
    const struct magpie_user user = {
        .name = slice_of(name), .email = slice_of(email), .status = MAGPIE_STATUS_OK};
    return magpie_user_insert(&txn, &user, TEXT("hash"), diag, ret_id);
}

static int64_t user_add(struct store_rig *rig, const char *name, const char *email)
{
    struct diag diag = {0};
    int64_t id = 0;
    CONTRACT_OK(user_error(rig, name, email, &diag, &id), &diag);
    return id;
}

static struct magpie_user user_found(struct store_rig *rig, int64_t id)
{
    struct diag diag = {0};
    struct magpie_user user;
    CONTRACT_OK(magpie_user_find_id(rig->store, id, &rig->arena, &diag, &user), &diag);
    return user;
}

static bool join(struct store_rig *rig, int64_t user_id, int64_t group_id)
{
    struct diag diag = {0};
    struct writer_txn txn = txn_of(rig);
    bool is_new;
    CONTRACT_OK(magpie_membership_insert(&txn, user_id, group_id, &diag, &is_new), &diag);
    return is_new;
}

/* --- users ------------------------------------------------------------------------------------ */

static void test_what_is_there_from_the_start(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    struct magpie_group group;
    store_rig_open(&rig, state);
    struct magpie_user user = user_found(&rig, MAGPIE_USER_ANONYMOUS_ID);
    assert_text_is(user.name, MAGPIE_ANONYMOUS);
    assert_null(user.email.ptr);
    assert_true(user.status == MAGPIE_STATUS_OK && !user.is_administrator);
    CONTRACT_OK(magpie_group_find(rig.store, TEXT(MAGPIE_ANONYMOUS), &rig.arena, &diag, &group),
                &diag);
    assert_int_equal(group.id, MAGPIE_GROUP_ANONYMOUS_ID);
    CONTRACT_OK(
        magpie_group_find(rig.store, TEXT(MAGPIE_ADMINISTRATORS), &rig.arena, &diag, &group),
        &diag);
    assert_int_equal(group.id, MAGPIE_GROUP_ADMINISTRATORS_ID);
    assert_int_equal(magpie_group_find(rig.store, TEXT("x"), &rig.arena, &diag, &group),
                     PH_NOT_FOUND);
    assert_string_equal(diag.field, "group_name");
    store_rig_close(&rig);
}

static void test_a_user_comes_back(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    struct magpie_user user;
    struct slice password;
    store_rig_open(&rig, state);
    int64_t id = user_add(&rig, "ann", "ann@example.org");
    CONTRACT_OK(magpie_user_find(rig.store, TEXT("ann"), &rig.arena, &diag, &user), &diag);
    assert_int_equal(user.id, id);
    assert_text_is(user.email, "ann@example.org");
    assert_false(user.is_administrator);
    CONTRACT_OK(magpie_user_password(rig.store, id, &rig.arena, &diag, &password), &diag);
    assert_text_is(password, "hash");
    CONTRACT_OK(magpie_user_password(rig.store, 1, &rig.arena, &diag, &password), &diag);
    assert_null(password.ptr);
    assert_true(join(&rig, id, MAGPIE_GROUP_ADMINISTRATORS_ID));
    assert_false(join(&rig, id, MAGPIE_GROUP_ADMINISTRATORS_ID));
    assert_true(user_found(&rig, id).is_administrator);
    struct writer_txn txn = txn_of(&rig);
    CONTRACT_OK(magpie_membership_delete(&txn, id, MAGPIE_GROUP_ADMINISTRATORS_ID, &diag), &diag);
    assert_int_equal(magpie_membership_delete(&txn, id, MAGPIE_GROUP_ADMINISTRATORS_ID, &diag),
                     PH_NOT_FOUND);
    assert_false(user_found(&rig, id).is_administrator);
    assert_int_equal(magpie_user_find(rig.store, TEXT("bob"), &rig.arena, NULL, &user),
                     PH_NOT_FOUND);
    store_rig_close(&rig);
}

static void test_taken(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    int64_t id;
    store_rig_open(&rig, state);
    int64_t ann = user_add(&rig, "ann", "ann@x");
    (void)user_add(&rig, "root", NULL);
    (void)user_add(&rig, "root2", NULL); /* several may have no e-mail */
    assert_int_equal(user_error(&rig, "ann", "other@x", &diag, &id), PH_CONFLICT);
    assert_string_equal(diag.field, "user_name");
    assert_int_equal(user_error(&rig, "other", "ann@x", &diag, &id), PH_CONFLICT);
    assert_string_equal(diag.field, "email");
    assert_int_equal(user_error(&rig, "anonymous", "other@x", &diag, &id), PH_CONFLICT);
    /* Nothing of a refused one was written, and the transaction goes on. */
    int64_t bob = user_add(&rig, "bob", "bob@x");
    struct writer_txn txn = txn_of(&rig);
    struct magpie_user change = user_found(&rig, bob);
    change.name = TEXT("ann");
    assert_int_equal(magpie_user_update(&txn, &change, SLICE_NONE, &diag), PH_CONFLICT);
    assert_string_equal(diag.field, "user_name");
    change.name = TEXT("bobby");
    change.email = TEXT("ann@x");
    assert_int_equal(magpie_user_update(&txn, &change, SLICE_NONE, &diag), PH_CONFLICT);
    assert_string_equal(diag.field, "email");
    change.email = TEXT("bob@x");
    change.status = MAGPIE_STATUS_WEBHOOK_ERROR;
    CONTRACT_OK(magpie_user_update(&txn, &change, SLICE_NONE, &diag), &diag);
    change = user_found(&rig, bob);
    assert_text_is(change.name, "bobby");
    assert_int_equal(change.status, MAGPIE_STATUS_WEBHOOK_ERROR);
    struct slice password;
    CONTRACT_OK(magpie_user_password(rig.store, bob, &rig.arena, &diag, &password), &diag);
    assert_text_is(password, "hash");
    assert_true(ann < bob);
    store_rig_close(&rig);
}

static void test_ids_are_never_used_again(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    store_rig_open(&rig, state);
    struct writer_txn txn = txn_of(&rig);
    int64_t last = 0;
    for (int round = 0; round < 3; round++) {
        int64_t id = user_add(&rig, "ann", "ann@x");
        assert_true(id > last);
        last = id;
        CONTRACT_OK(magpie_user_delete(&txn, id, &diag), &diag);
    }
    store_rig_close(&rig);
}

static void test_a_user_takes_all_along(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    store_rig_open(&rig, state);
    struct writer_txn txn = txn_of(&rig);
    assert_int_equal(user_add(&rig, "ann", "ann@x"), 2);
    assert_int_equal(user_add(&rig, "bob", "bob@x"), 3);
    store_rig_run(&rig, "INSERT INTO magpie_membership (user_id, group_id) VALUES (2, 1), (3, 1);"
                        "INSERT INTO magpie_user_permission (user_id, resource_id, name, access,"
                        " scope) VALUES (2, 7, 'read', 0, 0), (3, 7, 'read', 0, 0);");
    store_rig_run(&rig,
                  "INSERT INTO magpie_callback (id, token_hash, user_id)"
                  " SELECT id, CAST('a' || CAST(id AS TEXT) AS {blob}), id FROM magpie_user;"
                  "INSERT INTO magpie_session (id, token_hash, user_id)"
                  " SELECT id, CAST('a' || CAST(id AS TEXT) AS {blob}), id FROM magpie_user;");
    CONTRACT_OK(magpie_user_delete(&txn, 2, &diag), &diag);
    static const char *const left[] = {
        "SELECT count(*) FROM magpie_user WHERE id = 2",
        "SELECT count(*) FROM magpie_membership WHERE user_id = 2",
        "SELECT count(*) FROM magpie_user_permission WHERE user_id = 2",
        "SELECT count(*) FROM magpie_callback WHERE user_id = 2",
        "SELECT count(*) FROM magpie_session WHERE user_id = 2",
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(left); index++) {
        assert_int_equal(store_rig_number(&rig, left[index], 0), 0);
    }
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM magpie_user_permission", 0), 1);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM magpie_session", 0), 2);
    /* A status for somebody who is gone is no error. */
    CONTRACT_OK(magpie_user_set_webhook_error(&txn, 2, &diag), &diag);
    CONTRACT_OK(magpie_user_set_webhook_error(&txn, 3, &diag), &diag);
    assert_int_equal(user_found(&rig, 3).status, MAGPIE_STATUS_WEBHOOK_ERROR);
    store_rig_close(&rig);
}

static bool collect(void *context, const struct magpie_user *user, struct slice group)
{
    struct buf *text = context;
    buf_append_format(text, "%.*s(%.*s) ", SLICE_ARG(user->name), SLICE_ARG(group));
    return text->len < 1000;
}

static bool collect_one(void *context, const struct magpie_user *user, struct slice group)
{
    (void)collect(context, user, group);
    return false;
}

static void collect_name(void *context, struct slice name)
{
    buf_append_format(context, "%.*s ", SLICE_ARG(name));
}

static void test_other_administrators(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    store_rig_open(&rig, state);
    struct writer_txn txn = txn_of(&rig);
    bool has_other = true;
    int64_t ann = user_add(&rig, "ann", "ann@example.org");
    int64_t bob = user_add(&rig, "bob", "bob@example.org");
    CONTRACT_OK(magpie_has_other_administrator(&txn, ann, &diag, &has_other), &diag);
    assert_false(has_other);
    assert_true(join(&rig, ann, MAGPIE_GROUP_ADMINISTRATORS_ID));
    CONTRACT_OK(magpie_has_other_administrator(&txn, ann, &diag, &has_other), &diag);
    assert_false(has_other);
    CONTRACT_OK(magpie_has_other_administrator(&txn, bob, &diag, &has_other), &diag);
    assert_true(has_other);
    assert_true(join(&rig, bob, MAGPIE_GROUP_ADMINISTRATORS_ID));
    CONTRACT_OK(magpie_has_other_administrator(&txn, ann, &diag, &has_other), &diag);
    assert_true(has_other);
    store_rig_close(&rig);
}

static void test_walks(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    BUF_AUTO struct buf text;
    buf_init(&text, 4096);
    store_rig_open(&rig, state);
    int64_t bob = user_add(&rig, "bob", "bob@x");
    int64_t ann = user_add(&rig, "ann", "ann@x");
    (void)join(&rig, bob, 2);
    (void)join(&rig, bob, 1);
    CONTRACT_OK(magpie_user_walk(rig.store, MAGPIE_STATUS_ALL, true, collect, &text, &diag), &diag);
    assert_string_equal(buf_text(&text),
                        "ann() anonymous(anonymous) bob(administrators) bob(anonymous) ");
    buf_clear(&text);
    struct writer_txn txn = txn_of(&rig);
    CONTRACT_OK(magpie_user_set_webhook_error(&txn, ann, &diag), &diag);
    CONTRACT_OK(magpie_user_walk(rig.store, MAGPIE_STATUS_OK | MAGPIE_STATUS_PENDING, false,
                                 collect, &text, &diag),
                &diag);
    assert_string_equal(buf_text(&text), "anonymous() bob() ");
    buf_clear(&text);
    CONTRACT_OK(magpie_user_walk(rig.store, MAGPIE_STATUS_ALL, false, collect_one, &text, &diag),
                &diag);
    assert_string_equal(buf_text(&text), "ann() ");
    buf_clear(&text);
    CONTRACT_OK(magpie_user_walk_groups(rig.store, bob, collect_name, &text, &diag), &diag);
    assert_string_equal(buf_text(&text), "administrators anonymous ");
    store_rig_close(&rig);
}

/* --- resources -------------------------------------------------------------------------------- */

static struct magpie_resource service_add(struct store_rig *rig, const char *name, const char *type)
{
    struct diag diag = {0};
    struct writer_txn txn = txn_of(rig);
    struct magpie_service service = {
        .resource = {.name = slice_of(name),
                     .display_name = TEXT(""),
                     .type = TEXT(MAGPIE_TYPE_SERVICE),
                     .service_type = slice_of(type)},
        .url = TEXT("http://h.example/"),
        .configuration = TEXT("{}"),
    };
    CONTRACT_OK(magpie_service_insert(&txn, &service, &diag), &diag);
    return service.resource;
}

static enum ph_error child_error(struct store_rig *rig, const struct magpie_resource *parent,
                                 const char *name, const char *type, struct diag *diag,
                                 struct magpie_resource *ret_child)
{
    struct writer_txn txn = txn_of(rig);
    *ret_child = (struct magpie_resource){
        .name = slice_of(name), .display_name = TEXT("shown"), .type = slice_of(type)};
    return magpie_resource_insert(&txn, parent, ret_child, diag);
}

static struct magpie_resource child_add(struct store_rig *rig, const struct magpie_resource *parent,
                                        const char *name)
{
    struct diag diag = {0};
    struct magpie_resource child;
    CONTRACT_OK(child_error(rig, parent, name, "route", &diag, &child), &diag);
    return child;
}

static void test_resources_come_back(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    struct magpie_service service;
    struct magpie_resource found;
    store_rig_open(&rig, state);
    struct magpie_resource top = service_add(&rig, "s", "api");
    struct magpie_resource route = child_add(&rig, &top, "a");
    struct magpie_resource below = child_add(&rig, &route, "a");
    CONTRACT_OK(magpie_service_find(rig.store, TEXT("s"), &rig.arena, &diag, &service), &diag);
    assert_text_is(service.url, "http://h.example/");
    assert_text_is(service.configuration, "{}");
    assert_null(service.resource.sync_type.ptr);
    assert_true(service.resource.service_id == top.id && service.resource.parent_id == 0);
    CONTRACT_OK(magpie_resource_find(rig.store, below.id, &rig.arena, &diag, &found), &diag);
    assert_true(found.parent_id == route.id && found.service_id == top.id);
    assert_text_is(found.service_type, "api");
    assert_text_is(found.display_name, "shown");
    CONTRACT_OK(magpie_resource_find_child(rig.store, top.id, TEXT("a"), &rig.arena, &diag, &found),
                &diag);
    assert_int_equal(found.id, route.id);
    assert_int_equal(
        magpie_resource_find_child(rig.store, top.id, TEXT("b"), &rig.arena, &diag, &found),
        PH_NOT_FOUND);
    assert_int_equal(magpie_service_find(rig.store, TEXT("a"), &rig.arena, &diag, &service),
                     PH_NOT_FOUND);
    assert_string_equal(diag.field, "service_name");
    store_rig_close(&rig);
}

static void test_resources_refused(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    struct magpie_resource child;
    store_rig_open(&rig, state);
    struct magpie_resource top = service_add(&rig, "s", "api");
    struct magpie_resource parent = child_add(&rig, &top, "a");
    assert_int_equal(child_error(&rig, &top, "a", "route", &diag, &child), PH_CONFLICT);
    assert_int_equal(child_error(&rig, &top, "b", "file", &diag, &child), PH_FORBIDDEN);
    assert_string_equal(diag.field, "resource_type");
    for (int depth = 1; depth < MAGPIE_DEPTH_MAX; depth++) {
        parent = child_add(&rig, &parent, "a");
    }
    assert_int_equal(child_error(&rig, &parent, "a", "route", &diag, &child), PH_FORBIDDEN);
    assert_string_equal(diag.field, "parent_id");
    store_rig_run(&rig, "UPDATE magpie_service SET resources = 19999");
    child = child_add(&rig, &top, "last");
    assert_int_equal(child_error(&rig, &top, "more", "route", &diag, &child), PH_FORBIDDEN);
    assert_string_equal(diag.field, "resource_name");
    store_rig_close(&rig);
}

static void test_updates(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    struct magpie_service service;
    store_rig_open(&rig, state);
    struct writer_txn txn = txn_of(&rig);
    struct magpie_resource top = service_add(&rig, "s", "api");
    (void)service_add(&rig, "t", "api");
    struct magpie_resource a = child_add(&rig, &top, "a");
    (void)child_add(&rig, &top, "b");
    a.name = TEXT("b");
    assert_int_equal(magpie_resource_update(&txn, &a, &diag), PH_CONFLICT);
    assert_string_equal(diag.field, "resource_name");
    a.name = TEXT("t"); /* a service's name is no sibling's */
    a.display_name = TEXT("");
    CONTRACT_OK(magpie_resource_update(&txn, &a, &diag), &diag);
    CONTRACT_OK(magpie_resource_find(rig.store, a.id, &rig.arena, &diag, &a), &diag);
    assert_text_is(a.name, "t");
    assert_int_equal(a.display_name.len, 0);
    CONTRACT_OK(magpie_service_find_id(rig.store, top.id, &rig.arena, &diag, &service), &diag);
    service.resource.name = TEXT("t");
    assert_int_equal(magpie_service_update(&txn, &service, &diag), PH_CONFLICT);
    assert_string_equal(diag.field, "service_name");
    service.resource.name = TEXT("a");
    service.url = TEXT("http://other/");
    service.configuration = SLICE_NONE;
    CONTRACT_OK(magpie_service_update(&txn, &service, &diag), &diag);
    CONTRACT_OK(magpie_service_find(rig.store, TEXT("a"), &rig.arena, &diag, &service), &diag);
    assert_text_is(service.url, "http://other/");
    assert_null(service.configuration.ptr);
    store_rig_close(&rig);
}

static void test_trees(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    struct magpie_resource *rows;
    size_t count;
    store_rig_open(&rig, state);
    struct writer_txn txn = txn_of(&rig);
    struct magpie_resource top = service_add(&rig, "s", "api");
    struct magpie_resource other = service_add(&rig, "t", "api");
    struct magpie_resource a = child_add(&rig, &top, "a");
    (void)child_add(&rig, &other, "x");
    struct magpie_resource b = child_add(&rig, &a, "b");
    struct magpie_resource c = child_add(&rig, &b, "c");
    (void)child_add(&rig, &top, "d");
    CONTRACT_OK(magpie_resource_tree(rig.store, &top, &rig.arena, &diag, &rows, &count), &diag);
    assert_int_equal(count, 4);
    assert_text_is(rows[2].name, "c");
    CONTRACT_OK(magpie_resource_tree(rig.store, &a, &rig.arena, &diag, &rows, &count), &diag);
    assert_int_equal(count, 2);
    assert_true(rows[0].id == b.id && rows[1].id == c.id);
    CONTRACT_OK(magpie_resource_tree(rig.store, &c, &rig.arena, &diag, &rows, &count), &diag);
    assert_int_equal(count, 0);
    store_rig_run(&rig, "INSERT INTO magpie_user_permission (user_id, resource_id, name, access,"
                        " scope) SELECT 1, id, 'read', 0, 0 FROM magpie_resource;"
                        "INSERT INTO magpie_group_permission (group_id, resource_id, name, access,"
                        " scope) SELECT 1, id, 'read', 0, 0 FROM magpie_resource;");
    assert_int_equal(store_rig_number(&rig,
                                      "SELECT resources FROM magpie_service"
                                      " WHERE resource_id = $1",
                                      top.id),
                     4);
    CONTRACT_OK(magpie_resource_delete(&txn, &a, &diag), &diag);
    assert_int_equal(store_rig_number(&rig,
                                      "SELECT resources FROM magpie_service"
                                      " WHERE resource_id = $1",
                                      top.id),
                     1);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM magpie_resource", 0), 4);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM magpie_user_permission", 0), 4);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM magpie_group_permission", 0), 4);
    assert_int_equal(magpie_resource_find(rig.store, c.id, &rig.arena, NULL, &a), PH_NOT_FOUND);
    CONTRACT_OK(magpie_resource_delete(&txn, &top, &diag), &diag);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM magpie_resource", 0), 2);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM magpie_service", 0), 1);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM magpie_user_permission", 0), 2);
    store_rig_close(&rig);
}

/* --- permissions ------------------------------------------------------------------------------ */

static void collect_permission(void *context, const struct magpie_permission *permission)
{
    magpie_permission_append(permission, context);
    buf_append_byte(context, ' ');
}

static bool collect_held(void *context, const struct magpie_held *held)
{
    buf_append_format(context, "%.*s/%.*s/%.*s:", SLICE_ARG(held->service_name),
                      SLICE_ARG(held->resource_type), SLICE_ARG(held->resource_name));
    collect_permission(context, &held->permission);
    return true;
}

static void test_all_permissions_of_one(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    BUF_AUTO struct buf text;
    buf_init(&text, 4096);
    store_rig_open(&rig, state);
    struct magpie_resource top = service_add(&rig, "s", "api");
    (void)child_add(&rig, &top, "a");
    store_rig_run(&rig, "INSERT INTO magpie_user_permission (user_id, resource_id, name, access,"
                        " scope) SELECT 5, id, 'read', 0, 0 FROM magpie_resource;"
                        "INSERT INTO magpie_group_permission (group_id, resource_id, name, access,"
                        " scope) SELECT 5, id, 'write', 1, 1 FROM magpie_resource"
                        " WHERE parent_id IS NULL;");
    const struct magpie_user user = {.id = 5};
    const struct magpie_group group = {.id = 5};
    const struct magpie_holder of_user = {.user = &user};
    const struct magpie_holder of_group = {.group = &group};
    CONTRACT_OK(magpie_grant_walk_all(rig.store, &of_user, collect_held, &text, &diag), &diag);
    CONTRACT_OK(magpie_grant_walk_all(rig.store, &of_group, collect_held, &text, &diag), &diag);
    assert_string_equal(buf_text(&text), "s/service/s:read-allow-recursive "
                                         "s/route/a:read-allow-recursive "
                                         "s/service/s:write-deny-match ");
    store_rig_close(&rig);
}

static void test_permissions(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    struct magpie_permission permission;
    bool has;
    BUF_AUTO struct buf text;
    buf_init(&text, 4096);
    store_rig_open(&rig, state);
    store_rig_run(&rig, "INSERT INTO magpie_user_permission (user_id, resource_id, name, access,"
                        " scope) VALUES (5, 7, 'write', 1, 1), (5, 7, 'read', 0, 1),"
                        " (5, 8, 'browse', 0, 0), (6, 7, 'browse', 0, 0);"
                        "INSERT INTO magpie_group_permission (group_id, resource_id, name, access,"
                        " scope) VALUES (5, 7, 'access', 1, 0);");
    const struct magpie_user user = {.id = 5};
    const struct magpie_group group = {.id = 5};
    const struct magpie_holder of_user = {.user = &user};
    const struct magpie_holder of_group = {.group = &group};
    CONTRACT_OK(magpie_grant_walk(rig.store, &of_user, 7, collect_permission, &text, &diag), &diag);
    CONTRACT_OK(magpie_grant_walk(rig.store, &of_group, 7, collect_permission, &text, &diag),
                &diag);
    assert_string_equal(buf_text(&text),
                        "read-allow-match write-deny-match access-deny-recursive ");
    CONTRACT_OK(magpie_grant_find(rig.store, &of_user, 7, "write", &diag, &has, &permission),
                &diag);
    assert_true(has && permission.access == MAGPIE_DENY && permission.scope == MAGPIE_MATCH);
    CONTRACT_OK(magpie_grant_find(rig.store, &of_group, 7, "write", &diag, &has, &permission),
                &diag);
    assert_false(has);
    store_rig_close(&rig);
}

/* --- callbacks and sessions ------------------------------------------------------------------- */

static void row_add(struct store_rig *rig, const char *sql, int64_t id, const char *text,
                    int64_t user_id)
{
    struct diag diag = {0};
    uint8_t hash[SURFACE_TOKEN_HASH_BYTES];
    surface_token_hash(slice_of(text), hash);
    struct db_statement *insert = db_prepare(rig->store->db, sql);
    db_bind_int64(insert, 1, id);
    db_bind_blob(insert, 2, (struct slice){(const char *)hash, sizeof hash});
    db_bind_int64(insert, 3, user_id);
    CONTRACT_OK(db_exec(insert, &diag), &diag);
}

static const char callback_sql[] =
    "INSERT INTO magpie_callback (id, token_hash, user_id) VALUES ($1, $2, $3)";
static const char session_sql[] =
    "INSERT INTO magpie_session (id, token_hash, user_id) VALUES ($1, $2, $3)";

static enum magpie_callback_end taken(struct store_rig *rig, const char *token)
{
    struct diag diag = {0};
    struct writer_txn txn = txn_of(rig);
    enum magpie_callback_end end;
    CONTRACT_OK(magpie_callback_take(&txn, slice_of(token), DAY_US, &diag, &end), &diag);
    return end;
}

static void test_a_callback_is_used_once(void **state)
{
    struct store_rig rig;
    store_rig_open(&rig, state);
    int64_t id = user_add(&rig, "ann", "ann@x");
    row_add(&rig, callback_sql, id_floor(NOW_US - DAY_US), TOKEN, id);
    row_add(&rig, callback_sql, id_floor(NOW_US - DAY_US - ID_TICK_US), "old", id);
    assert_int_equal(taken(&rig, "other"), MAGPIE_CALLBACK_UNKNOWN);
    assert_int_equal(taken(&rig, "old"), MAGPIE_CALLBACK_EXPIRED);
    assert_int_equal(taken(&rig, "old"), MAGPIE_CALLBACK_EXPIRED);
    assert_int_equal(user_found(&rig, id).status, MAGPIE_STATUS_OK);
    assert_int_equal(taken(&rig, TOKEN), MAGPIE_CALLBACK_DONE);
    assert_int_equal(user_found(&rig, id).status, MAGPIE_STATUS_WEBHOOK_ERROR);
    assert_int_equal(taken(&rig, TOKEN), MAGPIE_CALLBACK_UNKNOWN);
    store_rig_close(&rig);
}

static void test_old_callbacks_go_in_steps(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    char text[16];
    store_rig_open(&rig, state);
    struct writer_txn txn = txn_of(&rig);
    for (int64_t row = 0; row < 70; row++) {
        (void)snprintf(text, sizeof text, "t%lld", (long long)row);
        row_add(&rig, callback_sql, id_floor(NOW_US - DAY_US) - 1 - row, text, 1);
    }
    row_add(&rig, callback_sql, id_floor(NOW_US - DAY_US), "young", 1);
    CONTRACT_OK(magpie_callback_sweep(&txn, DAY_US, &diag), &diag);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM magpie_callback", 0), 7);
    CONTRACT_OK(magpie_callback_sweep(&txn, DAY_US, &diag), &diag);
    CONTRACT_OK(magpie_callback_sweep(&txn, DAY_US, &diag), &diag);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM magpie_callback", 0), 1);
    store_rig_close(&rig);
}

static enum ph_error session_error(struct store_rig *rig, const char *text, int64_t *ret_id)
{
    uint8_t hash[SURFACE_TOKEN_HASH_BYTES];
    int64_t user_id;
    surface_token_hash(slice_of(text), hash);
    return magpie_session_find(rig->store, hash, NOW_US, NULL, ret_id, &user_id);
}

static void test_sessions(void **state)
{
    struct store_rig rig;
    struct diag diag = {0};
    char text[16];
    int64_t id;
    store_rig_open(&rig, state);
    struct writer_txn txn = txn_of(&rig);
    row_add(&rig, session_sql, id_floor(NOW_US - DAY_US), "expired", 2);
    row_add(&rig, session_sql, id_floor(NOW_US - DAY_US + ID_TICK_US), "last", 2);
    assert_int_equal(session_error(&rig, "expired", &id), PH_NOT_FOUND);
    assert_int_equal(session_error(&rig, "none", &id), PH_NOT_FOUND);
    assert_int_equal(session_error(&rig, "last", &id), PH_OK);
    for (int64_t row = 0; row < MAGPIE_SESSIONS_MAX; row++) {
        (void)snprintf(text, sizeof text, "t%lld", (long long)row);
        row_add(&rig, session_sql, id_floor(NOW_US) + row, text, 2);
    }
    row_add(&rig, session_sql, id_floor(NOW_US) + 1000, "other", 3);
    CONTRACT_OK(magpie_session_sweep(&txn, 2, &diag), &diag);
    /* The expired one, and the oldest of those that were too many. */
    assert_int_equal(session_error(&rig, "last", &id), PH_NOT_FOUND);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM magpie_session", 0),
                     MAGPIE_SESSIONS_MAX + 1);
    assert_int_equal(session_error(&rig, "t3", &id), PH_OK);
    CONTRACT_OK(magpie_session_delete_others(&txn, 2, id, &diag), &diag);
    assert_int_equal(store_rig_number(&rig, "SELECT count(*) FROM magpie_session", 0), 2);
    CONTRACT_OK(magpie_session_delete(&txn, id, &diag), &diag);
    assert_int_equal(session_error(&rig, "t3", &id), PH_NOT_FOUND);
    assert_int_equal(session_error(&rig, "other", &id), PH_OK);
    store_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_what_is_there_from_the_start),
        CONTRACT_BOTH(test_a_user_comes_back),
        CONTRACT_BOTH(test_taken),
        CONTRACT_BOTH(test_ids_are_never_used_again),
        CONTRACT_BOTH(test_a_user_takes_all_along),
        CONTRACT_BOTH(test_other_administrators),
        CONTRACT_BOTH(test_walks),
        CONTRACT_BOTH(test_resources_come_back),
        CONTRACT_BOTH(test_resources_refused),
        CONTRACT_BOTH(test_updates),
        CONTRACT_BOTH(test_trees),
        CONTRACT_BOTH(test_permissions),
        CONTRACT_BOTH(test_all_permissions_of_one),
        CONTRACT_BOTH(test_a_callback_is_used_once),
        CONTRACT_BOTH(test_old_callbacks_go_in_steps),
        CONTRACT_BOTH(test_sessions),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
