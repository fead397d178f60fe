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
    struct item *item;
    size_t count;
};

static void add(struct gathering *headers, const char *name, struct slice value)
{
    headers->item->headers[headers->count++] = (struct sink_header){slice_of(name), value};
}

static struct slice body_of(const struct item *item)
{
    return message_body_slice(item->sent != NULL ? item->sent : item->body);
}

/* --- the body --------------------------------------------------------------------------------- */

static enum ph_error compress_body(struct item *item, struct diag *diag)
{
    struct slice plain = body_of(item);
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
    message_body_unref(item->sent);
    item->sent = message_body_new(result, &item->body->trace);
    return PH_OK;
}

/* --- the signature ---------------------------------------------------------------------------- */

/* One signature per key that is valid now, the current key's first. */
static void sign_standard(struct item *item, int64_t now_us)
{
    const struct signature_content content = {
        .id = slice_of(item->id_text),
        .timestamp_s = now_us / CLOCK_US_PER_S,
        .body = body_of(item),
    };
    for (size_t index = 0; index < item->config->key_count; index++) {
        const struct endpoint_key *key = &item->config->keys[index];
        if (key->expires_at_us > now_us) {
            if (item->signature.len > 0) {
                buf_append_byte(&item->signature, ' ');
            }
            signing_key_sign(key->key, &content, &item->signature);
        }
    }
}

/* The body's HMAC with the bytes of the current key. */
static enum ph_error sign_hmac(struct item *item, struct diag *diag)
{
    const struct endpoint_signature *signature = &item->config->options->signature;
    const struct endpoint_config *config = item->config;
    if (config->key_count == 0 ||
        signing_key_scheme(config->keys[0].key) != SIGNATURE_HMAC_SHA256) {
        return diag_set(diag, PH_INVALID, NULL,
                        "not sent: the signature scheme hmac-sha256 needs a symmetric secret"
                        " (whsec_)");
    }
    uint8_t mac[HMAC_BYTES];
    signature_hmac(HMAC_BYTES * 8, signing_key_bytes(config->keys[0].key), body_of(item), mac);
    buf_append_slice(&item->signature, signature->prefix);
    if (signature->is_base64) {
        base64_append(&item->signature, mac, sizeof mac);
    } else {
        hex_append(&item->signature, mac, sizeof mac);
    }
    return PH_OK;
}

static enum ph_error sign(struct item *item, int64_t now_us, struct diag *diag)
{
    (void)snprintf(item->timestamp_text, sizeof item->timestamp_text, "%lld",
                   (long long)(now_us / CLOCK_US_PER_S));
    buf_init(&item->signature, SIGNATURE_TEXT_MAX);
    if (item->config->options->signature.is_hmac) {
        return sign_hmac(item, diag);
    }
    sign_standard(item, now_us);
    return PH_OK;
}

/* Id, time and signature under one prefix (standard-webhooks spec section 1), the signature only
 * where it has no name of its own. */
static void add_signature_headers(struct gathering *headers, const char *const names[3],
                                  bool has_own_name)
{
    struct item *item = headers->item;
    add(headers, names[0], slice_of(item->id_text));
    add(headers, names[1], slice_of(item->timestamp_text));
    if (!has_own_name) {
        add(headers, names[2], buf_slice(&item->signature));
    }
}

static void add_signature(struct gathering *headers, enum signature_headers which)
{
    static const char *const webhook_names[3] = {"webhook-id", "webhook-timestamp",
                                                 "webhook-signature"};
    static const char *const svix_names[3] = {"svix-id", "svix-timestamp", "svix-signature"};
    struct item *item = headers->item;
    const struct endpoint_signature *signature = &item->config->options->signature;
    bool has_own_name = signature->header.ptr != NULL;
    if (which != SIGNATURE_HEADERS_SVIX) {
        add_signature_headers(headers, webhook_names, has_own_name);
    }
    if (which != SIGNATURE_HEADERS_WEBHOOK) {
        add_signature_headers(headers, svix_names, has_own_name);
    }
    if (has_own_name && item->signature.len > 0) {
        item->headers[headers->count++] =
            (struct sink_header){signature->header, buf_slice(&item->signature)};
    }
}

/* --- other headers ---------------------------------------------------------------------------- */

static bool has_custom_header(const struct endpoint_config *config, const char *name)
{
    for (size_t index = 0; index < config->header_count; index++) {
        if (slice_equal_nocase(config->headers[index].name, slice_of(name))) {
            return true;
        }
    }
    return false;
}

/* The publisher's trace goes on, with this attempt as the parent of what the receiver does. */
static void add_trace(struct gathering *headers)
{
    struct item *item = headers->item;
    const struct trace *trace = &item->body->trace;
    if (trace_exists(trace) && !has_custom_header(item->config, "traceparent")) {
        uint64_t number = random_u64() | 1; /* a span of zeros is none */
        uint8_t span[TRACE_SPAN_BYTES];
        memcpy(span, &number, sizeof span);
        trace_format_parent(trace, span, item->trace_parent);
        add(headers, "traceparent", slice_of(item->trace_parent));
    }
}

/* Basic (RFC 7617) or a bearer token (RFC 6750). */
static void authorize(struct item *item)
{
    const struct endpoint_credentials *credentials = item->config->credentials;
    buf_init(&item->authorization, AUTHORIZATION_TEXT_MAX);
    if (credentials != NULL && credentials->auth == ENDPOINT_AUTH_BASIC) {
        struct buf pair;
        buf_init(&pair, AUTHORIZATION_TEXT_MAX);
        buf_append_slice(&pair, credentials->username);
        buf_append_byte(&pair, ':');
        buf_append_slice(&pair, credentials->password);
        buf_append_text(&item->authorization, "Basic ");
        base64_append(&item->authorization, pair.data, pair.len);
        buf_wipe(&pair);
    } else if (credentials != NULL && credentials->auth == ENDPOINT_AUTH_BEARER) {
        buf_append_text(&item->authorization, "Bearer ");
        buf_append_slice(&item->authorization, credentials->token);
    }
}

/* The credentials' own header goes before a custom one. */
static void add_custom_headers(struct gathering *headers)
{
    struct item *item = headers->item;
    const struct endpoint_config *config = item->config;
    bool is_authorized = item->authorization.len > 0;
    if (is_authorized) {
        add(headers, "Authorization", buf_slice(&item->authorization));
    }
    for (size_t index = 0; index < config->header_count; index++) {
        if (!is_authorized ||
            !slice_equal_nocase(config->headers[index].name, SLICE_LITERAL("authorization"))) {
            item->headers[headers->count++] = config->headers[index];
        }
    }
}

enum ph_error render(struct deliverer *deliverer, struct item *item, struct sink_request *request,
                     struct diag *diag)
{
    const struct endpoint_config *config = item->config;
    enum ph_error error = config->options->is_gzip ? compress_body(item, diag) : PH_OK;
    if (error == PH_OK) {
        error = sign(item, clock_wall_us(), diag);
    }
    if (error != PH_OK) {
        return error;
    }
    authorize(item);
    item->headers =
        ph_malloc((ITEM_HEADERS_FIXED + config->header_count) * sizeof item->headers[0]);
    struct gathering headers = {.item = item};
    add(&headers, "Content-Type", SLICE_LITERAL("application/json"));
    if (config->options->is_gzip) {
        add(&headers, "Content-Encoding", SLICE_LITERAL("gzip"));
    }
    add_signature(&headers, deliverer->settings->signature_headers);
    add_trace(&headers);
    add_custom_headers(&headers);
    request->body = body_of(item);
    request->headers = item->headers;
    request->header_count = headers.count;
    return PH_OK;
}
