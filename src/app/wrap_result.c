/* SPDX-License-Identifier: Apache-2.0 */
#include "app/wrap_result.h"

#include "base/clock.h"
#include "core/scan.h"

#define MEMBERS_MAX 64
#define TEXT_BYTES_MAX 65536
#define VERSION_BYTES_MAX 128 /* what servers take */
/* Names in a status message, and bytes of each of a name's two parts. */
#define NAMES_MAX 5
#define NAME_BYTES_MAX 120
#define FAILED_BYTES_MAX 2048
/* Of one node's message in the log. */
#define MESSAGE_BYTES_MAX 2000
#define HASH_DIGITS 10

void wrap_result_init(struct wrap_result *result)
{
    *result = (struct wrap_result){0};
    buf_init(&result->dbt_version, VERSION_BYTES_MAX);
    buf_init(&result->failed, FAILED_BYTES_MAX);
    buf_init(&result->log, TEXT_BYTES_MAX);
}

void wrap_result_done(struct wrap_result *result)
{
    buf_done(&result->dbt_version);
    buf_done(&result->failed);
    buf_done(&result->log);
}

/* --- nodes -------------------------------------------------------------------------------------
 */

static bool is_hash(struct slice text)
{
    for (size_t index = 0; index < text.len; index++) {
        char byte = text.ptr[index];
        if (!((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f'))) {
            return false;
        }
    }
    return text.len == HASH_DIGITS;
}

/* So that a few of them always fit into a message. */
static void append_cut(struct buf *text, struct slice words)
{
    words.len = words.len < NAME_BYTES_MAX ? words.len : NAME_BYTES_MAX;
    buf_append_slice(text, words);
}

void wrap_result_append_node(struct slice unique_id, struct buf *text)
{
    struct slice rest = unique_id;
    struct slice kind;
    struct slice project;
    bool has_parts = slice_next(&rest, '.', &kind) && slice_next(&rest, '.', &project);
    if (!has_parts || rest.ptr == NULL) {
        append_cut(text, unique_id);
        return;
    }
    size_t dot = rest.len;
    while (dot > 0 && rest.ptr[dot - 1] != '.') {
        dot--;
    }
    if (dot > 1 && is_hash((struct slice){rest.ptr + dot, rest.len - dot})) {
        rest.len = dot - 1;
    }
    append_cut(text, kind);
    buf_append_byte(text, ' ');
    append_cut(text, rest);
}

static struct slice text_of(const struct scan_member *members, size_t count, const char *key,
                            struct arena *arena)
{
    struct slice text = SLICE_NONE;
    const struct scan_member *member = scan_find(members, count, key);
    if (member == NULL || member->type != SCAN_STRING ||
        scan_string(member->value, arena, NULL, &text) != PH_OK) {
        return SLICE_NONE;
    }
    return text;
}

/* What does not fit is left out: the log's maximum is a limit, no error. */
static void log_failure(struct wrap_result *result, struct slice unique_id, struct slice status,
                        struct slice message)
{
    BUF_AUTO struct buf line;
    buf_init(&line, TEXT_BYTES_MAX);
    wrap_result_append_node(unique_id, &line);
    message = slice_trim(message);
    message.len = message.len < MESSAGE_BYTES_MAX ? message.len : MESSAGE_BYTES_MAX;
    buf_append_format(&line, ": %.*s", SLICE_ARG(status));
    buf_append_format(&line, "%s%.*s\n", message.len > 0 ? ": " : "", SLICE_ARG(message));
    if (result->log.len + line.len + MESSAGE_BYTES_MAX < TEXT_BYTES_MAX) {
        buf_append_slice(&result->log, buf_slice(&line));
    }
}

static void take_failure(struct wrap_result *result, struct slice unique_id, struct slice status,
                         struct slice message)
{
    result->failed_count++;
    if (result->failed_count <= NAMES_MAX) {
        buf_append_text(&result->failed, result->failed.len == 0 ? "" : ", ");
        wrap_result_append_node(unique_id, &result->failed);
    }
    log_failure(result, unique_id, status, message);
}

static void take_node(struct wrap_result *result, const struct scan_member *members, size_t count)
{
    ARENA_AUTO struct arena arena;
    arena_init(&arena, (size_t)TEXT_BYTES_MAX * 4);
    struct slice status = text_of(members, count, "status", &arena);
    struct slice unique_id = text_of(members, count, "unique_id", &arena);
    result->node_count++;
    if (slice_equal_text(status, "error") || slice_equal_text(status, "fail") ||
        slice_equal_text(status, "runtime error") || slice_equal_text(status, "partial success")) {
        take_failure(result, unique_id, status, text_of(members, count, "message", &arena));
    } else if (slice_equal_text(status, "warn")) {
        result->warned_count++;
    } else if (slice_equal_text(status, "skipped")) {
        result->skipped_count++;
    } else {
        result->passed_count++;
    }
}

/* --- metadata ----------------------------------------------------------------------------------
 */

/* The value of the first member if it is `metadata`: dbt writes it there, and a head will do. */
static struct slice find_metadata(struct slice head)
{
    static const char key[] = "\"metadata\"";
    struct slice text = slice_trim(head);
    if (text.len == 0 || text.ptr[0] != '{') {
        return SLICE_NONE;
    }
    text = slice_trim((struct slice){text.ptr + 1, text.len - 1});
    if (!slice_starts_with(text, key)) {
        return SLICE_NONE;
    }
    text = slice_trim((struct slice){text.ptr + strlen(key), text.len - strlen(key)});
    struct slice value = SLICE_NONE;
    enum scan_type type;
    size_t consumed;
    if (text.len == 0 || text.ptr[0] != ':' ||
        !scan_value((struct slice){text.ptr + 1, text.len - 1}, &type, &value, &consumed)) {
        return SLICE_NONE;
    }
    return value;
}

static void read_metadata(struct slice metadata, struct buf *version, int64_t *ret_generated_us)
{
    ARENA_AUTO struct arena arena;
    arena_init(&arena, TEXT_BYTES_MAX);
    struct scan_member members[MEMBERS_MAX];
    size_t count;
    if (metadata.ptr == NULL ||
        scan_object(metadata, members, MEMBERS_MAX, &count, NULL, NULL) != PH_OK) {
        return;
    }
    struct slice text = text_of(members, count, "dbt_version", &arena);
    if (text.len <= VERSION_BYTES_MAX) {
        buf_append_slice(version, text);
    }
    if (!clock_parse(text_of(members, count, "generated_at", &arena), ret_generated_us)) {
        *ret_generated_us = 0;
    }
}

void wrap_result_append_version(struct slice head, struct buf *text)
{
    int64_t ignored = 0;
    read_metadata(find_metadata(head), text, &ignored);
}

/* --- run_results.json ---------------------------------------------------------------------------
 */

static void finish(struct wrap_result *result)
{
    if (result->failed_count > NAMES_MAX) {
        buf_append_format(&result->failed, " and %lld more",
                          (long long)result->failed_count - NAMES_MAX);
    }
    buf_append_format(&result->log, "PASS=%lld WARN=%lld ERROR=%lld SKIP=%lld TOTAL=%lld",
                      (long long)result->passed_count, (long long)result->warned_count,
                      (long long)result->failed_count, (long long)result->skipped_count,
                      (long long)result->node_count);
}

enum ph_error wrap_result_read(struct wrap_result *result, struct slice text, struct diag *diag)
{
    struct scan_elements elements;
    struct scan_element element;
    struct scan_member members[MEMBERS_MAX];
    scan_elements_init(&elements, text, "results");
    while (scan_elements_next(&elements, members, MEMBERS_MAX, &element)) {
        if (element.has_members) {
            take_node(result, members, element.member_count);
        }
    }
    enum ph_error error = scan_elements_end(&elements, diag);
    if (error == PH_NOT_FOUND) {
        return diag_set(diag, PH_INVALID, NULL, "it has no results");
    }
    if (error == PH_OK) {
        read_metadata(find_metadata(text), &result->dbt_version, &result->generated_at_us);
        finish(result);
    }
    return error;
}
