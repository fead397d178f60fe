/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/dbt/notice.h"

#include "flow/ingest.h"
#include "surfaces/dbt/dbt_int.h"

#define PAYLOAD_BYTES_MAX 65536

/* Whom the notice is about; account 0: the subscription or its application is gone. */
struct about {
    int64_t application_id;
    int64_t account;
};

/* The number in `dbt.{number}`. */
static int64_t account_of(struct slice uid)
{
    int64_t number = 0;
    if (!slice_starts_with(uid, "dbt.") ||
        !slice_to_int64((struct slice){uid.ptr + 4, uid.len - 4}, &number)) {
        return 0;
    }
    return number;
}

static void write_payload(const struct store *store, const struct about *about, int64_t endpoint_id,
                          struct slice name, const struct dbt_standing *standing, struct buf *text)
{
    struct json_out out;
    char id[DBT_ID_TEXT_MAX];
    dbt_id_format(&store->codec, DBT_ID_SUBSCRIPTION, endpoint_id, id);
    json_out_init(&out, text);
    json_out_begin_object(&out);
    json_out_member_int(&out, "accountId", about->account);
    json_out_member_text(&out, "webhookId", id);
    json_out_member_string(&out, "webhookName", name);
    if (standing->reason != NULL) {
        json_out_member_text(&out, "reason", standing->reason);
    }
    json_out_member_int(&out, "failures", standing->failures);
    json_out_member_time(&out, "failingSince", standing->failing_since_us);
    json_out_end_object(&out);
    json_out_end_document(&out);
}

static enum ph_error write_notice(struct store *store, int64_t endpoint_id,
                                  const struct dbt_standing *standing, struct diag *diag,
                                  struct buf *payload, struct about *ret_about)
{
    struct db_statement *select =
        db_prepare(store->db, "SELECT application.id, application.uid, dbt_subscription.name"
                              " FROM dbt_subscription"
                              " JOIN endpoint ON endpoint.id = dbt_subscription.endpoint_id"
                              " JOIN application ON application.id = endpoint.application_id"
                              " WHERE dbt_subscription.endpoint_id = $1"
                              " AND application.deleted_at IS NULL");
    db_bind_int64(select, 1, endpoint_id);
    bool has_row;
    enum ph_error error = db_step(select, diag, &has_row);
    *ret_about = (struct about){0};
    if (error != PH_OK || !has_row) {
        return error;
    }
    *ret_about = (struct about){db_int64(select, 0), account_of(db_text(select, 1))};
    write_payload(store, ret_about, endpoint_id, db_text(select, 2), standing, payload);
    db_done(select);
    return PH_OK;
}

enum ph_error dbt_notice_emit(struct writer_txn *txn, int64_t endpoint_id,
                              const struct dbt_standing *standing, struct diag *diag)
{
    struct about about;
    int64_t message_id;
    BUF_AUTO struct buf payload;
    buf_init(&payload, PAYLOAD_BYTES_MAX);
    enum ph_error error = write_notice(txn->store, endpoint_id, standing, diag, &payload, &about);
    if (error != PH_OK || about.account == 0 || payload.failed) {
        return error;
    }
    const struct ingest_message message = {
        .org = slice_of(DEFAULT_ORGANISATION),
        .application_id = about.application_id,
        .event_type = standing->reason != NULL ? SLICE_LITERAL(DBT_NOTICE_DEACTIVATED)
                                               : SLICE_LITERAL(DBT_NOTICE_FAILING),
        .payload = buf_slice(&payload),
    };
    error = ingest_in(txn, &message, diag, &message_id);
    return error == PH_NOT_FOUND ? PH_OK : error;
}
