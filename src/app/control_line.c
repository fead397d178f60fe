/* SPDX-License-Identifier: Apache-2.0 */
#include "app/control_int.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"

#define SEND_TIMEOUT_S 1
#define CHUNK_BYTES 4096
#define POLL_STEP_MS 1000

static bool set_path(struct sockaddr_un *address, const char *directory)
{
    address->sun_family = AF_UNIX;
    int length =
        snprintf(address->sun_path, sizeof address->sun_path, "%s/control.sock", directory);
    return length > 0 && (size_t)length < sizeof address->sun_path;
}

enum ph_error control_open(const char *directory, struct diag *diag, int *ret_fd,
                           struct sockaddr_un *ret_address, int *ret_directory_fd)
{
    struct sockaddr_un address = {0};
    int directory_fd = -1;
    if (!set_path(&address, directory)) {
        char short_path[64];
        directory_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        (void)snprintf(short_path, sizeof short_path, "/proc/self/fd/%d", directory_fd);
        (void)set_path(&address, short_path);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval timeout = {.tv_sec = SEND_TIMEOUT_S};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0) {
        int reason = errno;
        control_close(fd);
        control_close(directory_fd);
        return diag_set(diag, PH_IO, NULL, "could not make a socket: %s", strerrordesc_np(reason));
    }
    *ret_fd = fd;
    *ret_address = address;
    *ret_directory_fd = directory_fd;
    return PH_OK;
}

void control_close(int fd)
{
    if (fd >= 0) {
        (void)close(fd);
    }
}

bool control_send(int fd, struct slice bytes)
{
    while (bytes.len > 0) {
        ssize_t put = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return false;
        }
        bytes.ptr += put;
        bytes.len -= (size_t)put;
    }
    return true;
}

/* Waits for something to read at `fd`. False when time is over or `stop_fd` says so. */
static bool wait_readable(int fd, int stop_fd, int64_t until_us)
{
    for (;;) {
        int64_t left_ms = POLL_STEP_MS;
        if (until_us >= 0) {
            left_ms = (until_us - clock_boot_us()) / CLOCK_US_PER_MS;
            if (left_ms <= 0) {
                return false;
            }
        }
        struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = stop_fd, .events = POLLIN}};
        int ready = poll(fds, 2, left_ms < POLL_STEP_MS ? (int)left_ms : POLL_STEP_MS);
        if (ready > 0) {
            return fds[1].revents == 0;
        }
    }
}

enum control_read control_read_line(int fd, int stop_fd, int64_t timeout_ms, struct buf *pending,
                                    struct slice *ret_line)
{
    int64_t until_us = timeout_ms < 0 ? -1 : clock_boot_us() + timeout_ms * CLOCK_US_PER_MS;
    for (;;) {
        struct slice whole = buf_slice(pending);
        size_t end = slice_find(whole, '\n');
        if (end < whole.len) {
            *ret_line = (struct slice){whole.ptr, end};
            return CONTROL_LINE;
        }
        if (!wait_readable(fd, stop_fd, until_us)) {
            return CONTROL_TOO_LATE;
        }
        char chunk[CHUNK_BYTES];
        ssize_t got = recv(fd, chunk, sizeof chunk, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return CONTROL_END;
        }
        buf_append(pending, chunk, (size_t)got);
        if (pending->failed) {
            return CONTROL_TOO_LONG;
        }
    }
}

void control_drop_line(struct buf *pending, struct slice line)
{
    size_t taken = line.len + 1;
    PH_ASSERT(line.ptr == pending->data && taken <= pending->len);
    memmove(pending->data, pending->data + taken, pending->len - taken);
    pending->len -= taken;
}
