/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Concurrency: `stop_fd` becomes readable once and for all when the control stops; the rest is the
 * control thread's.
 */
#include "app/control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/control_int.h"
#include "base/clock.h"
#include "base/json_out.h"

#define BACKLOG 8
#define REQUEST_TIMEOUT_MS 5000
#define OTHER_TIMEOUT_MS 500 /* a backup or a prune waits for it */
#define PROGRESS_INTERVAL_US (200 * CLOCK_US_PER_MS)

struct control {
    const struct care_context *context;
    int stop_fd;
    int listen_fd;
    int directory_fd; /* -1: the address is the path */
    struct sockaddr_un address;
    pthread_t thread;
};

/* A request in work. */
struct call {
    struct control *control;
    int fd;
    int64_t told_us; /* boot clock, last progress */
};

/* --- answers -----------------------------------------------------------------------------------
 */

static bool send_last(int fd, const char *words, struct slice result)
{
    BUF_AUTO struct buf text;
    struct json_out out;
    buf_init(&text, CONTROL_LINE_BYTES_MAX);
    json_out_init(&out, &text);
    json_out_begin_object(&out);
    if (words != NULL) {
        json_out_member_text(&out, "error", words);
    }
    if (result.len > 0) {
        json_out_member_raw(&out, "result", result);
    }
    json_out_end_object(&out);
    buf_append_byte(&text, '\n');
    return control_send(fd, buf_slice(&text));
}

static bool send_progress(int fd, int64_t done, int64_t total)
{
    BUF_AUTO struct buf text;
    buf_init(&text, CONTROL_LINE_BYTES_MAX);
    buf_append_format(&text, "{\"progress\":{\"done\":%lld,\"total\":%lld}}\n", (long long)done,
                      (long long)total);
    return control_send(fd, buf_slice(&text));
}

/* Who connects must be this user or root; the file's mode says the same, on most systems. */
static bool is_allowed(int fd)
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

static int accept_client(const struct control *control)
{
    int fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    const struct timeval timeout = {.tv_sec = 1};
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (!is_allowed(fd)) {
        (void)send_last(fd, "only the server's own user may do this", SLICE_NONE);
        control_close(fd);
        return -1;
    }
    return fd;
}

static void serve_other(struct control *control, int fd);

/* Waits between two steps of a request; others may have tokens meanwhile. */
static bool goes_on(void *context, int pause_ms, int64_t done, int64_t total)
{
    struct call *call = context;
    int64_t until_us = clock_boot_us() + pause_ms * CLOCK_US_PER_MS;
    for (;;) {
        struct pollfd fds[] = {
            {.fd = call->control->stop_fd, .events = POLLIN},
            {.fd = call->fd}, /* its end is told unasked */
            {.fd = call->control->listen_fd, .events = POLLIN},
        };
        int64_t left_us = until_us - clock_boot_us();
        int64_t left_ms = left_us > 0 ? (left_us + CLOCK_US_PER_MS - 1) / CLOCK_US_PER_MS : 0;
        int ready = poll(fds, PH_ARRAY_LENGTH(fds), (int)left_ms);
        if (ready > 0 && (fds[0].revents != 0 || fds[1].revents != 0)) {
            return false;
        }
        if (ready > 0) {
            int other = accept_client(call->control);
            if (other >= 0) {
                serve_other(call->control, other);
                control_close(other);
            }
        }
        if (clock_boot_us() >= until_us) {
            break;
        }
    }
    if (clock_boot_us() - call->told_us < PROGRESS_INTERVAL_US) {
        return true;
    }
    call->told_us = clock_boot_us();
    return send_progress(call->fd, done, total);
}

static void run_request(struct control *control, int fd, struct slice line, bool is_other)
{
    struct diag diag = {0};
    struct care_request request;
    if (care_request_read(line, &diag, &request) != PH_OK) {
        (void)send_last(fd, diag.text, SLICE_NONE);
        return;
    }
    if (is_other && !care_is_of_tokens(request.kind)) {
        (void)send_last(fd, "another backup or prune is being done: try again when it has ended",
                        SLICE_NONE);
        care_request_done(&request);
        return;
    }
    struct call call = {.control = control, .fd = fd, .told_us = clock_boot_us()};
    const struct care_watch watch = {goes_on, &call};
    BUF_AUTO struct buf result;
    buf_init(&result, CARE_RESULT_BYTES_MAX);
    enum ph_error error = care_run(control->context, &request, &watch, &diag, &result);
    (void)send_last(fd, error == PH_OK ? NULL : diag.text, buf_slice(&result));
    care_request_done(&request);
}

/* `is_other`: while another request is in work. */
static void serve_client(struct control *control, int fd, bool is_other)
{
    BUF_AUTO struct buf pending;
    buf_init(&pending, CARE_REQUEST_BYTES_MAX);
    struct slice line;
    int64_t timeout_ms = is_other ? OTHER_TIMEOUT_MS : REQUEST_TIMEOUT_MS;
    switch (control_read_line(fd, control->stop_fd, timeout_ms, &pending, &line)) {
    case CONTROL_LINE:
        if (line.len + 1 == pending.len) {
            run_request(control, fd, line, is_other);
        } else {
            (void)send_last(fd, "one request a connection", SLICE_NONE);
        }
        break;
    case CONTROL_TOO_LONG:
        (void)send_last(fd, "the request is too long", SLICE_NONE);
        break;
    case CONTROL_TOO_LATE:
        (void)send_last(fd, "the request did not come in time", SLICE_NONE);
        break;
    case CONTROL_END:
        break;
    }
}

static void serve_other(struct control *control, int fd)
{
    serve_client(control, fd, true);
}

static void *control_main(void *argument)
{
    struct control *control = argument;
    (void)pthread_setname_np(pthread_self(), "control");
    for (;;) {
        struct pollfd fds[] = {
            {.fd = control->stop_fd, .events = POLLIN},
            {.fd = control->listen_fd, .events = POLLIN},
        };
        if (poll(fds, PH_ARRAY_LENGTH(fds), -1) < 0) {
            continue;
        }
        if (fds[0].revents != 0) {
            return NULL;
        }
        int fd = accept_client(control);
        if (fd >= 0) {
            serve_client(control, fd, false);
            control_close(fd);
        }
    }
}

/* --- start and stop ----------------------------------------------------------------------------
 */

static enum ph_error listen_at(struct control *control, const char *directory, struct diag *diag)
{
    enum ph_error error = control_open(directory, diag, &control->listen_fd, &control->address,
                                       &control->directory_fd);
    if (error != PH_OK) {
        return error;
    }
    (void)unlink(control->address.sun_path);
    /* A socket's own mode is that of the file that it makes: there is no moment with another. */
    if (fchmod(control->listen_fd, 0600) != 0 ||
        bind(control->listen_fd, (const struct sockaddr *)&control->address,
             sizeof control->address) != 0 ||
        listen(control->listen_fd, BACKLOG) != 0) {
        return diag_set(diag, PH_IO, NULL, "could not listen on %s/control.sock: %s", directory,
                        strerrordesc_np(errno));
    }
    return PH_OK;
}

static void free_control(struct control *control)
{
    control_close(control->listen_fd);
    control_close(control->stop_fd);
    control_close(control->directory_fd);
    free(control);
}

enum ph_error control_start(const char *directory, const struct care_context *context,
                            struct diag *diag, struct control **ret_control)
{
    struct control *control = ph_calloc(1, sizeof *control);
    control->context = context;
    control->listen_fd = -1;
    control->directory_fd = -1;
    control->stop_fd = eventfd(0, EFD_CLOEXEC);
    enum ph_error error = listen_at(control, directory, diag);
    if (error == PH_OK && (control->stop_fd < 0 ||
                           pthread_create(&control->thread, NULL, control_main, control) != 0)) {
        (void)unlink(control->address.sun_path);
        error = diag_set(diag, PH_INTERNAL, NULL, "could not start the control thread");
    }
    if (error != PH_OK) {
        free_control(control);
        return error;
    }
    *ret_control = control;
    return PH_OK;
}

void control_stop(struct control *control)
{
    if (control == NULL) {
        return;
    }
    uint64_t one = 1;
    ssize_t written = write(control->stop_fd, &one, sizeof one);
    PH_ASSERT(written == sizeof one);
    (void)pthread_join(control->thread, NULL);
    (void)unlink(control->address.sun_path);
    free_control(control);
}
