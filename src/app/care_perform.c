/* SPDX-License-Identifier: Apache-2.0 */
/* Finds who does a request: the running server, or this process under the data
 * directory's lock. */
#include <poll.h>
#include <unistd.h>

#include "app/command.h"
#include "app/control.h"
#include "app/environment.h"
#include "app/file.h"
#include "base/clock.h"
#include "store/keyring.h"

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

static enum ph_error run_here(const struct options *options, struct care_context *context,
                              const struct care_request *request, struct diag *diag,
                              struct buf *result)
{
    const struct care_watch watch = {goes_on, NULL};
    struct surface_environment environment = environment_of(options);
    environment.flow = context->flow;
    if (!care_is_of_tokens(request->kind)) {
        return care_run(context, request, &watch, diag, result);
    }
    enum ph_error error = surfaces_start(&environment, diag, &context->surfaces);
    if (error == PH_OK) {
        error = care_run(context, request, &watch, diag, result);
        surfaces_stop(context->surfaces);
    }
    return error;
}

static enum ph_error perform_here(const struct options *options, const struct care_request *request,
                                  struct keyring *keyring, struct diag *diag, struct buf *result)
{
    struct metrics metrics;
    metrics_init(&metrics);
    PH_AUTO_FREE char *address = data_store_address(options);
    PH_AUTO_FREE char *secret_path = data_path(options, "jwt_secret");
    const struct flow_options flow_options = {
        .store_address = address,
        .metrics = &metrics,
        .keyring = keyring,
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
        error = run_here(options, &context, request, diag, result);
        flow_stop(context.flow, 0);
    }
    return error;
}

/* A token can be wanted before the first start of a server: the store is made for it, and what it
 * stands for may hold secrets. */
static enum ph_error prepare_tokens(const struct options *options, struct diag *diag,
                                    struct keyring **ret_keyring)
{
    PH_AUTO_FREE char *address = data_store_address(options);
    SECRET_AUTO struct secret master = SECRET_NONE;
    int applied;
    enum ph_error error =
        data_master_key(option_text(options, OPTION_MASTER_KEY_FILE), diag, &master);
    if (error == PH_OK) {
        error = store_migrate(address, diag, &applied);
    }
    return error != PH_OK ? error
                          : keyring_open(address, &master, clock_wall_us(), diag, ret_keyring);
}

static enum ph_error perform_locked(const struct options *options,
                                    const struct care_request *request, struct diag *diag,
                                    struct buf *result)
{
    int fd;
    bool is_of_tokens = care_is_of_tokens(request->kind);
    struct keyring *keyring = NULL;
    /* A lock would make its file. */
    enum ph_error error = is_of_tokens ? data_make(options, diag) : data_check_store(options, diag);
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
        error = data_check_restored(options, diag);
        if (error == PH_OK && is_of_tokens) {
            error = prepare_tokens(options, diag, &keyring);
        }
        if (error == PH_OK) {
            error = perform_here(options, request, keyring, diag, result);
        }
        keyring_free(keyring);
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
