/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>

#include "api/endpoint.h"
#include "core/header_rule.h"
#include "core/name.h"
#include "core/url.h"

#define EVENT_TYPES_MAX 1000
#define URL_TEXT_MAX 4096
/* As JSON text, where a byte may take six. */
#define HEADERS_TEXT_MAX ((size_t)6 * HEADER_BYTES_MAX)

static void read_url(struct api_call *call, struct input *input, enum input_need need,
                     struct endpoint_job *job)
{
    struct slice text;
    job->url = input_string(input, "url", need, "url", &text);
    if (job->url != INPUT_VALUE || input_end(input) != PH_OK) {
        return;
    }
    BUF_AUTO struct buf normal;
    buf_init(&normal, URL_TEXT_MAX);
    enum ph_error error = url_normalise(text, "body.url", input->diag, &normal);
    if (error != PH_OK) {
        input_note(input, error);
        return;
    }
    const struct flow_settings *settings = flow_settings_take(call->api->flow);
    bool is_https_only = settings->endpoint_https_only;
    flow_settings_drop(settings);
    if (is_https_only && !slice_starts_with(buf_slice(&normal), "https:")) {
        input_refuse(input, "url", "Endpoint URL schemes must be https when the server asks so");
        return;
    }
    char *copy = arena_dup(call->arena, buf_slice(&normal));
    if (copy == NULL) {
        input_note(input, api_no_memory(input->diag));
        return;
    }
    job->row.url = (struct slice){copy, normal.len};
}

struct name_list {
    enum input_state state;
    struct slice *names;
    size_t count;
};

static struct name_list read_names(struct input *input, const char *name, enum input_need need)
{
    struct name_list list;
    list.state =
        input_strings(input, name, need, "event_types", EVENT_TYPES_MAX, &list.names, &list.count);
    if (list.state == INPUT_VALUE && list.count == 0) {
        input_refuse(input, "event_types",
                     "eventTypes can't be empty, it must have at least one"
                     " item.");
    }
    for (size_t index = 0; index < list.count && input_end(input) == PH_OK; index++) {
        input_note(input, name_check_event_type(list.names[index], "body.event_types.[0].__all__",
                                                input->diag));
    }
    return list;
}

/* `filterTypes` is the former name: checked, and taken where the new one is absent. */
enum input_state endpoint_read_event_types(struct input *input, enum input_need need,
                                           struct slice **ret_names, size_t *ret_count,
                                           struct slice *ret_json)
{
    struct name_list list = read_names(input, "eventTypes", need);
    const struct name_list former = read_names(input, "filterTypes", need);
    list = list.state == INPUT_ABSENT ? former : list;
    bool is_good = list.state == INPUT_VALUE && input_end(input) == PH_OK;
    *ret_names = list.names;
    *ret_count = is_good ? list.count : 0;
    *ret_json = is_good ? input_names_json(input, list.names, list.count) : SLICE_NONE;
    return list.state;
}

static void read_secret(struct input *input, struct endpoint_job *job)
{
    if (input_string(input, "secret", INPUT_OPTIONAL, "secret", &job->secret) == INPUT_VALUE &&
        input_end(input) == PH_OK) {
        struct signing_key *key = NULL;
        input_note(input, signing_key_parse(job->secret, "body.secret", input->diag, &key));
        signing_key_free(key);
    }
}

static bool check_header(struct input *input, const char *name, const json_t *value,
                         bool may_be_null)
{
    if (json_is_null(value) && may_be_null) {
        return true;
    }
    if (!json_is_string(value)) {
        enum ph_error wrong = diag_set(input->diag, PH_INVALID, "body.headers",
                                       "the value of %.64s is not a text", name);
        diag_code(input->diag, "value_error.jsondecode");
        input_note(input, wrong);
        return false;
    }
    struct slice text = {json_string_value(value), json_string_length(value)};
    enum ph_error error = header_rule_check_name(slice_of(name), "body.headers", input->diag);
    if (error == PH_OK) {
        error = header_rule_check_value(text, "body.headers", input->diag);
    }
    input_note(input, error);
    return error == PH_OK;
}

void endpoint_read_headers(struct input *input, enum input_need need, bool may_be_null,
                           struct slice *ret_json)
{
    struct slice text;
    *ret_json = SLICE_NONE;
    if (input_raw(input, "headers", need, SCAN_OBJECT, &text) != INPUT_VALUE ||
        input_end(input) != PH_OK) {
        return;
    }
    if (text.len > HEADERS_TEXT_MAX) {
        input_refuse(input, "headers", "the headers are larger than %zu bytes", HEADERS_TEXT_MAX);
        return;
    }
    json_t *object = json_loadb(text.ptr, text.len, JSON_ALLOW_NUL, NULL);
    const char *name;
    json_t *value;
    bool is_good = json_is_object(object);
    if (!is_good) {
        input_refuse(input, "headers", "the headers cannot be read");
    } else if (json_object_size(object) > HEADER_COUNT_MAX) {
        input_refuse(input, "headers", "an endpoint has at most %d headers", HEADER_COUNT_MAX);
        is_good = false;
    }
    json_object_foreach(object, name, value)
    {
        is_good = is_good && check_header(input, name, value, may_be_null);
    }
    if (is_good) {
        *ret_json = text;
    }
    json_decref(object);
}

/* What operational webhooks do not have. */
static void read_native(struct input *input, enum input_need set, enum input_need clear,
                        struct endpoint_job *job)
{
    int64_t version;
    job->version = input_int(input, "version", set, 1, 65535, &version);
    if (job->version == INPUT_VALUE) {
        job->row.version = version;
    }
    job->channels = input_channels(input, clear, &job->row.channels, NULL, NULL);
    endpoint_options_input_read(input, &job->options);
}

enum ph_error endpoint_read_body(struct api_call *call, enum endpoint_body body, struct diag *diag,
                                 struct endpoint_job **ret_job)
{
    struct endpoint_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    bool is_patch = body == ENDPOINT_BODY_PATCH;
    enum input_need set = is_patch ? INPUT_NOT_NULL : INPUT_OPTIONAL;
    enum input_need clear = is_patch ? INPUT_NULLABLE : INPUT_OPTIONAL;
    struct endpoint_row *row = &job->row;
    struct input input;
    input_open(&input, http_body(call->request), call->arena, diag);
    read_url(call, &input, is_patch ? INPUT_NOT_NULL : INPUT_REQUIRED, job);
    job->description = input_string(&input, "description", set, "description", &row->description);
    if (job->description == INPUT_ABSENT || row->description.ptr == NULL) {
        row->description = SLICE_LITERAL("");
    }
    job->uid = input_uid(&input, clear, ID_ENDPOINT, &row->uid);
    job->throttle_rate = input_throttle_rate(&input, clear, &row->throttle_rate);
    row->version = 1;
    job->disabled = input_bool(&input, "disabled", set, &row->is_disabled);
    job->event_types = endpoint_read_event_types(&input, clear, &job->event_type_names,
                                                 &job->event_type_count, &row->event_types);
    job->metadata = input_metadata(&input, "metadata", set, &row->metadata);
    if (call->operational_uid.ptr == NULL) {
        read_native(&input, set, clear, job);
    }
    row->headers = SLICE_LITERAL("{}");
    if (body == ENDPOINT_BODY_CREATE) {
        struct slice headers;
        read_secret(&input, job);
        endpoint_read_headers(&input, INPUT_OPTIONAL, false, &headers);
        row->headers = headers.ptr == NULL ? row->headers : headers;
    }
    *ret_job = job;
    return input_end(&input);
}
