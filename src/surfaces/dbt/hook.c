/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/dbt/hook.h"

#include "base/clock.h"

#define FILTER_BYTES_MAX ENDPOINT_PROGRAM_BYTES_MAX
#define CONFIG_BYTES_MAX 65536
#define OPTIONS_BYTES_MAX ((size_t)512 * 1024)
#define MEMBERS_MAX 16

static const char *const id_key_names[] = {
    [DBT_ID_KEY_BOTH] = "both",
    [DBT_ID_KEY_WEBHOOKS_ID] = "webhooksID",
    [DBT_ID_KEY_WEBHOOK_ID] = "webhookId",
};

/* --- timeout and schedule --------------------------------------------------------------------- */

static void write_schedule(struct json_out *out, const struct retry_schedule *schedule)
{
    json_out_begin_array(out);
    for (unsigned index = 0; index < schedule->count; index++) {
        json_out_double(out, (double)schedule->delays_us[index] / CLOCK_US_PER_S);
    }
    json_out_end_array(out);
}

static bool is_same_schedule(struct slice json, const struct endpoint_options *options)
{
    BUF_AUTO struct buf text;
    struct json_out out;
    buf_init(&text, 4096);
    json_out_init(&out, &text);
    write_schedule(&out, &options->retry_schedule);
    return options->has_retry_schedule && slice_equal(json, buf_slice(&text));
}

/* Whether timeout and schedule are what we set the last time: then they are ours to set again. */
struct own {
    bool has_timeout;
    bool has_schedule;
};

static struct own find_own(const struct endpoint_options *options)
{
    struct scan_member members[MEMBERS_MAX];
    size_t count = 0;
    struct own own = {true, true};
    if (options->format_config.ptr == NULL ||
        scan_object(options->format_config, members, MEMBERS_MAX, &count, NULL, NULL) != PH_OK) {
        return own; /* a new one */
    }
    const struct scan_member *timeout = scan_find(members, count, "timeoutMs");
    const struct scan_member *schedule = scan_find(members, count, "retrySchedule");
    int64_t timeout_ms = 0;
    own.has_timeout = timeout != NULL && scan_int64(timeout->value, &timeout_ms) &&
                      timeout_ms == options->timeout_ms;
    own.has_schedule = schedule != NULL && is_same_schedule(schedule->value, options);
    return own;
}

static void set_times(const struct dbt_settings *settings, struct endpoint_options *options)
{
    struct own own = find_own(options);
    if (own.has_timeout) {
        options->timeout_ms = settings->timeout_ms;
    }
    if (own.has_schedule) {
        options->has_retry_schedule = true;
        options->retry_schedule = settings->retry_schedule;
    }
}

/* --- the rest --------------------------------------------------------------------------------- */

static struct endpoint_signature signature_of(const struct dbt_delivery *delivery)
{
    if (delivery->scheme == DBT_SCHEME_STANDARD) {
        return (struct endpoint_signature){0};
    }
    return (struct endpoint_signature){
        .is_set = true,
        .is_hmac = true,
        .with_standard = delivery->scheme == DBT_SCHEME_BOTH,
        .is_none = delivery->scheme == DBT_SCHEME_DBT,
        .header = delivery->signature_header,
    };
}

/* What the format needs to know, and what we set. */
static void write_config(const struct dbt_settings *settings, const struct dbt_subscription *row,
                         const struct dbt_delivery *delivery, struct buf *text)
{
    struct json_out out;
    json_out_init(&out, text);
    json_out_begin_object(&out);
    json_out_member_string(&out, "name", row->name);
    json_out_member_text(&out, "idKey", id_key_names[settings->id_key]);
    json_out_member_bool(&out, "enrich", delivery->is_enriched);
    json_out_member_int(&out, "timeoutMs", settings->timeout_ms);
    json_out_key(&out, "retrySchedule");
    write_schedule(&out, &settings->retry_schedule);
    json_out_end_object(&out);
    json_out_end_document(&out);
}

static enum ph_error write_options(const struct endpoint_options *options, struct arena *arena,
                                   struct diag *diag, struct slice *ret_text)
{
    BUF_AUTO struct buf text;
    struct json_out out;
    buf_init(&text, OPTIONS_BYTES_MAX);
    json_out_init(&out, &text);
    endpoint_options_write(&out, options);
    json_out_end_document(&out);
    *ret_text = text.failed ? SLICE_NONE : dbt_copy(arena, buf_slice(&text));
    return ret_text->ptr == NULL ? api_no_memory(diag) : PH_OK;
}

enum ph_error dbt_hook_apply(const struct dbt_settings *settings, struct arena *arena,
                             struct diag *diag, struct dbt_subscription *row, bool *ret_changed)
{
    struct dbt_delivery delivery;
    struct endpoint_options options;
    struct slice text;
    BUF_AUTO struct buf filter;
    BUF_AUTO struct buf config;
    buf_init(&filter, FILTER_BYTES_MAX);
    buf_init(&config, CONFIG_BYTES_MAX);
    enum ph_error error = dbt_delivery_parse(row->delivery, arena, diag, &delivery);
    if (error == PH_OK) {
        error = endpoint_options_read(row->endpoint.options, arena, diag, &options);
    }
    if (error != PH_OK) {
        return error;
    }
    set_times(settings, &options);
    dbt_delivery_filter(&delivery, row->endpoint.event_types, &filter);
    write_config(settings, row, &delivery, &config);
    if (filter.failed || config.failed) {
        return diag_set(diag, PH_BAD_REQUEST, "filters", "the filters are too long");
    }
    options.is_steady = true;
    options.signature = signature_of(&delivery);
    options.format = SLICE_LITERAL("dbt");
    options.format_config = buf_slice(&config);
    options.filter = filter.len > 0 ? buf_slice(&filter) : SLICE_NONE;
    error = write_options(&options, arena, diag, &text);
    if (error == PH_OK) {
        bool is_changed = !slice_equal(text, row->endpoint.options) ||
                          row->failures_max != settings->failures_max ||
                          row->failing_max_us != settings->failing_max_us;
        row->endpoint.options = text;
        row->failures_max = settings->failures_max;
        row->failing_max_us = settings->failing_max_us;
        if (ret_changed != NULL) {
            *ret_changed = is_changed;
        }
    }
    return error;
}
