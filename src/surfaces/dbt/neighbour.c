/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that clients of webhooks make first (dbt spec section 8). */
#include "surfaces/dbt/dbt_int.h"

/* The token's account. Other keys stay away: a client decodes them strictly. */
enum ph_error dbt_accounts_list(struct api_call *call, struct diag *diag)
{
    (void)diag;
    const struct dbt_caller *caller = dbt_caller_of(call);
    struct api_answer answer;
    api_answer_init(&answer);
    dbt_answer_begin(&answer.out);
    json_out_begin_array(&answer.out);
    json_out_begin_object(&answer.out);
    json_out_member_int(&answer.out, "id", caller->account.number);
    json_out_member_string(&answer.out, "name", caller->account.name);
    json_out_end_object(&answer.out);
    json_out_end_array(&answer.out);
    dbt_answer_end_success(&answer.out, 200);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}

enum ph_error dbt_nothing_list(struct api_call *call, struct diag *diag)
{
    struct dbt_page page;
    enum ph_error error = dbt_page_read(call->request, diag, &page);
    if (error == PH_OK) {
        struct api_answer answer;
        api_answer_init(&answer);
        dbt_answer_begin(&answer.out);
        json_out_begin_array(&answer.out);
        json_out_end_array(&answer.out);
        dbt_answer_end_list(&answer.out, &page, 0, 0);
        api_answer_send(call, 200, &answer);
    }
    return error;
}
