/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_out.h"

#define LOG_LINE_MAX 8192

struct log_row {
    const char *id;
    enum log_level level;
    const char *message;
};

static const struct log_row rows[] = {
#define X(id, level, message, meaning) {#id, LOG_LEVEL_##level, message},
#include "base/log.def"
#undef X
};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_init(struct log *log, int fd, bool is_json, enum log_level level)
{
    log->fd = fd;
    log->is_json = is_json;
    atomic_init(&log->level, (int)level);
}

bool log_level_parse(struct slice text, enum log_level *ret_level)
{
    for (unsigned level = 0; level < PH_ARRAY_LENGTH(level_names); level++) {
        if (slice_equal_text(text, level_names[level])) {
            *ret_level = (enum log_level)level;
            return true;
        }
    }
    return false;
}

bool log_wants(const struct log *log, enum log_event event)
{
    PH_ASSERT((unsigned)event < LOG_EVENT_COUNT);
    return log != NULL &&
           (int)rows[event].level >= atomic_load_explicit(&log->level, memory_order_relaxed);
}

static bool needs_quotes(struct slice text)
{
    for (size_t index = 0; index < text.len; index++) {
        unsigned char byte = (unsigned char)text.ptr[index];
        if (byte <= ' ' || byte == '"' || byte == '=' || byte == '\\' || byte >= 0x7f) {
            return true;
        }
    }
    return text.len == 0;
}

static void append_logfmt(struct buf *line, const struct log_field *field)
{
    buf_append_byte(line, ' ');
    buf_append_text(line, field->key);
    buf_append_byte(line, '=');
    if (field->type == LOG_FIELD_INT) {
        buf_append_int64(line, field->number);
    } else if (needs_quotes(field->text)) {
        struct json_out out;
        json_out_init(&out, line);
        json_out_string(&out, field->text);
    } else {
        buf_append_slice(line, field->text);
    }
}

static void format_logfmt(struct buf *line, const struct log_row *row, const char *time_text,
                          const struct log_field *fields, size_t count)
{
    buf_append_format(line, "time=%s level=%s msg=\"%s\"", time_text, level_names[row->level],
                      row->message);
    for (size_t index = 0; index < count; index++) {
        append_logfmt(line, &fields[index]);
    }
}

static void format_json(struct buf *line, const struct log_row *row, const char *time_text,
                        const struct log_field *fields, size_t count)
{
    struct json_out out;
    json_out_init(&out, line);
    json_out_begin_object(&out);
    json_out_member_text(&out, "time", time_text);
    json_out_member_text(&out, "level", level_names[row->level]);
    json_out_member_text(&out, "msg", row->message);
    for (size_t index = 0; index < count; index++) {
        if (fields[index].type == LOG_FIELD_INT) {
            json_out_member_int(&out, fields[index].key, fields[index].number);
        } else {
            json_out_member_string(&out, fields[index].key, fields[index].text);
        }
    }
    json_out_end_object(&out);
}

static void format_line(struct buf *line, bool is_json, const struct log_row *row,
                        const struct log_field *fields, size_t count)
{
    char time_text[CLOCK_TEXT_MAX];
    clock_format(clock_wall_us(), time_text);
    if (is_json) {
        format_json(line, row, time_text, fields, count);
    } else {
        format_logfmt(line, row, time_text, fields, count);
    }
    buf_append_byte(line, '\n');
}

void log_fields(const struct log *log, enum log_event event, const struct log_field *fields,
                size_t count)
{
    if (!log_wants(log, event)) {
        return;
    }
    const struct log_row *row = &rows[event];
    BUF_AUTO struct buf line;
    buf_init(&line, LOG_LINE_MAX);
    format_line(&line, log->is_json, row, fields, count);
    if (line.failed) {
        /* Fields too long for one line: keep the event, drop the fields. */
        buf_clear(&line);
        format_line(&line, log->is_json, row, NULL, 0);
    }
    ssize_t written = write(log->fd, line.data, line.len);
    (void)written; /* a log that cannot be written is no reason to stop delivering */
}
