/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened to users and permissions (magpie spec section 3): seven actions, each a message of
 * the application `magpie`, emitted in the transaction that made it happen. Thread: the writer's,
 * but for the tables, which any may read.
 */
#ifndef PH_SURFACES_MAGPIE_EVENT_H
#define PH_SURFACES_MAGPIE_EVENT_H

#include "flow/writer.h"
#include "surfaces/magpie/template.h"

struct magpie;

#define MAGPIE_APPLICATION "magpie"
#define MAGPIE_PARAMETERS_MAX 19

enum magpie_action {
    MAGPIE_CREATE_USER,
    MAGPIE_DELETE_USER,
    MAGPIE_UPDATE_USER_STATUS,
    MAGPIE_CREATE_USER_PERMISSION,
    MAGPIE_DELETE_USER_PERMISSION,
    MAGPIE_CREATE_GROUP_PERMISSION,
    MAGPIE_DELETE_GROUP_PERMISSION,
    MAGPIE_ACTION_COUNT
};

const char *magpie_action_name(enum magpie_action action);        /* "create_user" */
const char *magpie_action_event_type(enum magpie_action action);  /* "magpie.create_user" */
const char *magpie_action_description(enum magpie_action action); /* for the catalogue */
bool magpie_action_parse(struct slice name, enum magpie_action *ret_action);
/* Whether the action has such a parameter. */
bool magpie_action_has(enum magpie_action action, struct slice parameter);
/* Made-up values for every parameter of the action; `items` has room for MAGPIE_PARAMETERS_MAX and
 * belongs to the caller, texts are static. */
struct magpie_parameters magpie_action_sample(enum magpie_action action,
                                              struct magpie_parameter *items);

/*
 * Emits the action's message: it exists exactly when the change does. `user_id` (0 = none) is whom
 * it is about: the message has the channel `user.{id}`, and of create_user it is the user whose
 * status a hook sets that fails for the last time. The application is made with its first message.
 * Errors are those after which the job must fail (flow/ingest.h).
 */
PH_NODISCARD enum ph_error magpie_emit(struct magpie *magpie, struct writer_txn *txn,
                                       enum magpie_action action, int64_t user_id,
                                       const struct magpie_parameters *parameters,
                                       struct diag *diag);
/* The same, for those who want to know which message it is. */
PH_NODISCARD enum ph_error magpie_emit_id(struct writer_txn *txn, enum magpie_action action,
                                          int64_t user_id,
                                          const struct magpie_parameters *parameters,
                                          struct diag *diag, int64_t *ret_message_id);
/* The user whose creation this message tells; 0 = it tells none, or is gone. */
PH_NODISCARD enum ph_error magpie_event_user(struct store *store, int64_t message_id,
                                             struct diag *diag, int64_t *ret_user_id);

/* `{"action":…,"params":{…}}`: what native endpoints of the application get. */
void magpie_event_write(enum magpie_action action, const struct magpie_parameters *parameters,
                        struct buf *json);
/* Reads that. `items` has room for MAGPIE_PARAMETERS_MAX; texts are slices into `payload` or memory
 * of `arena`. Parameters of other names are left out. PH_INVALID when it is nothing of the kind. */
PH_NODISCARD enum ph_error magpie_event_read(struct slice payload, struct arena *arena,
                                             struct magpie_parameter *items, struct diag *diag,
                                             struct magpie_parameters *ret_parameters);
/*
 * Checks the parameters of an action that somebody else tells of (`params`, a JSON object): which
 * it must have and may have, and their types (section 3). What may be left out is filled in where
 * the specification has a default. PH_INVALID naming the field, "params.user.id".
 */
PH_NODISCARD enum ph_error magpie_event_check(enum magpie_action action, struct slice params,
                                              struct arena *arena, struct magpie_parameter *items,
                                              struct diag *diag,
                                              struct magpie_parameters *ret_parameters);

#endif
