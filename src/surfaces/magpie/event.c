/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/magpie/event.h"

#include <stdarg.h>

#include "base/json_out.h"
#include "core/scan.h"
#include "flow/ingest.h"
#include "store/application.h"
#include "surfaces/magpie/magpie_int.h"

#define PAYLOAD_BYTES_MAX ((size_t)256 * 1024)
#define TEXT_BYTES_MAX 4096
#define PERMISSION_TEXT_MAX ((size_t)4 * TEXT_BYTES_MAX)
#define FIELD_TEXT_MAX 96
/* The channel of events about a user: its id follows. */
#define CHANNEL_PREFIX "user."
#define CHANNEL_TEXT_MAX 32

static const struct {
    const char *event_type;
    const char *description;
} actions[] = {
    [MAGPIE_CREATE_USER] = {"magpie.create_user", "A user was created"},
    [MAGPIE_DELETE_USER] = {"magpie.delete_user", "A user was deleted"},
    [MAGPIE_UPDATE_USER_STATUS] = {"magpie.update_user_status", "The status of a user changed"},
    [MAGPIE_CREATE_USER_PERMISSION] = {"magpie.create_user_permission",
                                       "A permission was given to a user"},
    [MAGPIE_DELETE_USER_PERMISSION] = {"magpie.delete_user_permission",
                                       "A permission was taken from a user"},
    [MAGPIE_CREATE_GROUP_PERMISSION] = {"magpie.create_group_permission",
                                        "A permission was given to a group"},
    [MAGPIE_DELETE_GROUP_PERMISSION] = {"magpie.delete_group_permission",
                                        "A permission was taken from a group"},
};
_Static_assert(PH_ARRAY_LENGTH(actions) == MAGPIE_ACTION_COUNT, "one row each");

const char *magpie_action_name(enum magpie_action action)
{
    return magpie_action_event_type(action) + strlen("magpie.");
}

const char *magpie_action_event_type(enum magpie_action action)
{
    PH_ASSERT((unsigned)action < MAGPIE_ACTION_COUNT);
    return actions[action].event_type;
}

const char *magpie_action_description(enum magpie_action action)
{
    PH_ASSERT((unsigned)action < MAGPIE_ACTION_COUNT);
    return actions[action].description;
}

bool magpie_action_parse(struct slice name, enum magpie_action *ret_action)
{
    for (unsigned index = 0; index < MAGPIE_ACTION_COUNT; index++) {
        if (slice_equal_text(name, magpie_action_name((enum magpie_action)index))) {
            *ret_action = (enum magpie_action)index;
            return true;
        }
    }
    return false;
}

/* --- parameters ------------------------------------------------------------------------------- */

enum kind {
    KIND_TEXT,
    KIND_INTEGER,
    KIND_TEXT_OR_NULL,
    KIND_STATUS_NAME,
    KIND_STATUS_NUMBER,
    KIND_ACCESS,
    KIND_SCOPE,
};

#define BIT(action) (1u << (action))
#define USERS (BIT(MAGPIE_CREATE_USER) | BIT(MAGPIE_DELETE_USER) | BIT(MAGPIE_UPDATE_USER_STATUS))
#define USER_PERMISSIONS (BIT(MAGPIE_CREATE_USER_PERMISSION) | BIT(MAGPIE_DELETE_USER_PERMISSION))
#define GROUP_PERMISSIONS                                                                          \
    (BIT(MAGPIE_CREATE_GROUP_PERMISSION) | BIT(MAGPIE_DELETE_GROUP_PERMISSION))
#define PERMISSIONS (USER_PERMISSIONS | GROUP_PERMISSIONS)

/* Section 3, a row for each parameter and type. Who tells of an action from outside may leave out
 * what is not needed: what has a default, what the anonymous user has not (its id), and what only
 * this server can make (callback_url). */
static const struct rule {
    const char *name;
    enum kind kind;
    unsigned needed;
    unsigned allowed;
    const char *sample; /* of a text */
    int64_t number;     /* of an integer */
} rules[] = {
    {"user.name", KIND_TEXT, USERS | USER_PERMISSIONS, USERS | USER_PERMISSIONS, "ann", 0},
    {"user.id", KIND_INTEGER, USERS, USERS | USER_PERMISSIONS, NULL, 7},
    {"user.email", KIND_TEXT, BIT(MAGPIE_CREATE_USER) | BIT(MAGPIE_DELETE_USER),
     BIT(MAGPIE_CREATE_USER) | BIT(MAGPIE_DELETE_USER) | USER_PERMISSIONS, "ann@example.com", 0},
    {"user.status", KIND_STATUS_NUMBER, BIT(MAGPIE_UPDATE_USER_STATUS),
     BIT(MAGPIE_UPDATE_USER_STATUS), NULL, 1},
    {"user.status", KIND_STATUS_NAME, 0, USER_PERMISSIONS, "OK", 0},
    {"callback_url", KIND_TEXT, 0, BIT(MAGPIE_CREATE_USER) | BIT(MAGPIE_UPDATE_USER_STATUS),
     "https://magpie.example.com/tmp/3f0c2a9e-7d41-4b8e-9a57-0c6d2e1b4f83", 0},
    {"group.name", KIND_TEXT, GROUP_PERMISSIONS, GROUP_PERMISSIONS, "editors", 0},
    {"group.id", KIND_INTEGER, GROUP_PERMISSIONS, GROUP_PERMISSIONS, NULL, 3},
    {"resource.id", KIND_INTEGER, PERMISSIONS, PERMISSIONS, NULL, 12},
    {"resource.type", KIND_TEXT, PERMISSIONS, PERMISSIONS, "directory", 0},
    {"resource.name", KIND_TEXT, PERMISSIONS, PERMISSIONS, "data", 0},
    {"resource.display_name", KIND_TEXT, 0, PERMISSIONS, "data", 0},
    {"service.name", KIND_TEXT_OR_NULL, 0, PERMISSIONS, NULL, 0},
    {"service.type", KIND_TEXT_OR_NULL, 0, PERMISSIONS, "thredds", 0},
    {"service.public_url", KIND_TEXT_OR_NULL, 0, PERMISSIONS, NULL, 0},
    {"service.sync_type", KIND_TEXT_OR_NULL, 0, PERMISSIONS, NULL, 0},
    {"permission.name", KIND_TEXT, PERMISSIONS, PERMISSIONS, "read", 0},
    {"permission.access", KIND_ACCESS, PERMISSIONS, PERMISSIONS, "allow", 0},
    {"permission.scope", KIND_SCOPE, PERMISSIONS, PERMISSIONS, "match", 0},
    {"permission", KIND_TEXT, 0, PERMISSIONS, "read-allow-match", 0},
};

static const struct rule *find_rule(enum magpie_action action, struct slice name)
{
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rules); index++) {
        if ((rules[index].allowed & BIT(action)) != 0 &&
            slice_equal_text(name, rules[index].name)) {
            return &rules[index];
        }
    }
    return NULL;
}

bool magpie_action_has(enum magpie_action action, struct slice parameter)
{
    return find_rule(action, parameter) != NULL;
}

struct magpie_parameters magpie_action_sample(enum magpie_action action,
                                              struct magpie_parameter *items)
{
    size_t count = 0;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rules); index++) {
        const struct rule *rule = &rules[index];
        if ((rule->allowed & BIT(action)) == 0) {
            continue;
        }
        bool is_number = rule->kind == KIND_INTEGER || rule->kind == KIND_STATUS_NUMBER;
        items[count].name = rule->name;
        items[count++].value = (struct magpie_value){
            .type = is_number              ? MAGPIE_INTEGER
                    : rule->sample == NULL ? MAGPIE_NULL
                                           : MAGPIE_STRING,
            .text = slice_of(rule->sample),
            .number = rule->number,
        };
    }
    return (struct magpie_parameters){items, count};
}

/* --- the message's payload -------------------------------------------------------------------- */

void magpie_event_write(enum magpie_action action, const struct magpie_parameters *parameters,
                        struct buf *json)
{
    struct json_out out;
    json_out_init(&out, json);
    json_out_begin_object(&out);
    json_out_member_text(&out, "action", magpie_action_name(action));
    json_out_key(&out, "params");
    json_out_begin_object(&out);
    for (size_t index = 0; index < parameters->count; index++) {
        const struct magpie_parameter *item = &parameters->items[index];
        switch (item->value.type) {
        case MAGPIE_STRING:
            json_out_key(&out, item->name);
            json_out_string(&out, item->value.text);
            break;
        case MAGPIE_INTEGER:
            json_out_member_int(&out, item->name, item->value.number);
            break;
        case MAGPIE_NULL:
            json_out_member_null(&out, item->name);
            break;
        }
    }
    json_out_end_object(&out);
    json_out_end_object(&out);
    json_out_end_document(&out);
}

static enum ph_error broken_event(struct diag *diag)
{
    return diag_set(diag, PH_INVALID, NULL,
                    "not sent: the message is no event of magpie (action and params)");
}

/* The static text of a parameter's name; NULL = none of ours. */
static const char *known_name(struct slice key)
{
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rules); index++) {
        if (slice_equal_text(key, rules[index].name)) {
            return rules[index].name;
        }
    }
    return NULL;
}

/* A text, an integer or null. */
static enum ph_error read_value(const struct scan_member *member, struct arena *arena,
                                struct diag *diag, struct magpie_value *ret_value)
{
    if (member->type == SCAN_STRING) {
        ret_value->type = MAGPIE_STRING;
        return scan_string(member->value, arena, diag, &ret_value->text);
    }
    ret_value->type = member->type == SCAN_NULL ? MAGPIE_NULL : MAGPIE_INTEGER;
    bool is_known = member->type == SCAN_NULL ||
                    (member->type == SCAN_NUMBER && scan_int64(member->value, &ret_value->number));
    return is_known ? PH_OK : broken_event(diag);
}

enum ph_error magpie_event_read(struct slice payload, struct arena *arena,
                                struct magpie_parameter *items, struct diag *diag,
                                struct magpie_parameters *ret_parameters)
{
    struct scan_member members[8];
    struct scan_cursor cursor;
    struct scan_member member;
    size_t member_count;
    size_t count = 0;
    if (scan_object(payload, members, PH_ARRAY_LENGTH(members), &member_count, NULL, NULL) !=
        PH_OK) {
        return broken_event(diag);
    }
    const struct scan_member *params = scan_find(members, member_count, "params");
    if (params == NULL || params->type != SCAN_OBJECT) {
        return broken_event(diag);
    }
    scan_cursor_init(&cursor, params->value);
    while (scan_next_member(&cursor, &member)) {
        const char *name = known_name(member.key);
        if (name == NULL) {
            continue;
        }
        if (count == MAGPIE_PARAMETERS_MAX) {
            return broken_event(diag);
        }
        struct magpie_parameter *item = &items[count++];
        *item = (struct magpie_parameter){.name = name};
        enum ph_error error = read_value(&member, arena, diag, &item->value);
        if (error != PH_OK) {
            return error;
        }
    }
    *ret_parameters = (struct magpie_parameters){items, count};
    return PH_OK;
}

/* --- from outside ----------------------------------------------------------------------------- */

struct check {
    enum magpie_action action;
    struct arena *arena;
    struct diag *diag;
    struct magpie_parameter *items;
    size_t count;
};

PH_PRINTF(3, 4)
static enum ph_error refuse(struct check *check, const char *name, const char *format, ...)
{
    char field[FIELD_TEXT_MAX];
    char words[128];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    (void)snprintf(field, sizeof field, "params.%s", name);
    return diag_set(check->diag, PH_INVALID, field, "%s", words);
}

static struct magpie_value *find_value(const struct check *check, const char *name)
{
    for (size_t index = 0; index < check->count; index++) {
        if (strcmp(check->items[index].name, name) == 0) {
            return &check->items[index].value;
        }
    }
    return NULL;
}

/* One that was found to be there before. */
static struct slice text_of(const struct check *check, const char *name)
{
    const struct magpie_value *value = find_value(check, name);
    PH_ASSERT(value != NULL && value->type == MAGPIE_STRING);
    return value->text;
}

static bool is_one_of(struct slice text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (slice_equal_text(text, *words)) {
            return true;
        }
    }
    return false;
}

static enum ph_error check_number(struct check *check, const struct rule *rule, int64_t number)
{
    if (rule->kind == KIND_STATUS_NUMBER && number != 1 && number != 2 && number != 4) {
        return refuse(check, rule->name, "must be 1 (OK), 2 (WebhookError) or 4 (Pending)");
    }
    return PH_OK;
}

static enum ph_error check_text(struct check *check, const struct rule *rule, struct slice text)
{
    static const char *const statuses[] = {"OK", "WebhookError", "Pending", NULL};
    static const char *const accesses[] = {"allow", "deny", NULL};
    static const char *const scopes[] = {"recursive", "match", NULL};
    if (text.len > TEXT_BYTES_MAX) {
        return refuse(check, rule->name, "must be at most %d bytes", TEXT_BYTES_MAX);
    }
    if (!slice_is_utf8_text(text)) {
        return refuse(check, rule->name, "must be text without NUL");
    }
    if (rule->kind == KIND_STATUS_NAME && !is_one_of(text, statuses)) {
        return refuse(check, rule->name, "must be OK, WebhookError or Pending");
    }
    if (rule->kind == KIND_ACCESS && !is_one_of(text, accesses)) {
        return refuse(check, rule->name, "must be allow or deny");
    }
    if (rule->kind == KIND_SCOPE && !is_one_of(text, scopes)) {
        return refuse(check, rule->name, "must be recursive or match");
    }
    return PH_OK;
}

/* The type, and the value. */
static enum ph_error check_member(struct check *check, const struct rule *rule,
                                  const struct scan_member *member)
{
    bool is_number = rule->kind == KIND_INTEGER || rule->kind == KIND_STATUS_NUMBER;
    bool may_be_null = rule->kind == KIND_TEXT_OR_NULL;
    struct magpie_value value = {.type = is_number ? MAGPIE_INTEGER : MAGPIE_STRING};
    enum ph_error error = PH_OK;
    if (may_be_null && member->type == SCAN_NULL) {
        value.type = MAGPIE_NULL;
    } else if (is_number) {
        error = member->type == SCAN_NUMBER && scan_int64(member->value, &value.number)
                    ? check_number(check, rule, value.number)
                    : refuse(check, rule->name, "must be an integer");
    } else if (member->type != SCAN_STRING) {
        error = refuse(check, rule->name, may_be_null ? "must be text or null" : "must be text");
    } else if (scan_string(member->value, check->arena, check->diag, &value.text) != PH_OK) {
        error = refuse(check, rule->name, "must be valid text");
    } else {
        error = check_text(check, rule, value.text);
    }
    if (error == PH_OK) {
        check->items[check->count++] = (struct magpie_parameter){rule->name, value};
    }
    return error;
}

static enum ph_error read_members(struct check *check, struct slice params)
{
    struct scan_cursor cursor;
    struct scan_member member;
    scan_cursor_init(&cursor, params);
    while (scan_next_member(&cursor, &member)) {
        const struct rule *rule = find_rule(check->action, member.key);
        if (rule == NULL) {
            char name[64];
            (void)snprintf(name, sizeof name, "%.*s",
                           (int)(member.key.len < 60 ? member.key.len : 60), member.key.ptr);
            return refuse(check, name, "%s has no such parameter",
                          magpie_action_name(check->action));
        }
        if (find_value(check, rule->name) != NULL) {
            return refuse(check, rule->name, "stands twice");
        }
        enum ph_error error = check_member(check, rule, &member);
        if (error != PH_OK) {
            return error;
        }
    }
    return PH_OK;
}

static void add(struct check *check, const char *name, struct magpie_value value)
{
    check->items[check->count++] = (struct magpie_parameter){name, value};
}

/* `permission` is made of the three others, and must say the same if it is given. */
static enum ph_error complete_permission(struct check *check)
{
    BUF_AUTO struct buf text;
    buf_init(&text, PERMISSION_TEXT_MAX);
    buf_append_slice(&text, text_of(check, "permission.name"));
    buf_append_byte(&text, '-');
    buf_append_slice(&text, text_of(check, "permission.access"));
    buf_append_byte(&text, '-');
    buf_append_slice(&text, text_of(check, "permission.scope"));
    const struct magpie_value *given = find_value(check, "permission");
    if (given != NULL) {
        return slice_equal(given->text, buf_slice(&text))
                   ? PH_OK
                   : refuse(check, "permission", "must be name-access-scope of the others");
    }
    char *copy = arena_dup(check->arena, buf_slice(&text));
    if (copy == NULL) {
        return diag_set(check->diag, PH_NO_MEMORY, NULL, "the parameters are too large");
    }
    add(check, "permission",
        (struct magpie_value){.type = MAGPIE_STRING, .text = {copy, text.len}});
    return PH_OK;
}

static enum ph_error complete(struct check *check)
{
    static const char *const services[] = {"service.name", "service.type", "service.public_url",
                                           "service.sync_type"};
    if ((PERMISSIONS & BIT(check->action)) == 0) {
        return PH_OK;
    }
    if (find_value(check, "resource.display_name") == NULL) {
        add(check, "resource.display_name",
            (struct magpie_value){.type = MAGPIE_STRING, .text = text_of(check, "resource.name")});
    }
    for (size_t index = 0; index < PH_ARRAY_LENGTH(services); index++) {
        if (find_value(check, services[index]) == NULL) {
            add(check, services[index], (struct magpie_value){.type = MAGPIE_NULL});
        }
    }
    return complete_permission(check);
}

enum ph_error magpie_event_check(enum magpie_action action, struct slice params,
                                 struct arena *arena, struct magpie_parameter *items,
                                 struct diag *diag, struct magpie_parameters *ret_parameters)
{
    struct check check = {.action = action, .arena = arena, .diag = diag, .items = items};
    enum ph_error error = read_members(&check, params);
    for (size_t index = 0; error == PH_OK && index < PH_ARRAY_LENGTH(rules); index++) {
        if ((rules[index].needed & BIT(action)) != 0 &&
            find_value(&check, rules[index].name) == NULL) {
            error = refuse(&check, rules[index].name, "%s needs it", magpie_action_name(action));
        }
    }
    if (error == PH_OK) {
        error = complete(&check);
    }
    if (error == PH_OK) {
        *ret_parameters = (struct magpie_parameters){items, check.count};
    }
    return error;
}

/* --- emitting --------------------------------------------------------------------------------- */

enum ph_error magpie_emit_id(struct writer_txn *txn, enum magpie_action action, int64_t user_id,
                             const struct magpie_parameters *parameters, struct diag *diag,
                             int64_t *ret_message_id)
{
    char text[CHANNEL_TEXT_MAX];
    int64_t application_id;
    BUF_AUTO struct buf payload;
    buf_init(&payload, PAYLOAD_BYTES_MAX);
    magpie_event_write(action, parameters, &payload);
    if (payload.failed) {
        return diag_set(diag, PH_TOO_LARGE, "params", "the event is too large");
    }
    (void)snprintf(text, sizeof text, CHANNEL_PREFIX "%lld", (long long)user_id);
    const struct slice channel = slice_of(text);
    const struct ingest_message message = {
        .org = slice_of(DEFAULT_ORGANISATION),
        .application_uid = SLICE_LITERAL(MAGPIE_APPLICATION),
        .event_type = slice_of(magpie_action_event_type(action)),
        .channels = &channel,
        .channel_count = user_id != 0 ? 1 : 0,
        .payload = buf_slice(&payload),
    };
    enum ph_error error = ingest_in(txn, &message, diag, ret_message_id);
    if (error == PH_NOT_FOUND) {
        error = magpie_application_ensure(txn, diag, &application_id);
        if (error == PH_OK) {
            error = ingest_in(txn, &message, diag, ret_message_id);
        }
    }
    return error;
}

enum ph_error magpie_emit(struct magpie *magpie, struct writer_txn *txn, enum magpie_action action,
                          int64_t user_id, const struct magpie_parameters *parameters,
                          struct diag *diag)
{
    int64_t message_id;
    (void)magpie;
    return magpie_emit_id(txn, action, user_id, parameters, diag, &message_id);
}

/* The number in `["user.17"]`, 0 when it is no such text. */
static int64_t channel_user(struct slice channels)
{
    static const char before[] = "[\"" CHANNEL_PREFIX;
    static const char after[] = "\"]";
    const size_t around = sizeof before - 1 + sizeof after - 1;
    int64_t user_id = 0;
    if (channels.len <= around || !slice_starts_with(channels, before)) {
        return 0;
    }
    struct slice digits = {channels.ptr + sizeof before - 1, channels.len - around};
    return slice_to_int64(digits, &user_id) ? user_id : 0;
}

enum ph_error magpie_event_user(struct store *store, int64_t message_id, struct diag *diag,
                                int64_t *ret_user_id)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT event_type, channels FROM message WHERE id = $1");
    db_bind_int64(select, 1, message_id);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    *ret_user_id = 0;
    if (error != PH_OK || !has_row) {
        return error;
    }
    if (slice_equal_text(db_text(select, 0), magpie_action_event_type(MAGPIE_CREATE_USER))) {
        *ret_user_id = channel_user(db_text(select, 1));
    }
    db_done(select);
    return PH_OK;
}
