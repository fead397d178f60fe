/* SPDX-License-Identifier: Apache-2.0 */
/* Deletes the payloads of all messages that an application had when it was asked for, and what was
 * kept of the responses (svix-api spec section 9). */
#include "flow/task_int.h"
#include "store/message.h"

/* Each message takes several statements. */
#define PURGE_STEP 50

static enum ph_error judge_content(struct task_turn *turn, struct store *store,
                                   const struct replay_row *row, void *context, struct diag *diag,
                                   enum task_judgement *ret_judgement)
{
    (void)turn;
    (void)context;
    enum ph_error error = message_payload(store, row->message_id, NULL, diag, NULL);
    *ret_judgement = error == PH_OK ? TASK_WANTED : TASK_NOT_WANTED;
    return error == PH_NOT_FOUND ? PH_OK : error;
}

static enum ph_error scan_content(struct task_turn *turn, struct store *store, struct diag *diag)
{
    turn->room = PURGE_STEP;
    return task_scan_rows(turn, store, judge_content, NULL, diag);
}

static enum ph_error write_content(struct task_turn *turn, struct writer_txn *txn,
                                   struct diag *diag)
{
    enum ph_error error = PH_OK;
    for (size_t index = 0; error == PH_OK && index < turn->count; index++) {
        bool was_pending = false;
        error = message_expunge(txn->store, turn->found[index].message_id, txn->now_us, diag,
                                &was_pending);
        if (error == PH_OK && was_pending) {
            writer_txn_message_expunged(txn, turn->found[index].message_id);
        }
        turn->to.done += error == PH_OK;
        error = error == PH_NOT_FOUND ? PH_OK : error; /* somebody was faster */
    }
    return error;
}

static const struct task_walk walks[] = {
    {TASK_WALKS_MESSAGES, true},
    {TASK_WALKS_MESSAGES, false},
};

const struct task_kind_row task_purge_content = {walks, PH_ARRAY_LENGTH(walks), scan_content,
                                                 write_content};
