/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ids as dbt's clients see them (dbt spec section 2): a prefix and a 27-character KSUID. Those of
 * accounts, subscriptions and receipts are the core's ids of the application, the endpoint and the
 * attempt under another prefix; an event is one message for one endpoint, and its KSUID holds both
 * numbers, so that none of them needs a table. Pure; any thread.
 */
#ifndef PH_SURFACES_DBT_ID_H
#define PH_SURFACES_DBT_ID_H

#include "core/id.h"

#define DBT_ID_TEXT_MAX ID_TEXT_MAX

enum dbt_id_kind {
    DBT_ID_ACCOUNT,      /* act_, of an application */
    DBT_ID_SUBSCRIPTION, /* wsu_, of an endpoint */
    DBT_ID_RECEIPT,      /* wrc_, of an attempt */
    DBT_ID_KIND_COUNT
};

void dbt_id_format(const struct id_codec *codec, enum dbt_id_kind kind, int64_t id,
                   char ret_text[DBT_ID_TEXT_MAX]);
/* False unless `text` is exactly what dbt_id_format gives. */
bool dbt_id_parse(const struct id_codec *codec, enum dbt_id_kind kind, struct slice text,
                  int64_t *ret_id);

/* wev_: 4 bytes of seconds (those of the message's id, as in every KSUID), then both ids under a
 * key that is derived from the codec's. */
void dbt_event_id_format(const struct id_codec *codec, int64_t message_id, int64_t endpoint_id,
                         char ret_text[DBT_ID_TEXT_MAX]);
bool dbt_event_id_parse(const struct id_codec *codec, struct slice text, int64_t *ret_message_id,
                        int64_t *ret_endpoint_id);

/* "2024-05-06T07:08:09.123456789Z": when the message was made, with nine digits. Messages of one
 * node differ in it, and its order is theirs. */
#define DBT_TIMESTAMP_MAX 40
void dbt_timestamp_format(int64_t message_id, char ret_text[DBT_TIMESTAMP_MAX]);

#endif
