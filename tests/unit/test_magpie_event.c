/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters of the seven actions (magpie spec section 3), from inside and from outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "surfaces/magpie/event.h"

static const char user[] = "\"user.name\":\"ann\",\"user.id\":7,\"user.email\":\"a@b.c\"";
static const char permission[] =
    "\"resource.id\":12,\"resource.type\":\"service\",\"resource.name\":\"data\","
    "\"permission.name\":\"read\",\"permission.access\":\"deny\",\"permission.scope\":\"match\"";

/* The event as it is stored, or the error with its field. */
static void check(enum magpie_action action, const char *params, char *result, size_t size)
{
    struct magpie_parameter items[MAGPIE_PARAMETERS_MAX];
    struct magpie_parameters parameters;
    struct diag diag = {0};
    ARENA_AUTO struct arena arena;
    BUF_AUTO struct buf json;
    arena_init(&arena, 1 << 20);
    buf_init(&json, 1 << 20);
    if (magpie_event_check(action, slice_of(params), &arena, items, &diag, &parameters) != PH_OK) {
        assert_int_equal(diag.error, PH_INVALID);
        (void)snprintf(result, size, "%s: %s", diag.field, diag.text);
        return;
    }
    magpie_event_write(action, &parameters, &json);
    (void)snprintf(result, size, "%s", buf_text(&json));
}

static void assert_checks(enum magpie_action action, const char *params, const char *expected)
{
    char result[2048];
    check(action, params, result, sizeof result);
    assert_string_equal(result, expected);
}

/* `params` is made of the parts. */
#define PARAMS(text, ...)                                                                          \
    char text[2048];                                                                               \
    (void)snprintf(text, sizeof text, __VA_ARGS__)

static void test_names(void **state)
{
    (void)state;
    static const char *const names[] = {"create_user",
                                        "delete_user",
                                        "update_user_status",
                                        "create_user_permission",
                                        "delete_user_permission",
                                        "create_group_permission",
                                        "delete_group_permission"};
    assert_int_equal(PH_ARRAY_LENGTH(names), MAGPIE_ACTION_COUNT);
    for (unsigned index = 0; index < MAGPIE_ACTION_COUNT; index++) {
        enum magpie_action action;
        assert_string_equal(magpie_action_name((enum magpie_action)index), names[index]);
        assert_true(magpie_action_parse(slice_of(names[index]), &action));
        assert_int_equal(action, index);
    }
    enum magpie_action action;
    assert_false(magpie_action_parse(SLICE_LITERAL("CREATE_USER"), &action));
    assert_false(magpie_action_parse(SLICE_LITERAL(""), &action));
    assert_false(magpie_action_parse(SLICE_NONE, &action));
}

/* Which of the 19 an action has. */
static void test_which_parameters(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *actions; /* a digit each */
    } rows[] = {
        {"user.name", "01234"},
        {"user.id", "01234"},
        {"user.email", "0134"},
        {"user.status", "234"},
        {"callback_url", "02"},
        {"group.name", "56"},
        {"group.id", "56"},
        {"resource.id", "3456"},
        {"resource.type", "3456"},
        {"resource.name", "3456"},
        {"resource.display_name", "3456"},
        {"service.name", "3456"},
        {"service.type", "3456"},
        {"service.public_url", "3456"},
        {"service.sync_type", "3456"},
        {"permission.name", "3456"},
        {"permission.access", "3456"},
        {"permission.scope", "3456"},
        {"permission", "3456"},
        {"service.configurable", ""},
    };
    for (size_t row = 0; row < PH_ARRAY_LENGTH(rows); row++) {
        assert_int_equal(magpie_template_knows(slice_of(rows[row].name)),
                         rows[row].actions[0] != '\0');
        for (int action = 0; action < MAGPIE_ACTION_COUNT; action++) {
            bool has = strchr(rows[row].actions, '0' + action) != NULL;
            assert_int_equal(
                magpie_action_has((enum magpie_action)action, slice_of(rows[row].name)), has);
        }
    }
}

static void test_what_is_accepted(void **state)
{
    (void)state;
    PARAMS(created, "{%s,\"callback_url\":\"http://h/c\"}", user);
    PARAMS(deleted, "{%s}", user);
    assert_checks(MAGPIE_CREATE_USER, created,
                  "{\"action\":\"create_user\",\"params\":{\"user.name\":\"ann\",\"user.id\":7,"
                  "\"user.email\":\"a@b.c\",\"callback_url\":\"http://h/c\"}}");
    assert_checks(MAGPIE_CREATE_USER, deleted,
                  "{\"action\":\"create_user\",\"params\":{\"user.name\":\"ann\",\"user.id\":7,"
                  "\"user.email\":\"a@b.c\"}}");
    assert_checks(MAGPIE_DELETE_USER, deleted,
                  "{\"action\":\"delete_user\",\"params\":{\"user.name\":\"ann\",\"user.id\":7,"
                  "\"user.email\":\"a@b.c\"}}");
    assert_checks(MAGPIE_UPDATE_USER_STATUS,
                  "{\"user.status\":2,\"user.id\":7,\"user.name\":\"\\u00e9\"}",
                  "{\"action\":\"update_user_status\",\"params\":{\"user.status\":2,"
                  "\"user.id\":7,\"user.name\":\"\xc3\xa9\"}}");
    /* What is left out of a permission is filled in. */
    PARAMS(given, "{%s,\"user.name\":\"ann\"}", permission);
    assert_checks(MAGPIE_CREATE_USER_PERMISSION, given,
                  "{\"action\":\"create_user_permission\",\"params\":{\"resource.id\":12,"
                  "\"resource.type\":\"service\",\"resource.name\":\"data\","
                  "\"permission.name\":\"read\",\"permission.access\":\"deny\","
                  "\"permission.scope\":\"match\",\"user.name\":\"ann\","
                  "\"resource.display_name\":\"data\",\"service.name\":null,"
                  "\"service.type\":null,\"service.public_url\":null,\"service.sync_type\":null,"
                  "\"permission\":\"read-deny-match\"}}");
    PARAMS(all,
           "{%s,\"group.name\":\"g\",\"group.id\":3,\"resource.display_name\":\"Data\","
           "\"service.name\":\"s\",\"service.type\":\"api\",\"service.public_url\":\"http://p/s\","
           "\"service.sync_type\":null,\"permission\":\"read-deny-match\"}",
           permission);
    assert_checks(MAGPIE_DELETE_GROUP_PERMISSION, all,
                  "{\"action\":\"delete_group_permission\",\"params\":{\"resource.id\":12,"
                  "\"resource.type\":\"service\",\"resource.name\":\"data\","
                  "\"permission.name\":\"read\",\"permission.access\":\"deny\","
                  "\"permission.scope\":\"match\",\"group.name\":\"g\",\"group.id\":3,"
                  "\"resource.display_name\":\"Data\",\"service.name\":\"s\","
                  "\"service.type\":\"api\",\"service.public_url\":\"http://p/s\","
                  "\"service.sync_type\":null,\"permission\":\"read-deny-match\"}}");
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const struct {
        enum magpie_action action;
        const char *params;
        const char *expected;
    } rows[] = {
        {MAGPIE_CREATE_USER, "{}", "params.user.name: create_user needs it"},
        {MAGPIE_CREATE_USER, "{\"user.name\":\"a\"}", "params.user.id: create_user needs it"},
        {MAGPIE_CREATE_USER, "{\"user.name\":\"a\",\"user.id\":1}",
         "params.user.email: create_user needs it"},
        {MAGPIE_CREATE_USER, "{\"user.name\":5}", "params.user.name: must be text"},
        {MAGPIE_CREATE_USER, "{\"user.name\":null}", "params.user.name: must be text"},
        {MAGPIE_CREATE_USER, "{\"user.name\":\"a\\u0000b\"}",
         "params.user.name: must be text without NUL"},
        {MAGPIE_CREATE_USER, "{\"user.name\":\"\\ud800\"}", "params.user.name: must be valid text"},
        {MAGPIE_CREATE_USER, "{\"user.id\":\"7\"}", "params.user.id: must be an integer"},
        {MAGPIE_CREATE_USER, "{\"user.id\":7.5}", "params.user.id: must be an integer"},
        {MAGPIE_CREATE_USER, "{\"user.id\":1,\"user.id\":2}", "params.user.id: stands twice"},
        {MAGPIE_CREATE_USER, "{\"user.status\":1}",
         "params.user.status: create_user has no such parameter"},
        {MAGPIE_CREATE_USER, "{\"x\":1}", "params.x: create_user has no such parameter"},
        {MAGPIE_DELETE_USER, "{\"callback_url\":\"x\"}",
         "params.callback_url: delete_user has no such parameter"},
        {MAGPIE_UPDATE_USER_STATUS, "{\"user.status\":\"OK\"}",
         "params.user.status: must be an integer"},
        {MAGPIE_UPDATE_USER_STATUS, "{\"user.status\":3}",
         "params.user.status: must be 1 (OK), 2 (WebhookError) or 4 (Pending)"},
        {MAGPIE_UPDATE_USER_STATUS, "{\"user.name\":\"a\",\"user.id\":1}",
         "params.user.status: update_user_status needs it"},
        {MAGPIE_CREATE_USER_PERMISSION, "{\"user.status\":1}", "params.user.status: must be text"},
        {MAGPIE_CREATE_USER_PERMISSION, "{\"user.status\":\"ok\"}",
         "params.user.status: must be OK, WebhookError or Pending"},
        {MAGPIE_CREATE_USER_PERMISSION, "{\"permission.access\":\"Allow\"}",
         "params.permission.access: must be allow or deny"},
        {MAGPIE_CREATE_USER_PERMISSION, "{\"permission.scope\":\"all\"}",
         "params.permission.scope: must be recursive or match"},
        {MAGPIE_CREATE_USER_PERMISSION, "{\"service.name\":5}",
         "params.service.name: must be text or null"},
        {MAGPIE_CREATE_USER_PERMISSION, "{\"group.id\":5}",
         "params.group.id: create_user_permission has no such parameter"},
        {MAGPIE_DELETE_GROUP_PERMISSION, "{\"user.id\":5}",
         "params.user.id: delete_group_permission has no such parameter"},
        {MAGPIE_CREATE_GROUP_PERMISSION, "{}",
         "params.group.name: create_group_permission needs it"},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        assert_checks(rows[index].action, rows[index].params, rows[index].expected);
    }
    PARAMS(other, "{%s,\"user.name\":\"a\",\"permission\":\"read-allow-match\"}", permission);
    assert_checks(MAGPIE_CREATE_USER_PERMISSION, other,
                  "params.permission: must be name-access-scope of the others");
    char large[8192];
    (void)snprintf(large, sizeof large, "{\"user.name\":\"%0*d\"}", 4097, 0);
    assert_checks(MAGPIE_CREATE_USER, large, "params.user.name: must be at most 4096 bytes");
}

/* What is stored is read the same, and every action's sample passes its own check. */
static void test_samples_go_round(void **state)
{
    (void)state;
    for (unsigned index = 0; index < MAGPIE_ACTION_COUNT; index++) {
        enum magpie_action action = (enum magpie_action)index;
        struct magpie_parameter items[MAGPIE_PARAMETERS_MAX];
        struct magpie_parameter read[MAGPIE_PARAMETERS_MAX];
        struct magpie_parameters sample = magpie_action_sample(action, items);
        struct magpie_parameters again;
        struct diag diag = {0};
        ARENA_AUTO struct arena arena;
        BUF_AUTO struct buf json;
        arena_init(&arena, 1 << 20);
        buf_init(&json, 1 << 20);
        magpie_event_write(action, &sample, &json);
        assert_int_equal(magpie_event_read(buf_slice(&json), &arena, read, &diag, &again), PH_OK);
        assert_int_equal(again.count, sample.count);
        for (size_t item = 0; item < sample.count; item++) {
            assert_string_equal(read[item].name, items[item].name);
            assert_int_equal(read[item].value.type, items[item].value.type);
            assert_int_equal(read[item].value.number, items[item].value.number);
            assert_true(slice_equal(read[item].value.text, items[item].value.text));
            assert_true(magpie_action_has(action, slice_of(items[item].name)));
        }
        struct slice params = {strstr(buf_text(&json), "\"params\":") + 9, 0};
        params.len = strlen(params.ptr) - 1;
        assert_int_equal(magpie_event_check(action, params, &arena, read, &diag, &again), PH_OK);
        assert_int_equal(again.count, sample.count);
    }
}

static void test_messages_that_are_no_events(void **state)
{
    (void)state;
    static const char *const payloads[] = {
        "",
        "5",
        "[]",
        "{}",
        "{\"params\":[]}",
        "{\"params\":{\"user.id\":1.5}}",
        "{\"params\":{\"user.name\":true}}",
        "{\"params\":{\"user.name\":{}}}",
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(payloads); index++) {
        struct magpie_parameter items[MAGPIE_PARAMETERS_MAX];
        struct magpie_parameters parameters;
        struct diag diag = {0};
        ARENA_AUTO struct arena arena;
        arena_init(&arena, 1 << 20);
        assert_int_equal(
            magpie_event_read(slice_of(payloads[index]), &arena, items, &diag, &parameters),
            PH_INVALID);
    }
    /* What is not ours is left out, and there is only so much of what is. */
    BUF_AUTO struct buf many;
    buf_init(&many, 1 << 16);
    buf_append_text(&many, "{\"action\":\"x\",\"params\":{\"other\":[1]");
    for (int index = 0; index < MAGPIE_PARAMETERS_MAX; index++) {
        buf_append_text(&many, ",\"user.id\":1");
    }
    struct magpie_parameter items[MAGPIE_PARAMETERS_MAX];
    struct magpie_parameters parameters;
    struct diag diag = {0};
    ARENA_AUTO struct arena arena;
    arena_init(&arena, 1 << 20);
    size_t length = many.len;
    buf_append_text(&many, "}}");
    assert_int_equal(magpie_event_read(buf_slice(&many), &arena, items, &diag, &parameters), PH_OK);
    assert_int_equal(parameters.count, MAGPIE_PARAMETERS_MAX);
    many.len = length;
    buf_append_text(&many, ",\"user.name\":\"x\"}}");
    assert_int_equal(magpie_event_read(buf_slice(&many), &arena, items, &diag, &parameters),
                     PH_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_which_parameters),
        cmocka_unit_test(test_what_is_accepted),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_samples_go_round),
        cmocka_unit_test(test_messages_that_are_no_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
