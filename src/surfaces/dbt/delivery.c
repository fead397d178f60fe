/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/dbt/delivery.h"

#include "core/header_rule.h"

#define DEFAULT_HEADER "Authorization"
#define ID_DIGITS_MAX 18

static const char *const scheme_names[] = {
    [DBT_SCHEME_DBT] = "dbt",
    [DBT_SCHEME_STANDARD] = "standard",
    [DBT_SCHEME_BOTH] = "both",
};
_Static_assert(PH_ARRAY_LENGTH(scheme_names) == DBT_SCHEME_COUNT, "one name each");

static const struct {
    const char *name;
    int64_t code;
} statuses[] = {
    {"running", 3},   {"success", 10}, {"error", 20}, {"errored", 20}, {"cancelled", 30},
    {"canceled", 30}, {"3", 3},        {"10", 10},    {"20", 20},      {"30", 30},
};

int64_t dbt_status_code(struct slice text)
{
    for (size_t index = 0; index < PH_ARRAY_LENGTH(statuses); index++) {
        if (slice_equal_nocase(text, slice_of(statuses[index].name))) {
            return statuses[index].code;
        }
    }
    return 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* A number above 0 as JSON has it: no zeros in front. */
static bool is_digits(struct slice text)
{
    for (size_t index = 0; index < text.len; index++) {
        if (text.ptr[index] < '0' || text.ptr[index] > '9') {
            return false;
        }
    }
    return text.len > 0 && text.len <= ID_DIGITS_MAX && text.ptr[0] != '0';
}

/* An array of numbers or texts, as texts. */
static void read_items(struct input *input, const char *name, struct slice **ret_items,
                       size_t *ret_count)
{
    struct slice json;
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    size_t count = 0;
    *ret_items = NULL;
    *ret_count = 0;
    if (input_raw(input, name, INPUT_OPTIONAL, SCAN_ARRAY, &json) != INPUT_VALUE) {
        return;
    }
    struct slice *items = arena_calloc(input->arena, DBT_FILTER_ITEMS_MAX, sizeof *items);
    if (items == NULL) {
        input_note(input, diag_set(input->diag, PH_NO_MEMORY, NULL, "the request is too large"));
        return;
    }
    scan_cursor_init(&cursor, json);
    while (scan_next_element(&cursor, &type, &value)) {
        if (count == DBT_FILTER_ITEMS_MAX) {
            input_refuse(input, name, "must have at most %d items", DBT_FILTER_ITEMS_MAX);
            return;
        }
        items[count] = value;
        if (type != SCAN_NUMBER && (type != SCAN_STRING || scan_string(value, input->arena, NULL,
                                                                       &items[count]) != PH_OK)) {
            input_refuse(input, name, "expected an array of numbers or texts");
            return;
        }
        count++;
    }
    *ret_items = items;
    *ret_count = count;
}

static void read_ids(struct input *input, const char *name, struct slice **ret_items,
                     size_t *ret_count)
{
    read_items(input, name, ret_items, ret_count);
    for (size_t index = 0; index < *ret_count; index++) {
        if (!is_digits((*ret_items)[index])) {
            input_refuse(input, name, "expected ids: whole numbers above 0");
        }
    }
}

static void read_filters(struct input *parent, struct dbt_delivery *delivery)
{
    struct input input;
    if (input_open_nested(parent, "filters", INPUT_OPTIONAL, &input) != INPUT_VALUE) {
        return;
    }
    read_ids(&input, "environment_ids", &delivery->environment_ids, &delivery->environment_count);
    read_ids(&input, "project_ids", &delivery->project_ids, &delivery->project_count);
    read_items(&input, "statuses", &delivery->statuses, &delivery->status_count);
    for (size_t index = 0; index < delivery->status_count; index++) {
        if (dbt_status_code(delivery->statuses[index]) == 0) {
            input_refuse(&input, "statuses",
                         "expected run statuses: Running, Success, Errored, Cancelled");
        }
    }
    (void)input_string(&input, "job_name_regex", INPUT_OPTIONAL, "job_name_regex",
                       &delivery->job_name_regex);
    if (delivery->job_name_regex.len > DBT_REGEX_BYTES_MAX) {
        input_refuse(&input, "job_name_regex", "must have at most %d bytes", DBT_REGEX_BYTES_MAX);
    } else if (delivery->job_name_regex.len == 0) {
        delivery->job_name_regex = SLICE_NONE;
    }
    input_close_nested(parent, &input);
}

static void read_scheme(struct input *input, struct dbt_delivery *delivery)
{
    struct slice scheme;
    struct slice header;
    if (input_string(input, "scheme", INPUT_OPTIONAL, "scheme", &scheme) == INPUT_VALUE) {
        size_t index = 0;
        while (index < DBT_SCHEME_COUNT && !slice_equal_text(scheme, scheme_names[index])) {
            index++;
        }
        if (index == DBT_SCHEME_COUNT) {
            input_refuse(input, "scheme", "expected dbt, standard or both");
        } else {
            delivery->scheme = (enum dbt_scheme)index;
        }
    }
    if (input_string(input, "signatureHeader", INPUT_OPTIONAL, "signatureHeader", &header) !=
        INPUT_VALUE) {
        return;
    }
    delivery->signature_header = header;
    if (slice_equal_nocase(header, SLICE_LITERAL("Host"))) {
        input_refuse(input, "signatureHeader", "the header `Host` cannot be set");
    } else if (!slice_equal_nocase(header, SLICE_LITERAL(DEFAULT_HEADER))) {
        input_note(input, header_rule_check_name(header, "body.signatureHeader", input->diag));
    }
}

enum ph_error dbt_delivery_read(struct input *input, struct dbt_delivery *ret_delivery)
{
    struct dbt_delivery delivery = {.signature_header = SLICE_LITERAL(DEFAULT_HEADER)};
    if (input_end(input) != PH_OK) {
        return input_end(input);
    }
    read_scheme(input, &delivery);
    read_filters(input, &delivery);
    (void)input_bool(input, "collapse", INPUT_OPTIONAL, &delivery.collapses);
    (void)input_bool(input, "wait_for_artifacts", INPUT_OPTIONAL, &delivery.waits_for_artifacts);
    (void)input_bool(input, "enrich", INPUT_OPTIONAL, &delivery.is_enriched);
    if (input_end(input) == PH_OK) {
        *ret_delivery = delivery;
    }
    return input_end(input);
}

enum ph_error dbt_delivery_parse(struct slice json, struct arena *arena, struct diag *diag,
                                 struct dbt_delivery *ret_delivery)
{
    struct input input;
    struct diag ignored = {0};
    input_open(&input, json, arena, &ignored);
    enum ph_error error = dbt_delivery_read(&input, ret_delivery);
    if (error == PH_OK || error == PH_NO_MEMORY) {
        return error;
    }
    return diag_set(diag, PH_STORE, "store", "the stored delivery of a webhook is broken");
}

/* --- writing ---------------------------------------------------------------------------------- */

static void write_items(struct json_out *out, const char *key, const struct slice *items,
                        size_t count, bool is_numbers)
{
    json_out_key(out, key);
    json_out_begin_array(out);
    for (size_t index = 0; index < count; index++) {
        if (is_numbers) {
            json_out_raw(out, items[index]);
        } else {
            json_out_string(out, items[index]);
        }
    }
    json_out_end_array(out);
}

void dbt_delivery_write(struct json_out *out, const struct dbt_delivery *delivery)
{
    json_out_begin_object(out);
    json_out_member_string(out, "signatureHeader", delivery->signature_header);
    json_out_member_text(out, "scheme", scheme_names[delivery->scheme]);
    json_out_key(out, "filters");
    json_out_begin_object(out);
    write_items(out, "environment_ids", delivery->environment_ids, delivery->environment_count,
                true);
    write_items(out, "project_ids", delivery->project_ids, delivery->project_count, true);
    write_items(out, "statuses", delivery->statuses, delivery->status_count, false);
    json_out_member_string(out, "job_name_regex", delivery->job_name_regex);
    json_out_end_object(out);
    json_out_member_bool(out, "collapse", delivery->collapses);
    json_out_member_bool(out, "wait_for_artifacts", delivery->waits_for_artifacts);
    json_out_member_bool(out, "enrich", delivery->is_enriched);
    json_out_end_object(out);
}

/* --- the filter ------------------------------------------------------------------------------- */

/* `RUN` of the program: what the body's `data` says of the run. */
#define RUN ".data.data"

static void begin_term(struct buf *program)
{
    buf_append_text(program, program->len > 0 ? " and " : "");
}

/* (.data.data.projectId | IN("7","8")), written out for jq 1.5 and later. */
static void add_texts(struct buf *program, const char *member, const struct slice *items,
                      size_t count)
{
    struct json_out out;
    if (count == 0) {
        return;
    }
    begin_term(program);
    buf_append_format(program, "(" RUN ".%s as $v | any(", member);
    json_out_init(&out, program);
    json_out_begin_array(&out);
    for (size_t index = 0; index < count; index++) {
        json_out_string(&out, items[index]);
    }
    json_out_end_array(&out);
    buf_append_text(program, "[]; . == $v))");
}

static void add_statuses(struct buf *program, const struct dbt_delivery *delivery)
{
    if (delivery->status_count == 0) {
        return;
    }
    begin_term(program);
    buf_append_text(program, "(" RUN ".runStatusCode as $v | any([");
    for (size_t index = 0; index < delivery->status_count; index++) {
        buf_append_format(program, "%s%lld", index > 0 ? "," : "",
                          (long long)dbt_status_code(delivery->statuses[index]));
    }
    buf_append_text(program, "][]; . == $v))");
}

/* `test("…")`. jq takes `\(` in a string for code, so a backslash is written as its code point. */
static void add_test(struct buf *program, struct slice regex)
{
    static const char *const hex = "0123456789abcdef";
    buf_append_text(program, "test(\"");
    for (size_t index = 0; index < regex.len; index++) {
        unsigned char byte = (unsigned char)regex.ptr[index];
        if (byte < ' ' || byte == '"' || byte == '\\') {
            buf_append_text(program, "\\u00");
            buf_append_byte(program, hex[byte >> 4]);
            buf_append_byte(program, hex[byte & 15]);
        } else {
            buf_append_byte(program, (char)byte);
        }
    }
    buf_append_text(program, "\")");
}

static void add_regex(struct buf *program, struct slice regex)
{
    if (regex.ptr != NULL) {
        begin_term(program);
        buf_append_text(program, "(" RUN ".jobName | ");
        add_test(program, regex);
        buf_append_text(program, ")");
    }
}

void dbt_delivery_trial(const struct dbt_delivery *delivery, struct buf *program)
{
    buf_append_text(program, "\"\" | ");
    add_test(program, delivery->job_name_regex);
}

static bool wants(struct slice event_types, const char *name)
{
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    if (event_types.ptr == NULL) {
        return true;
    }
    scan_cursor_init(&cursor, event_types);
    while (scan_next_element(&cursor, &type, &value)) {
        if (value.len > 2 && slice_equal_text((struct slice){value.ptr + 1, value.len - 2}, name)) {
            return true;
        }
    }
    return false;
}

/* A run that failed gives errored at once and completed when its artifacts can be read. Who waits
 * for them gets errored by a message of its own then, which is marked; who wants one of the two
 * gets errored, or completed when it waits. */
static void add_gates(struct buf *program, const struct dbt_delivery *delivery,
                      struct slice event_types)
{
    bool is_one = delivery->collapses && wants(event_types, "job.run.errored") &&
                  wants(event_types, "job.run.completed");
    if (is_one && delivery->waits_for_artifacts) {
        begin_term(program);
        buf_append_text(program, "(.type != \"job.run.errored\")");
    } else if (is_one) {
        begin_term(program);
        buf_append_text(program, "(.type != \"job.run.completed\" or " RUN ".runStatusCode != 20)");
    } else if (delivery->waits_for_artifacts) {
        begin_term(program);
        buf_append_text(program, "(.type != \"job.run.errored\" or .data.isReady == true)");
    }
}

void dbt_delivery_filter(const struct dbt_delivery *delivery, struct slice event_types,
                         struct buf *program)
{
    add_texts(program, "environmentId", delivery->environment_ids, delivery->environment_count);
    add_texts(program, "projectId", delivery->project_ids, delivery->project_count);
    add_statuses(program, delivery);
    add_regex(program, delivery->job_name_regex);
    add_gates(program, delivery, event_types);
}
