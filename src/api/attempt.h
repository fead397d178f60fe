/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How attempts and deliveries look from outside (svix-api spec section 10). Pure; any thread.
 */
#ifndef PH_API_ATTEMPT_H
#define PH_API_ATTEMPT_H

#include "base/json_out.h"
#include "store/attempt_list.h"

/* `status` and `statusText` into an open object. */
void attempt_write_status(struct json_out *out, enum attempt_status status);
/* A response body as JSON string: base64 when it is not UTF-8, `EXPUNGED` for SLICE_NONE. A body
 * that was cut inside a character at the end loses the rest of it instead. */
void attempt_write_response(struct json_out *out, struct slice response);
/* The same for a body that is cut when it has `kept_bytes`. */
void attempt_write_cut_response(struct json_out *out, struct slice response, size_t kept_bytes);

/* MessageAttemptOut's members into an open object; the response only `with_content`. */
void attempt_write_members(struct json_out *out, const struct id_codec *codec,
                           const struct attempt_row *row, bool with_content);

#endif
