/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies that are handed on in pieces: taken slowly, refused in the middle, cut off by anybody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/upload.h"
#include "unit/http_client.h"

#define PIECE HTTP_UPLOAD_PIECE_BYTES
#define BODY_MAX (4 * PIECE)
#define REFUSED_AT 2 /* the piece that the owner of /refuse refuses */

/* What one test's uploads did. */
struct station {
    struct http_server *server;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct http_request *request; /* of the piece that waits for the test */
    struct slice piece; /* of it */
    bool is_last;
    char body[BODY_MAX];
    size_t length;
    atomic_int pieces;
    atomic_int cuts;
    char rest[256];
};

static void take(struct station *station, struct slice bytes)
{
    PH_ASSERT(station->length + bytes.len <= sizeof station->body);
    memcpy(station->body + station->length, bytes.ptr, bytes.len);
    station->length += bytes.len;
    (void)atomic_fetch_add(&station->pieces, 1);
}

static void note_cut(void *context)
{
    struct station *station = http_context(context);
    (void)atomic_fetch_add(&station->cuts, 1);
}

/* Takes each piece at once, before the callback returns. */
static void take_at_once(void *context, struct slice bytes, bool is_last)
{
    struct http_request *request = context;
    PH_ASSERT(is_last || bytes.len == PIECE);
    take(http_context(request), bytes);
    if (is_last) {
        http_respond_empty(request, 201);
    } else {
        http_upload_continue(request);
    }
}

/* Leaves each to the test. */
static void take_later(void *context, struct slice bytes, bool is_last)
{
    struct http_request *request = context;
    struct station *station = http_context(request);
    (void)pthread_mutex_lock(&station->lock);
    station->piece = bytes;
    station->request = request;
    station->is_last = is_last;
    (void)pthread_cond_broadcast(&station->changed);
    (void)pthread_mutex_unlock(&station->lock);
}

static void take_until_refused(void *context, struct slice bytes, bool is_last)
{
    struct http_request *request = context;
    struct station *station = http_context(request);
    take(station, bytes);
    if (atomic_load(&station->pieces) == REFUSED_AT || is_last) {
        http_respond_empty(request, 409);
    } else {
        http_upload_continue(request);
    }
}

static void begin(struct http_request *request,
                  void (*piece)(void *context, struct slice bytes, bool is_last))
{
    struct diag diag;
    struct station *station = http_context(request);
    struct slice rest = http_rest(request);
    (void)snprintf(station->rest, sizeof station->rest, "%.*s", SLICE_ARG(rest));
    const struct http_upload_options options = {piece, note_cut, request};
    if (http_upload_begin(request, &options, &diag) != PH_OK) {
        http_respond_error(request, &diag);
    }
}

static void handle_now(struct http_request *request)
{
    begin(request, take_at_once);
}

static void handle_later(struct http_request *request)
{
    begin(request, take_later);
}

static void handle_refuse(struct http_request *request)
{
    begin(request, take_until_refused);
}

static void handle_never(struct http_request *request)
{
    http_respond_empty(request, 403);
}

static void handle_get(struct http_request *request)
{
    http_respond_empty(request, 204);
}

static const struct http_route routes[] = {
    {HTTP_PUT, "/now/{path*}", handle_now, HTTP_BODY_STREAMED, NULL},
    {HTTP_PUT, "/later/{path*}", handle_later, HTTP_BODY_STREAMED, NULL},
    {HTTP_PUT, "/refuse/{path*}", handle_refuse, HTTP_BODY_STREAMED, NULL},
    {HTTP_PUT, "/never/{path*}", handle_never, HTTP_BODY_STREAMED, NULL},
    {HTTP_GET, "/get", handle_get, 0, NULL},
};

static struct station *station_open(size_t body_bytes_max)
{
    struct station *station = ph_calloc(1, sizeof *station);
    struct http_server_options options = server_options();
    (void)pthread_mutex_init(&station->lock, NULL);
    clock_cond_init(&station->changed);
    options.routes = routes;
    options.route_count = PH_ARRAY_LENGTH(routes);
    options.context = station;
    options.body_bytes_max = body_bytes_max;
    options.body_timeout_ms = WAIT_MS;
    station->server = start_http_server(&options);
    return station;
}

static void station_free(struct station *station)
{
    (void)pthread_cond_destroy(&station->changed);
    (void)pthread_mutex_destroy(&station->lock);
    free(station);
}

static void station_close(struct station *station)
{
    http_server_stop(station->server, WAIT_MS);
    station_free(station);
}

static int connect_to(const struct station *station)
{
    return client_connect(http_server_address(station->server, 0));
}

/* The request of a piece that came to /later. */
static struct http_request *await_piece(struct station *station, bool *ret_is_last)
{
    struct timespec until = clock_deadline(WAIT_MS * CLOCK_US_PER_MS);
    int waited = 0;
    (void)pthread_mutex_lock(&station->lock);
    while (station->request == NULL && waited == 0) {
        waited = pthread_cond_timedwait(&station->changed, &station->lock, &until);
    }
    struct http_request *request = station->request;
    *ret_is_last = station->is_last;
    station->request = NULL;
    (void)pthread_mutex_unlock(&station->lock);
    assert_non_null(request);
    (void)poll(NULL, 0, 5); /* what would spoil the piece, if it could, has the time to */
    take(station, station->piece);
    return request;
}

static char *body_of(size_t length)
{
    char *body = ph_malloc(length + 1);
    for (size_t index = 0; index < length; index++) {
        body[index] = (char)(index * 2654435761u >> 13);
    }
    return body;
}

static void send_head(int fd, const char *path, size_t length)
{
    char head[256];
    (void)snprintf(head, sizeof head, "PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
                   path, length);
    assert_true(client_send_text(fd, head));
}

static void assert_answer(int fd, int status)
{
    struct reply *reply = client_read(fd, false);
    assert_int_equal(reply->status, status);
    free(reply);
}

static bool was_cut(void *context)
{
    return atomic_load(&((struct station *)context)->cuts) == 1;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void test_all_bytes_come_in_order(void **state)
{
    (void)state;
    static const size_t lengths[] = {0,         1,         PIECE - 1,     PIECE,
                                     PIECE + 1, 2 * PIECE, 3 * PIECE + 7, BODY_MAX};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(lengths); index++) {
        struct station *station = station_open((size_t)64 << 20);
        size_t length = lengths[index];
        char *body = body_of(length);
        int fd = connect_to(station);
        for (int turn = 0; turn < 2; turn++) { /* the connection goes on */
            station->length = 0;
            atomic_store(&station->pieces, 0);
            send_head(fd, "/now/a/b%20c", length);
            assert_true(client_send(fd, body, length));
            assert_answer(fd, 201);
            assert_int_equal(station->length, length);
            assert_memory_equal(station->body, body, length);
            assert_int_equal(atomic_load(&station->pieces), length / PIECE + 1);
            assert_string_equal(station->rest, "a/b c");
        }
        assert_int_equal(atomic_load(&station->cuts), 0);
        (void)close(fd);
        free(body);
        station_close(station);
    }
}

static void test_nothing_is_read_while_a_piece_is_out(void **state)
{
    (void)state;
    struct station *station = station_open((size_t)64 << 20);
    char *body = body_of(2 * PIECE);
    bool is_last;
    int fd = connect_to(station);
    send_head(fd, "/later/x", 2 * PIECE);
    assert_true(client_send(fd, body, PIECE + 10));
    for (int piece = 1; piece <= 3; piece++) {
        struct http_request *request = await_piece(station, &is_last);
        assert_int_equal(atomic_load(&station->pieces), piece);
        assert_int_equal(is_last, piece == 3);
        if (piece == 1) {
            assert_true(client_send(fd, body + PIECE + 10, PIECE - 10));
        }
        if (is_last) {
            http_respond_empty(request, 200);
        } else {
            http_upload_continue(request);
        }
    }
    assert_answer(fd, 200);
    assert_int_equal(station->length, 2 * PIECE);
    assert_memory_equal(station->body, body, 2 * PIECE);
    (void)close(fd);
    free(body);
    station_close(station);
}

static void test_chunks(void **state)
{
    (void)state;
    struct station *station = station_open((size_t)64 << 20);
    char *body = body_of(BODY_MAX);
    int fd = connect_to(station);
    assert_true(client_send_text(
        fd, "PUT /now/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
    size_t sent = 0;
    for (size_t length = 1; sent < BODY_MAX; length = length * 3 + 1) {
        char line[32];
        size_t part = length < BODY_MAX - sent ? length : BODY_MAX - sent;
        (void)snprintf(line, sizeof line, "%zx\r\n", part);
        assert_true(client_send_text(fd, line) && client_send(fd, body + sent, part) &&
                    client_send_text(fd, "\r\n"));
        sent += part;
    }
    assert_true(client_send_text(fd, "0\r\n\r\n"));
    assert_answer(fd, 201);
    assert_int_equal(station->length, BODY_MAX);
    assert_memory_equal(station->body, body, BODY_MAX);
    (void)close(fd);
    free(body);
    station_close(station);
}

/* Many chunks come at once, of which the last ones wait while a piece is out. */
static void test_small_chunks_and_a_slow_owner(void **state)
{
    (void)state;
    enum { CHUNK = 1000, LENGTH = 3 * PIECE };
    struct station *station = station_open((size_t)64 << 20);
    char *body = body_of(LENGTH);
    bool is_last = false;
    BUF_AUTO struct buf text;
    buf_init(&text, 2 * LENGTH);
    buf_append_text(&text,
                    "PUT /later/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t sent = 0; sent < LENGTH; sent += CHUNK) {
        size_t part = LENGTH - sent < CHUNK ? LENGTH - sent : CHUNK;
        buf_append_format(&text, "%zx\r\n", part);
        buf_append(&text, body + sent, part);
        buf_append_text(&text, "\r\n");
    }
    buf_append_text(&text, "0\r\n\r\n");
    int fd = connect_to(station);
    assert_true(client_send(fd, text.data, text.len));
    while (!is_last) {
        struct http_request *request = await_piece(station, &is_last);
        if (is_last) {
            http_respond_empty(request, 200);
        } else {
            http_upload_continue(request);
        }
    }
    assert_answer(fd, 200);
    assert_int_equal(station->length, LENGTH);
    assert_memory_equal(station->body, body, LENGTH);
    (void)close(fd);
    free(body);
    station_close(station);
}

static void test_an_answer_in_the_middle(void **state)
{
    (void)state;
    struct station *station = station_open((size_t)64 << 20);
    char *body = body_of(BODY_MAX);
    int fd = connect_to(station);
    send_head(fd, "/refuse/x", BODY_MAX);
    assert_true(client_send(fd, body, BODY_MAX));
    assert_answer(fd, 409);
    assert_int_equal(station->length, REFUSED_AT * PIECE); /* the rest is nobody's */
    assert_int_equal(atomic_load(&station->cuts), 0);
    assert_true(client_send_text(fd, "GET /get HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_answer(fd, 204);
    (void)close(fd);
    free(body);
    station_close(station);
}

static void test_an_answer_to_the_head(void **state)
{
    (void)state;
    struct station *station = station_open((size_t)64 << 20);
    int fd = connect_to(station);
    send_head(fd, "/never/x", BODY_MAX);
    assert_answer(fd, 403);
    (void)close(fd);
    station_close(station);
}

static void test_a_client_that_goes_away(void **state)
{
    (void)state;
    struct station *station = station_open((size_t)64 << 20);
    char *body = body_of(PIECE);
    bool is_last;
    int fd = connect_to(station);
    send_head(fd, "/now/x", BODY_MAX);
    assert_true(client_send(fd, body, PIECE / 2));
    (void)close(fd);
    wait_for(was_cut, station);
    /* While its owner has a piece nobody sees that it goes; then the next one does not come. */
    atomic_store(&station->cuts, 0);
    fd = connect_to(station);
    send_head(fd, "/later/x", BODY_MAX);
    assert_true(client_send(fd, body, PIECE));
    struct http_request *request = await_piece(station, &is_last);
    (void)close(fd);
    http_upload_continue(request);
    wait_for(was_cut, station);
    free(body);
    station_close(station);
}

static void test_a_client_that_stands_still(void **state)
{
    (void)state;
    struct station *station = ph_calloc(1, sizeof *station);
    struct http_server_options options = server_options();
    options.routes = routes;
    options.route_count = PH_ARRAY_LENGTH(routes);
    options.context = station;
    options.body_timeout_ms = 100;
    station->server = start_http_server(&options);
    int fd = connect_to(station);
    send_head(fd, "/now/x", BODY_MAX);
    assert_true(client_send_text(fd, "a"));
    assert_true(client_is_closed(fd));
    wait_for(was_cut, station);
    (void)close(fd);
    http_server_stop(station->server, WAIT_MS);
    free(station);
}

static void test_there_is_room_for_so_many(void **state)
{
    (void)state;
    struct station *station = station_open(2 * PIECE - 1); /* of one upload */
    char *body = body_of(PIECE);
    bool is_last;
    int first = connect_to(station);
    send_head(first, "/later/x", PIECE);
    assert_true(client_send(first, body, PIECE));
    struct http_request *request = await_piece(station, &is_last);
    int second = connect_to(station);
    send_head(second, "/now/x", PIECE);
    assert_answer(second, 503);
    (void)close(second);
    http_upload_continue(request);
    request = await_piece(station, &is_last);
    assert_true(is_last);
    http_respond_empty(request, 200);
    assert_answer(first, 200);
    (void)close(first);
    second = connect_to(station);
    station->length = 0;
    send_head(second, "/now/x", PIECE);
    assert_true(client_send(second, body, PIECE));
    assert_answer(second, 201);
    (void)close(second);
    free(body);
    station_close(station);
}

/* The owner learns it when it continues, or answers in vain. */
static void test_a_server_that_stops(void **state)
{
    (void)state;
    for (int answers = 0; answers < 2; answers++) {
        struct station *station = station_open((size_t)64 << 20);
        char *body = body_of(PIECE);
        bool is_last;
        int fd = connect_to(station);
        send_head(fd, "/later/x", BODY_MAX);
        assert_true(client_send(fd, body, PIECE));
        struct http_request *request = await_piece(station, &is_last);
        http_server_stop(station->server, 1);
        if (answers) {
            http_respond_empty(request, 200);
        } else {
            http_upload_continue(request);
        }
        assert_int_equal(atomic_load(&station->cuts), answers ? 0 : 1);
        (void)close(fd);
        free(body);
        station_free(station);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_bytes_come_in_order),
        cmocka_unit_test(test_nothing_is_read_while_a_piece_is_out),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_small_chunks_and_a_slow_owner),
        cmocka_unit_test(test_an_answer_in_the_middle),
        cmocka_unit_test(test_an_answer_to_the_head),
        cmocka_unit_test(test_a_client_that_goes_away),
        cmocka_unit_test(test_a_client_that_stands_still),
        cmocka_unit_test(test_there_is_room_for_so_many),
        cmocka_unit_test(test_a_server_that_stops),
    };
    return cmocka_run_group_tests_name("http_upload", tests, NULL, NULL);
}
