/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list whose pages are rows of one table by id, as GET operations give it:
 *
 *     API_LIST_AUTO struct api_list list;
 *     enum ph_error error = api_list_open(call, ID_SINK, true, sizeof(struct sink_row), diag,
 * &list); … whose they are, and a page of them into list.rows, list.count and list.has_more …
 *     struct json_out *out = api_list_begin(&list);
 *     … each row …
 *     api_list_send(&list, first_id, last_id);
 *
 * Thread: the http thread of the request.
 */
#ifndef PH_API_LIST_H
#define PH_API_LIST_H

#include "api/call.h"
#include "store/page.h"

struct api_list {
    struct api_call *call;
    enum id_kind kind;
    size_t row_bytes;
    struct id_page page;
    struct store *store; /* with a read snapshot */
    struct arena arena;  /* of the rows' texts, with a cap */
    void *rows;          /* room for page.limit of them, in the request's arena */
    size_t count;
    bool has_more;
    struct api_answer answer;
};

/* Reads the query (`is_descending`: the order without one), makes room, opens the store. Errors as
 * paging_read and api_begin_read; api_list_done is due after them too. */
PH_NODISCARD enum ph_error api_list_open(struct api_call *call, enum id_kind kind,
                                         bool is_descending, size_t row_bytes, struct diag *diag,
                                         struct api_list *ret_list);
/* After the rows were read: puts them into the list's order and begins the answer. */
struct json_out *api_list_begin(struct api_list *list);
/* Ends and sends the answer. The ids are of the first and the last row, 0 without rows. */
void api_list_send(struct api_list *list, int64_t first_id, int64_t last_id);
void api_list_done(struct api_list *list);

#define API_LIST_AUTO PH_CLEANUP(api_list_done)

#endif
