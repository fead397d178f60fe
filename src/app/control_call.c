/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/socket.h>

#include "app/control.h"
#include "app/control_int.h"
#include "core/scan.h"

#define MEMBERS_MAX 8

static enum ph_error connect_to(const char *directory, struct diag *diag, int *ret_fd)
{
    int fd;
    int directory_fd;
    struct sockaddr_un address;
    enum ph_error error = control_open(directory, diag, &fd, &address, &directory_fd);
    if (error != PH_OK) {
        return error;
    }
    int reason = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
    control_close(directory_fd);
    if (reason == 0) {
        *ret_fd = fd;
        return PH_OK;
    }
    control_close(fd);
    bool is_nobody = reason == ENOENT || reason == ECONNREFUSED || reason == ENOTDIR;
    return diag_set(diag, is_nobody ? PH_NOT_FOUND : PH_IO, NULL,
                    "could not reach the server at %s/control.sock: %s", directory,
                    strerrordesc_np(reason));
}

static void tell_progress(const struct scan_member *progress,
                          void (*on_progress)(int64_t done, int64_t total))
{
    struct scan_cursor cursor;
    struct scan_member member;
    int64_t done = 0;
    int64_t total = 0;
    if (progress->type != SCAN_OBJECT || on_progress == NULL) {
        return;
    }
    scan_cursor_init(&cursor, progress->value);
    while (scan_next_member(&cursor, &member)) {
        (void)(slice_equal_text(member.key, "done") && scan_int64(member.value, &done));
        (void)(slice_equal_text(member.key, "total") && scan_int64(member.value, &total));
    }
    on_progress(done, total);
}

static enum ph_error words_of(const struct scan_member *words, struct diag *diag)
{
    ARENA_AUTO struct arena arena;
    arena_init(&arena, CONTROL_LINE_BYTES_MAX);
    struct slice text = SLICE_LITERAL("the server refused");
    (void)(scan_string(words->value, &arena, NULL, &text) == PH_OK);
    return diag_set(diag, PH_IO, NULL, "%.*s", SLICE_ARG(text));
}

/* *ret_is_last is set with the result or the error. */
static enum ph_error read_answer(struct slice line,
                                 void (*on_progress)(int64_t done, int64_t total),
                                 struct diag *diag, struct buf *result, bool *ret_is_last)
{
    struct scan_member members[MEMBERS_MAX];
    size_t count = 0;
    *ret_is_last = true;
    if (scan_object(line, members, MEMBERS_MAX, &count, NULL, NULL) != PH_OK) {
        return diag_set(diag, PH_IO, NULL, "the server's answer makes no sense");
    }
    const struct scan_member *progress = scan_find(members, count, "progress");
    const struct scan_member *outcome = scan_find(members, count, "result");
    const struct scan_member *words = scan_find(members, count, "error");
    if (progress != NULL) {
        tell_progress(progress, on_progress);
        *ret_is_last = false;
        return PH_OK;
    }
    if (outcome != NULL) {
        buf_append_slice(result, outcome->value);
    }
    return words == NULL ? PH_OK : words_of(words, diag);
}

static enum ph_error read_answers(int fd, void (*on_progress)(int64_t done, int64_t total),
                                  struct diag *diag, struct buf *result)
{
    BUF_AUTO struct buf pending;
    buf_init(&pending, CONTROL_LINE_BYTES_MAX);
    for (;;) {
        struct slice line;
        if (control_read_line(fd, -1, -1, &pending, &line) != CONTROL_LINE) {
            return diag_set(diag, PH_IO, NULL, "the server ended before it had answered");
        }
        bool is_last;
        enum ph_error error = read_answer(line, on_progress, diag, result, &is_last);
        if (is_last) {
            return error;
        }
        control_drop_line(&pending, line);
    }
}

enum ph_error control_call(const char *directory, const struct care_request *request,
                           void (*on_progress)(int64_t done, int64_t total), struct diag *diag,
                           struct buf *result)
{
    int fd = -1;
    enum ph_error error = connect_to(directory, diag, &fd);
    if (error != PH_OK) {
        return error;
    }
    BUF_AUTO struct buf line;
    buf_init(&line, CARE_REQUEST_BYTES_MAX);
    care_request_write(request, &line);
    buf_append_byte(&line, '\n');
    /* A server that refuses may close before it has read: its answer says why. */
    if (line.failed) {
        error = diag_set(diag, PH_TOO_LARGE, NULL, "the request is too long");
    } else {
        (void)control_send(fd, buf_slice(&line));
        error = read_answers(fd, on_progress, diag, result);
    }
    control_close(fd);
    return error;
}
