/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that go on: appended by another thread, read slowly or not at all, ended by anybody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/stream.h"
#include "unit/http_client.h"

#define LINES_MAX 128
#define IDLE_TEXT ": idle\n\n"
#define ROOM_BYTES 50000
#define TEXT_MAX 65536

/* One stream as its owner sees it. */
struct line {
    struct http_stream *stream;
    atomic_int closings;
    atomic_int rooms;
};

struct station {
    struct http_server *server;
    struct metrics metrics;
    int64_t idle_us;
    struct line lines[LINES_MAX];
    atomic_size_t count;
};

static void line_end(struct line *line)
{
    http_stream_end(line->stream);
    line->stream = NULL;
}

static void note_closed(void *context)
{
    (void)atomic_fetch_add(&((struct line *)context)->closings, 1);
}

static void note_room(void *context)
{
    (void)atomic_fetch_add(&((struct line *)context)->rooms, 1);
}

/* Every second stream of a test begins with a text of its own. */
static void handle_stream(struct http_request *request)
{
    struct station *station = http_context(request);
    size_t index = atomic_load(&station->count);
    PH_ASSERT(index < LINES_MAX);
    struct line *line = &station->lines[index];
    const struct http_stream_options options = {
        .content_type = "text/event-stream",
        .idle_text = IDLE_TEXT,
        .idle_us = station->idle_us,
        .has_room = note_room,
        .room_bytes = ROOM_BYTES,
        .closed = note_closed,
        .context = line,
    };
    http_add_header(request, "Cache-Control", "no-cache");
    line->stream = http_stream_start(request, &options);
    if (line->stream != NULL) {
        (void)http_stream_append(line->stream, SLICE_LITERAL("hello\n"));
        atomic_store(&station->count, index + 1);
    }
}

/* Over before it has begun. */
static void handle_short(struct http_request *request)
{
    const struct http_stream_options options = {.content_type = "text/plain"};
    struct http_stream *stream = http_stream_start(request, &options);
    if (stream != NULL) {
        assert_true(http_stream_append(stream, SLICE_LITERAL("all there is")));
        http_stream_end(stream);
    }
}

#define FILE_BYTES 20000
#define LARGE_BYTES ((size_t)8 * 1024 * 1024)
#define STALL_MS 100

/* One whose length is known, and that a client must go on reading: whole, cut by its owner, ended
 * before its end, or large. */
static void handle_file(struct http_request *request)
{
    struct station *station = http_context(request);
    struct slice name = http_param(request, "name");
    bool is_large = slice_equal_text(name, "large");
    struct line *line = &station->lines[atomic_fetch_add(&station->count, 1)];
    const struct http_stream_options options = {
        .content_type = "text/plain",
        .length_bytes = is_large ? LARGE_BYTES : FILE_BYTES,
        .stall_us = STALL_MS * CLOCK_US_PER_MS,
        .closed = note_closed,
        .context = line,
    };
    char *text = ph_calloc(1, LARGE_BYTES);
    size_t length = slice_equal_text(name, "whole") ? FILE_BYTES : FILE_BYTES - 1;
    line->stream = http_stream_start(request, &options);
    if (line->stream != NULL) {
        (void)http_stream_append(line->stream,
                                 (struct slice){text, is_large ? LARGE_BYTES : length});
        if (slice_equal_text(name, "cut")) {
            http_stream_cut(line->stream);
        } else if (!is_large) {
            line_end(line);
        }
    } else {
        (void)atomic_fetch_sub(&station->count, 1);
    }
    free(text);
}

static void handle_now(struct http_request *request)
{
    http_respond_empty(request, 204);
}

static const struct http_route routes[] = {
    {HTTP_GET, "/stream", handle_stream, 0, NULL},
    {HTTP_GET, "/short", handle_short, 0, NULL},
    {HTTP_GET, "/file/{name}", handle_file, 0, NULL},
    {HTTP_GET, "/now", handle_now, 0, NULL},
};

static struct station *station_open(unsigned threads, unsigned streams_max)
{
    struct station *station = ph_calloc(1, sizeof *station);
    struct http_server_options options = server_options();
    metrics_init(&station->metrics);
    station->idle_us = WAIT_MS * CLOCK_US_PER_MS;
    options.routes = routes;
    options.route_count = PH_ARRAY_LENGTH(routes);
    options.threads = threads;
    options.connections_max = 2 * LINES_MAX;
    options.streams_max = streams_max;
    options.context = station;
    options.metrics = &station->metrics;
    station->server = start_http_server(&options);
    return station;
}

static void station_close(struct station *station)
{
    http_server_stop(station->server, WAIT_MS);
    for (size_t index = 0; index < atomic_load(&station->count); index++) {
        struct line *line = &station->lines[index];
        assert_int_equal(atomic_load(&line->closings), 1);
        if (line->stream != NULL) {
            assert_false(http_stream_append(line->stream, SLICE_LITERAL("too late")));
            http_stream_end(line->stream);
        }
    }
    assert_int_equal(metrics_get(&station->metrics, METRIC_HTTP_STREAMS), 0);
    free(station);
}

static const char get_stream[] = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n";

/* --- the client's side ------------------------------------------------------------------------ */

/* Reads what is there until `text` was read; the whole of it, NUL-terminated, in `got`. */
static void read_until(int fd, const char *text, char got[TEXT_MAX])
{
    size_t length = strlen(got);
    while (strstr(got, text) == NULL) {
        struct pollfd wanted = {fd, POLLIN, 0};
        assert_int_equal(poll(&wanted, 1, WAIT_MS), 1);
        assert_true(length + 1 < TEXT_MAX);
        ssize_t count = recv(fd, got + length, TEXT_MAX - 1 - length, 0);
        assert_true(count > 0);
        length += (size_t)count;
        got[length] = '\0';
    }
}

/* One chunk of the transfer coding, at most `max` bytes. 0 for the last one. */
static size_t read_chunk(int fd, char *bytes, size_t max)
{
    char line[32];
    size_t length = 0;
    do {
        assert_int_equal(recv(fd, line + length, 1, 0), 1);
        length++;
    } while (length < sizeof line - 1 && line[length - 1] != '\n');
    line[length] = '\0';
    size_t size = strtoul(line, NULL, 16);
    assert_true(size <= max);
    char end[2];
    assert_int_equal(recv(fd, bytes, size, MSG_WAITALL), (ssize_t)size);
    assert_int_equal(recv(fd, end, 2, MSG_WAITALL), 2);
    assert_memory_equal(end, "\r\n", 2);
    return size;
}

/* The body from where it is to the text `until` at its end, or to its end for NULL. */
static void read_body(int fd, const char *until, char body[TEXT_MAX])
{
    size_t length = 0;
    size_t wanted = until == NULL ? SIZE_MAX : strlen(until);
    size_t got;
    do {
        got = read_chunk(fd, body + length, TEXT_MAX - 1 - length);
        length += got;
        body[length] = '\0';
    } while (got > 0 && (length < wanted || memcmp(body + length - wanted, until, wanted) != 0));
    assert_true(until == NULL || got > 0);
}

/* A stream whose head was read. */
static int open_stream(struct station *station, struct line **ret_line)
{
    size_t index = atomic_load(&station->count);
    int fd = client_connect(http_server_address(station->server, 0));
    assert_true(client_send_text(fd, get_stream));
    struct reply *reply = client_read(fd, false);
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply_header(reply, "content-type"), "text/event-stream");
    assert_string_equal(reply_header(reply, "cache-control"), "no-cache");
    assert_string_equal(reply_header(reply, "transfer-encoding"), "chunked");
    free(reply);
    assert_int_equal(atomic_load(&station->count), index + 1);
    *ret_line = &station->lines[index];
    return fd;
}

static bool is_closed(void *context)
{
    return atomic_load(&((struct line *)context)->closings) > 0;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void test_what_is_appended_arrives(void **state)
{
    (void)state;
    struct station *station = station_open(1, 10);
    struct line *line;
    char body[TEXT_MAX];
    int fd = open_stream(station, &line);
    read_body(fd, "hello\n", body);
    assert_string_equal(body, "hello\n");
    for (int round = 0; round < 100; round++) {
        char text[32];
        (void)snprintf(text, sizeof text, "text %d\n", round);
        assert_true(http_stream_append(line->stream, slice_of(text)));
        read_body(fd, "\n", body); /* each comes by itself, not with the next one */
        assert_string_equal(body, text);
        assert_int_equal(http_stream_waiting(line->stream), 0);
    }
    assert_true(http_stream_append(line->stream, SLICE_LITERAL("the end")));
    line_end(line);
    read_body(fd, NULL, body);
    assert_string_equal(body, "the end");
    wait_for(is_closed, line);
    /* The connection is as good as new. */
    assert_true(client_send_text(fd, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n"));
    struct reply *reply = client_read(fd, false);
    assert_int_equal(reply->status, 204);
    free(reply);
    (void)close(fd);
    station_close(station);
}

static void test_a_stream_may_end_in_its_handler(void **state)
{
    (void)state;
    struct station *station = station_open(1, 10);
    char body[TEXT_MAX];
    int fd = client_connect(http_server_address(station->server, 0));
    for (int round = 0; round < 3; round++) {
        assert_true(client_send_text(fd, "GET /short HTTP/1.1\r\nHost: x\r\n\r\n"));
        struct reply *reply = client_read(fd, false);
        assert_int_equal(reply->status, 200);
        free(reply);
        read_body(fd, NULL, body);
        assert_string_equal(body, "all there is");
    }
    (void)close(fd);
    station_close(station);
}

static void test_old_clients_get_it_without_chunks(void **state)
{
    (void)state;
    struct station *station = station_open(1, 10);
    static char got[TEXT_MAX];
    got[0] = '\0';
    int fd = client_connect(http_server_address(station->server, 0));
    assert_true(client_send_text(fd, "GET /stream HTTP/1.0\r\n\r\n"));
    read_until(fd, "hello\n", got);
    assert_null(strstr(got, "chunked"));
    assert_true(http_stream_append(station->lines[0].stream, SLICE_LITERAL("more")));
    read_until(fd, "\r\n\r\nhello\nmore", got);
    line_end(&station->lines[0]);
    assert_true(client_is_closed(fd));
    (void)close(fd);
    station_close(station);
}

static void test_the_head_alone(void **state)
{
    (void)state;
    struct station *station = station_open(1, 10);
    int fd = client_connect(http_server_address(station->server, 0));
    for (int round = 0; round < 2; round++) {
        assert_true(client_send_text(fd, "HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n"));
        struct reply *reply = client_read(fd, true);
        assert_int_equal(reply->status, 200);
        assert_string_equal(reply_header(reply, "content-type"), "text/event-stream");
        free(reply);
    }
    assert_int_equal(atomic_load(&station->count), 0);
    (void)close(fd);
    station_close(station);
}

static int64_t cpu_us(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * CLOCK_US_PER_S +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static void test_a_quiet_stream_shows_life_and_costs_nothing(void **state)
{
    (void)state;
    struct station *station = station_open(1, 10);
    station->idle_us = 100 * CLOCK_US_PER_MS;
    struct line *line;
    char body[TEXT_MAX];
    int fd = open_stream(station, &line);
    read_body(fd, "hello\n", body);
    int64_t begin_us = clock_boot_us();
    int64_t begin_cpu_us = cpu_us();
    read_body(fd, IDLE_TEXT IDLE_TEXT, body);
    assert_string_equal(body, IDLE_TEXT IDLE_TEXT);
    int64_t duration_us = clock_boot_us() - begin_us;
    assert_true(duration_us >= 2 * station->idle_us - 10 * CLOCK_US_PER_MS);
    /* A reader that is asked again and again would take all of the time. */
    assert_true(cpu_us() - begin_cpu_us < duration_us / 4);
    (void)close(fd);
    station_close(station);
}

static void test_a_client_that_does_not_read_is_cut(void **state)
{
    (void)state;
    struct station *station = station_open(1, 10);
    static char block[TEXT_MAX];
    memset(block, 'x', sizeof block);
    struct line *stuck;
    struct line *other;
    char body[TEXT_MAX];
    int stuck_fd = open_stream(station, &stuck);
    int other_fd = open_stream(station, &other);
    read_body(other_fd, "hello\n", body);
    size_t rounds = 0;
    while (http_stream_append(stuck->stream, (struct slice){block, sizeof block})) {
        assert_true(http_stream_waiting(stuck->stream) <=
                    HTTP_STREAM_BEHIND_MAX_BYTES + sizeof block);
        assert_true(rounds++ < 10000);
    }
    wait_for(is_closed, stuck);
    assert_int_equal(metrics_get(&station->metrics, METRIC_HTTP_STREAMS_CUT), 1);
    assert_true(http_stream_append(other->stream, SLICE_LITERAL("as ever\n")));
    read_body(other_fd, "\n", body);
    assert_string_equal(body, "as ever\n");
    (void)close(stuck_fd);
    (void)close(other_fd);
    station_close(station);
}

static bool has_room(void *context)
{
    return atomic_load(&((struct line *)context)->rooms) > 0;
}

/* Somebody who holds back is told when to go on. */
static void test_room_is_told(void **state)
{
    (void)state;
    struct station *station = station_open(1, 10);
    static char block[TEXT_MAX];
    memset(block, 'x', sizeof block);
    struct line *line;
    int fd = open_stream(station, &line);
    size_t sent = strlen("hello\n");
    while (http_stream_waiting(line->stream) < HTTP_STREAM_BEHIND_MAX_BYTES / 2) {
        assert_true(http_stream_append(line->stream, (struct slice){block, sizeof block}));
        sent += sizeof block;
    }
    int before = atomic_load(&line->rooms); /* while the socket took everything */
    line_end(line);
    size_t got = 0;
    size_t length;
    while ((length = read_chunk(fd, block, sizeof block)) > 0) {
        got += length;
    }
    assert_int_equal(got, sent);
    wait_for(has_room, line);
    assert_true(atomic_load(&line->rooms) > before);
    (void)close(fd);
    station_close(station);
}

static void test_a_text_may_be_large_but_not_too_large(void **state)
{
    (void)state;
    struct station *station = station_open(1, 10);
    struct line *line;
    size_t size = HTTP_STREAM_TEXT_MAX_BYTES;
    PH_AUTO_FREE char *text = ph_calloc(4, size);
    char *block = ph_malloc(TEXT_MAX);
    int fd = open_stream(station, &line);
    assert_true(http_stream_append(line->stream, (struct slice){text, size}));
    size_t got = 0;
    while (got < size) {
        got += read_chunk(fd, block, TEXT_MAX);
    }
    assert_false(http_stream_append(line->stream, (struct slice){text, 4 * size}));
    wait_for(is_closed, line);
    free(block);
    (void)close(fd);
    station_close(station);
}

static void test_no_more_streams_than_the_limit(void **state)
{
    (void)state;
    struct station *station = station_open(2, 2);
    struct line *lines[3];
    int fds[3];
    fds[0] = open_stream(station, &lines[0]);
    fds[1] = open_stream(station, &lines[1]);
    for (int round = 0; round < 2; round++) {
        struct reply *reply = client_ask(http_server_address(station->server, 0), get_stream);
        assert_int_equal(reply->status, 503);
        assert_string_equal(reply_header(reply, "retry-after"), "1");
        free(reply);
    }
    assert_int_equal(metrics_get(&station->metrics, METRIC_HTTP_STREAMS_REFUSED), 2);
    assert_int_equal(metrics_get(&station->metrics, METRIC_HTTP_STREAMS), 2);
    line_end(lines[0]);
    wait_for(is_closed, lines[0]);
    fds[2] = open_stream(station, &lines[2]);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(fds); index++) {
        (void)close(fds[index]);
    }
    station_close(station);
}

/* Half of a hundred go, each in its own way; the others get all. */
static void test_a_hundred_clients(void **state)
{
    (void)state;
    struct station *station = station_open(2, 100);
    struct line *lines[100];
    int fds[100];
    char body[TEXT_MAX];
    for (size_t index = 0; index < PH_ARRAY_LENGTH(fds); index++) {
        fds[index] = open_stream(station, &lines[index]);
    }
    for (size_t index = 0; index < PH_ARRAY_LENGTH(fds); index += 2) {
        if (index % 4 == 0) {
            struct linger reset = {1, 0};
            assert_int_equal(setsockopt(fds[index], SOL_SOCKET, SO_LINGER, &reset, sizeof reset),
                             0);
        }
        if (index % 6 == 0) {
            assert_int_equal(shutdown(fds[index], SHUT_WR), 0);
        } else {
            (void)close(fds[index]);
        }
    }
    for (size_t index = 0; index < PH_ARRAY_LENGTH(fds); index += 2) {
        wait_for(is_closed, lines[index]); /* nothing is appended: the sweep sees it */
        assert_false(http_stream_append(lines[index]->stream, SLICE_LITERAL("gone")));
        line_end(lines[index]);
    }
    assert_int_equal(metrics_get(&station->metrics, METRIC_HTTP_STREAMS), 50);
    for (int round = 0; round < 50; round++) {
        for (size_t index = 1; index < PH_ARRAY_LENGTH(fds); index += 2) {
            char text[32];
            (void)snprintf(text, sizeof text, "%d,", round);
            assert_true(http_stream_append(lines[index]->stream, slice_of(text)));
        }
    }
    for (size_t index = 1; index < PH_ARRAY_LENGTH(fds); index += 2) {
        read_body(fds[index], ",49,", body);
        assert_memory_equal(body, "hello\n0,1,2,3,4,", 16);
        assert_int_equal(strlen(body), strlen("hello\n") + 140);
    }
    for (size_t index = 0; index < PH_ARRAY_LENGTH(fds); index++) {
        if (index % 2 == 1 || index % 6 == 0) {
            (void)close(fds[index]);
        }
    }
    station_close(station);
}

/* Suspended ones, and one that is stuck within what it does not read. */
static void test_stopping_ends_streams(void **state)
{
    (void)state;
    struct station *station = station_open(2, 100);
    static char block[TEXT_MAX];
    struct line *lines[32];
    int fds[32];
    char body[TEXT_MAX];
    for (size_t index = 0; index < PH_ARRAY_LENGTH(fds); index++) {
        fds[index] = open_stream(station, &lines[index]);
        read_body(fds[index], "hello\n", body);
    }
    assert_true(http_stream_append(lines[0]->stream, SLICE_LITERAL("last words")));
    int64_t begin_us = clock_boot_us();
    http_server_stop(station->server, WAIT_MS);
    assert_true(clock_boot_us() - begin_us < 2 * CLOCK_US_PER_S);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(fds); index++) {
        assert_int_equal(atomic_load(&lines[index]->closings), 1);
        assert_false(http_stream_append(lines[index]->stream, SLICE_LITERAL("too late")));
        line_end(lines[index]);
        read_body(fds[index], NULL, body);
        assert_string_equal(body, index == 0 ? "last words" : "");
        assert_true(client_is_closed(fds[index]));
        (void)close(fds[index]);
    }
    free(station);

    station = station_open(1, 100);
    fds[0] = open_stream(station, &lines[0]);
    while (http_stream_waiting(lines[0]->stream) < HTTP_STREAM_BEHIND_MAX_BYTES / 2) {
        assert_true(http_stream_append(lines[0]->stream, (struct slice){block, sizeof block}));
    }
    begin_us = clock_boot_us();
    station_close(station); /* would wait for WAIT_MS */
    assert_true(clock_boot_us() - begin_us < (WAIT_MS - 2000) * CLOCK_US_PER_MS);
    (void)close(fds[0]);
}

/* --- everything at once ----------------------------------------------------------------------- */

struct crowd {
    struct station *station;
    atomic_bool is_over;
};

static void *append_to_all(void *context)
{
    struct crowd *crowd = context;
    while (!atomic_load(&crowd->is_over)) {
        size_t count = atomic_load(&crowd->station->count);
        for (size_t index = 0; index < count; index++) {
            (void)http_stream_append(crowd->station->lines[index].stream,
                                     SLICE_LITERAL("something to read\n"));
        }
    }
    return NULL;
}

/* Clients come and go, two threads append without a pause, and the server stops amid of it. */
static void test_all_of_it_at_once(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        struct crowd crowd = {.station = station_open(2, 100)};
        struct station *station = crowd.station;
        station->idle_us = CLOCK_US_PER_MS;
        pthread_t threads[2];
        for (size_t index = 0; index < PH_ARRAY_LENGTH(threads); index++) {
            assert_int_equal(pthread_create(&threads[index], NULL, append_to_all, &crowd), 0);
        }
        int fds[40];
        struct line *line;
        char body[TEXT_MAX];
        for (size_t index = 0; index < PH_ARRAY_LENGTH(fds); index++) {
            fds[index] = open_stream(station, &line);
            if (index % 3 == 0) {
                (void)close(fds[index]);
            } else if (index % 3 == 1) {
                read_body(fds[index], "\n", body);
            }
        }
        http_server_stop(station->server, 0);
        atomic_store(&crowd.is_over, true);
        for (size_t index = 0; index < PH_ARRAY_LENGTH(threads); index++) {
            assert_int_equal(pthread_join(threads[index], NULL), 0);
        }
        for (size_t index = 0; index < PH_ARRAY_LENGTH(fds); index++) {
            assert_int_equal(atomic_load(&station->lines[index].closings), 1);
            line_end(&station->lines[index]);
            if (index % 3 != 0) {
                (void)close(fds[index]);
            }
        }
        free(station);
    }
}

static int ask_file(struct station *station, const char *method, const char *name)
{
    char text[128];
    int fd = client_connect(http_server_address(station->server, 0));
    (void)snprintf(text, sizeof text, "%s /file/%s HTTP/1.1\r\nHost: x\r\n\r\n", method, name);
    assert_true(client_send_text(fd, text));
    return fd;
}

/* Bytes of the body that come before the connection ends. */
static size_t count_body(int fd)
{
    static char got[TEXT_MAX];
    size_t length = 0;
    ssize_t count;
    while ((count = recv(fd, got + length, sizeof got - 1 - length, 0)) > 0) {
        length += (size_t)count;
    }
    got[length] = '\0';
    const char *end = strstr(got, "\r\n\r\n");
    return end == NULL ? 0 : length - (size_t)(end + 4 - got);
}

static void test_a_known_length_is_told(void **state)
{
    (void)state;
    struct station *station = station_open(1, 10);
    int fd = ask_file(station, "GET", "whole");
    struct reply *reply = client_read(fd, false);
    assert_int_equal(reply->body_length, FILE_BYTES);
    assert_string_equal(reply_header(reply, "content-length"), "20000");
    free(reply);
    assert_true(client_send_text(fd, "HEAD /file/whole HTTP/1.1\r\nHost: x\r\n\r\n"));
    reply = client_read(fd, true);
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply_header(reply, "content-length"), "20000");
    free(reply);
    assert_true(client_send_text(fd, "GET /now HTTP/1.1\r\nHost: x\r\n\r\n")); /* it goes on */
    reply = client_read(fd, false);
    assert_int_equal(reply->status, 204);
    free(reply);
    (void)close(fd);
    /* What ends too early is seen to. */
    static const char *const names[] = {"short", "cut"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(names); index++) {
        fd = ask_file(station, "GET", names[index]);
        assert_true(count_body(fd) < FILE_BYTES);
        (void)close(fd);
    }
    station_close(station);
}

static void test_a_client_that_takes_nothing_is_cut(void **state)
{
    (void)state;
    struct station *station = station_open(1, 10);
    int fd = ask_file(station, "GET", "large");
    wait_for(is_closed, &station->lines[0]);
    (void)close(fd);
    station_close(station);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_appended_arrives),
        cmocka_unit_test(test_a_stream_may_end_in_its_handler),
        cmocka_unit_test(test_old_clients_get_it_without_chunks),
        cmocka_unit_test(test_the_head_alone),
        cmocka_unit_test(test_a_quiet_stream_shows_life_and_costs_nothing),
        cmocka_unit_test(test_a_client_that_does_not_read_is_cut),
        cmocka_unit_test(test_room_is_told),
        cmocka_unit_test(test_a_text_may_be_large_but_not_too_large),
        cmocka_unit_test(test_no_more_streams_than_the_limit),
        cmocka_unit_test(test_a_hundred_clients),
        cmocka_unit_test(test_stopping_ends_streams),
        cmocka_unit_test(test_all_of_it_at_once),
        cmocka_unit_test(test_a_known_length_is_told),
        cmocka_unit_test(test_a_client_that_takes_nothing_is_cut),
    };
    return cmocka_run_group_tests_name("http_stream", tests, NULL, NULL);
}
