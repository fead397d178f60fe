/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/magpie/magpie.h"

#include "surfaces/magpie/format.h"
#include "surfaces/magpie/hook.h"
#include "surfaces/magpie/identity_int.h"

static void stop(void *state)
{
    struct magpie *magpie = state;
    magpie_hook_set_unref(magpie->hooks);
    magpie_settings_done(&magpie->settings);
    (void)pthread_mutex_destroy(&magpie->lock);
    free(magpie);
}

static enum ph_error start(const struct surface_environment *environment, struct diag *diag,
                           void **ret_state)
{
    struct magpie *magpie = ph_calloc(1, sizeof *magpie);
    magpie->api = environment->api;
    magpie->flow = environment->flow;
    magpie->log = environment->log;
    (void)pthread_mutex_init(&magpie->lock, NULL);
    enum ph_error error = magpie_settings_read(environment, diag, &magpie->settings);
    if (error == PH_OK && magpie->api != NULL) {
        error = magpie_hooks_start(magpie, diag);
    }
    if (error != PH_OK) {
        stop(magpie);
        return error;
    }
    *ret_state = magpie;
    return PH_OK;
}

static enum ph_error reload(void *state, const struct surface_environment *environment,
                            struct diag *diag)
{
    struct magpie *magpie = state;
    struct magpie_settings settings;
    enum ph_error error = magpie_settings_read(environment, diag, &settings);
    if (error != PH_OK) {
        return error;
    }
    (void)pthread_mutex_lock(&magpie->lock);
    magpie->settings.token_expire_us = settings.token_expire_us;
    magpie->settings.retry_schedule = settings.retry_schedule;
    (void)pthread_mutex_unlock(&magpie->lock);
    magpie_settings_done(&settings); /* its texts want a restart */
    return magpie_hooks_reload(magpie, diag);
}

const struct surface surface_magpie = {
    .name = "magpie",
    .routes = magpie_routes,
    .route_count = MAGPIE_ROUTE_COUNT,
    .token_of = magpie_token_of,
    .find_session = magpie_find_session,
    .authorize = magpie_authorize,
    .respond_error = magpie_respond_error,
    .not_found = magpie_not_found,
    .refuse = magpie_refuse,
    .token_flags = magpie_token_flags,
    .token_flag_count = MAGPIE_TOKEN_FLAG_COUNT,
    .check_token = magpie_token_check,
    .make_token = magpie_token_make,
    .owns_application = magpie_owns_application,
    .format = &magpie_format,
    .start = start,
    .stop = stop,
    .reload = reload,
};
