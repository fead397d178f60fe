/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/dbt/webhook_input.h"

#include "core/url.h"

#define NAME_BYTES_MAX 1024
#define DESCRIPTION_BYTES_MAX 65536
#define URL_TEXT_MAX 4096
#define EVENT_TYPES_MAX 32
#define JOBS_MAX 1000
#define LIST_BYTES_MAX 65536
#define JOB_PREFIX "job."

static const char *const event_types[] = {"job.run.started", "job.run.completed", "job.run.errored",
                                          "job.run.canceled"};

static bool is_event_type(struct slice name)
{
    for (size_t index = 0; index < PH_ARRAY_LENGTH(event_types); index++) {
        if (slice_equal_text(name, event_types[index])) {
            return true;
        }
    }
    return false;
}

static bool is_among(struct slice name, const struct slice *names, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        if (slice_equal(name, names[index])) {
            return true;
        }
    }
    return false;
}

static void read_event_types(struct input *input, struct dbt_webhook_input *webhook)
{
    struct slice *given;
    size_t count;
    if (input_strings(input, "event_types", INPUT_REQUIRED, "event_types", EVENT_TYPES_MAX, &given,
                      &count) != INPUT_VALUE) {
        return;
    }
    if (count == 0) {
        input_refuse(input, "event_types", "length of value must be at least 1");
    }
    size_t kept = 0;
    for (size_t index = 0; index < count; index++) {
        if (!is_event_type(given[index])) {
            input_refuse(input, "event_types",
                         "value must be one of ['job.run.started', 'job.run.completed', "
                         "'job.run.errored', 'job.run.canceled']");
        }
        if (!is_among(given[index], given, kept)) {
            given[kept++] = given[index];
        }
    }
    webhook->event_types = input_names_json(input, given, kept);
}

/* A number, or a text of digits: clients send both. */
static bool read_job(enum scan_type type, struct slice value, int64_t *ret_job)
{
    if (type == SCAN_STRING && value.len > 2) {
        value = (struct slice){value.ptr + 1, value.len - 2};
    } else if (type != SCAN_NUMBER) {
        return false;
    }
    return slice_to_int64(value, ret_job) && *ret_job > 0;
}

static void refuse_jobs(struct input *input)
{
    input_refuse(input, "job_ids", "expected a list of integers");
}

/* Appends "job.N" to the channels; false when it is no job. */
static bool add_job(enum scan_type type, struct slice value, struct json_out *out)
{
    int64_t job;
    char text[32];
    if (!read_job(type, value, &job)) {
        return false;
    }
    (void)snprintf(text, sizeof text, JOB_PREFIX "%lld", (long long)job);
    json_out_string(out, slice_of(text));
    return true;
}

/* Absent, null and empty mean all jobs; one that stands alone is a list of one. */
static void read_jobs(struct input *input, struct dbt_webhook_input *webhook)
{
    const struct scan_member *member = input_find(input, "job_ids");
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    size_t count = 0;
    BUF_AUTO struct buf text;
    struct json_out out;
    buf_init(&text, LIST_BYTES_MAX);
    if (member == NULL || member->type == SCAN_NULL) {
        return;
    }
    json_out_init(&out, &text);
    json_out_begin_array(&out);
    if (member->type != SCAN_ARRAY) {
        if (!add_job(member->type, member->value, &out)) {
            refuse_jobs(input);
            return;
        }
        count = 1;
    } else {
        scan_cursor_init(&cursor, member->value);
        while (scan_next_element(&cursor, &type, &value)) {
            if (!add_job(type, value, &out)) {
                refuse_jobs(input);
                return;
            }
            count++;
        }
    }
    json_out_end_array(&out);
    if (count > JOBS_MAX) {
        input_refuse(input, "job_ids", "length of value must be at most %d", JOBS_MAX);
    } else if (count > 0) {
        webhook->channels = dbt_copy(input->arena, buf_slice(&text));
    }
}

static void read_url(struct api_call *call, struct input *input, struct dbt_webhook_input *webhook)
{
    struct diag reason = {0};
    BUF_AUTO struct buf normal;
    buf_init(&normal, URL_TEXT_MAX);
    if (input_string(input, "client_url", INPUT_REQUIRED, "client_url", &webhook->client_url) !=
        INPUT_VALUE) {
        return;
    }
    if (webhook->client_url.len == 0) {
        input_refuse(input, "client_url", "length of value must be at least 1");
        return;
    }
    if (url_normalise(webhook->client_url, NULL, &reason, &normal) != PH_OK) {
        input_refuse(input, "client_url", "%s", reason.text);
        return;
    }
    const struct flow_settings *settings = flow_settings_take(call->api->flow);
    bool is_https_only = settings->endpoint_https_only;
    flow_settings_drop(settings);
    if (is_https_only && !slice_starts_with(buf_slice(&normal), "https:")) {
        input_refuse(input, "client_url", "expected an https URL");
    }
    webhook->url = dbt_copy(input->arena, buf_slice(&normal));
}

static void read_text(struct input *input, const char *name, enum input_need need, size_t minimum,
                      size_t maximum, struct slice *ret_text)
{
    if (input_string(input, name, need, name, ret_text) != INPUT_VALUE) {
        return;
    }
    if (ret_text->len < minimum) {
        input_refuse(input, name, "length of value must be at least %zu", minimum);
    } else if (ret_text->len > maximum) {
        input_refuse(input, name, "length of value must be at most %zu", maximum);
    }
}

enum ph_error dbt_webhook_read(struct api_call *call, struct diag *diag,
                               struct dbt_webhook_input *ret_input)
{
    struct input input;
    struct dbt_webhook_input webhook = {.is_active = true};
    input_open(&input, http_body(call->request), call->arena, diag);
    if (input_end(&input) != PH_OK) {
        return input_end(&input);
    }
    read_text(&input, "name", INPUT_REQUIRED, 1, NAME_BYTES_MAX, &webhook.name);
    read_url(call, &input, &webhook);
    read_event_types(&input, &webhook);
    read_text(&input, "description", INPUT_OPTIONAL, 0, DESCRIPTION_BYTES_MAX,
              &webhook.description);
    if (webhook.description.ptr == NULL) {
        webhook.description = SLICE_LITERAL("");
    }
    bool is_active;
    if (input_bool(&input, "active", INPUT_OPTIONAL, &is_active) == INPUT_VALUE) {
        webhook.has_active = true;
        webhook.is_active = is_active;
    }
    read_jobs(&input, &webhook);
    if (input_end(&input) == PH_OK) {
        *ret_input = webhook;
    }
    return input_end(&input);
}
