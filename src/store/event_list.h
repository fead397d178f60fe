/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened in an application, in the order of the ids that one clock gives: messages that were
 * accepted and attempts that were recorded, merged. For streams that follow it. Read only. Thread:
 * the store's owner.
 */
#ifndef PH_STORE_EVENT_LIST_H
#define PH_STORE_EVENT_LIST_H

#include "store/attempt_list.h"

#define EVENT_PAGE_MAX 500

struct event_row {
    int64_t id;
    bool is_attempt;
    struct message_row message; /* or the attempt's */
    struct attempt_row attempt; /* without its response */
};

struct event_query {
    int64_t application_id;
    int64_t after_id;    /* events with greater ids */
    size_t limit;        /* 1..EVENT_PAGE_MAX; of messages and of attempts each */
    struct arena *arena; /* gets the texts of the rows */
};

/* How far a page got. */
struct event_end {
    size_t count;
    int64_t last_id; /* everything up to it is in this page or a former one */
    bool has_more;   /* another page may have more; the transaction's snapshot has */
};

/*
 * The events that the query wants, oldest first. `rows` has room for 2 * limit. A page may be short
 * or empty and more follow all the same. The transaction must be one snapshot (db_begin_read).
 */
PH_NODISCARD enum ph_error event_page(struct store *store, const struct event_query *query,
                                      struct diag *diag, struct event_row *rows,
                                      struct event_end *ret_end);
/* A message's payload or an attempt's response; SLICE_NONE when it is gone or cannot be opened.
 * Into `arena`. */
PH_NODISCARD enum ph_error event_content(struct store *store, const struct event_row *row,
                                         int64_t now_us, struct arena *arena, struct diag *diag,
                                         struct slice *ret_content);
/* Whether the application (still) has a message, or an attempt, of this id. */
PH_NODISCARD enum ph_error event_exists(struct store *store, int64_t application_id,
                                        bool is_attempt, int64_t id, struct diag *diag,
                                        bool *ret_exists);

#endif
