/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event types as bodies and answers have them (svix-api spec section 8): shared by the resource
 * (event_type.c) and by the environment that brings many along (environment.c). Thread: any; what
 * is read lives as long as the input's body and arena.
 */
#ifndef PH_API_EVENT_TYPE_H
#define PH_API_EVENT_TYPE_H

#include "api/input.h"
#include "base/json_out.h"
#include "store/event_type.h"

struct event_type_input {
    struct event_type_row row; /* what the body gave */
    /* What each field was. */
    enum input_state description;
    enum input_state archived;
    enum input_state deprecated;
    enum input_state schemas;
    enum input_state feature_flags;
    enum input_state group_name;
    enum input_state validates_payload;
};

/* `name`, checked. */
void event_type_input_name(struct input *input, struct event_type_input *type);
/* Everything but the name; of a patch nothing is required. Each of `schemas` is a JSON Schema
 * then, which need not be one that can be compiled. */
void event_type_input_read(struct input *input, bool is_patch, struct event_type_input *type);
/* The stored row with what the body gave on top: all of it, or what a patch names. Without
 * `validatePayload` that stays as it was: clients of the original API cannot say it. */
void event_type_input_merge(const struct event_type_input *type,
                            const struct event_type_row *stored, bool is_patch,
                            struct event_type_row *ret_row);

/* EventTypeOut. */
void event_type_write(struct json_out *out, const struct event_type_row *row);

#endif
