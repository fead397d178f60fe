/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that clients of webhooks make first (dbt spec section 8). */
#include "surfaces/dbt/dbt_int.h"

/* Other keys stay away: a client decodes them strictly. */
static void write_account(struct json_out *out, const struct dbt_account *account)
{
    json_out_begin_object(out);
    json_out_member_int(out, "id", account->number);
    json_out_member_string(out, "name", account->name);
    json_out_end_object(out);
}

/* The token's account. */
enum ph_error dbt_accounts_list(struct api_call *call, struct diag *diag)
{
    (void)diag;
    const struct dbt_caller *caller = dbt_caller_of(call);
    struct api_answer answer;
    api_answer_init(&answer);
    dbt_answer_begin(&answer.out);
    json_out_begin_array(&answer.out);
    write_account(&answer.out, &caller->account);
    json_out_end_array(&answer.out);
    dbt_answer_end_success(&answer.out, 200);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}

enum ph_error dbt_account_get(struct api_call *call, struct diag *diag)
{
    (void)diag;
    struct api_answer answer;
    api_answer_init(&answer);
    dbt_answer_begin(&answer.out);
    write_account(&answer.out, &dbt_caller_of(call)->account);
    dbt_answer_end_success(&answer.out, 200);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}
