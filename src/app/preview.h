/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of others' making, fit for one line of a terminal. Pure; any thread. */
#ifndef PH_APP_PREVIEW_H
#define PH_APP_PREVIEW_H

#include "base/buf.h"

/*
 * Appends at most `max_bytes` bytes and what is needed to say more: white space in a row becomes
 * one space, control characters, bytes that are no UTF-8, and characters that turn or hide others
 * become escapes (\x1b, \u202e), and a text that is longer ends with "…".
 */
void preview_append(struct buf *line, struct slice text, size_t max_bytes);

#endif
