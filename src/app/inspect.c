/* SPDX-License-Identifier: Apache-2.0 */
#include "app/inspect.h"

#include <pthread.h>

#include "app/body_signature.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "core/hex.h"
#include "http/server.h"

#define SECRETS_MAX 64
#define KEYS_MAX (2 * SECRETS_MAX)
#define HEX_HMAC_LENGTH 64
#define VERDICT_BYTES_MAX 1024
#define BODY_MAX ((size_t)16 * 1024 * 1024)
#define TOLERANCE_S 300

struct inspector {
    struct inspector_options options;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct signing_key *keys[KEYS_MAX]; /* of Standard Webhooks */
    size_t key_count;
    struct secret texts[SECRETS_MAX]; /* keys of the body's HMAC */
    size_t text_count;
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

/* --- the verdict -------------------------------------------------------------------------------
 */

struct verdict {
    bool is_verified;
    struct buf words;
};

static bool is_hex(struct slice text)
{
    uint8_t bytes[HEX_HMAC_LENGTH / 2];
    size_t length;
    return text.len == HEX_HMAC_LENGTH && hex_decode(text, bytes, sizeof bytes, &length);
}

static const char *header_of(const struct inspector *inspector)
{
    const char *name = inspector->options.signature_header;
    return name == NULL ? "Authorization" : name;
}

/* SLICE_NONE when there is none. Credentials may be in Authorization as well. */
static struct slice body_signature_of(const struct inspector *inspector,
                                      struct http_request *request)
{
    struct slice value = http_header(request, header_of(inspector));
    bool is_signature = inspector->options.signature_header != NULL || is_hex(value);
    return is_signature ? value : SLICE_NONE;
}

static bool fits_body(const struct inspector *inspector, struct slice body, struct slice signature)
{
    bool fits = false;
    for (size_t index = 0; index < inspector->text_count && !fits; index++) {
        const struct secret *text = &inspector->texts[index];
        fits = body_signature_fits((struct slice){(const char *)text->bytes, text->length}, body,
                                   signature);
    }
    return fits;
}

/* Under the lock. What is there of both ways of signing has to fit. */
static void judge(const struct inspector *inspector, const struct signature_received *received,
                  struct slice body_signature, struct verdict *verdict)
{
    struct diag diag = {0};
    struct buf *words = &verdict->words;
    bool has_body = body_signature.ptr != NULL;
    bool has_standard = received->signatures.ptr != NULL || !has_body;
    if (inspector->text_count == 0) {
        buf_append_text(words, "not checked (no --secret)");
        return;
    }
    if (has_body && !fits_body(inspector, received->body, body_signature)) {
        buf_append_format(words, "the HMAC-SHA256 of the body in %s does not fit",
                          header_of(inspector));
        return;
    }
    if (has_standard &&
        signature_verify((const struct signing_key *const *)inspector->keys, inspector->key_count,
                         received, clock_wall_us() / CLOCK_US_PER_S, TOLERANCE_S, &diag) != PH_OK) {
        buf_append_format(words, "%s%s", has_body ? "Standard Webhooks: " : "", diag.text);
        return;
    }
    verdict->is_verified = true;
    buf_append_text(words, "signature verified");
    if (has_body) {
        buf_append_format(words, " (%s: HMAC-SHA256 of the body%s)", header_of(inspector),
                          has_standard ? ", and Standard Webhooks" : ", as dbt signs");
    }
}

static void print_webhook(const struct inspector *inspector, struct http_request *request,
                          const struct signature_received *received, const struct verdict *verdict)
{
    char time_text[CLOCK_TEXT_MAX];
    clock_format(clock_wall_us(), time_text);
    if (!inspector->options.is_json) {
        struct slice shown = verdict->is_verified ? received->signatures : SLICE_NONE;
        (void)printf("%s %.*s %.*s%s%s%s%.*s\n%.*s\n", time_text, SLICE_ARG(http_path(request)),
                     SLICE_ARG(received->id), received->id.len > 0 ? " " : "",
                     buf_text(&verdict->words), shown.len > 0 ? " " : "", SLICE_ARG(shown),
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
    json_out_member_bool(&out, "verified", verdict->is_verified);
    json_out_member_text(&out, "signature", buf_text(&verdict->words));
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
    struct verdict verdict = {0};
    buf_init(&verdict.words, VERDICT_BYTES_MAX);
    (void)pthread_mutex_lock(&inspector->lock);
    judge(inspector, &received, body_signature_of(inspector, request), &verdict);
    print_webhook(inspector, request, &received, &verdict);
    (void)fflush(stdout);
    inspector->seen++;
    inspector->refused += inspector->text_count > 0 && !verdict.is_verified ? 1 : 0;
    (void)pthread_cond_broadcast(&inspector->changed);
    (void)pthread_mutex_unlock(&inspector->lock);
    buf_done(&verdict.words);
    http_respond_empty(request, inspector->options.status);
}

/* --- the receiver ------------------------------------------------------------------------------
 */

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
    for (size_t index = 0; index < inspector->text_count; index++) {
        secret_done(&inspector->texts[index]);
    }
    (void)pthread_cond_destroy(&inspector->changed);
    (void)pthread_mutex_destroy(&inspector->lock);
    free(inspector);
}

const char *inspector_address(const struct inspector *inspector)
{
    return http_server_address(inspector->server, 0);
}

static bool has_prefix(struct slice text)
{
    static const char *const prefixes[] = {"whsec_", "whsk_", "whpk_"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(prefixes); index++) {
        if (slice_starts_with(text, prefixes[index])) {
            return true;
        }
    }
    return false;
}

/* The keys that a secret can stand for; gives how many. A text without a prefix is one as it stands
 * (dbt's, and its webhooks' of Standard Webhooks), and perhaps the base64 of another. */
static enum ph_error read_keys(struct slice text, struct diag *diag,
                               struct signing_key *ret_keys[2], size_t *ret_count)
{
    struct diag ignored;
    size_t count = 0;
    enum ph_error error = signing_key_parse_verifier(text, "--secret", diag, &ret_keys[0]);
    if (error != PH_OK && has_prefix(text)) {
        return error;
    }
    count += error == PH_OK ? 1 : 0;
    if (!has_prefix(text) &&
        signing_key_from_bytes(SIGNATURE_HMAC_SHA256, text, &ignored, &ret_keys[count]) == PH_OK) {
        count++;
    }
    *ret_count = count;
    return PH_OK;
}

enum ph_error inspector_add_key(struct inspector *inspector, struct slice text, struct diag *diag)
{
    struct signing_key *keys[2];
    size_t count;
    enum ph_error error = read_keys(text, diag, keys, &count);
    if (error != PH_OK) {
        return error;
    }
    struct slice bytes = has_prefix(text) ? signing_key_bytes(keys[0]) : text;
    (void)pthread_mutex_lock(&inspector->lock);
    bool has_room = inspector->text_count < SECRETS_MAX;
    for (size_t index = 0; index < count && has_room; index++) {
        inspector->keys[inspector->key_count++] = keys[index];
    }
    if (has_room) {
        inspector->texts[inspector->text_count++] = secret_new(bytes.ptr, bytes.len);
    }
    (void)pthread_mutex_unlock(&inspector->lock);
    for (size_t index = 0; index < count && !has_room; index++) {
        signing_key_free(keys[index]);
    }
    return has_room ? PH_OK
                    : diag_set(diag, PH_INVALID, "--secret", "at most %d secrets", SECRETS_MAX);
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
