/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flow's settings as immutable snapshots, which a reload exchanges.
 *
 * Concurrency: the holder's reference is swapped under its lock; a snapshot never changes and its
 * count is atomic. Threads that live long (deliverers) hold one and are told of the next.
 */
#ifndef PH_FLOW_SETTINGS_H
#define PH_FLOW_SETTINGS_H

#include "flow/flow.h"

struct settings_holder;

/* Copies the values and the allowed subnets. */
struct settings_holder *settings_holder_new(const struct flow_settings *values);
void settings_holder_free(struct settings_holder *holder); /* NULL is fine */
/* A reference to the present snapshot; flow_settings_drop gives it back. Any thread. */
const struct flow_settings *settings_take(struct settings_holder *holder);
/* The next snapshot; what flow.h calls fixed stays. Equal subnets stay the same object. */
void settings_change(struct settings_holder *holder, const struct flow_settings *values);

#endif
