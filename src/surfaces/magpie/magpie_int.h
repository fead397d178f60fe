/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the magpie surface share: its state and its settings.
 *
 * Concurrency: the texts of the settings are set before anything is served and only read then;
 * numbers and the running set of hooks change at a reload, under `lock`.
 */
#ifndef PH_SURFACES_MAGPIE_MAGPIE_INT_H
#define PH_SURFACES_MAGPIE_MAGPIE_INT_H

#include <pthread.h>

#include "core/retry.h"
#include "surfaces/magpie/event.h"
#include "surfaces/magpie/magpie.h"

struct magpie_hook_set; /* hook.h */

struct magpie_settings {
    char *config_path;         /* file or folder of hooks; NULL = none */
    char *base_url;            /* without a slash at its end; NULL = the main listener's /magpie */
    char *public_services_url; /* likewise; NULL = made of the base's host */
    int64_t token_expire_us;   /* age of callback tokens */
    struct retry_schedule retry_schedule; /* attempts - 1 delays */
};

struct magpie {
    struct api *api; /* NULL when only tokens are made */
    struct flow *flow;
    struct log *log;
    pthread_mutex_t lock;
    struct magpie_settings settings;
    struct magpie_hook_set *hooks; /* the running set, a reference; NULL before the first */
};

/* From the options; PH_INVALID. Finish with magpie_settings_done. */
PH_NODISCARD enum ph_error magpie_settings_read(const struct surface_environment *environment,
                                                struct diag *diag,
                                                struct magpie_settings *ret_settings);
void magpie_settings_done(struct magpie_settings *settings);

/* Any thread. */
int64_t magpie_token_expire_us(struct magpie *magpie);
struct retry_schedule magpie_retry_schedule(struct magpie *magpie);
/* Appends what callback URLs begin with, without a slash at its end. */
void magpie_append_base_url(const struct magpie *magpie, struct buf *text);
/* Appends `service.public_url` of a service. */
void magpie_append_public_url(const struct magpie *magpie, struct slice service, struct buf *text);

/* The application of all hooks, made if it is not there, with its event types. */
PH_NODISCARD enum ph_error magpie_application_ensure(struct writer_txn *txn, struct diag *diag,
                                                     int64_t *ret_application_id);
/* surface.owns_application: while there is a file of hooks, or a user. */
PH_NODISCARD enum ph_error magpie_owns_application(void *state, struct store *store,
                                                   struct slice uid, struct diag *diag,
                                                   bool *ret_owns);

/* SLICE_NONE for an absent text, and at the arena's cap. */
static inline struct slice magpie_copy(struct arena *arena, struct slice text)
{
    if (text.ptr == NULL) {
        return SLICE_NONE;
    }
    text.ptr = arena_dup(arena, text);
    return text.ptr == NULL ? SLICE_NONE : text;
}

/* --- operations of hook_calls.c and ingest.c -------------------------------------------------- */

api_function magpie_webhooks_list, magpie_webhooks_reload, magpie_events_create;

#endif
