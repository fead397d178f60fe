/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One curl easy handle with its buffers. Common options are set once when it is made; an attempt
 * sets only what differs, and header lists are built in memory that stays.
 */
#include "sinks/http_int.h"

#include "base/clock.h"

enum {
    HEADERS_MAX = 512,              /* request headers */
    HEADER_TEXT_MAX = 1024 * 1024,  /* their bytes in all */
    BODY_KEEP_CAPACITY = 4096,      /* a bigger buffer is not kept for the next attempt */
    EXPECT_THRESHOLD = 1024 * 1024, /* above it curl would ask with "Expect: 100-continue" */
    RECEIVE_BUFFER_BYTES = 8192,
};

static size_t on_body(char *bytes, size_t size, size_t count, void *transfer_pointer)
{
    struct http_transfer *transfer = transfer_pointer;
    const struct sink_http_options *options = &transfer->sink->options;
    size_t length = size * count;
    size_t room = options->keep_max_bytes - transfer->body.len;
    buf_append(&transfer->body, bytes, length < room ? length : room);
    transfer->body_read_bytes += length;
    if (transfer->body_read_bytes >= options->read_max_bytes) {
        transfer->stop = HTTP_STOP_BODY;
        return length + 1; /* not the length: curl ends the transfer and closes the connection */
    }
    return length;
}

static void keep_value(struct slice value, char *ret_text, size_t text_size, bool *ret_has)
{
    /* A longer value is none that anybody understands. */
    *ret_has = value.len < text_size;
    if (*ret_has) {
        memcpy(ret_text, value.ptr, value.len);
        ret_text[value.len] = '\0';
    }
}

/* "HTTP/1.1 200 OK" or "HTTP/2 200". */
static void start_header_block(struct http_transfer *transfer, struct slice line)
{
    size_t space = slice_find(line, ' ');
    int code = 0;
    for (size_t i = space + 1; i < line.len && i <= space + 3; i++) {
        if (line.ptr[i] < '0' || line.ptr[i] > '9') {
            break;
        }
        code = code * 10 + (line.ptr[i] - '0');
    }
    transfer->status_code = code;
    transfer->has_retry_after = false;
    transfer->has_hint = false;
    if (code >= 100 && code < 200) {
        transfer->informational_count++;
    }
}

static size_t on_header(char *bytes, size_t size, size_t count, void *transfer_pointer)
{
    struct http_transfer *transfer = transfer_pointer;
    struct slice line = {bytes, size * count};
    transfer->header_bytes += line.len;
    if (transfer->header_bytes > SINK_HTTP_HEADER_BYTES_MAX) {
        transfer->stop = HTTP_STOP_HEADERS;
        return line.len + 1;
    }
    if (transfer->has_final_headers) {
        return line.len; /* a trailer */
    }
    if (line.len > 5 && memcmp(line.ptr, "HTTP/", 5) == 0) {
        start_header_block(transfer, line);
        if (transfer->informational_count > SINK_HTTP_INFORMATIONAL_MAX) {
            transfer->stop = HTTP_STOP_INFORMATIONAL;
            return line.len + 1;
        }
        return line.len;
    }
    if (line.ptr[0] == '\r' || line.ptr[0] == '\n') {
        transfer->has_final_headers = transfer->status_code >= 200;
        if (transfer->has_final_headers && transfer->is_head_with_body) {
            transfer->stop = HTTP_STOP_BODY; /* curl would wait for the body that it speaks of */
            return line.len + 1;
        }
        return line.len;
    }
    size_t colon = slice_find(line, ':');
    if (colon == line.len) {
        return line.len;
    }
    struct slice name = {line.ptr, colon};
    struct slice value = slice_trim((struct slice){line.ptr + colon + 1, line.len - colon - 1});
    if (slice_equal_nocase(name, SLICE_LITERAL("retry-after"))) {
        keep_value(value, transfer->retry_after, sizeof transfer->retry_after,
                   &transfer->has_retry_after);
    } else if (slice_equal_nocase(name, SLICE_LITERAL("webhook-delivery"))) {
        keep_value(value, transfer->hint, sizeof transfer->hint, &transfer->has_hint);
    }
    return line.len;
}

static void set_common_options(struct http_transfer *transfer)
{
    CURL *easy = transfer->easy;
    struct sink_http *sink = transfer->sink;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->curl_error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, http_open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, http_close_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, sink);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, http_trust_on_ssl_context);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, transfer);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, -1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    /* Authorities are given to each connection in http_trust.c. */
    curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO, NULL);
    curl_easy_setopt(easy, CURLOPT_PROXY_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
    if (sink->options.user_agent != NULL) {
        curl_easy_setopt(easy, CURLOPT_USERAGENT, sink->options.user_agent);
    }
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
}

/* Lent, not copied: the pool outlives its handles and wipes the memory. */
static void set_blob(CURL *easy, CURLoption option, const struct secret *secret)
{
    if (secret->length > 0) {
        struct curl_blob blob = {secret->bytes, secret->length, CURL_BLOB_NOCOPY};
        curl_easy_setopt(easy, option, &blob);
    }
}

static void set_policy_options(struct http_transfer *transfer)
{
    CURL *easy = transfer->easy;
    const struct http_pool *pool = transfer->pool;
    set_blob(easy, CURLOPT_SSLCERT_BLOB, &pool->cert_pem);
    set_blob(easy, CURLOPT_SSLKEY_BLOB, &pool->key_pem);
    set_blob(easy, CURLOPT_CAINFO_BLOB, &pool->ca_pem);
    if (pool->proxy_place == NULL) {
        return;
    }
    http_proxy_set_options(transfer);
    if (pool->ca_pem.length > 0) {
        /* Those are for the receiver; the proxy is believed as others are. */
        const char *common = transfer->sink->options.ca_file;
        curl_easy_setopt(easy, CURLOPT_PROXY_CAINFO,
                         common != NULL ? common : curl_version_info(CURLVERSION_NOW)->cainfo);
    }
}

struct http_transfer *http_transfer_new(struct http_pool *pool)
{
    struct sink_http *sink = pool->sink;
    CURL *easy = curl_easy_init();
    if (easy == NULL) {
        return NULL;
    }
    struct http_transfer *transfer = ph_calloc(1, sizeof *transfer);
    list_init(&transfer->node);
    transfer->sink = sink;
    transfer->pool = pool;
    transfer->easy = easy;
    buf_init(&transfer->header_text, HEADER_TEXT_MAX);
    buf_init(&transfer->resolve_text, RESOLVER_TEXT_MAX + (HTTP_RESOLVE_NODES + 1) * HTTP_NAME_MAX);
    buf_init(&transfer->body, sink->options.keep_max_bytes);
    set_common_options(transfer);
    set_policy_options(transfer);
    return transfer;
}

void http_transfer_free(struct http_transfer *transfer)
{
    curl_easy_cleanup(transfer->easy);
    free(transfer->header_nodes);
    buf_done(&transfer->header_text);
    buf_done(&transfer->resolve_text);
    buf_done(&transfer->body);
    free(transfer);
}

/* RFC 9110 section 5.6.2. */
static bool is_token(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_alphanumeric =
            (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!is_alphanumeric && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL)) {
            return false;
        }
    }
    return text.len > 0;
}

/* Headers that say how the request is framed; they are ours. Where it goes does not depend on Host,
 * which virtual hosts may need. */
static bool is_framing(struct slice name)
{
    return slice_equal_nocase(name, SLICE_LITERAL("content-length")) ||
           slice_equal_nocase(name, SLICE_LITERAL("transfer-encoding")) ||
           slice_equal_nocase(name, SLICE_LITERAL("expect"));
}

static bool is_field_value(struct slice value)
{
    return value.len == 0 || (memchr(value.ptr, '\r', value.len) == NULL &&
                              memchr(value.ptr, '\n', value.len) == NULL &&
                              memchr(value.ptr, '\0', value.len) == NULL);
}

static enum ph_error check_headers(const struct sink_request *request, struct diag *diag,
                                   size_t *ret_bytes)
{
    size_t bytes = 0;
    if (request->header_count > HEADERS_MAX) {
        return diag_set(diag, PH_INVALID, "headers", "more than %d headers", (int)HEADERS_MAX);
    }
    for (size_t i = 0; i < request->header_count; i++) {
        const struct sink_header *header = &request->headers[i];
        if (!is_token(header->name) || is_framing(header->name)) {
            return diag_set(diag, PH_INVALID, "headers", "the header %.*s cannot be sent",
                            SLICE_ARG(header->name));
        }
        if (!is_field_value(header->value)) {
            return diag_set(diag, PH_INVALID, "headers", "the value of header %.*s cannot be sent",
                            SLICE_ARG(header->name));
        }
        bytes += header->name.len + header->value.len + 3;
    }
    if (bytes > HEADER_TEXT_MAX - 64) {
        return diag_set(diag, PH_INVALID, "headers", "the headers are too large");
    }
    *ret_bytes = bytes;
    return PH_OK;
}

/* One element of the list; the text stands in header_text, which does not move any more. */
static void add_header(struct http_transfer *transfer, size_t index, struct slice name,
                       const char *separator, struct slice value)
{
    struct buf *text = &transfer->header_text;
    transfer->header_nodes[index].data = text->data + text->len;
    transfer->header_nodes[index].next = &transfer->header_nodes[index + 1];
    buf_append_slice(text, name);
    buf_append_text(text, separator);
    buf_append_slice(text, value);
    buf_append_byte(text, '\0');
}

static enum ph_error prepare_headers(struct http_transfer *transfer,
                                     const struct sink_request *request, struct diag *diag)
{
    size_t bytes = 0;
    enum ph_error error = check_headers(request, diag, &bytes);
    if (error != PH_OK) {
        return error;
    }
    size_t needed = request->header_count + 3; /* two more headers and the element not reached */
    if (needed > transfer->header_capacity) {
        transfer->header_nodes =
            ph_realloc(transfer->header_nodes, needed * sizeof *transfer->header_nodes);
        transfer->header_capacity = needed;
    }
    buf_clear(&transfer->header_text);
    if (buf_reserve(&transfer->header_text, bytes + 64) == NULL) {
        return diag_set(diag, PH_NO_MEMORY, "headers", "out of memory");
    }
    size_t count = 0;
    bool has_content_type = false;
    for (size_t i = 0; i < request->header_count; i++) {
        const struct sink_header *header = &request->headers[i];
        /* "Name;" is curl's way to write a header without value. */
        add_header(transfer, count++, header->name, header->value.len > 0 ? ": " : ";",
                   header->value);
        has_content_type =
            has_content_type || slice_equal_nocase(header->name, SLICE_LITERAL("content-type"));
    }
    if (!has_content_type) {
        /* Without this curl would call the body a form. */
        add_header(transfer, count++, SLICE_LITERAL("Content-Type"), ":", SLICE_NONE);
    }
    if (request->body.len > EXPECT_THRESHOLD) {
        add_header(transfer, count++, SLICE_LITERAL("Expect"), ":", SLICE_NONE);
    }
    if (count > 0) {
        transfer->header_nodes[count - 1].next = NULL;
    }
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, count > 0 ? transfer->header_nodes : NULL);
    return PH_OK;
}

/* Handles are mostly used for POST again and again; only a change touches the options. GET and HEAD
 * have a body where one is given, which curl knows for no HEAD: then it is a method like another,
 * and the connection is closed behind the headers of the answer. */
static enum ph_error prepare_method(struct http_transfer *transfer,
                                    const struct sink_request *request, struct diag *diag)
{
    const char *name = request->method;
    size_t length = strlen(name);
    bool has_body = request->body.len > 0;
    if (strcmp(name, transfer->method_name) == 0 && transfer->method_has_body == has_body) {
        return PH_OK;
    }
    if (!is_token((struct slice){name, length}) || length >= sizeof transfer->method_name) {
        return diag_set(diag, PH_INVALID, "method", "not a method that can be sent");
    }
    enum http_method method = HTTP_CUSTOM;
    if (strcmp(name, "POST") == 0) {
        method = HTTP_POST;
    } else if (strcmp(name, "GET") == 0 && !has_body) {
        method = HTTP_GET;
    } else if (strcmp(name, "HEAD") == 0 && !has_body) {
        method = HTTP_HEAD;
    }
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_NOBODY, method == HTTP_HEAD ? 1L : 0L);
    if (method == HTTP_GET) {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    } else if (method != HTTP_HEAD) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method == HTTP_CUSTOM ? name : NULL);
    transfer->method = method;
    transfer->method_has_body = has_body;
    transfer->is_head_with_body = has_body && strcmp(name, "HEAD") == 0;
    memcpy(transfer->method_name, name, length + 1);
    return PH_OK;
}

enum ph_error http_transfer_prepare(struct http_transfer *transfer,
                                    const struct sink_request *request, struct diag *diag)
{
    PH_ASSERT(request->timeout_ms > 0);
    enum ph_error error = prepare_method(transfer, request, diag);
    if (error == PH_OK) {
        error = prepare_headers(transfer, request, diag);
    }
    if (error == PH_OK) {
        error = http_route_find(transfer->sink, request->url, diag, &transfer->route);
    }
    if (error != PH_OK) {
        return error;
    }
    CURL *easy = transfer->easy;
    const char *url = transfer->route->url;
    if (curl_easy_setopt(easy, CURLOPT_URL, url) != CURLE_OK) {
        return diag_set(diag, PH_NO_MEMORY, NULL, "out of memory");
    }
    if (transfer->method == HTTP_POST || transfer->method == HTTP_CUSTOM) {
        /* An empty body still needs a pointer, else curl would read one from stdin. */
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.len > 0 ? request->body.ptr : "");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    }
    /* Over TLS one waits for the handshake of another, which may turn out to be HTTP/2. */
    if (transfer->has_pipewait != transfer->route->is_https) {
        transfer->has_pipewait = transfer->route->is_https;
        curl_easy_setopt(easy, CURLOPT_PIPEWAIT, transfer->has_pipewait ? 1L : 0L);
    }
    transfer->user = request->user;
    transfer->body_bytes = request->body.len;
    transfer->timeout_ms = request->timeout_ms;
    return PH_OK;
}

void http_transfer_reset(struct http_transfer *transfer)
{
    if (transfer->has_resolve) {
        curl_easy_setopt(transfer->easy, CURLOPT_RESOLVE, NULL);
        transfer->has_resolve = false;
    }
    if (transfer->is_fresh) {
        curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, 0L);
        curl_easy_setopt(transfer->easy, CURLOPT_FORBID_REUSE, 0L);
        transfer->is_fresh = false;
    }
    if (transfer->route != NULL) {
        http_route_unref(transfer->sink, transfer->route);
        transfer->route = NULL;
    }
    if (transfer->body.capacity > BODY_KEEP_CAPACITY) {
        buf_done(&transfer->body);
        buf_init(&transfer->body, transfer->sink->options.keep_max_bytes);
    }
    buf_clear(&transfer->body);
    transfer->address.ss_family = AF_UNSPEC;
    transfer->has_opened = false;
    transfer->ssl_context = NULL;
    transfer->verify_words = NULL;
    transfer->is_asked_for_certificate = false;
    transfer->names_asked = 0;
    transfer->is_repeated = false;
    transfer->early_failure = ATTEMPT_ANSWERED;
    transfer->connect_to_text[0] = '\0';
    transfer->blocked_text[0] = '\0';
    transfer->curl_error[0] = '\0';
    transfer->status_code = 0;
    transfer->informational_count = 0;
    transfer->header_bytes = 0;
    transfer->has_final_headers = false;
    transfer->stop = HTTP_STOP_NONE;
    transfer->body_read_bytes = 0;
    transfer->has_retry_after = false;
    transfer->has_hint = false;
}

void http_transfer_make_fresh(struct http_transfer *transfer)
{
    curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(transfer->easy, CURLOPT_FORBID_REUSE, 1L);
    transfer->is_fresh = true;
}
