/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink with its resolver, driven as an owner does, for the tests of the HTTP sink. Inline, so
 * that only they link the sinks.
 */
#ifndef PH_UNIT_SINK_RIG_H
#define PH_UNIT_SINK_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "sinks/http.h"
#include "unit/raw_server.h"

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

enum { WAIT_MAX_MS = 60000, URL_MAX = 256 };

struct outcome {
    enum attempt_failure failure;
    int status_code;
    bool is_done;
    bool is_new_connection;
    char body[256]; /* its start */
    size_t body_bytes;
    char error_text[400];
    char retry_after[64]; /* "-" when absent */
    char hint[64];        /* "-" when absent */
    int64_t duration_us;
};

struct rig {
    struct resolver *resolver;
    struct sink_http *sink;
    struct metrics metrics;
    struct cidr_set loopback; /* opens 127.0.0.0/8 and ::1 */
    unsigned done_count;
    unsigned answered_count;
    unsigned new_count;
};

static inline void copy_slice(struct slice text, char *ret_text, size_t text_size)
{
    (void)snprintf(ret_text, text_size, "%.*s", SLICE_ARG(text));
}

static inline void on_result(void *context, const struct sink_result *result)
{
    struct rig *rig = context;
    struct outcome *outcome = result->user;
    rig->done_count++;
    rig->answered_count += result->failure == ATTEMPT_ANSWERED;
    rig->new_count += result->is_new_connection;
    assert_false(outcome->is_done);
    outcome->is_done = true;
    outcome->failure = result->failure;
    outcome->status_code = result->status_code;
    copy_slice(result->body, outcome->body, sizeof outcome->body);
    outcome->body_bytes = result->body.len;
    copy_slice(result->error_text, outcome->error_text, sizeof outcome->error_text);
    copy_slice(result->retry_after.ptr == NULL ? SLICE_LITERAL("-") : result->retry_after,
               outcome->retry_after, sizeof outcome->retry_after);
    copy_slice(result->delivery_hint.ptr == NULL ? SLICE_LITERAL("-") : result->delivery_hint,
               outcome->hint, sizeof outcome->hint);
    outcome->is_new_connection = result->is_new_connection;
    outcome->duration_us = result->duration_us;
}

struct rig_options {
    bool is_guarded; /* no subnet is opened */
    const char *ca_file;
    const struct resolver_options *resolver;
    size_t connections_max;
    size_t policies_max;
    int64_t policy_rest_us;
    struct sink_http_egress egress;
};

static inline void rig_init(struct rig *rig, const struct rig_options *options)
{
    *rig = (struct rig){0};
    metrics_init(&rig->metrics);
    assert_int_equal(
        cidr_set_parse(SLICE_LITERAL("127.0.0.0/8,::1/128"), "allow_subnets", NULL, &rig->loopback),
        PH_OK);
    assert_int_equal(resolver_new(options->resolver, NULL, &rig->resolver), PH_OK);
    struct sink_http_options sink_options = {
        .allow_subnets = options->is_guarded ? NULL : &rig->loopback,
        .egress = options->egress,
        .resolver = rig->resolver,
        .metrics = &rig->metrics,
        .ca_file = options->ca_file,
        .user_agent = "Posthorn/test",
        .read_max_bytes = 65536,
        .keep_max_bytes = 20000,
        .connections_max = options->connections_max > 0 ? options->connections_max : 500,
        .policies_max = options->policies_max,
        .policy_rest_us = options->policy_rest_us,
        .on_result = on_result,
        .context = rig,
    };
    assert_int_equal(sink_http_new(&sink_options, NULL, &rig->sink), PH_OK);
}

static inline void rig_start(struct rig *rig)
{
    rig_init(rig, &(struct rig_options){0});
}

static inline void rig_stop(struct rig *rig)
{
    sink_http_free(rig->sink);
    resolver_free(rig->resolver);
    cidr_set_done(&rig->loopback);
}

/* Waits as an owner does, then lets the sink work once. */
static inline void rig_step(struct rig *rig)
{
    int64_t now_us = clock_boot_us();
    int64_t deadline_us = sink_http_deadline_us(rig->sink);
    int wait_ms = 20;
    if (deadline_us <= now_us) {
        wait_ms = 0;
    } else if (deadline_us - now_us < wait_ms * CLOCK_US_PER_MS) {
        wait_ms = (int)((deadline_us - now_us) / CLOCK_US_PER_MS) + 1;
    }
    struct pollfd ready = {.fd = sink_http_fd(rig->sink), .events = POLLIN};
    (void)poll(&ready, 1, wait_ms);
    sink_http_run(rig->sink);
}

#define RUN_UNTIL(rig, condition)                                                                  \
    do {                                                                                           \
        int64_t run_end_us = clock_boot_us() + WAIT_MAX_MS * CLOCK_US_PER_MS;                      \
        while (!(condition)) {                                                                     \
            assert_true(clock_boot_us() < run_end_us);                                             \
            rig_step(rig);                                                                         \
        }                                                                                          \
    } while (0)

static inline struct sink_request request_of(const char *url, struct outcome *outcome)
{
    *outcome = (struct outcome){0};
    return (struct sink_request){
        .url = url,
        .method = "POST",
        .body = SLICE_LITERAL("{\"a\":1}"),
        .timeout_ms = 10000,
        .user = outcome,
    };
}

static inline void send_request(struct rig *rig, const struct sink_request *request)
{
    struct diag diag = {0};
    enum ph_error error = sink_http_send(rig->sink, request, &diag);
    if (error != PH_OK) {
        print_error("%s: %s\n", diag.field, diag.text);
    }
    assert_int_equal(error, PH_OK);
}

static inline void exchange(struct rig *rig, const struct sink_request *request)
{
    const struct outcome *outcome = request->user;
    send_request(rig, request);
    RUN_UNTIL(rig, outcome->is_done);
}

static inline const char *url_of(const struct raw_server *server, char url[URL_MAX])
{
    (void)snprintf(url, URL_MAX, "http://127.0.0.1:%u/hook?token=hidden", raw_server_port(server));
    return url;
}

/* Answers every request with the text given as context. */
static inline void answer_text(struct raw_server *server, int fd, void *context)
{
    while (raw_server_read(server, fd)) {
        if (!raw_server_write(fd, context)) {
            return;
        }
    }
}

/* The same, then closes. */
static inline void answer_and_close(struct raw_server *server, int fd, void *context)
{
    if (raw_server_read(server, fd)) {
        (void)raw_server_write(fd, context);
    }
}

/* Reads one request and waits for the end. */
static inline void say_nothing(struct raw_server *server, int fd, void *context)
{
    (void)context;
    if (raw_server_read(server, fd)) {
        (void)raw_server_wait_end(fd, -1);
    }
}

/* For the group of tests. */
static inline int rig_set_up(void **state)
{
    (void)state;
    /* As the program does. */
    (void)signal(SIGPIPE, SIG_IGN);
    return sink_http_global_init(NULL) == PH_OK ? 0 : -1;
}

static inline int rig_tear_down(void **state)
{
    (void)state;
    sink_http_global_done();
    return 0;
}

#endif
