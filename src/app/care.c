/* SPDX-License-Identifier: Apache-2.0 */
#include "app/care.h"

#include "app/file.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "base/secret.h"
#include "core/scan.h"
#include "store/copy.h"

#define MEMBERS_MAX 16
#define PATH_BYTES_MAX 4096
#define SECRET_FILE_MAX 4096

static const char *const kind_names[] = {
    [CARE_BACKUP] = "backup",
    [CARE_PRUNE] = "prune",
    [CARE_TOKEN_CREATE] = "token create",
    [CARE_TOKEN_LIST] = "token list",
    [CARE_TOKEN_REVOKE] = "token revoke",
};
_Static_assert(PH_ARRAY_LENGTH(kind_names) == CARE_KIND_COUNT, "one name each");

/* --- requests ----------------------------------------------------------------------------------
 */

void care_request_done(struct care_request *request)
{
    free(request->path);
    free(request->surface);
    free(request->arguments);
    free(request->name);
    free(request->after);
    *request = (struct care_request){.kind = request->kind};
}

static void write_text(struct json_out *out, const char *key, const char *text)
{
    if (text != NULL) {
        json_out_member_text(out, key, text);
    }
}

static void write_tokens(const struct care_request *request, struct json_out *out)
{
    write_text(out, "surface", request->surface);
    write_text(out, "arguments", request->arguments);
    write_text(out, "name", request->name);
    write_text(out, "after", request->after);
    json_out_member_int(out, "expires_at_us", request->expires_at_us);
}

void care_request_write(const struct care_request *request, struct buf *text)
{
    struct json_out out;
    json_out_init(&out, text);
    json_out_begin_object(&out);
    json_out_member_text(&out, "command", kind_names[request->kind]);
    if (request->kind == CARE_BACKUP) {
        json_out_member_text(&out, "path", request->path);
        json_out_member_bool(&out, "force", request->is_forced);
    } else if (care_is_of_tokens(request->kind)) {
        write_tokens(request, &out);
    } else {
        json_out_member_int(&out, "older_than_us", request->older_than_us);
        json_out_member_bool(&out, "dry_run", request->is_dry_run);
    }
    json_out_end_object(&out);
    json_out_end_document(&out);
}

static bool read_bool(const struct scan_member *member, bool *ret_value)
{
    *ret_value = member->type == SCAN_TRUE;
    return member->type == SCAN_TRUE || member->type == SCAN_FALSE;
}

static bool read_text(const struct scan_member *member, struct arena *arena, char **ret_text)
{
    struct slice text;
    if (member->type != SCAN_STRING || scan_string(member->value, arena, NULL, &text) != PH_OK ||
        text.len == 0 || slice_find(text, '\0') != text.len) {
        return false;
    }
    free(*ret_text);
    *ret_text = slice_dup(text);
    return true;
}

static bool read_kind(const char *name, enum care_kind *ret_kind)
{
    for (size_t index = 0; index < PH_ARRAY_LENGTH(kind_names); index++) {
        if (strcmp(name, kind_names[index]) == 0) {
            *ret_kind = (enum care_kind)index;
            return true;
        }
    }
    return false;
}

static bool read_number(const struct scan_member *member, int64_t *ret_number)
{
    return member->type == SCAN_NUMBER && scan_int64(member->value, ret_number) && *ret_number >= 0;
}

static bool read_of_tokens(const struct scan_member *member, struct slice key, struct arena *arena,
                           struct care_request *request)
{
    if (slice_equal_text(key, "surface")) {
        return read_text(member, arena, &request->surface);
    }
    if (slice_equal_text(key, "arguments")) {
        return read_text(member, arena, &request->arguments);
    }
    if (slice_equal_text(key, "name")) {
        return read_text(member, arena, &request->name);
    }
    if (slice_equal_text(key, "after")) {
        return read_text(member, arena, &request->after);
    }
    return slice_equal_text(key, "expires_at_us") && read_number(member, &request->expires_at_us);
}

static bool read_member(const struct scan_member *member, struct arena *arena,
                        struct care_request *request, char **command)
{
    struct slice key = member->key_has_escapes ? SLICE_LITERAL("?") : member->key;
    if (slice_equal_text(key, "command")) {
        return read_text(member, arena, command);
    }
    if (slice_equal_text(key, "path")) {
        return read_text(member, arena, &request->path) && request->path[0] == '/' &&
               strlen(request->path) < PATH_BYTES_MAX;
    }
    if (slice_equal_text(key, "force")) {
        return read_bool(member, &request->is_forced);
    }
    if (slice_equal_text(key, "older_than_us")) {
        return read_number(member, &request->older_than_us);
    }
    if (slice_equal_text(key, "dry_run")) {
        return read_bool(member, &request->is_dry_run);
    }
    return read_of_tokens(member, key, arena, request);
}

/* What a kind cannot do without. */
static enum ph_error check_request(const struct care_request *request, struct diag *diag)
{
    if (request->kind == CARE_BACKUP && request->path == NULL) {
        return diag_set(diag, PH_INVALID, NULL, "backup wants a path");
    }
    if (care_is_of_tokens(request->kind) && request->surface == NULL) {
        return diag_set(diag, PH_INVALID, NULL, "tokens are of a surface");
    }
    if (request->kind == CARE_TOKEN_CREATE && request->arguments == NULL) {
        return diag_set(diag, PH_INVALID, NULL, "token create wants arguments");
    }
    if (request->kind == CARE_TOKEN_REVOKE && request->name == NULL) {
        return diag_set(diag, PH_INVALID, NULL, "token revoke wants a name or an id");
    }
    return PH_OK;
}

enum ph_error care_request_read(struct slice text, struct diag *diag,
                                struct care_request *ret_request)
{
    struct scan_member members[MEMBERS_MAX];
    size_t count = 0;
    enum ph_error error = scan_object(text, members, MEMBERS_MAX, &count, diag, NULL);
    if (error != PH_OK) {
        return error;
    }
    ARENA_AUTO struct arena arena;
    arena_init(&arena, CARE_REQUEST_BYTES_MAX);
    struct care_request request = {0};
    PH_AUTO_FREE char *command = NULL;
    for (size_t index = 0; error == PH_OK && index < count; index++) {
        if (!read_member(&members[index], &arena, &request, &command)) {
            error = diag_set(diag, PH_INVALID, NULL, "the member \"%.*s\" is unknown or not valid",
                             (int)(members[index].key.len < 64 ? members[index].key.len : 64),
                             members[index].key.ptr);
        }
    }
    if (error == PH_OK && (command == NULL || !read_kind(command, &request.kind))) {
        error = diag_set(diag, PH_INVALID, NULL, "unknown command");
    }
    if (error == PH_OK) {
        error = check_request(&request, diag);
    }
    if (error != PH_OK) {
        care_request_done(&request);
        return error;
    }
    *ret_request = request;
    return PH_OK;
}

/* --- doing it ----------------------------------------------------------------------------------
 */

/* Fills `secret` with the file's content; nothing when there is no file. */
static enum ph_error read_secret(const struct care_context *context, struct buf *secret,
                                 struct diag *diag)
{
    enum ph_error error = file_read(context->jwt_secret_path, secret, diag);
    return error == PH_NOT_FOUND ? PH_OK : error;
}

/* Half a backup that fills the disk would harm whoever else writes there. What is in the log may
 * come on top of the database file. */
static enum ph_error check_space(const struct care_context *context, const char *folder,
                                 struct diag *diag)
{
    static const char *const names[] = {"posthorn.db", "posthorn.db-wal"};
    const char *address = flow_store_address(context->flow);
    size_t scheme = sizeof "sqlite:" - 1;
    int64_t needed = 0;
    if (strncmp(address, "sqlite:", scheme) != 0) {
        return PH_OK; /* care_copy says what to do */
    }
    for (size_t index = 0; index < PH_ARRAY_LENGTH(names); index++) {
        BUF_AUTO struct buf path;
        buf_init(&path, 2 * PATH_BYTES_MAX);
        buf_append_format(&path, "%s/%s", address + scheme, names[index]);
        needed += file_size(buf_text(&path));
    }
    int64_t available = file_free_bytes(folder);
    if (available < needed) {
        return diag_set(diag, PH_STORE_FULL, NULL,
                        "not enough space for the backup: %lld bytes are needed and %lld are "
                        "available where it goes",
                        (long long)needed, (long long)available);
    }
    return PH_OK;
}

/* Makes the whole copy in `folder` and moves it to its place. */
static enum ph_error make_backup(const struct care_context *context,
                                 const struct care_request *request, const char *folder,
                                 const struct care_watch *watch, struct diag *diag,
                                 struct json_out *out)
{
    BUF_AUTO struct buf copy;
    BUF_AUTO struct buf secret;
    buf_init(&copy, 2 * PATH_BYTES_MAX);
    buf_append_format(&copy, "%s/posthorn.db", folder);
    buf_init(&secret, SECRET_FILE_MAX);
    int64_t bytes = 0;
    int64_t taken_at_us = clock_wall_us();
    enum ph_error error = care_copy(context->flow, folder, watch, diag, &bytes);
    if (error == PH_OK) {
        error = read_secret(context, &secret, diag);
    }
    bool has_secret = secret.len > 0;
    if (error == PH_OK) {
        error = store_copy_seal(folder, taken_at_us, has_secret ? buf_slice(&secret) : SLICE_NONE,
                                diag);
    }
    secret_wipe(secret.data, secret.len);
    if (error == PH_OK) {
        error = file_sync(buf_text(&copy), diag);
    }
    if (error == PH_OK) {
        error = file_move(buf_text(&copy), request->path, !request->is_forced, diag);
    }
    if (error == PH_OK) {
        json_out_member_int(out, "bytes", bytes);
        json_out_member_int(out, "has_jwt_secret", has_secret);
    }
    return error;
}

static enum ph_error run_backup(const struct care_context *context,
                                const struct care_request *request, const struct care_watch *watch,
                                struct diag *diag, struct json_out *out)
{
    BUF_AUTO struct buf folder;
    buf_init(&folder, PATH_BYTES_MAX + 16);
    buf_append_format(&folder, "%s.partial", request->path);
    if (!request->is_forced && file_exists(request->path)) {
        return diag_set(diag, PH_CONFLICT, NULL, "%s exists already; --force replaces it",
                        request->path);
    }
    int fd;
    enum ph_error error = file_claim_folder(buf_text(&folder), diag, &fd);
    if (error != PH_OK) {
        return error;
    }
    error = check_space(context, buf_text(&folder), diag);
    if (error == PH_OK) {
        error = make_backup(context, request, buf_text(&folder), watch, diag, out);
    }
    file_leave_folder(buf_text(&folder), fd);
    return error;
}

static enum ph_error run_prune(const struct care_context *context,
                               const struct care_request *request, const struct care_watch *watch,
                               struct diag *diag, struct json_out *out)
{
    const struct flow_settings *settings = flow_settings_take(context->flow);
    const struct care_prune prune = {
        .older_than_us =
            request->older_than_us > 0 ? request->older_than_us : settings->retention_us,
        .is_dry_run = request->is_dry_run,
    };
    flow_settings_drop(settings);
    struct care_pruned pruned;
    enum ph_error error = care_prune(context->flow, &prune, watch, diag, &pruned);
    json_out_member_int(out, "messages", pruned.tally.messages);
    json_out_member_int(out, "payloads", pruned.tally.payloads);
    json_out_member_int(out, "deliveries", pruned.tally.deliveries);
    json_out_member_int(out, "attempts", pruned.tally.attempts);
    json_out_member_int(out, "freed_bytes", pruned.freed_bytes);
    json_out_member_int(out, "older_than_s", prune.older_than_us / CLOCK_US_PER_S);
    return error;
}

static enum ph_error run(const struct care_context *context, const struct care_request *request,
                         const struct care_watch *watch, struct diag *diag, struct json_out *out)
{
    if (care_is_of_tokens(request->kind)) {
        return care_run_tokens(context, request, diag, out);
    }
    return request->kind == CARE_BACKUP ? run_backup(context, request, watch, diag, out)
                                        : run_prune(context, request, watch, diag, out);
}

enum ph_error care_run(const struct care_context *context, const struct care_request *request,
                       const struct care_watch *watch, struct diag *diag, struct buf *result)
{
    int64_t start_us = clock_boot_us();
    struct json_out out;
    json_out_init(&out, result);
    json_out_begin_object(&out);
    enum ph_error error = run(context, request, watch, diag, &out);
    json_out_end_object(&out);
    json_out_end_document(&out);
    if (care_is_of_tokens(request->kind)) {
        return error; /* logged there, without the token */
    }
    int64_t took_ms = (clock_boot_us() - start_us) / CLOCK_US_PER_MS;
    if (error == PH_OK) {
        log_write(context->log, LOG_CARE_DONE, LOG_TEXT("command", kind_names[request->kind]),
                  LOG_TEXT("result", buf_text(result)), LOG_INT("ms", took_ms));
    } else {
        log_write(context->log, LOG_CARE_FAILED, LOG_TEXT("command", kind_names[request->kind]),
                  LOG_TEXT("error", diag->text), LOG_TEXT("result", buf_text(result)),
                  LOG_INT("ms", took_ms));
    }
    return error;
}

int64_t care_result_number(const struct buf *result, const char *name)
{
    struct scan_member members[MEMBERS_MAX];
    size_t count = 0;
    int64_t number = 0;
    if (scan_object(buf_slice(result), members, MEMBERS_MAX, &count, NULL, NULL) == PH_OK) {
        const struct scan_member *member = scan_find(members, count, name);
        if (member != NULL && !scan_int64(member->value, &number)) {
            number = 0;
        }
    }
    return number;
}
