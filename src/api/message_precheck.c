/* SPDX-License-Identifier: Apache-2.0 */
/* Precheck: would anybody get such a message? (svix-api spec section 12) */
#include "api/api_int.h"
#include "api/input.h"
#include "core/name.h"
#include "flow/config.h"

struct precheck {
    struct slice event_type;
    struct slice *channels;
    size_t channel_count;
};

static enum ph_error read_precheck(struct api_call *call, struct diag *diag,
                                   struct precheck *ret_precheck)
{
    struct input input;
    struct precheck precheck = {0};
    struct slice channels_json;
    input_open(&input, http_body(call->request), call->arena, diag);
    if (input_string(&input, "eventType", INPUT_REQUIRED, "event_type", &precheck.event_type) ==
        INPUT_VALUE) {
        input_note(&input, name_check_event_type(precheck.event_type, "body.event_type", diag));
    }
    (void)input_channels(&input, INPUT_OPTIONAL, &channels_json, &precheck.channels,
                         &precheck.channel_count);
    *ret_precheck = precheck;
    return input_end(&input);
}

enum ph_error api_message_precheck(struct api_call *call, struct diag *diag)
{
    struct precheck precheck;
    struct store *store;
    int64_t application_id;
    bool is_active;
    enum ph_error error = read_precheck(call, diag, &precheck);
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error == PH_OK) {
        error = api_path_application(call, store, diag, &application_id);
    }
    if (error == PH_OK) {
        error =
            application_would_match(store, application_id, precheck.event_type, precheck.channels,
                                    precheck.channel_count, diag, &is_active);
    }
    if (error != PH_OK) {
        return error;
    }
    struct api_answer answer;
    api_answer_init(&answer);
    json_out_begin_object(&answer.out);
    json_out_member_bool(&answer.out, "active", is_active);
    json_out_end_object(&answer.out);
    api_answer_send(call, 200, &answer);
    return PH_OK;
}
