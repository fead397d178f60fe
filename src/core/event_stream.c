/* SPDX-License-Identifier: Apache-2.0 */
#include "core/event_stream.h"

#define ID_MAX 1024
#define NAME_MAX_BYTES 1024
#define RETRY_MAX_MS (3600 * INT64_C(1000))

struct reading {
    struct event_stream *stream;
    bool (*each)(void *context, const struct stream_event *event);
    void *context;
    bool is_ended;
};

void event_stream_init(struct event_stream *stream)
{
    *stream = (struct event_stream){0};
    buf_init(&stream->line, EVENT_STREAM_LINE_MAX);
    buf_init(&stream->data, EVENT_STREAM_LINE_MAX);
    buf_init(&stream->name, NAME_MAX_BYTES);
    buf_init(&stream->id, ID_MAX);
    buf_init(&stream->last_id, ID_MAX);
}

void event_stream_done(struct event_stream *stream)
{
    buf_done(&stream->line);
    buf_done(&stream->data);
    buf_done(&stream->name);
    buf_done(&stream->id);
    buf_done(&stream->last_id);
}

struct slice event_stream_last_id(const struct event_stream *stream)
{
    return buf_slice(&stream->last_id);
}

static void copy(struct buf *to, struct slice text)
{
    buf_clear(to);
    buf_append_slice(to, text);
}

void event_stream_set_last_id(struct event_stream *stream, struct slice id)
{
    copy(&stream->last_id, id);
    copy(&stream->id, id);
}

static void begin_block(struct event_stream *stream)
{
    buf_clear(&stream->data);
    buf_clear(&stream->name);
    stream->has_data = false;
}

void event_stream_restart(struct event_stream *stream)
{
    begin_block(stream);
    buf_clear(&stream->line);
    copy(&stream->id, buf_slice(&stream->last_id));
    stream->is_after_return = false;
    stream->has_begun = false;
}

/* An id counts from the end of its block on, whether there was an event or not. */
static void end_block(struct reading *reading)
{
    struct event_stream *stream = reading->stream;
    copy(&stream->last_id, buf_slice(&stream->id));
    if (stream->has_data) {
        const struct stream_event event = {
            .name = stream->name.len == 0 ? SLICE_LITERAL("message") : buf_slice(&stream->name),
            .id = buf_slice(&stream->last_id),
            .data = buf_slice(&stream->data),
        };
        reading->is_ended = !reading->each(reading->context, &event);
    }
    begin_block(stream);
}

static void take_field(struct event_stream *stream, struct slice name, struct slice value)
{
    int64_t number;
    if (slice_equal_text(name, "data")) {
        if (stream->has_data) {
            buf_append_byte(&stream->data, '\n');
        }
        buf_append_slice(&stream->data, value);
        stream->has_data = true;
    } else if (slice_equal_text(name, "event")) {
        copy(&stream->name, value);
    } else if (slice_equal_text(name, "id") && slice_find(value, '\0') == value.len) {
        copy(&stream->id, value);
    } else if (slice_equal_text(name, "retry") && slice_to_int64(value, &number) && number >= 0) {
        stream->retry_ms = number < RETRY_MAX_MS ? number : RETRY_MAX_MS;
    }
}

static void take_line(struct reading *reading, struct slice line)
{
    if (line.len == 0) {
        end_block(reading);
        return;
    }
    size_t colon = slice_find(line, ':');
    if (colon == 0) {
        return; /* a comment */
    }
    struct slice value = {line.ptr + line.len, 0};
    if (colon < line.len) {
        value = (struct slice){line.ptr + colon + 1, line.len - colon - 1};
        if (value.len > 0 && value.ptr[0] == ' ') {
            value.ptr++;
            value.len--;
        }
    }
    take_field(reading->stream, (struct slice){line.ptr, colon}, value);
}

static void end_line(struct reading *reading)
{
    struct event_stream *stream = reading->stream;
    struct slice line = buf_slice(&stream->line);
    if (!stream->has_begun && slice_starts_with(line, "\xef\xbb\xbf")) {
        line.ptr += 3;
        line.len -= 3;
    }
    stream->has_begun = true;
    take_line(reading, line);
    buf_clear(&stream->line);
}

static bool is_too_long(const struct event_stream *stream)
{
    return stream->line.failed || stream->data.failed || stream->name.failed || stream->id.failed ||
           stream->last_id.failed;
}

enum ph_error event_stream_feed(struct event_stream *stream, struct slice bytes,
                                bool (*each)(void *context, const struct stream_event *event),
                                void *context, struct diag *diag)
{
    struct reading reading = {stream, each, context, false};
    size_t begin = 0;
    for (size_t place = 0; place < bytes.len && !reading.is_ended; place++) {
        char byte = bytes.ptr[place];
        if (byte == '\n' && stream->is_after_return) {
            stream->is_after_return = false;
            begin = place + 1;
            continue;
        }
        stream->is_after_return = byte == '\r';
        if (byte == '\n' || byte == '\r') {
            buf_append(&stream->line, bytes.ptr + begin, place - begin);
            begin = place + 1;
            end_line(&reading);
        }
        if (is_too_long(stream)) {
            break;
        }
    }
    if (!reading.is_ended && begin < bytes.len) {
        buf_append(&stream->line, bytes.ptr + begin, bytes.len - begin);
    }
    if (is_too_long(stream)) {
        return diag_set(diag, PH_INVALID, NULL, "the stream has an event that is too long");
    }
    return PH_OK;
}
