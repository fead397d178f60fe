/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/magpie/hook.h"

#include <unistd.h>

#include "flow/step.h"

#define FINDING_TEXT_MAX 2048

struct magpie_hook_set *magpie_hook_set_new(void)
{
    struct magpie_hook_set *set = ph_calloc(1, sizeof *set);
    atomic_init(&set->references, 1);
    magpie_config_init(&set->config);
    return set;
}

struct magpie_hook_set *magpie_hook_set_ref(struct magpie_hook_set *set)
{
    (void)atomic_fetch_add(&set->references, 1);
    return set;
}

void magpie_hook_set_unref(struct magpie_hook_set *set)
{
    if (set != NULL && atomic_fetch_sub(&set->references, 1) == 1) {
        magpie_config_done(&set->config);
        free(set->endpoint_ids);
        free(set);
    }
}

struct magpie_hook_set *magpie_hooks_read(const struct magpie *magpie)
{
    struct magpie_hook_set *set = magpie_hook_set_new();
    if (magpie->settings.config_path != NULL) {
        magpie_config_load(&set->config, magpie->settings.config_path);
    }
    set->endpoint_ids = ph_calloc(set->config.hook_count + 1, sizeof set->endpoint_ids[0]);
    return set;
}

void magpie_hooks_log(const struct magpie *magpie, const struct magpie_hook_set *set)
{
    for (size_t index = 0; index < set->config.finding_count; index++) {
        const struct magpie_finding *finding = &set->config.findings[index];
        BUF_AUTO struct buf text;
        buf_init(&text, FINDING_TEXT_MAX);
        magpie_finding_append(finding, &text);
        log_write(magpie->log, finding->is_error ? LOG_HOOKS_REFUSED : LOG_HOOKS_WARNING,
                  LOG_SLICE("finding", buf_slice(&text)));
    }
}

void magpie_hooks_install(struct magpie *magpie, struct magpie_hook_set *set)
{
    struct magpie_hook_set *former = NULL;
    (void)pthread_mutex_lock(&magpie->lock);
    if (magpie->hooks == NULL || magpie->hooks->version < set->version) {
        former = magpie->hooks;
        magpie->hooks = magpie_hook_set_ref(set);
    }
    (void)pthread_mutex_unlock(&magpie->lock);
    magpie_hook_set_unref(former);
    if (magpie->settings.config_path == NULL && set->removed == 0) {
        return; /* nobody uses them */
    }
    log_write(magpie->log, LOG_HOOKS_LOADED, LOG_INT("hooks", set->config.hook_count),
              LOG_INT("added", set->added), LOG_INT("changed", set->changed),
              LOG_INT("removed", set->removed));
}

struct magpie_hook_set *magpie_hooks_running(struct magpie *magpie)
{
    (void)pthread_mutex_lock(&magpie->lock);
    struct magpie_hook_set *set = magpie_hook_set_ref(magpie->hooks);
    (void)pthread_mutex_unlock(&magpie->lock);
    return set;
}

/* --- on the main thread ----------------------------------------------------------------------- */

struct apply_step {
    struct step step;
    struct retry_schedule schedule;
    struct magpie_hook_set *set;
};

static enum ph_error run_apply(struct step *step, struct writer_txn *txn, struct diag *diag)
{
    struct apply_step *apply = PH_CONTAINER_OF(step, struct apply_step, step);
    return magpie_hooks_apply(txn, &apply->schedule, apply->set, diag);
}

/* Ends the reference. */
static enum ph_error use(struct magpie *magpie, struct magpie_hook_set *set, struct diag *diag)
{
    struct apply_step apply = {.schedule = magpie_retry_schedule(magpie), .set = set};
    enum ph_error error = PH_OK;
    magpie_hooks_log(magpie, set);
    if (set->config.error_count > 0) {
        error = diag_set(diag, PH_INVALID, "magpie.config_path",
                         "the hooks of %s are refused as a whole (errors: %zu); `posthorn magpie "
                         "check` lists them",
                         magpie->settings.config_path, set->config.error_count);
    }
    if (error == PH_OK) {
        step_init(&apply.step, run_apply);
        error = step_run(&apply.step, flow_writer(magpie->flow), diag);
        step_done(&apply.step);
    }
    if (error == PH_OK) {
        magpie_hooks_install(magpie, set);
    }
    magpie_hook_set_unref(set);
    return error;
}

enum ph_error magpie_hooks_start(struct magpie *magpie, struct diag *diag)
{
    const char *path = magpie->settings.config_path;
    if (path == NULL || access(path, F_OK) == 0) {
        return use(magpie, magpie_hooks_read(magpie), diag);
    }
    struct magpie_hook_set *none = magpie_hook_set_new();
    none->endpoint_ids = ph_calloc(1, sizeof none->endpoint_ids[0]);
    magpie_config_find(&none->config, false, slice_of(path), 0,
                       "magpie.config_path leads to nothing: there are no hooks");
    return use(magpie, none, diag);
}

enum ph_error magpie_hooks_reload(struct magpie *magpie, struct diag *diag)
{
    return use(magpie, magpie_hooks_read(magpie), diag);
}
