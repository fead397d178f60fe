/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of surfaces, made, listed and ended through the writer. */
#include "app/care.h"
#include "base/clock.h"
#include "core/id.h"
#include "flow/step.h"
#include "store/surface_token.h"
#include "surfaces/surface.h"

#define TOKEN_TEXT_MAX 16384
#define NAME_BYTES_MAX 256
#define LIST_ROWS 32
#define LIST_BYTES_MAX (CARE_RESULT_BYTES_MAX / 2) /* a page ends behind the row that passes it */
#define GRANTS_BYTES_MAX (CARE_RESULT_BYTES_MAX / 4)
#define NAMED_ROWS_MAX 1000 /* looked at for a name, in one transaction */
#define ARENA_BYTES (1024 * 1024)

struct token_step {
    struct step step;
    const struct care_request *request;
    struct surface_instance *instance;
    const struct surface *surface;
    struct buf text; /* of what was made */
    struct arena arena;
    struct surface_token_row rows[LIST_ROWS];
    size_t count;
    int64_t id; /* list: the last one seen; revoke: of the token */
};

static struct token_step *step_of(struct step *step)
{
    return PH_CONTAINER_OF(step, struct token_step, step);
}

static struct slice surface_name(const struct token_step *token)
{
    return slice_of(token->surface->name);
}

/* --- create ----------------------------------------------------------------------------------- */

static enum ph_error run_create(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    struct token_step *token = step_of(step);
    const struct surface_token_request request = {
        .arguments = slice_of(token->request->arguments),
        .name = slice_of(token->request->name),
        .expires_at_us = token->request->expires_at_us,
    };
    buf_clear(&token->text);
    return token->surface->make_token(token->instance, txn, &request, diag, &token->text);
}

static enum ph_error check_create(const struct token_step *token, struct diag *diag)
{
    if (token->surface->make_token == NULL) {
        return diag_set(diag, PH_INVALID, NULL, "the surface %s has no tokens",
                        token->surface->name);
    }
    if (token->request->name != NULL && strlen(token->request->name) > NAME_BYTES_MAX) {
        return diag_set(diag, PH_INVALID, NULL, "--name is longer than %d bytes", NAME_BYTES_MAX);
    }
    return PH_OK;
}

static enum ph_error create(const struct care_context *context, struct token_step *token,
                            struct diag *diag, struct json_out *out)
{
    enum ph_error error = check_create(token, diag);
    if (error == PH_OK) {
        step_init(&token->step, run_create);
        error = step_run(&token->step, flow_writer(context->flow), diag);
        step_done(&token->step);
    }
    if (error == PH_OK) {
        json_out_member_string(out, "token", buf_slice(&token->text));
        log_write(context->log, LOG_TOKEN_MADE, LOG_TEXT("surface", token->surface->name),
                  LOG_TEXT("name", token->request->name));
    }
    return error;
}

/* --- list ------------------------------------------------------------------------------------- */

static enum ph_error run_list(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    struct token_step *token = step_of(step);
    arena_done(&token->arena);
    arena_init(&token->arena, ARENA_BYTES);
    return surface_token_page(txn->store, surface_name(token), token->id, LIST_ROWS, &token->arena,
                              diag, token->rows, &token->count);
}

static void write_time(struct json_out *out, const char *key, int64_t wall_us)
{
    if (wall_us != 0) {
        json_out_member_time(out, key, wall_us);
    }
}

static void write_row(const struct id_codec *codec, const struct surface_token_row *row,
                      struct json_out *out)
{
    char id_text[ID_TEXT_MAX];
    (void)id_format(codec, ID_TOKEN, row->id, id_text);
    json_out_begin_object(out);
    json_out_member_text(out, "id", id_text);
    json_out_member_string(out, "name", row->name);
    json_out_member_string(out, "subject", row->subject);
    if (row->grants.len <= GRANTS_BYTES_MAX) {
        json_out_member_raw(out, "grants", row->grants);
    }
    write_time(out, "createdAt", row->created_at_us);
    write_time(out, "expiresAt", row->expires_at_us);
    write_time(out, "revokedAt", row->revoked_at_us);
    json_out_end_object(out);
}

static enum ph_error list(const struct care_context *context, struct token_step *token,
                          struct diag *diag, struct json_out *out)
{
    const struct id_codec *codec = flow_id_codec(context->flow);
    const char *after = token->request->after;
    if (after != NULL && !id_parse(codec, ID_TOKEN, slice_of(after), &token->id)) {
        return diag_set(diag, PH_INVALID, NULL, "there is no token %.64s", after);
    }
    step_init(&token->step, run_list);
    enum ph_error error = step_run(&token->step, flow_writer(context->flow), diag);
    step_done(&token->step);
    if (error != PH_OK) {
        return error;
    }
    size_t index = 0;
    json_out_key(out, "tokens");
    json_out_begin_array(out);
    while (index < token->count && out->buf->len < LIST_BYTES_MAX) {
        write_row(codec, &token->rows[index++], out);
    }
    json_out_end_array(out);
    if (index < token->count || token->count == LIST_ROWS) {
        char id_text[ID_TEXT_MAX];
        (void)id_format(codec, ID_TOKEN, token->rows[index - 1].id, id_text);
        json_out_member_text(out, "after", id_text);
    }
    return PH_OK;
}

/* --- revoke ----------------------------------------------------------------------------------- */

/* The one live token of this name. */
static enum ph_error find_named(struct token_step *token, struct writer_txn *txn, struct diag *diag)
{
    int64_t after = 0;
    size_t seen = 0;
    token->id = 0;
    do {
        arena_done(&token->arena);
        arena_init(&token->arena, ARENA_BYTES);
        enum ph_error error = surface_token_page(txn->store, surface_name(token), after, LIST_ROWS,
                                                 &token->arena, diag, token->rows, &token->count);
        if (error != PH_OK) {
            return error;
        }
        for (size_t index = 0; index < token->count; index++) {
            const struct surface_token_row *row = &token->rows[index];
            after = row->id;
            if (row->revoked_at_us != 0 || !slice_equal_text(row->name, token->request->name)) {
                continue;
            }
            if (token->id != 0) {
                return diag_set(diag, PH_CONFLICT, NULL,
                                "several tokens have the name %s: revoke them by their ids",
                                token->request->name);
            }
            token->id = row->id;
        }
        seen += token->count;
    } while (token->count == LIST_ROWS && seen < NAMED_ROWS_MAX);
    return token->id != 0 ? PH_OK
                          : diag_set(diag, PH_NOT_FOUND, NULL, "there is no token %.128s",
                                     token->request->name);
}

static enum ph_error run_revoke(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    struct token_step *token = step_of(step);
    enum ph_error error = PH_OK;
    if (!id_parse(&txn->store->codec, ID_TOKEN, slice_of(token->request->name), &token->id)) {
        error = find_named(token, txn, diag);
    }
    return error != PH_OK ? error
                          : surface_token_revoke(txn->store, surface_name(token), token->id,
                                                 txn->now_us, diag);
}

static enum ph_error revoke(const struct care_context *context, struct token_step *token,
                            struct diag *diag, struct json_out *out)
{
    char id_text[ID_TEXT_MAX];
    step_init(&token->step, run_revoke);
    enum ph_error error = step_run(&token->step, flow_writer(context->flow), diag);
    step_done(&token->step);
    if (error == PH_OK) {
        (void)id_format(flow_id_codec(context->flow), ID_TOKEN, token->id, id_text);
        json_out_member_text(out, "id", id_text);
        log_write(context->log, LOG_TOKENS_REVOKED, LOG_TEXT("surface", token->surface->name),
                  LOG_TEXT("id", id_text));
    }
    return error;
}

enum ph_error care_run_tokens(const struct care_context *context,
                              const struct care_request *request, struct diag *diag,
                              struct json_out *out)
{
    const struct surface *surface = surface_find(request->surface);
    if (surface == NULL) {
        return diag_set(diag, PH_INVALID, NULL, "there is no surface %.64s", request->surface);
    }
    struct token_step token = {
        .request = request,
        .surface = surface,
        .instance = surfaces_instance(context->surfaces, surface),
    };
    buf_init(&token.text, TOKEN_TEXT_MAX);
    arena_init(&token.arena, ARENA_BYTES);
    enum ph_error error = request->kind == CARE_TOKEN_CREATE ? create(context, &token, diag, out)
                          : request->kind == CARE_TOKEN_LIST ? list(context, &token, diag, out)
                                                             : revoke(context, &token, diag, out);
    arena_done(&token.arena);
    buf_wipe(&token.text);
    return error;
}
