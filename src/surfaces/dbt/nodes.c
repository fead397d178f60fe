/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/dbt/nodes.h"

#include "core/scan.h"
#include "surfaces/dbt/artifact.h"
#include "surfaces/dbt/dbt_int.h"
#include "surfaces/dbt/run.h"

#define MEMBERS_MAX 64
#define TEXT_ARENA_BYTES ((size_t)1024 * 1024) /* of one text, decoded */
#define MESSAGE_BYTES_MAX 2000
#define FAILED_MESSAGE_BYTES_MAX 500
#define NAME_BYTES_MAX 500
#define NUMBER_BYTES_MAX 40

/* --- the file --------------------------------------------------------------------------------- */

static struct slice value_of(const struct scan_member *members, size_t count, const char *key,
                             enum scan_type type)
{
    const struct scan_member *member = scan_find(members, count, key);
    return member == NULL || member->type != type ? SLICE_NONE : member->value;
}

enum ph_error dbt_nodes_read(struct slice text, struct diag *diag,
                             void (*take)(void *context, const struct dbt_node *node),
                             void *context)
{
    struct scan_member members[MEMBERS_MAX];
    struct scan_elements elements;
    struct scan_element element;
    scan_elements_init(&elements, text, "results");
    while (scan_elements_next(&elements, members, MEMBERS_MAX, &element)) {
        size_t count = element.member_count;
        if (!element.has_members) {
            continue;
        }
        const struct dbt_node node = {
            .unique_id = value_of(members, count, "unique_id", SCAN_STRING),
            .status = value_of(members, count, "status", SCAN_STRING),
            .message = value_of(members, count, "message", SCAN_STRING),
            .execution_time = value_of(members, count, "execution_time", SCAN_NUMBER),
            .failures = value_of(members, count, "failures", SCAN_NUMBER),
        };
        take(context, &node);
    }
    enum ph_error error = scan_elements_end(&elements, diag);
    return error == PH_NOT_FOUND
               ? diag_set(diag, PH_INVALID, "results", "the file has no results of dbt")
               : error;
}

bool dbt_node_is_failed(const struct dbt_node *node)
{
    return slice_equal_text(node->status, "\"error\"") ||
           slice_equal_text(node->status, "\"fail\"") ||
           slice_equal_text(node->status, "\"runtime error\"");
}

/* --- writing ---------------------------------------------------------------------------------- */

/* At most `maximum` bytes, whole characters. */
static struct slice cut_text(struct slice text, size_t maximum)
{
    if (text.len > maximum) {
        text.len = maximum;
        while (text.len > 0 && ((unsigned char)text.ptr[text.len] & 0xc0) == 0x80) {
            text.len--;
        }
    }
    return text;
}

static void write_text(struct json_out *out, const char *key, struct slice json, size_t maximum)
{
    struct slice text = SLICE_NONE;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, TEXT_ARENA_BYTES);
    if (json.ptr != NULL && scan_string(json, &arena, NULL, &text) != PH_OK) {
        text = SLICE_NONE;
    }
    json_out_member_string(out, key, cut_text(text, maximum));
}

static void write_number(struct json_out *out, const char *key, struct slice json)
{
    if (json.ptr != NULL && json.len <= NUMBER_BYTES_MAX) {
        json_out_member_raw(out, key, json);
    } else {
        json_out_member_null(out, key);
    }
}

void dbt_node_write(struct json_out *out, const struct dbt_node *node)
{
    json_out_begin_object(out);
    write_text(out, "unique_id", node->unique_id, NAME_BYTES_MAX);
    write_text(out, "status", node->status, NAME_BYTES_MAX);
    write_text(out, "message", node->message, MESSAGE_BYTES_MAX);
    write_number(out, "execution_time", node->execution_time);
    write_number(out, "failures", node->failures);
    json_out_end_object(out);
}

struct failed {
    struct json_out out;
    int64_t total;
};

static void take_failed(void *context, const struct dbt_node *node)
{
    struct failed *failed = context;
    if (!dbt_node_is_failed(node) || failed->total++ >= DBT_FAILED_MAX) {
        return;
    }
    json_out_begin_object(&failed->out);
    write_text(&failed->out, "unique_id", node->unique_id, NAME_BYTES_MAX);
    write_text(&failed->out, "status", node->status, NAME_BYTES_MAX);
    write_text(&failed->out, "message", node->message, FAILED_MESSAGE_BYTES_MAX);
    json_out_end_object(&failed->out);
}

enum ph_error dbt_nodes_failed_write(struct slice text, struct diag *diag, struct buf *json)
{
    struct failed failed = {0};
    json_out_init(&failed.out, json);
    json_out_begin_object(&failed.out);
    json_out_key(&failed.out, "nodes");
    json_out_begin_array(&failed.out);
    enum ph_error error = dbt_nodes_read(text, diag, take_failed, &failed);
    json_out_end_array(&failed.out);
    json_out_member_int(&failed.out, "total", failed.total);
    json_out_end_object(&failed.out);
    json_out_end_document(&failed.out);
    return error;
}

/* --- of a run --------------------------------------------------------------------------------- */

static enum ph_error read_results(struct store *store, int64_t run_id, struct diag *diag,
                                  struct buf *content)
{
    struct dbt_artifact artifact;
    enum ph_error error =
        dbt_artifact_find(store, run_id, SLICE_LITERAL(DBT_RESULTS_PATH), diag, &artifact);
    return error == PH_OK ? dbt_artifact_read(store, &artifact, diag, content) : error;
}

enum ph_error dbt_nodes_failed_find(struct store *store, int64_t run_id, struct diag *diag,
                                    struct buf *json)
{
    BUF_AUTO struct buf content;
    buf_init(&content, DBT_RESULTS_BYTES_MAX);
    enum ph_error error = read_results(store, run_id, diag, &content);
    if (error == PH_OK) {
        error = dbt_nodes_failed_write(buf_slice(&content), diag, json);
    }
    if (error == PH_NOT_FOUND || error == PH_TOO_LARGE || error == PH_INVALID) {
        buf_clear(json);
        return PH_OK;
    }
    return error;
}

struct list {
    struct json_out *out;
    size_t count;
    int64_t total;
};

static void take_listed(void *context, const struct dbt_node *node)
{
    struct list *list = context;
    list->total++;
    if (list->count < DBT_NODES_MAX) {
        list->count++;
        dbt_node_write(list->out, node);
    }
}

static enum ph_error find_results(struct api_call *call, struct diag *diag, struct buf *content)
{
    struct store *store;
    struct dbt_run run;
    int64_t number;
    enum ph_error error = dbt_path_number(call, "run_id", diag, &number);
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error == PH_OK) {
        error = dbt_run_find(store, dbt_caller_of(call)->account.number, number, false, call->arena,
                             diag, &run);
    }
    return error == PH_OK ? read_results(store, run.id, diag, content) : error;
}

enum ph_error dbt_nodes_list(struct api_call *call, struct diag *diag)
{
    static const struct dbt_page page = {.limit = DBT_NODES_MAX};
    struct api_answer answer;
    BUF_AUTO struct buf content;
    buf_init(&content, DBT_RESULTS_BYTES_MAX);
    enum ph_error error = find_results(call, diag, &content);
    if (error != PH_OK) {
        return error;
    }
    api_answer_init(&answer);
    struct list list = {.out = &answer.out};
    dbt_answer_begin(&answer.out);
    json_out_begin_array(&answer.out);
    error = dbt_nodes_read(buf_slice(&content), diag, take_listed, &list);
    json_out_end_array(&answer.out);
    dbt_answer_end_list(&answer.out, &page, list.count, list.total);
    if (error == PH_OK) {
        api_answer_send(call, 200, &answer);
        return PH_OK;
    }
    buf_done(&answer.body);
    return diag_set(diag, PH_CONFLICT, NULL, "the run's " DBT_RESULTS_PATH " is none of dbt's");
}
