/* SPDX-License-Identifier: Apache-2.0 */
#include "app/remote.h"

#include "app/client.h"
#include "app/command.h"
#include "app/file.h"
#include "base/clock.h"
#include "core/scan.h"
#include "store/application.h"

#define TEXT_MAX 65536
#define MEMBERS_MAX 16
/* Of an answer that is none of ours. */
#define STRANGE_BYTES_MAX 300
#define TOKEN_STEP_US (INT64_C(3600) * CLOCK_US_PER_S)
#define TOKEN_US (2 * TOKEN_STEP_US)
#define TOKEN_LONG_US (48 * TOKEN_STEP_US)

void remote_init(struct remote *remote)
{
    remote->is_local = false;
    remote->token_made_at_us = 0;
    buf_init(&remote->url, TEXT_MAX);
    buf_init(&remote->token, TEXT_MAX);
}

void remote_done(struct remote *remote)
{
    buf_done(&remote->url);
    buf_done(&remote->token);
}

static enum ph_error find_url(struct remote *remote, const struct options *options, const char *url,
                              struct diag *diag)
{
    buf_clear(&remote->url);
    remote->is_local = url == NULL;
    if (url != NULL) {
        buf_append_text(&remote->url, url);
        return PH_OK;
    }
    PH_AUTO_FREE char *path = data_path(options, "address");
    if (file_read(path, &remote->url, diag) != PH_OK) {
        return diag_set(diag, PH_NOT_FOUND, NULL, "give --url: no server runs on %s",
                        option_text(options, OPTION_DATA));
    }
    return PH_OK;
}

static enum ph_error find_token(struct remote *remote, const struct options *options,
                                const char *token, struct diag *diag)
{
    buf_clear(&remote->token);
    if (token != NULL) {
        buf_append_text(&remote->token, token);
        return PH_OK;
    }
    SECRET_AUTO struct secret secret = SECRET_NONE;
    enum ph_error error = data_jwt_secret(options, diag, &secret);
    if (error == PH_OK) {
        bool is_of_now = remote->token_made_at_us == 0;
        int64_t made_at_us =
            is_of_now ? clock_wall_us() / TOKEN_STEP_US * TOKEN_STEP_US : remote->token_made_at_us;
        int64_t valid_us = is_of_now ? TOKEN_US : TOKEN_LONG_US;
        token_append(&secret, DEFAULT_ORGANISATION, NULL, made_at_us, made_at_us + valid_us,
                     &remote->token);
    }
    return error;
}

enum ph_error remote_find(struct remote *remote, const struct options *options, const char *url,
                          const char *token, struct diag *diag)
{
    url = url == NULL ? secure_getenv("POSTHORN_URL") : url;
    token = token == NULL ? secure_getenv("POSTHORN_TOKEN") : token;
    enum ph_error error = find_url(remote, options, url, diag);
    return error == PH_OK ? find_token(remote, options, token, diag) : error;
}

enum ph_error remote_call(const struct remote *remote, const struct remote_request *request,
                          struct buf *answer, struct diag *diag, long *ret_status)
{
    BUF_AUTO struct buf url;
    buf_init(&url, 2 * TEXT_MAX);
    buf_append_format(&url, "%s%s", buf_text(&remote->url), request->path);
    const struct client_request call = {
        .method = request->method,
        .url = buf_text(&url),
        .token = buf_text(&remote->token),
        .idempotency_key = request->idempotency_key,
        .is_local = remote->is_local,
        .body = request->body,
    };
    struct diag reason;
    buf_clear(answer);
    if (client_call(&call, answer, &reason, ret_status) != PH_OK) {
        return diag_set(diag, PH_IO, "url", "%s; does a server run there?", reason.text);
    }
    return PH_OK;
}

/* --- answers in words ------------------------------------------------------------------------- */

static struct slice decoded(const struct scan_member *member, struct arena *arena)
{
    struct slice text;
    if (member == NULL || scan_string(member->value, arena, NULL, &text) != PH_OK) {
        return SLICE_NONE;
    }
    return text;
}

/* "body.payload: must be an object" of an item of a 422's list. */
static void append_item(struct slice item, struct arena *arena, struct buf *words)
{
    struct scan_member members[MEMBERS_MAX];
    size_t count;
    if (scan_object(item, members, MEMBERS_MAX, &count, NULL, NULL) != PH_OK) {
        return;
    }
    const struct scan_member *place = scan_find(members, count, "loc");
    if (place != NULL && place->type == SCAN_ARRAY) {
        struct scan_cursor cursor;
        enum scan_type type;
        struct slice value;
        scan_cursor_init(&cursor, place->value);
        for (const char *between = ""; scan_next_element(&cursor, &type, &value); between = ".") {
            struct slice part = value;
            (void)(type == SCAN_STRING && scan_string(value, arena, NULL, &part) == PH_OK);
            buf_append_format(words, "%s%.*s", between, SLICE_ARG(part));
        }
        buf_append_text(words, ": ");
    }
    buf_append_slice(words, decoded(scan_find(members, count, "msg"), arena));
}

static void append_detail(const struct scan_member *detail, struct arena *arena, struct buf *words)
{
    if (detail->type != SCAN_ARRAY) {
        buf_append_slice(words, decoded(detail, arena));
        return;
    }
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice item;
    scan_cursor_init(&cursor, detail->value);
    for (const char *between = ""; scan_next_element(&cursor, &type, &item); between = "; ") {
        buf_append_text(words, between);
        append_item(item, arena, words);
    }
}

static const char *advice(long status)
{
    switch (status) {
    case 401:
        return "; give --token or POSTHORN_TOKEN, `posthorn token create` makes one";
    case 403:
        return "; the token may not do that";
    case 404:
        return "; look at the names that were given, and whose token it is";
    case 429:
    case 503:
    case 507:
        return "; nothing was stored: try again later";
    default:
        return "";
    }
}

void remote_describe(long status, struct slice answer, struct buf *words)
{
    ARENA_AUTO struct arena arena;
    arena_init(&arena, TEXT_MAX);
    struct scan_member members[MEMBERS_MAX];
    size_t count = 0;
    buf_append_format(words, "the server answered %ld", status);
    (void)(scan_object(answer, members, MEMBERS_MAX, &count, NULL, NULL) == PH_OK || (count = 0));
    const struct scan_member *code = scan_find(members, count, "code");
    const struct scan_member *detail = scan_find(members, count, "detail");
    if (code != NULL) {
        buf_append_format(words, " (%.*s)", SLICE_ARG(decoded(code, &arena)));
    }
    buf_append_text(words, ": ");
    if (detail != NULL) {
        append_detail(detail, &arena, words);
    } else {
        answer.len = answer.len < STRANGE_BYTES_MAX ? answer.len : STRANGE_BYTES_MAX;
        buf_append_slice(words, slice_trim(answer));
    }
    buf_append_text(words, advice(status));
}

int remote_complain(long status, struct slice answer)
{
    BUF_AUTO struct buf words;
    buf_init(&words, TEXT_MAX);
    remote_describe(status, answer, &words);
    command_complain("%s", buf_text(&words));
    return EXIT_FAILED;
}
