/* SPDX-License-Identifier: Apache-2.0 */
#include "app/inspect.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "http/server.h"

#define KEYS_MAX 64
#define BODY_MAX ((size_t)16 * 1024 * 1024)
#define TOLERANCE_S 300

struct inspector {
    struct inspector_options options;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct signing_key *keys[KEYS_MAX];
    size_t key_count;
    int64_t seen;
    int64_t refused; /* whose signature did not fit */
    struct metrics metrics;
    struct http_server *server;
};

/* Header under either name of the official verifiers. */
static struct slice signature_header(struct http_request *request, const char *webhook_name,
                                     const char *svix_name)
{
    struct slice value = http_header(request, webhook_name);
    return value.ptr != NULL ? value : http_header(request, svix_name);
}

static void print_webhook(struct inspector *inspector, struct http_request *request,
                          const struct signature_received *received, bool is_verified,
                          const char *reason)
{
    char time_text[CLOCK_TEXT_MAX];
    clock_format(clock_wall_us(), time_text);
    const char *verdict = inspector->key_count == 0 ? "not checked (no --secret)"
                          : is_verified             ? "signature verified"
                                                    : reason;
    if (!inspector->options.is_json) {
        (void)printf("%s %.*s %.*s %s%s%.*s\n%.*s\n", time_text, SLICE_ARG(http_path(request)),
                     SLICE_ARG(received->id), verdict, is_verified ? " " : "",
                     is_verified ? (int)received->signatures.len : 0, received->signatures.ptr,
                     SLICE_ARG(received->body));
        return;
    }
    BUF_AUTO struct buf line;
    buf_init(&line, 4 * BODY_MAX);
    struct json_out out;
    json_out_init(&out, &line);
    json_out_begin_object(&out);
    json_out_member_text(&out, "time", time_text);
    json_out_member_string(&out, "path", http_path(request));
    json_out_member_string(&out, "id", received->id);
    json_out_member_bool(&out, "verified", is_verified);
    json_out_member_text(&out, "signature", verdict);
    json_out_member_string(&out, "body", received->body);
    json_out_end_object(&out);
    (void)printf("%s\n", buf_text(&line));
}

static void receive(struct http_request *request)
{
    struct inspector *inspector = http_context(request);
    const struct signature_received received = {
        .id = signature_header(request, "webhook-id", "svix-id"),
        .timestamp = signature_header(request, "webhook-timestamp", "svix-timestamp"),
        .signatures = signature_header(request, "webhook-signature", "svix-signature"),
        .body = http_body(request),
    };
    struct diag diag = {0};
    (void)pthread_mutex_lock(&inspector->lock);
    bool is_verified =
        inspector->key_count > 0 &&
        signature_verify((const struct signing_key *const *)inspector->keys, inspector->key_count,
                         &received, clock_wall_us() / CLOCK_US_PER_S, TOLERANCE_S, &diag) == PH_OK;
    print_webhook(inspector, request, &received, is_verified, diag.text);
    (void)fflush(stdout);
    inspector->seen++;
    inspector->refused += inspector->key_count > 0 && !is_verified ? 1 : 0;
    (void)pthread_cond_broadcast(&inspector->changed);
    (void)pthread_mutex_unlock(&inspector->lock);
    http_respond_empty(request, inspector->options.status);
}

enum ph_error inspector_start(const struct inspector_options *options, struct diag *diag,
                              struct inspector **ret_inspector)
{
    struct inspector *inspector = ph_calloc(1, sizeof *inspector);
    inspector->options = *options;
    metrics_init(&inspector->metrics);
    (void)pthread_mutex_init(&inspector->lock, NULL);
    (void)pthread_cond_init(&inspector->changed, NULL);
    const struct http_server_options http = {
        .not_found = receive, /* any path */
        .not_found_body_max_bytes = BODY_MAX,
        .threads = 1,
        .connections_max = 256,
        .body_bytes_max = BODY_MAX,
        .answer_bytes_max = BODY_MAX,
        .header_timeout_ms = 10000,
        .body_timeout_ms = 30000,
        .idle_timeout_s = 75,
        .context = inspector,
        .metrics = &inspector->metrics,
    };
    enum ph_error error = http_server_start(&http, &options->address, 1, diag, &inspector->server);
    if (error != PH_OK) {
        inspector_stop(inspector);
        return error;
    }
    *ret_inspector = inspector;
    return PH_OK;
}

void inspector_stop(struct inspector *inspector)
{
    if (inspector == NULL) {
        return;
    }
    if (inspector->server != NULL) {
        http_server_stop(inspector->server, 1000);
    }
    for (size_t index = 0; index < inspector->key_count; index++) {
        signing_key_free(inspector->keys[index]);
    }
    (void)pthread_cond_destroy(&inspector->changed);
    (void)pthread_mutex_destroy(&inspector->lock);
    free(inspector);
}

const char *inspector_address(const struct inspector *inspector)
{
    return http_server_address(inspector->server, 0);
}

enum ph_error inspector_add_key(struct inspector *inspector, struct slice text, struct diag *diag)
{
    struct signing_key *key;
    enum ph_error error = signing_key_parse_verifier(text, "--secret", diag, &key);
    if (error != PH_OK) {
        return error;
    }
    (void)pthread_mutex_lock(&inspector->lock);
    bool has_room = inspector->key_count < KEYS_MAX;
    if (has_room) {
        inspector->keys[inspector->key_count++] = key;
    }
    (void)pthread_mutex_unlock(&inspector->lock);
    if (!has_room) {
        signing_key_free(key);
        return diag_set(diag, PH_INVALID, "--secret", "at most %d secrets", KEYS_MAX);
    }
    return PH_OK;
}

bool inspector_wait(struct inspector *inspector)
{
    (void)pthread_mutex_lock(&inspector->lock);
    while (inspector->options.count == 0 || inspector->seen < inspector->options.count) {
        (void)pthread_cond_wait(&inspector->changed, &inspector->lock);
    }
    bool are_verified = inspector->refused == 0;
    (void)pthread_mutex_unlock(&inspector->lock);
    return are_verified;
}
