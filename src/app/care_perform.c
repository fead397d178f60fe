/* SPDX-License-Identifier: Apache-2.0 */
/* Finds who does a request of store care: the running server, or this process under the data
 * directory's lock. */
#include <poll.h>
#include <unistd.h>

#include "app/command.h"
#include "app/control.h"
#include "app/file.h"

#define QUEUE_MAX 64
#define MIB (INT64_C(1) << 20)

static void show_progress(int64_t done, int64_t total)
{
    if (!isatty(STDERR_FILENO)) {
        return;
    }
    if (total > 0) {
        (void)fprintf(stderr, "\r%lld of %lld MiB ", (long long)(done / MIB),
                      (long long)((total + MIB - 1) / MIB));
    } else {
        (void)fprintf(stderr, "\r%lld messages ", (long long)done);
    }
}

static bool goes_on(PH_UNUSED void *context, int pause_ms, int64_t done, int64_t total)
{
    (void)poll(NULL, 0, pause_ms / 4); /* nobody else waits for the store */
    show_progress(done, total);
    return true;
}

static enum ph_error perform_here(const struct options *options, const struct care_request *request,
                                  struct diag *diag, struct buf *result)
{
    struct metrics metrics;
    metrics_init(&metrics);
    PH_AUTO_FREE char *address = data_store_address(options);
    PH_AUTO_FREE char *secret_path = data_path(options, "jwt_secret");
    const struct flow_options flow_options = {
        .store_address = address,
        .metrics = &metrics,
        .settings = {.writer_queue_max = QUEUE_MAX,
                     .wal_bytes_max = INT64_MAX,
                     .wal_checkpoint_bytes = option_int(options, OPTION_WAL_CHECKPOINT_BYTES),
                     .retention_us = option_us(options, OPTION_RETENTION_DAYS)},
    };
    struct care_context context = {.jwt_secret_path = secret_path};
    enum ph_error error = data_check_store(options, diag);
    if (error == PH_OK) {
        error = flow_start_writer(&flow_options, diag, &context.flow);
    }
    if (error == PH_OK) {
        const struct care_watch watch = {goes_on, NULL};
        error = care_run(&context, request, &watch, diag, result);
        flow_stop(context.flow, 0);
    }
    return error;
}

static enum ph_error perform_locked(const struct options *options,
                                    const struct care_request *request, struct diag *diag,
                                    struct buf *result)
{
    int fd;
    enum ph_error error = data_check_store(options, diag); /* a lock would make its file */
    if (error != PH_OK) {
        return error;
    }
    error = data_lock(options, diag, &fd);
    if (error == PH_CONFLICT) {
        return diag_set(diag, PH_CONFLICT, NULL,
                        "%s is in use, and nobody answers at its control.sock: a server that "
                        "starts or stops, or another command; try again",
                        option_text(options, OPTION_DATA));
    }
    if (error == PH_OK) {
        error = perform_here(options, request, diag, result);
        (void)close(fd);
    }
    return error;
}

enum ph_error care_perform(const struct options *options, const struct care_request *request,
                           struct diag *diag, struct buf *result)
{
    enum ph_error error =
        control_call(option_text(options, OPTION_DATA), request, show_progress, diag, result);
    if (error == PH_NOT_FOUND) {
        error = perform_locked(options, request, diag, result);
    }
    if (isatty(STDERR_FILENO)) {
        (void)fputs("\r\033[K", stderr);
    }
    return error;
}
