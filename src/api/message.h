/* SPDX-License-Identifier: Apache-2.0 */
/* What the operations on messages and on attempts share. Thread: the one that runs the call. */
#ifndef PH_API_MESSAGE_H
#define PH_API_MESSAGE_H

#include "api/api_int.h"
#include "api/paging.h"
#include "store/message_list.h"

/* The message that a text names: an id, or an eventId of the application. Whether an id belongs to
 * the application is not looked at. PH_NOT_FOUND. */
PH_NODISCARD enum ph_error message_resolve(struct api_call *call, struct store *store,
                                           int64_t application_id, struct slice text,
                                           struct diag *diag, int64_t *ret_message_id);
/* The same of the path's `msg_id`. */
PH_NODISCARD enum ph_error message_path_id(struct api_call *call, struct store *store,
                                           int64_t application_id, struct diag *diag,
                                           int64_t *ret_message_id);
/* The application and a message that is really there. */
PH_NODISCARD enum ph_error message_path_resolve(struct api_call *call, struct store *store,
                                                struct diag *diag, int64_t *ret_application_id,
                                                int64_t *ret_message_id);

struct ingest_job;
struct message_input;
/* What becomes of a message beside being stored. */
struct message_submission {
    int status; /* of the answer, a MessageOut */
    bool with_content;
    int64_t only_endpoint_id; /* 0 = it goes to every endpoint that wants it */
};
/* Suspends the request and hands the message to the writer, which answers after the commit. The
 * application is the path's; whether the token may use it is for the caller to say. */
PH_NODISCARD enum ph_error message_submit(struct api_call *call,
                                          const struct message_input *message,
                                          const struct message_submission *submission,
                                          struct diag *diag);

/* The application that the path names. */
struct message_target {
    struct slice org;
    int64_t application_id; /* 0 = by its uid */
    struct slice application_uid;
};
struct message_target message_target_of(const struct api_call *call);
/* Fills a job, and makes the body that is sent. Who may replay it, bring its application along, and
 * hear of its end, is left to the caller. */
void message_fill_ingest(const struct message_target *target, const struct message_input *message,
                         const struct trace *trace, struct ingest_job *ret_job);
/* An accepted message, as message_write_members wants it. */
struct message_row message_row_of(const struct ingest_job *job);

/* MessageOut's members into an open object. `payload` is JSON text; SLICE_NONE = expired. */
void message_write_members(struct json_out *out, const struct id_codec *codec,
                           const struct message_row *row, struct slice payload);
/* What stands for a payload that was not asked for. */
#define MESSAGE_NO_CONTENT SLICE_LITERAL("{}")

/* `channel`, `tag` and `event_types` of the query. */
PH_NODISCARD enum ph_error message_filter_read(struct http_request *request, struct diag *diag,
                                               struct message_filter *ret_filter);

/* Everything that the query of a message list says; the application is left to the caller. */
PH_NODISCARD enum ph_error message_query_read(struct api_call *call, struct diag *diag,
                                              struct message_query *ret_query);

/* Ids at both ends of a page, in the list's order; a scan that gave up early goes on behind the
 * last row that it examined. */
struct page_ends {
    int64_t first;
    int64_t last;
};
struct page_ends message_page_ends(const struct id_page *page, const struct list_end *end,
                                   int64_t first, int64_t last);

#endif
