/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens and what they may do (dbt spec sections 1 and 7). */
#include "core/scan.h"
#include "surfaces/dbt/dbt_int.h"

#define GRANTS_MAX 4096
#define MEMBERS_MAX 16
#define ARGUMENTS_ARENA_BYTES 65536
#define SERVICE_PREFIX "dbtc_"
#define PERSONAL_PREFIX "dbtu_"

/* --- permission sets -------------------------------------------------------------------------- */

#define MAY_WEBHOOKS 1u /* read and write: there is no set that only reads */
#define MAY_RUNS 2u
#define ON_TEAM_ONLY 4u

/* Those of dbt's service tokens. Most of them may not even read webhooks. */
static const struct {
    const char *name;
    unsigned rights;
} sets[] = {
    {"account_admin", MAY_WEBHOOKS | MAY_RUNS},
    {"admin", MAY_WEBHOOKS | MAY_RUNS},
    {"developer", MAY_WEBHOOKS | MAY_RUNS},
    {"webhooks_only", MAY_WEBHOOKS},
    {"owner", MAY_WEBHOOKS | MAY_RUNS | ON_TEAM_ONLY},
    {"member", MAY_WEBHOOKS | MAY_RUNS | ON_TEAM_ONLY},
    {"job_admin", MAY_RUNS},
    {"job_runner", MAY_RUNS},
    {"account_viewer", 0},
    {"analyst", 0},
    {"billing_admin", 0},
    {"cost_management_admin", 0},
    {"cost_management_viewer", 0},
    {"database_admin", 0},
    {"fusion_admin", 0},
    {"git_admin", 0},
    {"job_viewer", 0},
    {"manage_marketplace_apps", 0},
    {"metadata_only", 0},
    {"notification_manager", 0},
    {"project_creator", 0},
    {"readonly", 0},
    {"security_admin", 0},
    {"semantic_layer_only", 0},
    {"stakeholder", 0},
    {"team_admin", 0},
};

static bool find_set(struct slice name, unsigned *ret_rights)
{
    for (size_t index = 0; index < PH_ARRAY_LENGTH(sets); index++) {
        if (slice_equal_text(name, sets[index].name)) {
            *ret_rights = sets[index].rights;
            return true;
        }
    }
    return false;
}

/* What a token's grants come to on a plan. */
struct grants {
    int64_t account;
    int64_t user_id;
    bool is_service;
    unsigned rights;
};

static void add_rights(struct slice permissions, enum dbt_plan plan, unsigned *rights)
{
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    scan_cursor_init(&cursor, permissions);
    while (scan_next_element(&cursor, &type, &value)) {
        unsigned of_set;
        struct slice name = {value.ptr + 1, value.len - 2}; /* ours, without escapes */
        if (type == SCAN_STRING && find_set(name, &of_set) &&
            ((of_set & ON_TEAM_ONLY) == 0 || plan == DBT_PLAN_TEAM)) {
            *rights |= of_set;
        }
    }
}

static bool read_grants(struct slice json, enum dbt_plan plan, struct grants *ret_grants)
{
    struct scan_member members[MEMBERS_MAX];
    size_t count;
    *ret_grants = (struct grants){0};
    if (scan_object(json, members, MEMBERS_MAX, &count, NULL, NULL) != PH_OK) {
        return false;
    }
    const struct scan_member *account = scan_find(members, count, "account");
    const struct scan_member *user = scan_find(members, count, "user");
    const struct scan_member *permissions = scan_find(members, count, "permissions");
    if (account == NULL || !scan_int64(account->value, &ret_grants->account) ||
        permissions == NULL || permissions->type != SCAN_ARRAY ||
        (user != NULL && !scan_int64(user->value, &ret_grants->user_id))) {
        return false;
    }
    ret_grants->is_service = user == NULL;
    add_rights(permissions->value, plan, &ret_grants->rights);
    return true;
}

/* --- requests --------------------------------------------------------------------------------- */

struct slice dbt_token_of(struct http_request *request)
{
    static const char *const schemes[] = {"Token", "Bearer"};
    struct slice header = http_header(request, "authorization");
    size_t space = slice_find(header, ' ');
    for (size_t index = 0; header.ptr != NULL && index < PH_ARRAY_LENGTH(schemes); index++) {
        if (slice_equal_nocase((struct slice){header.ptr, space}, slice_of(schemes[index])) &&
            space < header.len) {
            return slice_trim((struct slice){header.ptr + space, header.len - space});
        }
    }
    return SLICE_NONE;
}

const struct dbt_caller *dbt_caller_of(const struct api_call *call)
{
    return http_user(call->request);
}

/* Whether the route has an account in its path; the pattern says so. */
static bool names_account(const struct api_call *call)
{
    return strstr(http_route_of(call->request)->pattern, "{account_id}") != NULL;
}

/* A number as clients write it: no sign, no zeros in front. */
static bool parse_number(struct slice text, int64_t *ret_number)
{
    return text.len > 0 && text.ptr[0] >= '1' && text.ptr[0] <= '9' &&
           slice_to_int64(text, ret_number) && *ret_number <= DBT_ACCOUNT_NUMBER_MAX;
}

enum ph_error dbt_path_number(const struct api_call *call, const char *name, struct diag *diag,
                              int64_t *ret_number)
{
    return parse_number(http_param(call->request, name), ret_number) ? PH_OK : dbt_not_found(diag);
}

static bool may(unsigned rights, unsigned permission)
{
    switch ((enum dbt_permission)permission) {
    case DBT_PERMISSION_WEBHOOKS:
        return (rights & MAY_WEBHOOKS) != 0;
    case DBT_PERMISSION_RUNS:
        return (rights & MAY_RUNS) != 0;
    case DBT_PERMISSION_ANY:
        break;
    }
    return true;
}

enum ph_error dbt_authorize(struct api_call *call, const struct surface_operation *operation,
                            struct diag *diag)
{
    struct grants grants;
    struct store *store;
    struct dbt_caller *caller = arena_calloc(call->arena, 1, sizeof *caller);
    if (caller == NULL) {
        return api_no_memory(diag);
    }
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK && !read_grants(call->surface_token->grants, DBT_PLAN_ENTERPRISE, &grants)) {
        error = diag_set(diag, PH_STORE, "store", "the grants of a token cannot be read");
    }
    if (error == PH_OK) {
        error = dbt_account_find(store, grants.account, call->arena, diag, &caller->account);
    }
    if (error != PH_OK) {
        return error == PH_NOT_FOUND ? dbt_not_found(diag) : error;
    }
    (void)read_grants(call->surface_token->grants, caller->account.plan, &grants);
    caller->dbt = surface_state(call);
    caller->token_account = grants.account;
    caller->user_id = grants.user_id;
    caller->is_service = grants.is_service;
    caller->sees_names = (grants.rights & (MAY_WEBHOOKS | MAY_RUNS)) != 0;
    http_set_user(call->request, caller);
    if (names_account(call)) {
        int64_t number;
        if (!parse_number(http_param(call->request, "account_id"), &number) ||
            number != grants.account) {
            return dbt_not_found(diag);
        }
    }
    return may(grants.rights, operation->permission)
               ? PH_OK
               : diag_set(diag, PH_FORBIDDEN, NULL, "the token lacks the permission");
}

/* --- making tokens ---------------------------------------------------------------------------- */

const struct surface_token_flag dbt_token_flags[DBT_TOKEN_FLAG_COUNT] = {
    {"--account", "account", SURFACE_FLAG_TEXT, true, "N",
     "the number of the account, which is made if it is new."},
    {"--permission", "permission", SURFACE_FLAG_LIST, true, "SET", "a permission set."},
    {"--account-name", "account_name", SURFACE_FLAG_TEXT, false, "NAME", "the account's name."},
    {"--plan", "plan", SURFACE_FLAG_TEXT, false, "team|enterprise", "the account's plan."},
    {"--kind", "kind", SURFACE_FLAG_TEXT, false, "service|personal",
     "whose token it is; service when it is not given."},
};

struct wanted {
    struct dbt_account_change account;
    bool is_personal;
    struct slice *permissions;
    size_t permission_count;
};

static enum ph_error read_permissions(struct input *input, struct wanted *wanted)
{
    (void)input_strings(input, "permission", INPUT_REQUIRED, "permission", 64, &wanted->permissions,
                        &wanted->permission_count);
    for (size_t index = 0; index < wanted->permission_count; index++) {
        unsigned rights;
        if (!find_set(wanted->permissions[index], &rights)) {
            return diag_set(
                input->diag, PH_INVALID, NULL,
                "--permission: there is no permission set \"%.*s\"; there are "
                "account_admin, admin, developer, webhooks_only, job_admin, "
                "job_runner, owner, member and those without access to webhooks",
                (int)(wanted->permissions[index].len < 64 ? wanted->permissions[index].len : 64),
                wanted->permissions[index].ptr);
        }
    }
    return input_end(input);
}

static enum ph_error read_wanted(struct slice arguments, struct arena *arena, struct diag *diag,
                                 struct wanted *ret_wanted)
{
    struct input input;
    struct slice account;
    struct slice plan;
    struct slice kind;
    struct wanted wanted = {0};
    input_open(&input, arguments, arena, diag);
    (void)input_string(&input, "account", INPUT_REQUIRED, "account", &account);
    (void)input_string(&input, "account_name", INPUT_OPTIONAL, "account_name",
                       &wanted.account.name);
    (void)input_string(&input, "plan", INPUT_OPTIONAL, "plan", &plan);
    (void)input_string(&input, "kind", INPUT_OPTIONAL, "kind", &kind);
    enum ph_error error = read_permissions(&input, &wanted);
    if (error != PH_OK) {
        return error;
    }
    wanted.account.has_plan = plan.ptr != NULL;
    wanted.is_personal = slice_equal_text(kind, "personal");
    if (!parse_number(account, &wanted.account.number)) {
        return diag_set(diag, PH_INVALID, NULL, "--account wants a number above 0, not \"%.*s\"",
                        (int)(account.len < 64 ? account.len : 64), account.ptr);
    }
    if (wanted.account.has_plan && !dbt_plan_parse(plan, &wanted.account.plan)) {
        return diag_set(diag, PH_INVALID, NULL, "--plan wants team or enterprise");
    }
    if (kind.ptr != NULL && !wanted.is_personal && !slice_equal_text(kind, "service")) {
        return diag_set(diag, PH_INVALID, NULL, "--kind wants service or personal");
    }
    if (wanted.account.name.ptr != NULL &&
        (wanted.account.name.len == 0 || wanted.account.name.len > DBT_ACCOUNT_NAME_BYTES_MAX)) {
        return diag_set(diag, PH_INVALID, NULL, "--account-name wants 1 to %d bytes",
                        DBT_ACCOUNT_NAME_BYTES_MAX);
    }
    *ret_wanted = wanted;
    return PH_OK;
}

enum ph_error dbt_token_check(struct slice arguments, struct diag *diag)
{
    struct wanted wanted;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, ARGUMENTS_ARENA_BYTES);
    return read_wanted(arguments, &arena, diag, &wanted);
}

static void write_grants(const struct wanted *wanted, int64_t user_id, struct buf *text)
{
    struct json_out out;
    json_out_init(&out, text);
    json_out_begin_object(&out);
    json_out_member_int(&out, "account", wanted->account.number);
    if (wanted->is_personal) {
        json_out_member_int(&out, "user", user_id);
    }
    json_out_key(&out, "permissions");
    json_out_begin_array(&out);
    for (size_t index = 0; index < wanted->permission_count; index++) {
        json_out_string(&out, wanted->permissions[index]);
    }
    json_out_end_array(&out);
    json_out_end_object(&out);
    json_out_end_document(&out);
}

enum ph_error dbt_token_make(struct surface_instance *instance, struct writer_txn *txn,
                             const struct surface_token_request *request, struct diag *diag,
                             struct buf *ret_text)
{
    (void)instance;
    struct wanted wanted;
    struct dbt_account account;
    char subject[32];
    BUF_AUTO struct buf grants;
    ARENA_AUTO struct arena arena;
    buf_init(&grants, GRANTS_MAX);
    arena_init(&arena, ARGUMENTS_ARENA_BYTES);
    enum ph_error error = read_wanted(request->arguments, &arena, diag, &wanted);
    if (error == PH_OK) {
        error = dbt_account_ensure(txn, &wanted.account, &arena, diag, &account);
    }
    if (error != PH_OK) {
        return error;
    }
    /* A person is known by nothing but the token; the number is the second that it was made in. */
    write_grants(&wanted, txn->now_us / 1000000, &grants);
    (void)snprintf(subject, sizeof subject, "account %lld", (long long)wanted.account.number);
    return surface_make_token(txn, &surface_dbt,
                              wanted.is_personal ? SLICE_LITERAL(PERSONAL_PREFIX)
                                                 : SLICE_LITERAL(SERVICE_PREFIX),
                              slice_of(subject), buf_slice(&grants), request, diag, ret_text);
}
