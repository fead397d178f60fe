/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How attempts and deliveries look from outside (svix-api spec section 10). Pure; any thread.
 *
 * An attempt is a success or a failure. Whether a message is still on its way to an endpoint is
 * said by its delivery:
 *
 *   delivery     tried before   shown as
 *   none         yes            the newest attempt (it was only sent by hand)
 *   succeeded    -              success
 *   failed       -              fail
 *   pending      yes            sending, with the time of the next attempt
 *   pending      no             pending, likewise
 *   cancelled    no             canceled
 *   cancelled    yes            fail, or canceled for clients that know it (expanded_statuses)
 */
#ifndef PH_API_ATTEMPT_H
#define PH_API_ATTEMPT_H

#include "base/json_out.h"
#include "store/attempt_list.h"

/* MessageStatus of the API. */
enum attempt_status {
    ATTEMPT_STATUS_SUCCESS = 0,
    ATTEMPT_STATUS_PENDING = 1,
    ATTEMPT_STATUS_FAIL = 2,
    ATTEMPT_STATUS_SENDING = 3,
    ATTEMPT_STATUS_CANCELED = 4,
    ATTEMPT_STATUS_COUNT
};

enum attempt_status attempt_status_of(const struct delivery_view *view, bool is_expanded);
/* `status` and `statusText` into an open object. */
void attempt_write_status(struct json_out *out, enum attempt_status status);
/* A response body as JSON string: base64 when it is not UTF-8, `EXPUNGED` for SLICE_NONE. A body
 * that was cut inside a character at the end loses the rest of it instead. */
void attempt_write_response(struct json_out *out, struct slice response);

/* MessageAttemptOut's members into an open object; the response only `with_content`. */
void attempt_write_members(struct json_out *out, const struct id_codec *codec,
                           const struct attempt_row *row, bool with_content);

#endif
