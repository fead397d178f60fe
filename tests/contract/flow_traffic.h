/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints and messages of a flow_rig.h, and what the store says of them. Test's thread. */
#ifndef PH_TESTS_CONTRACT_FLOW_TRAFFIC_H
#define PH_TESTS_CONTRACT_FLOW_TRAFFIC_H

#include "contract/flow_rig.h"
#include "core/delivery_state.h"
#include "flow/ingest.h"
#include "store/delivery.h"
#include "store/endpoint.h"
#include "store/endpoint_secret.h"

/* --- endpoints -------------------------------------------------------------------------------- */

struct rig_endpoint {
    const struct receiver *receiver;
    int64_t application_id; /* 0 = the rig's */
    const char *event_types;
    const char *channels;
    const char *headers;
    const char *options; /* JSON object, NULL = none */
    int64_t throttle_rate; /* 0 = none */
    bool is_disabled;
    /* For rig_add_endpoint. */
    const struct flow_rig *rig;
};

/* The key of an endpoint, before and after rotation number `turn`. */
static inline struct signing_key *rig_key(int64_t endpoint_id, uint8_t turn)
{
    uint8_t entropy[SIGNING_KEY_RANDOM_BYTES] = {turn};
    memcpy(entropy + 1, &endpoint_id, sizeof endpoint_id);
    return signing_key_generate(SIGNATURE_HMAC_SHA256, entropy);
}

static inline enum ph_error rig_add_endpoint(struct rig_write *write, struct writer_txn *txn,
                                             struct diag *diag)
{
    const struct rig_endpoint *endpoint = write->argument;
    char url[64];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/hook",
                   raw_server_port(endpoint->receiver->server));
    const struct endpoint_row row = {
        .id = writer_txn_new_id(txn),
        .application_id = endpoint->application_id != 0 ? endpoint->application_id
                                                        : endpoint->rig->application_id,
        .url = slice_of(url),
        .description = TEXT(""),
        .throttle_rate = endpoint->throttle_rate,
        .version = 1,
        .is_disabled = endpoint->is_disabled,
        .event_types = slice_of(endpoint->event_types),
        .channels = slice_of(endpoint->channels),
        .metadata = TEXT("{}"),
        .headers = endpoint->headers == NULL ? TEXT("{}") : slice_of(endpoint->headers),
        .options = slice_of(endpoint->options),
        .created_at_us = txn->now_us,
        .updated_at_us = txn->now_us,
    };
    write->result = row.id;
    enum ph_error error = endpoint_insert(txn->store, &row, diag);
    if (error == PH_OK) {
        struct signing_key *key = rig_key(row.id, 0);
        error = endpoint_secret_insert(txn->store, writer_txn_new_id(txn), row.id, key, diag);
        signing_key_free(key);
    }
    if (error == PH_OK) {
        error = application_touch(txn->store, row.application_id, diag);
    }
    writer_txn_endpoint_changed(txn, row.id);
    return error;
}

static inline int64_t flow_rig_endpoint(struct flow_rig *rig, struct rig_endpoint endpoint)
{
    endpoint.rig = rig;
    return flow_rig_write(rig, rig_add_endpoint, &endpoint);
}

/* --- messages --------------------------------------------------------------------------------- */

struct rig_message {
    struct ingest_job job;
    struct flow_rig *rig;
    bool is_done;
};

static inline void rig_message_answered(struct ingest_job *job)
{
    struct rig_message *message = PH_CONTAINER_OF(job, struct rig_message, job);
    PH_ASSERT(!message->is_done);
    flow_rig_tell(message->rig, &message->is_done);
}

/* Texts must outlive the message. */
static inline struct rig_message *rig_message_new(struct flow_rig *rig, const char *event_type,
                                                  const char *payload)
{
    struct rig_message *message = ph_calloc(1, sizeof *message);
    message->rig = rig;
    message->job = (struct ingest_job){
        .org = RIG_ORG,
        .application_id = rig->application_id,
        .event_type = slice_of(event_type),
        .payload = slice_of(payload),
        .payload_retention_us = rig->options.settings.payload_retention_us,
        .body = message_body_new(slice_of(payload), NULL),
        .done = rig_message_answered,
    };
    return message;
}

static inline void rig_message_submit(struct rig_message *message)
{
    struct diag diag = {0};
    CONTRACT_OK(writer_submit_ingest(flow_writer(message->rig->flow), &message->job, &diag), &diag);
}

static inline void rig_message_free(struct rig_message *message)
{
    message_body_unref(message->job.body);
    free(message);
}

/* Waits for the answer and frees. Returns the error, and the id when it is PH_OK. */
static inline enum ph_error rig_message_take(struct rig_message *message, int64_t *ret_id)
{
    flow_rig_await(message->rig, &message->is_done);
    enum ph_error error = message->job.error;
    if (error == PH_OK) {
        *ret_id = message->job.message_id;
    }
    rig_message_free(message);
    return error;
}

/* One message to its commit. */
static inline int64_t flow_rig_send(struct flow_rig *rig, const char *event_type,
                                    const char *payload)
{
    int64_t id = 0;
    struct rig_message *message = rig_message_new(rig, event_type, payload);
    rig_message_submit(message);
    assert_int_equal(rig_message_take(message, &id), PH_OK);
    assert_true(id > 0);
    return id;
}

/* A manual attempt, as asked for by hand. */
struct rig_resend {
    int64_t message_id;
    int64_t endpoint_id;
};

static inline enum ph_error rig_add_manual(struct rig_write *write, struct writer_txn *txn,
                                           struct diag *diag)
{
    const struct rig_resend *resend = write->argument;
    writer_txn_manual_added(txn, resend->endpoint_id);
    return manual_attempt_insert(txn->store, writer_txn_new_id(txn), resend->message_id,
                                 resend->endpoint_id, diag);
}

/* --- what the store says ---------------------------------------------------------------------- */

struct rig_delivery {
    bool exists;
    enum delivery_state state;
    int64_t reason;
    int64_t attempts;
    int64_t next_attempt_at_us; /* 0 = none */
};

static inline struct rig_delivery flow_rig_delivery(struct flow_rig *rig, int64_t message_id,
                                                    int64_t endpoint_id)
{
    struct diag diag = {0};
    struct db_statement *select =
        db_prepare(rig->store->db, "SELECT state, reason, attempts, next_attempt_at FROM delivery"
                                   " WHERE message_id = $1 AND endpoint_id = $2");
    db_bind_int64(select, 1, message_id);
    db_bind_int64(select, 2, endpoint_id);
    struct rig_delivery delivery = {0};
    CONTRACT_OK(db_step(select, &diag, &delivery.exists), &diag);
    if (delivery.exists) {
        delivery.state = (enum delivery_state)db_int64(select, 0);
        delivery.reason = db_int64(select, 1);
        delivery.attempts = db_int64(select, 2);
        delivery.next_attempt_at_us = db_int64(select, 3);
        db_done(select);
    }
    return delivery;
}

static inline bool flow_rig_is(struct flow_rig *rig, int64_t message_id, int64_t endpoint_id,
                               enum delivery_state state)
{
    struct rig_delivery delivery = flow_rig_delivery(rig, message_id, endpoint_id);
    return delivery.exists && delivery.state == state;
}

/* The first column of the first row of `sql`, a literal, with `id` as its $1 when not 0. */
static inline int64_t flow_rig_number(struct flow_rig *rig, const char *sql, int64_t id)
{
    return contract_number(rig->store->db, sql, id);
}

/* The webhook-id of a message. */
static inline const char *flow_rig_id_text(const struct flow_rig *rig, int64_t message_id,
                                           char ret_text[ID_TEXT_MAX])
{
    (void)id_format(&rig->store->codec, ID_MESSAGE, message_id, ret_text);
    return ret_text;
}

#endif
