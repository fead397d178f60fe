/* SPDX-License-Identifier: Apache-2.0 */
#include "api/list.h"

#include "api/paging.h"

enum ph_error api_list_open(struct api_call *call, enum id_kind kind, bool is_descending,
                            size_t row_bytes, struct diag *diag, struct api_list *ret_list)
{
    struct api_list *list = ret_list;
    *list = (struct api_list){.call = call, .kind = kind, .row_bytes = row_bytes};
    arena_init(&list->arena, API_ROWS_MAX);
    enum ph_error error =
        paging_read(call->request, call->codec, kind, is_descending, diag, &list->page);
    if (error != PH_OK) {
        return error;
    }
    list->rows = arena_calloc(call->arena, list->page.limit, row_bytes);
    return list->rows == NULL ? api_no_memory(diag) : api_begin_read(call, diag, &list->store);
}

struct json_out *api_list_begin(struct api_list *list)
{
    paging_arrange(&list->page, list->rows, list->row_bytes, list->count);
    api_answer_init(&list->answer);
    paging_begin_list(&list->answer.out);
    return &list->answer.out;
}

void api_list_send(struct api_list *list, int64_t first_id, int64_t last_id)
{
    paging_end_id_list(&list->answer.out, list->call->codec, list->kind, first_id, last_id,
                       !list->has_more);
    api_answer_send(list->call, 200, &list->answer);
}

void api_list_done(struct api_list *list)
{
    arena_done(&list->arena);
}
