/* SPDX-License-Identifier: Apache-2.0 */
#include "jq/event.h"

#include "base/json_out.h"
#include "core/header_rule.h"
#include "core/scan.h"
#include "core/url.h"

/* More members than are known, so that an unknown one can be named. */
enum { MEMBERS_MAX = 16 };

/* Of a header: a token, at most HEADER_NAME_MAX bytes, which needs no escaping. */
static void write_name(struct json_out *out, struct slice name)
{
    char key[HEADER_NAME_MAX + 1];
    size_t length = name.len < sizeof key ? name.len : sizeof key - 1;
    for (size_t index = 0; index < length; index++) {
        char byte = name.ptr[index];
        key[index] = byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
    }
    key[length] = '\0';
    json_out_key(out, key);
}

void jq_event_write(const struct jq_event *event, struct buf *json)
{
    struct json_out out;
    json_out_init(&out, json);
    json_out_begin_object(&out);
    json_out_member_string(&out, "type", event->type);
    json_out_member_raw(&out, "data", event->data);
    json_out_member_string(&out, "id", event->id);
    json_out_key(&out, "channels");
    json_out_begin_array(&out);
    for (size_t index = 0; index < event->channel_count; index++) {
        json_out_string(&out, event->channels[index]);
    }
    json_out_end_array(&out);
    json_out_member_time(&out, "timestamp", event->timestamp_us);
    json_out_key(&out, "headers");
    json_out_begin_object(&out);
    for (size_t index = 0; index < event->header_count; index++) {
        write_name(&out, event->headers[index].name);
        json_out_string(&out, event->headers[index].value);
    }
    json_out_end_object(&out);
    json_out_end_object(&out);
    json_out_end_document(&out);
}

static bool is_given(const struct scan_member *member)
{
    return member != NULL && member->type != SCAN_NULL;
}

static enum ph_error check_members(const struct scan_member *members, size_t count,
                                   struct diag *diag)
{
    static const char *const known[] = {"body", "headers", "url", "method"};
    for (size_t index = 0; index < count; index++) {
        bool is_known = false;
        for (size_t place = 0; place < PH_ARRAY_LENGTH(known); place++) {
            is_known = is_known || slice_equal_text(members[index].key, known[place]);
        }
        if (!is_known) {
            size_t length = members[index].key.len < 64 ? members[index].key.len : 64;
            return diag_set(diag, PH_INVALID, "transform",
                            "the transform's output has an unknown member \"%.*s\"; it may have "
                            "body, headers, url, method",
                            (int)length, members[index].key.ptr);
        }
    }
    return PH_OK;
}

static enum ph_error read_text(const struct scan_member *member, const char *field,
                               struct arena *arena, struct diag *diag, struct slice *ret_text)
{
    if (member->type != SCAN_STRING) {
        return diag_set(diag, PH_INVALID, field, "must be a string, not %s",
                        scan_type_name(member->type));
    }
    enum ph_error error = scan_string(member->value, arena, diag, ret_text);
    if (error == PH_INVALID) {
        return diag_set(diag, PH_INVALID, field, "is not valid text");
    }
    return error;
}

static enum ph_error read_header(const struct scan_member *member, struct arena *arena,
                                 struct diag *diag, struct jq_header *ret_header)
{
    static const char field[] = "transform.headers";
    struct slice name = member->key;
    struct slice quoted = {member->key.ptr - 1, member->key.len + 2};
    struct jq_header header = {{NULL, 0}, {NULL, 0}};
    enum ph_error error = PH_OK;
    if (member->key_has_escapes) {
        error = scan_string(quoted, arena, diag, &name);
    }
    /* Who makes the body knows what it is. */
    if (error == PH_OK && !slice_equal_nocase(name, SLICE_LITERAL("content-type"))) {
        error = header_rule_check_name(name, field, diag);
    }
    if (error == PH_OK) {
        error = read_text(member, field, arena, diag, &header.value);
    }
    if (error == PH_OK) {
        error = header_rule_check_value(header.value, field, diag);
    }
    header.name = name;
    *ret_header = header;
    return error;
}

static enum ph_error read_headers(const struct scan_member *member, struct arena *arena,
                                  struct diag *diag, struct jq_transformed *transformed)
{
    static const char field[] = "transform.headers";
    if (member->type != SCAN_OBJECT) {
        return diag_set(diag, PH_INVALID, field, "must be an object of strings, not %s",
                        scan_type_name(member->type));
    }
    struct jq_header *headers = arena_calloc(arena, HEADER_COUNT_MAX, sizeof headers[0]);
    if (headers == NULL) {
        return diag_set(diag, PH_NO_MEMORY, field, "too much for one attempt");
    }
    struct scan_cursor cursor;
    struct scan_member header;
    size_t count = 0;
    size_t bytes = 0;
    scan_cursor_init(&cursor, member->value);
    while (scan_next_member(&cursor, &header)) {
        if (count == HEADER_COUNT_MAX) {
            return diag_set(diag, PH_INVALID, field, "at most %d headers", HEADER_COUNT_MAX);
        }
        enum ph_error error = read_header(&header, arena, diag, &headers[count]);
        if (error != PH_OK) {
            return error;
        }
        bytes += headers[count].name.len + headers[count].value.len;
        count++;
    }
    if (bytes > HEADER_BYTES_MAX) {
        return diag_set(diag, PH_INVALID, field, "at most %d bytes of headers", HEADER_BYTES_MAX);
    }
    transformed->headers = headers;
    transformed->header_count = count;
    return PH_OK;
}

static enum ph_error read_method(const struct scan_member *member, struct arena *arena,
                                 struct diag *diag, struct slice *ret_method)
{
    enum ph_error error = read_text(member, "transform.method", arena, diag, ret_method);
    if (error == PH_OK && !slice_equal_text(*ret_method, "POST") &&
        !slice_equal_text(*ret_method, "PUT") && !slice_equal_text(*ret_method, "PATCH")) {
        return diag_set(diag, PH_INVALID, "transform.method", "must be POST, PUT or PATCH");
    }
    return error;
}

static enum ph_error read_url(const struct scan_member *member, struct arena *arena,
                              struct diag *diag, struct slice *ret_url)
{
    struct slice text = SLICE_NONE;
    enum ph_error error = read_text(member, "transform.url", arena, diag, &text);
    if (error != PH_OK) {
        return error;
    }
    BUF_AUTO struct buf normal;
    buf_init(&normal, (size_t)4 * URL_LENGTH_MAX);
    error = url_normalise(text, "transform.url", diag, &normal);
    if (error != PH_OK) {
        return error;
    }
    const char *copy = arena_dup(arena, buf_slice(&normal));
    if (copy == NULL) {
        return diag_set(diag, PH_NO_MEMORY, "transform.url", "too much for one attempt");
    }
    *ret_url = (struct slice){copy, normal.len};
    return PH_OK;
}

static enum ph_error read_body(const struct scan_member *member, struct arena *arena,
                               struct diag *diag, struct jq_transformed *transformed)
{
    if (member == NULL) {
        return diag_set(diag, PH_INVALID, "transform.body", "the transform's output has no body");
    }
    transformed->is_body_json = member->type != SCAN_STRING;
    transformed->body = member->value;
    return transformed->is_body_json
               ? PH_OK
               : read_text(member, "transform.body", arena, diag, &transformed->body);
}

enum ph_error jq_transformed_read(struct slice output, struct arena *arena, struct diag *diag,
                                  struct jq_transformed *ret_transformed)
{
    struct scan_member members[MEMBERS_MAX];
    size_t count = 0;
    struct jq_transformed transformed = {.body = SLICE_NONE};
    if (scan_object(output, members, MEMBERS_MAX, &count, NULL, NULL) != PH_OK) {
        return diag_set(diag, PH_INVALID, "transform",
                        "the transform's output must be null or an object with a body");
    }
    const struct scan_member *headers = scan_find(members, count, "headers");
    const struct scan_member *method = scan_find(members, count, "method");
    const struct scan_member *url = scan_find(members, count, "url");
    enum ph_error error = check_members(members, count, diag);
    if (error == PH_OK) {
        error = read_body(scan_find(members, count, "body"), arena, diag, &transformed);
    }
    if (error == PH_OK && is_given(headers)) {
        error = read_headers(headers, arena, diag, &transformed);
    }
    if (error == PH_OK && is_given(method)) {
        error = read_method(method, arena, diag, &transformed.method);
    }
    if (error == PH_OK && is_given(url)) {
        error = read_url(url, arena, diag, &transformed.url);
    }
    if (error == PH_OK) {
        *ret_transformed = transformed;
    }
    return error;
}
