/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Polling a sink: the messages after a position, oldest first (svix-api spec section 12).
 *
 * An iterator is a position, written as a message's id. A page's iterator stands behind all that
 * the page examined, so following it skips and repeats nothing however much arrives meanwhile.
 *
 * For a named consumer the iterator that it came with last is kept here, as in the original: that
 * says that it is done with all before it. A call without one begins there, so that a client which
 * ended in the middle of a page gets the page again. The page is read on the http thread; when the
 * iterator is another one, the writer then moves the consumer, unless somebody else has moved it
 * meanwhile (409), and answers.
 *
 * After a seek the iterators given before it are refused (409), or the next call of a client that
 * knows nothing of the seek would undo it; a call without an iterator follows it.
 */
#include "api/input.h"
#include "api/message.h"
#include "api/sink.h"
#include "base/clock.h"
#include "core/name.h"

/* A page before it is asked for, and what it gave. */
struct poll {
    struct sink_row sink;
    int64_t start; /* position */
    size_t limit;
    struct message_filter filter; /* of this call */
    int64_t end;                  /* position behind the page */
};

/* The iterator of the query; false when there is none. */
static enum ph_error read_iterator(struct api_call *call, struct diag *diag, bool *ret_is_given,
                                   int64_t *ret_position)
{
    struct slice text = http_query(call->request, "iterator", 0);
    *ret_is_given = text.len > 0;
    if (text.len > 0 && !id_parse(call->codec, ID_MESSAGE, text, ret_position)) {
        return diag_set(diag, PH_INVALID, "query.iterator",
                        "must be an iterator that a former page gave");
    }
    return PH_OK;
}

/* The position before everything at this time. */
static int64_t position_at(int64_t wall_us)
{
    int64_t floor = id_floor(wall_us);
    return floor > 0 ? floor - 1 : 0;
}

static void write_iterator(struct api_call *call, struct json_out *out, int64_t position)
{
    char text[ID_TEXT_MAX];
    (void)id_format(call->codec, ID_MESSAGE, position, text);
    json_out_member_text(out, "iterator", text);
}

static void write_page(struct api_call *call, const struct poll *poll,
                       const struct message_item *items, const struct list_end *end,
                       struct json_out *out)
{
    json_out_begin_object(out);
    json_out_key(out, "data");
    json_out_begin_array(out);
    for (size_t index = 0; index < end->count; index++) {
        json_out_begin_object(out);
        message_write_members(out, call->codec, &items[index].row, items[index].payload);
        json_out_end_object(out);
    }
    json_out_end_array(out);
    write_iterator(call, out, poll->end);
    json_out_member_bool(out, "done", !end->has_more);
    json_out_end_object(out);
    json_out_end_document(out);
}

/* Reads the page into `out`. */
static enum ph_error read_page(struct api_call *call, struct store *store, struct poll *poll,
                               struct diag *diag, struct json_out *out)
{
    struct message_filter wanted;
    enum ph_error error = sink_filter(&poll->sink, call->arena, diag, &wanted);
    struct message_item *items = arena_calloc(call->arena, poll->limit, sizeof *items);
    if (error == PH_OK && items == NULL) {
        error = api_no_memory(diag);
    }
    if (error != PH_OK) {
        return error;
    }
    struct message_filter filter = poll->filter;
    filter.also = &wanted;
    const struct message_query query = {
        .application_id = poll->sink.application_id,
        .filter = filter,
        .page = {.lower = poll->start, .upper = INT64_MAX, .limit = poll->limit},
        .with_payload = true,
        .now_us = clock_wall_us(),
        .is_following = true,
    };
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    struct list_end end;
    error = message_page(store, &query, &arena, diag, items, &end);
    if (error == PH_OK) {
        poll->end = end.passed_id != 0 ? end.passed_id : poll->start;
        write_page(call, poll, items, &end, out);
    }
    return error;
}

/* --- without a consumer ----------------------------------------------------------------------- */

static enum ph_error read_poll(struct api_call *call, struct diag *diag, struct poll *poll,
                               int64_t *ret_after_us, bool *ret_has_iterator)
{
    struct http_request *request = call->request;
    enum ph_error error = paging_read_limit(request, diag, &poll->limit);
    if (error == PH_OK) {
        error = read_iterator(call, diag, ret_has_iterator, &poll->start);
    }
    if (error == PH_OK) {
        error = query_time(request, "after", diag, ret_after_us);
    }
    struct slice event_type = http_query(request, "event_type", 0);
    if (error == PH_OK && event_type.ptr != NULL) {
        struct slice *one = arena_calloc(call->arena, 1, sizeof *one);
        if (one == NULL) {
            return api_no_memory(diag);
        }
        *one = event_type;
        poll->filter.event_types = one;
        poll->filter.event_type_count = 1;
    }
    poll->filter.channel = http_query(request, "channel", 0);
    return error;
}

enum ph_error api_poller_poll(struct api_call *call, struct diag *diag)
{
    struct poll poll = {0};
    struct store *store;
    int64_t after_us;
    bool has_iterator;
    enum ph_error error = read_poll(call, diag, &poll, &after_us, &has_iterator);
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error == PH_OK) {
        error = sink_path_row(call, store, diag, &poll.sink);
    }
    if (error != PH_OK) {
        return error;
    }
    if (!has_iterator) {
        poll.start = after_us != 0 ? position_at(after_us) : poll.sink.id;
    } else if (after_us != 0 && position_at(after_us) > poll.start) {
        poll.start = position_at(after_us);
    }
    struct api_answer answer;
    api_answer_init(&answer);
    error = read_page(call, store, &poll, diag, &answer.out);
    if (error == PH_OK) {
        api_answer_send(call, 200, &answer);
    }
    buf_done(&answer.body);
    return error;
}

/* --- a named consumer ------------------------------------------------------------------------- */

struct consumer_job {
    struct api_job job;
    int64_t sink_id;
    struct slice name;
    struct sink_consumer consumer; /* where it will be, with the revision that was read */
    struct buf page;
};

static enum ph_error read_name(struct api_call *call, struct diag *diag, struct slice *ret_name)
{
    *ret_name = http_param(call->request, "consumer_id");
    return name_check_event_type(*ret_name, "path.consumer_id", diag);
}

static void free_page(struct api_job *job)
{
    buf_done(&PH_CONTAINER_OF(job, struct consumer_job, job)->page);
}

static enum ph_error run_consumer(struct api_job *api_job, struct writer_txn *txn,
                                  struct diag *diag)
{
    struct consumer_job *job = PH_CONTAINER_OF(api_job, struct consumer_job, job);
    struct sink_consumer stored;
    enum ph_error error = sink_consumer_find(txn->store, job->sink_id, job->name, diag, &stored);
    /* A repeated request, whose first is answered only now, moves it to where it is. */
    if (error == PH_OK &&
        (stored.revision == 0 || stored.is_sought || stored.position != job->consumer.position)) {
        error = sink_consumer_put(txn->store, job->sink_id, job->name, &job->consumer, txn->now_us,
                                  diag);
    }
    if (error == PH_OK) {
        buf_append_slice(&api_job->answer.body, buf_slice(&job->page));
    }
    return error;
}

/* Reads the page of this call into the job. *ret_has_moved: the job's consumer is where it has to
 * be stored. */
static enum ph_error advance(struct api_call *call, struct store *store, struct consumer_job *job,
                             struct poll *poll, bool has_iterator, struct diag *diag,
                             bool *ret_has_moved)
{
    struct sink_consumer *consumer = &job->consumer;
    enum ph_error error = sink_consumer_find(store, poll->sink.id, job->name, diag, consumer);
    if (error != PH_OK) {
        return error;
    }
    if (!has_iterator) {
        poll->start = consumer->position;
    } else if (consumer->is_sought && poll->start != consumer->position) {
        return diag_set(diag, PH_CONFLICT, NULL,
                        "a seek has moved this consumer: ask without an iterator once");
    }
    *ret_has_moved = consumer->is_sought || poll->start != consumer->position;
    consumer->position = poll->start;
    consumer->is_sought = false;
    struct json_out out;
    json_out_init(&out, &job->page);
    return read_page(call, store, poll, diag, &out);
}

enum ph_error api_poller_consumer_poll(struct api_call *call, struct diag *diag)
{
    struct consumer_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    struct poll poll = {0};
    struct store *store;
    bool has_iterator;
    bool has_moved = false;
    buf_init(&job->page, API_ANSWER_MAX);
    job->job.ended = free_page;
    enum ph_error error = paging_read_limit(call->request, diag, &poll.limit);
    if (error == PH_OK) {
        error = read_iterator(call, diag, &has_iterator, &poll.start);
    }
    if (error == PH_OK) {
        error = read_name(call, diag, &job->name);
    }
    if (error == PH_OK) {
        error = api_begin_read(call, diag, &store);
    }
    if (error == PH_OK) {
        error = sink_path_row(call, store, diag, &poll.sink);
    }
    if (error == PH_OK) {
        error = advance(call, store, job, &poll, has_iterator, diag, &has_moved);
    }
    if (error == PH_OK && has_moved) {
        job->sink_id = poll.sink.id;
        return api_submit(call, &job->job, run_consumer, diag);
    }
    struct buf page = job->page; /* the job goes with the request */
    if (error == PH_OK) {
        http_respond_json(call->request, 200, &page);
    }
    buf_done(&page);
    return error;
}

static enum ph_error run_seek(struct api_job *api_job, struct writer_txn *txn, struct diag *diag)
{
    struct consumer_job *job = PH_CONTAINER_OF(api_job, struct consumer_job, job);
    struct sink_row sink;
    struct sink_consumer consumer;
    enum ph_error error = sink_path_row(api_job->call, txn->store, diag, &sink);
    if (error == PH_OK) {
        error = sink_consumer_find(txn->store, sink.id, job->name, diag, &consumer);
    }
    if (error == PH_OK) {
        consumer.position = job->consumer.position;
        consumer.is_sought = true;
        error = sink_consumer_put(txn->store, sink.id, job->name, &consumer, txn->now_us, diag);
    }
    if (error == PH_OK) {
        json_out_begin_object(&api_job->answer.out);
        write_iterator(api_job->call, &api_job->answer.out, consumer.position);
        json_out_end_object(&api_job->answer.out);
    }
    return error;
}

enum ph_error api_poller_consumer_seek(struct api_call *call, struct diag *diag)
{
    struct consumer_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    struct input input;
    int64_t after_us;
    input_open(&input, http_body(call->request), call->arena, diag);
    (void)input_time(&input, "after", INPUT_REQUIRED, &after_us);
    enum ph_error error = input_end(&input);
    if (error == PH_OK) {
        error = read_name(call, diag, &job->name);
    }
    if (error != PH_OK) {
        return error;
    }
    job->consumer.position = position_at(after_us);
    return api_submit(call, &job->job, run_seek, diag);
}
