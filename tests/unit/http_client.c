/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/http_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

int client_connect(const char *address)
{
    int64_t port = 0;
    struct slice text = slice_of(address);
    size_t colon = slice_find(text, ':');
    assert_true(slice_to_int64((struct slice){text.ptr + colon + 1, text.len - colon - 1}, &port));
    struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&target, sizeof target), 0);
    return fd;
}

bool client_send(int fd, const void *bytes, size_t length)
{
    const char *rest = bytes;
    while (length > 0) {
        ssize_t sent = send(fd, rest, length, MSG_NOSIGNAL);
        if (sent < 0) {
            return false;
        }
        rest += sent;
        length -= (size_t)sent;
    }
    return true;
}

bool client_send_text(int fd, const char *text)
{
    return client_send(fd, text, strlen(text));
}

/* One byte at a time: nothing of a second answer may be taken. 0 at the end of the stream. */
static bool read_byte(int fd, char *ret_byte)
{
    struct pollfd wanted = {fd, POLLIN, 0};
    assert_int_equal(poll(&wanted, 1, WAIT_MS), 1);
    ssize_t got = recv(fd, ret_byte, 1, 0);
    return got == 1;
}

struct reply *client_read(int fd, bool is_head)
{
    struct reply *reply = ph_calloc(1, sizeof *reply);
    size_t length = 0;
    while (length < 4 || memcmp(reply->head + length - 4, "\r\n\r\n", 4) != 0) {
        assert_true(length + 1 < sizeof reply->head);
        if (!read_byte(fd, &reply->head[length])) {
            assert_int_equal(length, 0); /* nothing, or a whole head */
            return reply;
        }
        length++;
    }
    assert_memory_equal(reply->head, "HTTP/1.", 7);
    reply->status = (int)strtol(reply->head + 9, NULL, 10);
    int64_t body_length = 0;
    const char *text = reply_header(reply, "content-length");
    if (text[0] != '\0') {
        assert_true(slice_to_int64(slice_of(text), &body_length));
    }
    if (is_head || reply->status < 200) {
        return reply;
    }
    assert_true((size_t)body_length < sizeof reply->body);
    while (reply->body_length < (size_t)body_length) {
        assert_true(read_byte(fd, &reply->body[reply->body_length]));
        reply->body_length++;
    }
    return reply;
}

bool client_is_closed(int fd)
{
    char byte;
    return !read_byte(fd, &byte);
}

struct reply *client_ask(const char *address, const char *text)
{
    int fd = client_connect(address);
    assert_true(client_send_text(fd, text));
    struct reply *reply = client_read(fd, false);
    (void)close(fd);
    return reply;
}

const char *reply_header(const struct reply *reply, const char *name)
{
    static char value[1024];
    size_t length = strlen(name);
    const char *line = strstr(reply->head, "\r\n");
    while (line != NULL && line[2] != '\0') {
        line += 2;
        const char *end = strstr(line, "\r\n");
        if (end != NULL && strncasecmp(line, name, length) == 0 && line[length] == ':') {
            struct slice text =
                slice_trim((struct slice){line + length + 1, (size_t)(end - line) - length - 1});
            assert_true(text.len < sizeof value);
            memcpy(value, text.ptr, text.len);
            value[text.len] = '\0';
            return value;
        }
        line = end;
    }
    return "";
}

struct http_server_options server_options(void)
{
    return (struct http_server_options){
        .threads = 1,
        .connections_max = 100,
        .streams_max = 100,
        .body_bytes_max = (size_t)1 << 30,
        .answer_bytes_max = (size_t)1 << 30,
        .header_timeout_ms = WAIT_MS,
        .body_timeout_ms = WAIT_MS,
        .idle_timeout_s = 60,
    };
}

struct http_server *start_http_server(const struct http_server_options *options)
{
    static const char *const addresses[] = {"127.0.0.1:0"};
    struct http_server *server = NULL;
    struct diag diag;
    enum ph_error error = http_server_start(options, addresses, 1, &diag, &server);
    if (error != PH_OK) {
        fail_msg("%s", diag.text);
    }
    return server;
}

void wait_for(bool (*condition)(void *context), void *context)
{
    int64_t until_us = clock_boot_us() + WAIT_MS * CLOCK_US_PER_MS;
    while (!condition(context)) {
        assert_true(clock_boot_us() < until_us);
        (void)poll(NULL, 0, 1);
    }
}
