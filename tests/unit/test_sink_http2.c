/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP sink over HTTP/2: a small server reads the frames (RFC 9113) by hand. */
#include "unit/tls_rig.h"

#include "sinks/http.h"

enum {
    FRAME_DATA = 0,
    FRAME_HEADERS = 1,
    FRAME_SETTINGS = 4,
    FLAG_END_STREAM = 1, /* of SETTINGS: acknowledgement */
    FLAG_END_HEADERS = 4,
    FLAG_PADDED = 8,
    FLAG_PRIORITY = 32,
    HEAD_BYTES = 9,
    FRAME_MAX = 16384,
};

struct frame {
    uint32_t length;
    uint8_t type;
    uint8_t flags;
    uint32_t stream;
    uint8_t bytes[FRAME_MAX];
};

/* What came on the last stream that ended. */
struct request {
    uint8_t headers[4096]; /* HPACK, RFC 7541 */
    size_t header_bytes;
    char body[256];
    size_t body_bytes;
};

struct h2_server {
    SSL_CTX *context;
    pthread_mutex_t mutex;
    struct request last;
    atomic_uint requests;
};

static bool read_exactly(SSL *ssl, void *bytes, size_t length)
{
    size_t got = 0;
    while (got < length) {
        int count = SSL_read(ssl, (char *)bytes + got, (int)(length - got));
        if (count <= 0) {
            return false;
        }
        got += (size_t)count;
    }
    return true;
}

static bool read_frame(SSL *ssl, struct frame *frame)
{
    uint8_t head[HEAD_BYTES];
    if (!read_exactly(ssl, head, sizeof head)) {
        return false;
    }
    frame->length = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
    frame->type = head[3];
    frame->flags = head[4];
    frame->stream = (uint32_t)head[5] << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 |
                    (uint32_t)head[8];
    return frame->length <= FRAME_MAX && read_exactly(ssl, frame->bytes, frame->length);
}

static bool write_frame(SSL *ssl, uint8_t type, uint8_t flags, uint32_t stream, const void *bytes,
                        uint8_t length)
{
    uint8_t text[HEAD_BYTES + 255] = {0,
                                      0,
                                      length,
                                      type,
                                      flags,
                                      (uint8_t)(stream >> 24),
                                      (uint8_t)(stream >> 16),
                                      (uint8_t)(stream >> 8),
                                      (uint8_t)stream};
    if (length > 0) {
        memcpy(text + HEAD_BYTES, bytes, length);
    }
    return SSL_write(ssl, text, HEAD_BYTES + length) > 0;
}

/* The payload without padding and priority. */
static void take_headers(const struct frame *frame, struct request *request)
{
    size_t start = 0;
    size_t padding = 0;
    if ((frame->flags & FLAG_PADDED) != 0) {
        padding = frame->bytes[0];
        start = 1;
    }
    if ((frame->flags & FLAG_PRIORITY) != 0) {
        start += 5;
    }
    request->header_bytes = frame->length - start - padding;
    assert_true(request->header_bytes <= sizeof request->headers);
    memcpy(request->headers, frame->bytes + start, request->header_bytes);
}

static void take_data(const struct frame *frame, struct request *request)
{
    assert_true(request->body_bytes + frame->length < sizeof request->body);
    memcpy(request->body + request->body_bytes, frame->bytes, frame->length);
    request->body_bytes += frame->length;
}

static void talk(struct h2_server *server, SSL *ssl)
{
    char preface[24];
    struct frame frame = {0};
    struct request request = {0};
    if (!read_exactly(ssl, preface, sizeof preface) ||
        !write_frame(ssl, FRAME_SETTINGS, 0, 0, NULL, 0)) {
        return;
    }
    while (read_frame(ssl, &frame)) {
        if (frame.type == FRAME_SETTINGS && (frame.flags & FLAG_END_STREAM) == 0) {
            (void)write_frame(ssl, FRAME_SETTINGS, FLAG_END_STREAM, 0, NULL, 0);
        } else if (frame.type == FRAME_HEADERS) {
            take_headers(&frame, &request);
        } else if (frame.type == FRAME_DATA) {
            take_data(&frame, &request);
        }
        bool is_request = frame.type == FRAME_HEADERS || frame.type == FRAME_DATA;
        if (is_request && (frame.flags & FLAG_END_STREAM) != 0) {
            pthread_mutex_lock(&server->mutex);
            server->last = request;
            pthread_mutex_unlock(&server->mutex);
            request = (struct request){0};
            atomic_fetch_add(&server->requests, 1);
            static const uint8_t status_200[] = {0x88};
            (void)write_frame(ssl, FRAME_HEADERS, FLAG_END_HEADERS | FLAG_END_STREAM, frame.stream,
                              status_200, sizeof status_200);
        }
    }
}

static void serve(struct raw_server *raw, int fd, void *context)
{
    struct h2_server *server = context;
    SSL *ssl = SSL_new(server->context);
    (void)raw;
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
        talk(server, ssl);
    }
    SSL_free(ssl);
}

static int choose_h2(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_length,
                     const unsigned char *names, unsigned names_length, void *context)
{
    (void)ssl;
    (void)context;
    static const unsigned char wanted[] = {2, 'h', '2'};
    unsigned char *name = NULL;
    int status =
        SSL_select_next_proto(&name, ret_length, wanted, sizeof wanted, names, names_length);
    *ret_name = name;
    return status == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ":method" as it stands first in the block: by the static table, or spelled out after its name. */
static void assert_method(const struct request *request, const char *method)
{
    if (strcmp(method, "POST") == 0) {
        assert_int_equal(request->headers[0], 0x83);
        return;
    }
    size_t length = strlen(method);
    assert_true(request->headers[0] == 0x42 || request->headers[0] == 0x02);
    assert_int_equal(request->headers[1], length);
    assert_memory_equal(request->headers + 2, method, length);
}

static void test_methods_with_bodies_on_one_connection(void **state)
{
    (void)state;
    static const char *const methods[] = {"POST", "PUT", "PATCH", "POST"};
    struct identity identity;
    struct rig rig;
    struct outcome outcome;
    char url[URL_MAX];
    identity_init(&identity, "test", "IP:127.0.0.1", NULL);
    struct h2_server server = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    server.context = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(server.context, identity.certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server.context, identity.key), 1);
    SSL_CTX_set_alpn_select_cb(server.context, choose_h2, NULL);
    rig_init(&rig, &(struct rig_options){.ca_file = identity.file});
    struct raw_server *raw = raw_server_start(serve, &server);
    for (size_t i = 0; i < PH_ARRAY_LENGTH(methods); i++) {
        struct sink_request request = request_of(tls_url_of(raw, url), &outcome);
        request.method = methods[i];
        exchange(&rig, &request);
        assert_int_equal(outcome.failure, ATTEMPT_ANSWERED);
        assert_int_equal(outcome.status_code, 200);
        assert_int_equal(outcome.is_new_connection, i == 0);
        pthread_mutex_lock(&server.mutex);
        struct request last = server.last;
        pthread_mutex_unlock(&server.mutex);
        assert_method(&last, methods[i]);
        assert_int_equal(last.body_bytes, request.body.len);
        assert_memory_equal(last.body, request.body.ptr, request.body.len);
    }
    assert_int_equal(atomic_load(&server.requests), PH_ARRAY_LENGTH(methods));
    assert_int_equal(raw_server_connections(raw), 1);
    rig_stop(&rig);
    raw_server_stop(raw);
    SSL_CTX_free(server.context);
    identity_done(&identity);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_methods_with_bodies_on_one_connection),
    };
    return cmocka_run_group_tests_name("sink_http2", tests, rig_set_up, rig_tear_down);
}
