/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes out for one attempt: the body, perhaps compressed, the headers, and the signature over
 * exactly the bytes that are sent. Runs on the deliverer's thread.
 */
#include <zlib.h>

#include "base/clock.h"
#include "base/random.h"
#include "core/base64.h"
#include "core/hex.h"
#include "flow/deliver_int.h"

#define SIGNATURE_TEXT_MAX 4096
#define AUTHORIZATION_TEXT_MAX 65536
#define HMAC_BYTES 32
/* Window bits of zlib that ask for the gzip format (RFC 1952). */
#define GZIP_WINDOW_BITS (15 + 16)

/* The headers while they are gathered. */
struct gathering {
    struct attempt *attempt;
    size_t count;
};

static void add(struct gathering *headers, const char *name, struct slice value)
{
    headers->attempt->headers[headers->count++] = (struct sink_header){slice_of(name), value};
}

static struct slice body_of(const struct attempt *attempt)
{
    return message_body_slice(attempt->body != NULL ? attempt->body : attempt->item->body);
}

/* --- the body --------------------------------------------------------------------------------- */

static enum ph_error compress_body(struct attempt *attempt, struct diag *diag)
{
    struct slice plain = body_of(attempt);
    z_stream stream = {0};
    if (plain.len > UINT_MAX / 2 || deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
                                                 GZIP_WINDOW_BITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        return diag_set(diag, PH_NO_MEMORY, NULL, "not sent: no memory to compress the body");
    }
    size_t bound = deflateBound(&stream, (uLong)plain.len);
    PH_AUTO_FREE char *packed = ph_malloc(bound);
    stream.next_in = (z_const Bytef *)(uintptr_t)plain.ptr;
    stream.avail_in = (uInt)plain.len;
    stream.next_out = (Bytef *)packed;
    stream.avail_out = (uInt)bound;
    PH_ASSERT(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    struct slice result = {packed, stream.total_out};
    (void)deflateEnd(&stream);
    message_body_unref(attempt->body);
    attempt->body = message_body_new(result, &attempt->item->body->trace);
    return PH_OK;
}

/* --- the signature ---------------------------------------------------------------------------- */

/* One signature per key that is valid now, the current key's first. */
static void sign_standard(struct attempt *attempt, int64_t now_us)
{
    const struct signature_content content = {
        .id = slice_of(attempt->id_text),
        .timestamp_s = now_us / CLOCK_US_PER_S,
        .body = body_of(attempt),
    };
    for (size_t index = 0; index < attempt->item->config->key_count; index++) {
        const struct endpoint_key *key = &attempt->item->config->keys[index];
        if (key->expires_at_us > now_us) {
            if (attempt->signature.len > 0) {
                buf_append_byte(&attempt->signature, ' ');
            }
            signing_key_sign(key->key, &content, &attempt->signature);
        }
    }
}

/* The body's HMAC with the bytes of the current key. */
static enum ph_error sign_hmac(struct attempt *attempt, struct diag *diag)
{
    const struct endpoint_signature *signature = &attempt->item->config->options->signature;
    const struct endpoint_config *config = attempt->item->config;
    struct buf *text = &attempt->own_signature;
    if (config->key_count == 0 ||
        signing_key_scheme(config->keys[0].key) != SIGNATURE_HMAC_SHA256) {
        return diag_set(diag, PH_INVALID, NULL,
                        "not sent: the signature scheme hmac-sha256 needs a symmetric secret"
                        " (whsec_)");
    }
    uint8_t mac[HMAC_BYTES];
    signature_hmac(HMAC_BYTES * 8, signing_key_bytes(config->keys[0].key), body_of(attempt), mac);
    buf_append_slice(text, signature->prefix);
    if (signature->is_base64) {
        base64_append(text, mac, sizeof mac);
    } else {
        hex_append(text, mac, sizeof mac);
    }
    return PH_OK;
}

static enum ph_error sign(struct attempt *attempt, int64_t now_us, struct diag *diag)
{
    const struct endpoint_signature *signature = &attempt->item->config->options->signature;
    (void)snprintf(attempt->timestamp_text, sizeof attempt->timestamp_text, "%lld",
                   (long long)(now_us / CLOCK_US_PER_S));
    buf_init(&attempt->signature, SIGNATURE_TEXT_MAX);
    buf_init(&attempt->own_signature, SIGNATURE_TEXT_MAX);
    if ((!signature->is_hmac || signature->with_standard) && !signature->is_none) {
        sign_standard(attempt, now_us);
    }
    return signature->is_hmac ? sign_hmac(attempt, diag) : PH_OK;
}

/* Id, time and signature under one prefix (standard-webhooks spec section 1), the signature only
 * where it has no other name. */
static void add_signature_headers(struct gathering *headers, const char *const names[3],
                                  bool has_other_name)
{
    struct attempt *attempt = headers->attempt;
    add(headers, names[0], slice_of(attempt->id_text));
    add(headers, names[1], slice_of(attempt->timestamp_text));
    if (!has_other_name && attempt->signature.len > 0) {
        add(headers, names[2], buf_slice(&attempt->signature));
    }
}

static void add_standard_headers(struct gathering *headers, enum signature_headers which,
                                 bool has_other_name)
{
    static const char *const webhook_names[3] = {"webhook-id", "webhook-timestamp",
                                                 "webhook-signature"};
    static const char *const svix_names[3] = {"svix-id", "svix-timestamp", "svix-signature"};
    if (which != SIGNATURE_HEADERS_SVIX) {
        add_signature_headers(headers, webhook_names, has_other_name);
    }
    if (which != SIGNATURE_HEADERS_WEBHOOK) {
        add_signature_headers(headers, svix_names, has_other_name);
    }
}

static void add_signature(struct gathering *headers, enum signature_headers which)
{
    struct attempt *attempt = headers->attempt;
    const struct endpoint_signature *signature = &attempt->item->config->options->signature;
    bool has_other_name = !signature->is_hmac && signature->header.ptr != NULL;
    if (!signature->is_none) {
        add_standard_headers(headers, which, has_other_name);
    }
    const struct buf *own = signature->is_hmac ? &attempt->own_signature : &attempt->signature;
    if (signature->header.ptr != NULL && own->len > 0) {
        attempt->headers[headers->count++] =
            (struct sink_header){signature->header, buf_slice(own)};
    }
}

/* --- other headers ---------------------------------------------------------------------------- */

static bool has_header(const struct endpoint_config *config, struct slice name)
{
    for (size_t index = 0; index < config->header_count; index++) {
        if (slice_equal_nocase(config->headers[index].name, name)) {
            return true;
        }
    }
    return false;
}

/* Whether the transform gave a header of this name. */
static bool is_transformed(const struct attempt *attempt, struct slice name)
{
    for (size_t index = 0; index < attempt->transformed.header_count; index++) {
        if (slice_equal_nocase(attempt->transformed.headers[index].name, name)) {
            return true;
        }
    }
    return false;
}

/* The publisher's trace goes on, with this attempt as the parent of what the receiver does. */
static void add_trace(struct gathering *headers)
{
    struct attempt *attempt = headers->attempt;
    const struct trace *trace = &attempt->item->body->trace;
    if (trace_exists(trace) && !has_header(attempt->item->config, SLICE_LITERAL("traceparent"))) {
        uint64_t number = random_u64() | 1; /* a span of zeros is none */
        uint8_t span[TRACE_SPAN_BYTES];
        memcpy(span, &number, sizeof span);
        trace_format_parent(trace, span, attempt->trace_parent);
        add(headers, "traceparent", slice_of(attempt->trace_parent));
    }
}

/* Basic (RFC 7617) or a bearer token (RFC 6750). */
static void authorize(struct attempt *attempt)
{
    const struct endpoint_credentials *credentials = attempt->item->config->credentials;
    buf_init(&attempt->authorization, AUTHORIZATION_TEXT_MAX);
    if (credentials != NULL && credentials->auth == ENDPOINT_AUTH_BASIC) {
        struct buf pair;
        buf_init(&pair, AUTHORIZATION_TEXT_MAX);
        buf_append_slice(&pair, credentials->username);
        buf_append_byte(&pair, ':');
        buf_append_slice(&pair, credentials->password);
        buf_append_text(&attempt->authorization, "Basic ");
        base64_append(&attempt->authorization, pair.data, pair.len);
        buf_wipe(&pair);
    } else if (credentials != NULL && credentials->auth == ENDPOINT_AUTH_BEARER) {
        buf_append_text(&attempt->authorization, "Bearer ");
        buf_append_slice(&attempt->authorization, credentials->token);
    } else if (credentials != NULL && credentials->auth == ENDPOINT_AUTH_OAUTH2) {
        buf_append_text(&attempt->authorization, "Bearer ");
        buf_append_slice(&attempt->authorization, token_text(attempt->item->lane));
    }
}

/* The credentials' own header goes before a custom one, and the transform's before both. */
static void add_custom_headers(struct gathering *headers)
{
    struct attempt *attempt = headers->attempt;
    const struct endpoint_config *config = attempt->item->config;
    struct slice authorization = SLICE_LITERAL("Authorization");
    bool is_authorized = attempt->authorization.len > 0 &&
                         !is_transformed(attempt, authorization) &&
                         !slice_equal_nocase(config->options->signature.header, authorization);
    if (is_authorized) {
        add(headers, "Authorization", buf_slice(&attempt->authorization));
    }
    for (size_t index = 0; index < config->header_count; index++) {
        struct slice name = config->headers[index].name;
        if (!(is_authorized && slice_equal_nocase(name, authorization)) &&
            !slice_equal_nocase(name, config->options->signature.header) &&
            !is_transformed(attempt, name)) {
            attempt->headers[headers->count++] = config->headers[index];
        }
    }
    for (size_t index = 0; index < attempt->transformed.header_count; index++) {
        const struct jq_header *header = &attempt->transformed.headers[index];
        bool is_last = true;
        for (size_t later = index + 1; later < attempt->transformed.header_count; later++) {
            is_last = is_last &&
                      !slice_equal_nocase(attempt->transformed.headers[later].name, header->name);
        }
        if (is_last) {
            attempt->headers[headers->count++] = (struct sink_header){header->name, header->value};
        }
    }
}

static const char *content_type(const struct attempt *attempt)
{
    return attempt->is_transformed && !attempt->transformed.is_body_json
               ? "text/plain; charset=utf-8"
               : "application/json";
}

enum ph_error render(struct deliverer *deliverer, struct attempt *attempt,
                     struct sink_request *request, struct diag *diag)
{
    const struct endpoint_config *config = attempt->item->config;
    enum ph_error error = config->options->is_gzip ? compress_body(attempt, diag) : PH_OK;
    if (error == PH_OK) {
        error = sign(attempt, clock_wall_us(), diag);
    }
    if (error != PH_OK) {
        return error;
    }
    authorize(attempt);
    size_t count_max =
        ITEM_HEADERS_FIXED + config->header_count + attempt->transformed.header_count;
    attempt->headers = ph_malloc(count_max * sizeof attempt->headers[0]);
    struct gathering headers = {.attempt = attempt};
    if (!is_transformed(attempt, SLICE_LITERAL("Content-Type"))) {
        add(&headers, "Content-Type", slice_of(content_type(attempt)));
    }
    if (config->options->is_gzip) {
        add(&headers, "Content-Encoding", SLICE_LITERAL("gzip"));
    }
    add_signature(&headers, deliverer->settings->signature_headers);
    add_trace(&headers);
    add_custom_headers(&headers);
    request->body = body_of(attempt);
    request->headers = attempt->headers;
    request->header_count = headers.count;
    return PH_OK;
}
