/* SPDX-License-Identifier: Apache-2.0 */
/* What the options say: a profile, and single keys that go before it. */
#include "base/clock.h"
#include "flow/step.h"
#include "surfaces/dbt/dbt_int.h"
#include "surfaces/dbt/hook.h"

#define DELAYS_MAX 4 /* five attempts in all */
#define TIMEOUT_MS 10000
#define REFRESH_ROWS 100 /* of one transaction */
#define REFRESH_ARENA_BYTES ((size_t)8 * 1024 * 1024)

/* One per generation of the original (dbt spec, table at its head). */
static const struct dbt_settings profiles[] = {
    {
        .id_key = DBT_ID_KEY_BOTH,
        .test_answer = DBT_TEST_BOTH,
    },
    {
        .id_key = DBT_ID_KEY_WEBHOOK_ID,
        .test_answer = DBT_TEST_BOTH,
        .failures_max = 5,
    },
    {
        .id_key = DBT_ID_KEY_WEBHOOK_ID,
        .test_answer = DBT_TEST_EVENT_ID,
        .has_integer_types = true,
        .reactivates_on_url = true,
        .is_canceled_completed = true,
        .failures_max = 1000,
        .failing_max_us = INT64_C(7) * 86400 * CLOCK_US_PER_S,
    },
};

struct source {
    const struct surface_environment *environment;
};

static bool is_set(const struct source *source, const char *key)
{
    return source->environment->option_is_set(source->environment->options, key);
}

static double number(const struct source *source, const char *key)
{
    return source->environment->option_number(source->environment->options, key);
}

static void read_single(const struct source *source, struct dbt_settings *settings)
{
    if (is_set(source, "dbt.payload_id_key")) {
        settings->id_key = (enum dbt_id_key)number(source, "dbt.payload_id_key");
    }
    if (is_set(source, "dbt.test_answer")) {
        settings->test_answer = (enum dbt_test_answer)number(source, "dbt.test_answer");
    }
    if (is_set(source, "dbt.integer_types")) {
        settings->has_integer_types = number(source, "dbt.integer_types") != 0;
    }
    if (is_set(source, "dbt.reactivate_on_url")) {
        settings->reactivates_on_url = number(source, "dbt.reactivate_on_url") != 0;
    }
    if (is_set(source, "dbt.canceled_completes")) {
        settings->is_canceled_completed = number(source, "dbt.canceled_completes") != 0;
    }
    if (is_set(source, "dbt.deactivate_failures")) {
        settings->failures_max = (int64_t)number(source, "dbt.deactivate_failures");
    }
    if (is_set(source, "dbt.deactivate_after")) {
        settings->failing_max_us =
            (int64_t)(number(source, "dbt.deactivate_after") * CLOCK_US_PER_S);
    }
}

static enum ph_error read_schedule(const struct source *source, struct diag *diag,
                                   struct retry_schedule *ret_schedule)
{
    const char *text =
        is_set(source, "retry_schedule")
            ? source->environment->option_text(source->environment->options, "retry_schedule")
            : "10,60,300,1800";
    enum ph_error error =
        retry_schedule_parse(slice_of(text), "retry_schedule", diag, ret_schedule);
    if (error == PH_OK && ret_schedule->count > DELAYS_MAX) {
        ret_schedule->count = DELAYS_MAX;
    }
    return error;
}

enum ph_error dbt_settings_read(const struct surface_environment *environment, struct diag *diag,
                                struct dbt_settings *ret_settings)
{
    const struct source source = {environment};
    size_t profile = (size_t)number(&source, "dbt.profile");
    PH_ASSERT(profile < PH_ARRAY_LENGTH(profiles));
    struct dbt_settings settings = profiles[profile];
    read_single(&source, &settings);
    settings.log_us = (int64_t)(number(&source, "dbt.log_days") * CLOCK_US_PER_S);
    if (profile == 2 && !is_set(&source, "dbt.log_days")) {
        settings.log_us = INT64_C(7) * 86400 * CLOCK_US_PER_S;
    }
    settings.artifact_wait_us = (int64_t)(number(&source, "dbt.artifact_wait") * CLOCK_US_PER_S);
    settings.artifact_bytes_max = (int64_t)number(&source, "dbt.max_artifact");
    settings.run_us = (int64_t)(number(&source, "dbt.run_days") * CLOCK_US_PER_S);
    settings.timeout_ms = is_set(&source, "delivery_timeout") ? 0 : TIMEOUT_MS;
    enum ph_error error = read_schedule(&source, diag, &settings.retry_schedule);
    if (error == PH_OK) {
        *ret_settings = settings;
    }
    return error;
}

struct dbt_settings dbt_settings_of(struct dbt *dbt)
{
    (void)pthread_mutex_lock(&dbt->lock);
    struct dbt_settings settings = dbt->settings;
    (void)pthread_mutex_unlock(&dbt->lock);
    return settings;
}

/* --- the endpoints that were made under other settings ---------------------------------------- */

struct refresh {
    struct step step;
    struct dbt_settings settings;
    int64_t after_id;
    int64_t last_id; /* result of a step */
    bool is_end;
};

static enum ph_error refresh_one(const struct refresh *refresh, struct writer_txn *txn,
                                 struct diag *diag, int64_t *last_id)
{
    struct dbt_subscription row;
    bool is_changed;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, REFRESH_ARENA_BYTES);
    enum ph_error error = dbt_subscription_next(txn->store, *last_id, &arena, diag, &row);
    if (error != PH_OK) {
        return error;
    }
    *last_id = row.endpoint.id;
    error = dbt_hook_apply(&refresh->settings, &arena, diag, &row, &is_changed);
    if (error != PH_OK || !is_changed) {
        return error;
    }
    error = endpoint_update(txn->store, &row.endpoint, diag);
    if (error == PH_OK) {
        error = dbt_subscription_update(txn->store, &row, false, diag);
    }
    if (error == PH_OK) {
        writer_txn_endpoint_changed(txn, row.endpoint.id);
        error = application_touch(txn->store, row.endpoint.application_id, diag);
    }
    return error;
}

static enum ph_error run_refresh(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    struct refresh *refresh = PH_CONTAINER_OF(step, struct refresh, step);
    enum ph_error error = PH_OK;
    refresh->last_id = refresh->after_id;
    for (size_t index = 0; error == PH_OK && index < REFRESH_ROWS; index++) {
        error = refresh_one(refresh, txn, diag, &refresh->last_id);
    }
    refresh->is_end = error == PH_NOT_FOUND;
    return refresh->is_end ? PH_OK : error;
}

enum ph_error dbt_subscriptions_refresh(struct dbt *dbt, struct diag *diag)
{
    struct refresh refresh = {.settings = dbt_settings_of(dbt)};
    enum ph_error error = PH_OK;
    step_init(&refresh.step, run_refresh);
    while (error == PH_OK && !refresh.is_end) {
        error = step_run(&refresh.step, flow_writer(dbt->flow), diag);
        refresh.after_id = refresh.last_id;
    }
    step_done(&refresh.step);
    return error;
}
