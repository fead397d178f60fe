/* SPDX-License-Identifier: Apache-2.0 */
/* Sending again: recover, replay-missing and bulk-replay of an endpoint (svix-api spec sections 7,
 * 12). What they do is said in flow/task_replay.c; here is what they ask for. */
#include "api/input.h"
#include "api/task.h"
#include "base/clock.h"
#include "core/name.h"
#include "store/attempt_list.h"

/* A recover looks back at most so far (with the slack that the original gives). */
#define RECOVER_PAST_US ((14 * INT64_C(86400) + 300) * CLOCK_US_PER_S)
#define PARAMETERS_BYTES_MAX ((size_t)64 * 1024)

static struct task_job *new_job(struct api_call *call, enum task_kind kind, struct diag *diag)
{
    struct task_job *task = api_job_new(call, sizeof *task, diag);
    if (task != NULL) {
        task->scope = TASK_OF_ENDPOINT;
        task->row.kind = kind;
    }
    return task;
}

/* `since`, `until` and, beyond the original, `rate`. */
static void read_window(struct input *input, struct task_row *row)
{
    (void)input_time(input, "since", INPUT_REQUIRED, &row->since_us);
    bool has_end = input_time(input, "until", INPUT_OPTIONAL, &row->until_us) == INPUT_VALUE;
    (void)input_int(input, "rate", INPUT_OPTIONAL, 1, TASK_RATE_MAX, &row->rate);
    int64_t now_us = clock_wall_us();
    if (row->since_us > (has_end && row->until_us < now_us ? row->until_us : now_us)) {
        input_refuse(input, "since", "must not be later than `until`, or now");
    }
}

/* --- filters ---------------------------------------------------------------------------------- */

static void write_event_types(struct input *input, struct json_out *out)
{
    struct slice *names;
    size_t count;
    if (input_strings(input, "eventTypes", INPUT_OPTIONAL, "event_types", LIST_EVENT_TYPES_MAX,
                      &names, &count) != INPUT_VALUE ||
        count == 0) {
        return;
    }
    for (size_t index = 0; index < count && input->error == PH_OK; index++) {
        char field[40];
        (void)snprintf(field, sizeof field, "event_types.[%zu]", index);
        input_note(input,
                   name_check_event_type(names[index], input_field(input, field), input->diag));
    }
    json_out_key(out, "eventTypes");
    json_out_begin_array(out);
    for (size_t index = 0; index < count; index++) {
        json_out_string(out, names[index]);
    }
    json_out_end_array(out);
}

static void write_channel(struct input *input, struct json_out *out)
{
    struct slice channel;
    if (input_string(input, "channel", INPUT_OPTIONAL, "channel", &channel) == INPUT_VALUE &&
        input->error == PH_OK) {
        input_note(input, name_check_channel(channel, input_field(input, "channel"), input->diag));
        json_out_member_string(out, "channel", channel);
    }
}

static void write_tag(struct input *input, struct json_out *out)
{
    struct slice tag;
    if (input_string(input, "tag", INPUT_OPTIONAL, "tag", &tag) == INPUT_VALUE) {
        if (tag.len == 0 || tag.len > NAME_CHANNEL_MAX) {
            input_refuse(input, "tag", "must have 1 to %d characters", NAME_CHANNEL_MAX);
        }
        json_out_member_string(out, "tag", tag);
    }
}

static void write_numbers(struct input *input, struct json_out *out)
{
    int64_t number;
    if (input_int(input, "status", INPUT_OPTIONAL, 0, ATTEMPT_STATUS_COUNT - 1, &number) ==
        INPUT_VALUE) {
        json_out_member_int(out, "status", number);
    }
    if (input_int(input, "statusCodeClass", INPUT_OPTIONAL, 0, 500, &number) == INPUT_VALUE) {
        if (number % 100 != 0) {
            input_refuse(input, "status_code_class", "must be 0, 100, 200, 300, 400 or 500");
        }
        json_out_member_int(out, "statusCodeClass", number);
    }
}

/* The filter as it is stored: names and numbers that were checked. `with_status`: what became of a
 * message counts too; the others of the three know that by themselves. */
static void read_filter(struct api_call *call, struct input *input, bool with_status,
                        struct task_row *row)
{
    BUF_AUTO struct buf text;
    buf_init(&text, PARAMETERS_BYTES_MAX);
    struct json_out out;
    json_out_init(&out, &text);
    json_out_begin_object(&out);
    write_event_types(input, &out);
    write_channel(input, &out);
    write_tag(input, &out);
    if (with_status) {
        write_numbers(input, &out);
    }
    json_out_end_object(&out);
    const char *copy = text.failed ? NULL : arena_dup(call->arena, buf_slice(&text));
    if (copy == NULL && input_end(input) == PH_OK) {
        input_note(input, api_no_memory(input->diag));
    } else if (copy != NULL) {
        row->parameters = (struct slice){copy, text.len};
    }
}

/* --- operations ------------------------------------------------------------------------------- */

enum ph_error api_endpoint_recover(struct api_call *call, struct diag *diag)
{
    struct task_job *task = new_job(call, TASK_RECOVER, diag);
    if (task == NULL) {
        return PH_NO_MEMORY;
    }
    struct input input;
    input_open(&input, http_body(call->request), call->arena, diag);
    read_window(&input, &task->row);
    int64_t until_us = task->row.until_us == 0 ? clock_wall_us() : task->row.until_us;
    if (task->row.since_us < until_us - RECOVER_PAST_US) {
        input_refuse(&input, "since", "must be at most 14 days before `until`, or now");
    }
    read_filter(call, &input, false, &task->row);
    enum ph_error error = input_end(&input);
    return error == PH_OK ? task_submit(call, task, diag) : error;
}

static enum ph_error start_replay(struct api_call *call, enum task_kind kind, bool with_status,
                                  struct diag *diag)
{
    struct task_job *task = new_job(call, kind, diag);
    if (task == NULL) {
        return PH_NO_MEMORY;
    }
    struct input input;
    input_open(&input, http_body(call->request), call->arena, diag);
    read_window(&input, &task->row);
    read_filter(call, &input, with_status, &task->row);
    enum ph_error error = input_end(&input);
    return error == PH_OK ? task_submit(call, task, diag) : error;
}

enum ph_error api_endpoint_replay_missing(struct api_call *call, struct diag *diag)
{
    return start_replay(call, TASK_REPLAY, false, diag);
}

enum ph_error api_endpoint_bulk_replay(struct api_call *call, struct diag *diag)
{
    return start_replay(call, TASK_BULK_REPLAY, true, diag);
}
