/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured log lines (logfmt or JSON) on one descriptor.
 *
 * Concurrency: one `struct log` is shared by all threads; each line is one write(2), so lines
 * never mix. Level and format are set before threads start; the level may change at reload.
 * Libraries do not log; a stage logs once per outcome. Secrets and payloads never go in.
 */
#ifndef PH_BASE_LOG_H
#define PH_BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

enum log_event {
#define X(id, level, message, meaning) LOG_##id,
#include "base/log.def"
#undef X
    LOG_EVENT_COUNT
};

struct log {
    int fd;
    bool is_json;
    atomic_int level;
};

enum log_field_type { LOG_FIELD_TEXT, LOG_FIELD_INT, LOG_FIELD_SLICE };

struct log_field {
    const char *key;
    enum log_field_type type;
    struct slice text;
    int64_t number;
};

#define LOG_TEXT(key, value) ((struct log_field){(key), LOG_FIELD_TEXT, slice_of(value), 0})
#define LOG_SLICE(key, value) ((struct log_field){(key), LOG_FIELD_SLICE, (value), 0})
#define LOG_INT(key, value) ((struct log_field){(key), LOG_FIELD_INT, {NULL, 0}, (int64_t)(value)})

void log_init(struct log *log, int fd, bool is_json, enum log_level level);
bool log_level_parse(struct slice text, enum log_level *ret_level); /* debug info warn error */
bool log_wants(const struct log *log, enum log_event event);
/* One line: time, level, event, message, fields. `log` may be NULL (nothing is written). */
void log_fields(const struct log *log, enum log_event event, const struct log_field *fields,
                size_t count);
/* log_write(log, LOG_X, LOG_TEXT("key", text), LOG_INT("n", 3)) */
#define log_write(log, event, ...)                                                                 \
    do {                                                                                           \
        if (log_wants((log), (event))) {                                                           \
            const struct log_field log_list[] = {__VA_ARGS__};                                     \
            log_fields((log), (event), log_list, sizeof log_list / sizeof log_list[0]);            \
        }                                                                                          \
    } while (0)

#endif
