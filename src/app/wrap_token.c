/* SPDX-License-Identifier: Apache-2.0 */
#include "app/wrap_token.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "app/file.h"
#include "base/clock.h"
#include "base/secret.h"

#define PIPE_WAIT_S 10

/* --- a pipe --------------------------------------------------------------------------------------
 */

/* One that nobody has opened to write yet reads as ended, but does not say that it hung up. */
static bool has_hung_up(int fd)
{
    struct pollfd now = {.fd = fd, .events = POLLIN};
    return poll(&now, 1, 0) == 1 && (now.revents & (POLLHUP | POLLERR)) != 0;
}

/* To the end of the first line: who writes it may hold the pipe open for longer. */
static enum ph_error read_pipe(int fd, const char *path, const struct wrap_token_wait *wait,
                               struct buf *text, struct diag *diag)
{
    char chunk[1024];
    int64_t deadline_us = clock_boot_us() + PIPE_WAIT_S * CLOCK_US_PER_S;
    for (;;) {
        int64_t left_us = deadline_us - clock_boot_us();
        if (left_us <= 0 || !wait->wait(wait->context, fd, left_us)) {
            return diag_set(diag, PH_IO, NULL, "no token came from %s within %d seconds", path,
                            PIPE_WAIT_S);
        }
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno != EAGAIN && errno != EINTR) {
            return diag_set(diag, PH_IO, NULL, "could not read %s: %s", path,
                            strerrordesc_np(errno));
        }
        if (got > 0) {
            buf_append(text, chunk, (size_t)got);
            secret_wipe(chunk, sizeof chunk);
        }
        if (text->failed) {
            return diag_set(diag, PH_TOO_LARGE, NULL, "%s is larger than %zu bytes", path,
                            text->max);
        }
        struct slice line = buf_slice(text);
        if (slice_find(line, '\n') < line.len || (got == 0 && (text->len > 0 || has_hung_up(fd)))) {
            return PH_OK;
        }
    }
}

static enum ph_error read_file(const char *path, const struct wrap_token_wait *wait,
                               struct buf *text, struct diag *diag)
{
    int fd;
    bool is_pipe;
    enum ph_error error = file_open_pipe(path, diag, &fd, &is_pipe);
    if (error == PH_OK) {
        error =
            is_pipe ? read_pipe(fd, path, wait, text, diag) : file_read_fd(fd, path, text, diag);
        (void)close(fd);
    }
    return error;
}

/* --- the token -----------------------------------------------------------------------------------
 */

enum ph_error wrap_token_read(const char *file, const struct wrap_token_wait *wait,
                              struct buf *token, struct diag *diag)
{
    struct buf text;
    buf_init(&text, WRAP_TOKEN_BYTES_MAX);
    const char *variable = secure_getenv("POSTHORN_TOKEN");
    enum ph_error error = PH_OK;
    if (file != NULL) {
        error = read_file(file, wait, &text, diag);
    } else {
        buf_append_text(&text, variable == NULL ? "" : variable);
    }
    struct slice word = slice_trim(buf_slice(&text));
    for (size_t index = 0; error == PH_OK && index < word.len; index++) {
        if (word.ptr[index] <= ' ' || word.ptr[index] > '~') {
            error = diag_set(diag, PH_INVALID, NULL, "the token is not one line of ASCII");
        }
    }
    if (error == PH_OK && word.len == 0) {
        error = diag_set(diag, PH_NOT_FOUND, NULL, "give --token-file or POSTHORN_TOKEN");
    }
    if (error == PH_OK) {
        buf_append_slice(token, word);
    }
    buf_wipe(&text);
    return error;
}
