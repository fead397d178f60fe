/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what curl says to a result. The words are for the person who owns the endpoint; they name
 * host and address, never the URL's path, query or user info.
 */
#include "sinks/http_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdarg.h>

#include "base/clock.h"

void http_address_text(const struct sockaddr *address, char *ret_text, size_t text_size)
{
    char number[INET6_ADDRSTRLEN];
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        if (inet_ntop(AF_INET, &v4->sin_addr, number, sizeof number) != NULL) {
            (void)snprintf(ret_text, text_size, "%s:%u", number, (unsigned)ntohs(v4->sin_port));
            return;
        }
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
        if (inet_ntop(AF_INET6, &v6->sin6_addr, number, sizeof number) != NULL) {
            (void)snprintf(ret_text, text_size, "[%s]:%u", number, (unsigned)ntohs(v6->sin6_port));
            return;
        }
    }
    (void)snprintf(ret_text, text_size, "?");
}

void http_blocked_text(const struct sockaddr *address, const char *whose, const char *rule,
                       char *ret_text, size_t text_size)
{
    /* Only the address, not the port, is what the rule is about. */
    char number[64];
    http_address_text(address, number, sizeof number);
    char *colon = strrchr(number, ':');
    if (colon != NULL) {
        *colon = '\0';
    }
    (void)snprintf(ret_text, text_size, "address %s %sis not allowed: %s (allow_subnets opens it)",
                   number, whose, rule);
}

/* Whether the answer's headers came to their end; 101 is the last one that is not final. */
static bool has_head(const struct http_transfer *transfer)
{
    return transfer->has_final_headers || transfer->status_code == 101;
}

static void fill(struct http_transfer *transfer, enum attempt_failure failure,
                 struct sink_result *ret_result)
{
    *ret_result = (struct sink_result){
        .user = transfer->user,
        .failure = failure,
        .status_code = has_head(transfer) ? transfer->status_code : 0,
        .body = buf_slice(&transfer->body),
        .error_text = failure == ATTEMPT_ANSWERED ? SLICE_NONE : slice_of(transfer->error_text),
        .retry_after = transfer->has_retry_after ? slice_of(transfer->retry_after) : SLICE_NONE,
        .delivery_hint = transfer->has_hint ? slice_of(transfer->hint) : SLICE_NONE,
        .duration_us = clock_boot_us() - transfer->started_us,
        .is_new_connection = transfer->has_opened,
    };
}

PH_PRINTF(3, 4)
static enum attempt_failure say(struct http_transfer *transfer, enum attempt_failure failure,
                                const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(transfer->error_text, sizeof transfer->error_text, format, arguments);
    va_end(arguments);
    return failure;
}

/* The connection through the proxy was not there yet. */
static bool is_before_tunnel(const struct http_transfer *transfer)
{
    enum http_proxy_kind kind = transfer->pool->proxy.kind;
    long code = 0;
    if (kind != HTTP_PROXY_HTTP && kind != HTTP_PROXY_HTTPS) {
        return false;
    }
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &code);
    return transfer->has_opened && (code < 200 || code > 299);
}

static enum attempt_failure say_connect(struct http_transfer *transfer)
{
    if (transfer->blocked_text[0] != '\0' && !transfer->has_opened) {
        return say(transfer, ATTEMPT_BLOCKED, "%s", transfer->blocked_text);
    }
    const struct http_place *proxy = transfer->pool->proxy_place;
    const struct sockaddr *address = (const struct sockaddr *)(const void *)&transfer->address;
    char where[80];
    if (transfer->has_opened) {
        http_address_text(address, where, sizeof where);
    } else {
        (void)snprintf(where, sizeof where, "%.70s",
                       proxy != NULL ? proxy->key : transfer->route->place->key);
    }
    const char *whose = proxy != NULL ? "the proxy: " : "";
    long code = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &code);
    switch ((int)code) {
    case ECONNREFUSED:
        return say(transfer, ATTEMPT_CONNECT, "%sconnection refused by %s", whose, where);
    case ECONNRESET:
        return say(transfer, ATTEMPT_CONNECT, "%sconnection reset by %s", whose, where);
    case ENETUNREACH:
    case EHOSTUNREACH:
        return say(transfer, ATTEMPT_CONNECT, "%sno route to %s", whose, where);
    case EMFILE:
    case ENFILE:
        return say(transfer, ATTEMPT_CONNECT, "%sno descriptor left to connect to %s", whose,
                   where);
    default:
        return say(transfer, ATTEMPT_CONNECT, "%scould not connect to %s", whose, where);
    }
}

/* Whether we told the proxy who we are. */
static bool has_proxy_credentials(const struct http_transfer *transfer)
{
    const struct http_proxy *proxy = &transfer->pool->proxy;
    return proxy->username.length + proxy->password.length > 0;
}

/* The proxy answered CONNECT with something else than 2xx, or not at all. */
static enum attempt_failure say_no_tunnel(struct http_transfer *transfer, CURLcode code)
{
    long status = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &status);
    const char *key = transfer->pool->proxy_place->key;
    if (status == 407) {
        return say(transfer, ATTEMPT_CONNECT, "the proxy %.200s answered 407: it %s", key,
                   has_proxy_credentials(transfer) ? "does not take our user name and password"
                                                   : "wants a user name and password");
    }
    if (status != 0 && (status < 200 || status > 299)) {
        return say(transfer, ATTEMPT_CONNECT,
                   "the proxy %.200s did not connect to the receiver: it answered %ld", key,
                   status);
    }
    if (code == CURLE_ABORTED_BY_CALLBACK) {
        return say(transfer, ATTEMPT_PROTOCOL, "the proxy %.200s sends without an end", key);
    }
    return say(transfer, ATTEMPT_CONNECT, "the proxy %.200s gave no answer that is HTTP", key);
}

static const char *socks_words(const struct http_transfer *transfer)
{
    long code = CURLPX_OK;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_PROXY_ERROR, &code);
    switch ((int)code) {
    case CURLPX_NO_AUTH:
    case CURLPX_UNKNOWN_MODE:
        return has_proxy_credentials(transfer) ? "it wants another kind of authentication"
                                               : "it wants a user name and password";
    case CURLPX_USER_REJECTED:
    case CURLPX_RECV_AUTH:
        return "it does not take our user name and password";
    case CURLPX_REPLY_NOT_ALLOWED:
        return "it does not allow the connection";
    case CURLPX_REPLY_NETWORK_UNREACHABLE:
    case CURLPX_REPLY_HOST_UNREACHABLE:
        return "it has no route to the receiver";
    case CURLPX_REPLY_CONNECTION_REFUSED:
        return "the receiver refused the connection";
    case CURLPX_REPLY_TTL_EXPIRED:
    case CURLPX_REPLY_GENERAL_SERVER_FAILURE:
        return "it could not connect to the receiver";
    case CURLPX_REPLY_ADDRESS_TYPE_NOT_SUPPORTED:
        return "it does not know this kind of address";
    default:
        return "it did not answer as SOCKS 5 does";
    }
}

static enum attempt_failure say_socks(struct http_transfer *transfer)
{
    return say(transfer, ATTEMPT_CONNECT, "the proxy %.200s did not connect to the receiver: %s",
               transfer->pool->proxy_place->key, socks_words(transfer));
}

/* The number of the alert that ended the handshake (RFC 8446 section 6), which OpenSSL has as a
 * reason above 1000 in its "error:0A000418:"; 0 when it was something else. */
static int tls_alert(const struct http_transfer *transfer)
{
    static const char mark[] = "error:";
    const char *start = strstr(transfer->curl_error, mark);
    if (start == NULL) {
        return 0;
    }
    unsigned long code = strtoul(start + sizeof mark - 1, NULL, 16);
    int reason = ERR_GET_REASON(code);
    bool is_alert = ERR_GET_LIB(code) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET &&
                    reason < SSL_AD_REASON_OFFSET + 256;
    return is_alert ? reason - SSL_AD_REASON_OFFSET : 0;
}

/* What a receiver may have against a certificate, or NULL. */
static const char *certificate_complaint(int alert)
{
    switch (alert) {
    case SSL_AD_HANDSHAKE_FAILURE:
        return "it does not say why";
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_CERTIFICATE_UNKNOWN:
        return "it is not acceptable";
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
        return "its kind is not supported";
    case SSL_AD_CERTIFICATE_REVOKED:
        return "it is revoked";
    case SSL_AD_CERTIFICATE_EXPIRED:
        return "it has expired";
    case SSL_AD_UNKNOWN_CA:
        return "its authority is not known";
    case SSL_AD_ACCESS_DENIED:
        return "it gives no access";
    case SSL_AD_DECRYPT_ERROR:
        return "its signature does not verify";
    case SSL_AD_CERTIFICATE_REQUIRED:
        return "it is not usable";
    default:
        return NULL;
    }
}

/* Something is wrong with our certificate, or with having none. False: with something else. */
static bool is_about_client_certificate(struct http_transfer *transfer, int alert,
                                        enum attempt_failure *ret_failure)
{
    const char *complaint = certificate_complaint(alert);
    if (complaint == NULL ||
        !(transfer->is_asked_for_certificate || alert == SSL_AD_CERTIFICATE_REQUIRED)) {
        return false;
    }
    if (transfer->pool->cert_pem.length == 0) {
        *ret_failure = say(transfer, ATTEMPT_TLS, "the receiver asks for a client certificate");
    } else {
        *ret_failure = say(transfer, ATTEMPT_TLS, "the receiver refuses our client certificate: %s",
                           complaint);
    }
    return true;
}

static enum attempt_failure say_tls(struct http_transfer *transfer)
{
    static const char problem[] = "SSL certificate problem: ";
    const char *words = transfer->curl_error;
    const char *whose = is_before_tunnel(transfer) ? "the proxy: " : "";
    enum attempt_failure failure;
    if (whose[0] == '\0' && is_about_client_certificate(transfer, tls_alert(transfer), &failure)) {
        return failure;
    }
    if (strncmp(words, problem, sizeof problem - 1) == 0) {
        return say(transfer, ATTEMPT_TLS, "%scertificate verify failed: %s", whose,
                   words + sizeof problem - 1);
    }
    if (transfer->verify_words != NULL) {
        return say(transfer, ATTEMPT_TLS, "%scertificate verify failed: %s", whose,
                   transfer->verify_words);
    }
    if (strstr(words, "subject name") != NULL) {
        return say(transfer, ATTEMPT_TLS, "%scertificate verify failed: it is not for %.200s",
                   whose,
                   whose[0] != '\0' ? transfer->pool->proxy.host : transfer->route->place->host);
    }
    /* Of "OpenSSL/3.0: error:0A00010B:SSL routines::wrong version number" the end. */
    static const char mark[] = "routines::";
    const char *detail = strstr(words, mark);
    words = detail != NULL ? detail + sizeof mark - 1 : words;
    return say(transfer, ATTEMPT_TLS, "%sTLS failed: %s", whose,
               words[0] != '\0' ? words : "the handshake did not succeed");
}

/* What became of a connection after its handshake, when curl knows more than that it broke. */
static bool is_tls_refusal(const struct http_transfer *transfer)
{
    static const char reading[] = "OpenSSL SSL_read: ";
    static const char writing[] = "OpenSSL SSL_write: ";
    const char *words = transfer->curl_error;
    bool is_openssl = strncmp(words, reading, sizeof reading - 1) == 0 ||
                      strncmp(words, writing, sizeof writing - 1) == 0;
    return is_openssl && strstr(words, "error:") != NULL;
}

/* The connection ended or broke too early. */
static enum attempt_failure say_broken(struct http_transfer *transfer)
{
    static const char http2_prefix[] = "h2_process_pending_input: ";
    if (is_tls_refusal(transfer) && !has_head(transfer)) {
        return say_tls(transfer);
    }
    if (strncmp(transfer->curl_error, http2_prefix, sizeof http2_prefix - 1) == 0) {
        const char *colon = strchr(transfer->curl_error + sizeof http2_prefix - 1, ':');
        return say(transfer, ATTEMPT_PROTOCOL, "HTTP/2 error: %.200s",
                   colon != NULL ? colon + 1 : "the receiver breaks the protocol");
    }
    if (has_head(transfer)) {
        return say(transfer, ATTEMPT_PROTOCOL, "the connection broke while the answer was read");
    }
    if (transfer->header_bytes > 0) {
        return say(transfer, ATTEMPT_PROTOCOL, "the connection broke within the answer's headers");
    }
    return say(transfer, ATTEMPT_CONNECT, "the connection was closed before an answer came%s",
               !transfer->is_asked_for_certificate ? ""
               : transfer->pool->cert_pem.length == 0
                   ? "; the receiver asks for a client certificate"
                   : "; it may be that the receiver does not "
                     "take our client certificate");
}

/* Curl tells this only when the handshake is over too. Only words depend on it. */
static bool is_tcp_connected(const struct http_transfer *transfer)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    return getpeername(transfer->last_fd, (struct sockaddr *)(void *)&peer, &length) == 0;
}

/* What a proxy has to do with the time that is over, or NULL. */
static const char *proxy_phase(const struct http_transfer *transfer)
{
    long requested = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &requested);
    if (transfer->pool->proxy_place == NULL || !transfer->has_opened) {
        return NULL;
    }
    if (is_before_tunnel(transfer)) {
        return is_tcp_connected(transfer) ? "waiting for the proxy" : "connecting to the proxy";
    }
    bool is_socks = transfer->pool->proxy.kind == HTTP_PROXY_SOCKS5;
    return is_socks && requested == 0 ? "connecting through the proxy" : NULL;
}

static const char *phase_of(const struct http_transfer *transfer)
{
    curl_off_t uploaded = 0;
    curl_off_t secured_us = 0;
    long requested = 0;
    const char *proxy = proxy_phase(transfer);
    if (proxy != NULL) {
        return proxy;
    }
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &requested);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_APPCONNECT_TIME_T, &secured_us);
    bool is_shaking = transfer->route->is_https && transfer->has_opened && secured_us == 0;
    if (transfer->header_bytes > 0) {
        return "reading the answer";
    }
    /* CONNECT is a request too. */
    if (requested > 0 && !is_shaking) {
        bool is_sent = uploaded >= (curl_off_t)transfer->body_bytes;
        return is_sent ? "waiting for the answer" : "sending the request";
    }
    if (!transfer->has_opened) {
        return "waiting for a connection";
    }
    return transfer->route->is_https && is_tcp_connected(transfer)
               ? "the TLS handshake was going on"
               : "connecting";
}

static enum attempt_failure say_phase(struct http_transfer *transfer)
{
    const char *phase = "looking up the name";
    if (transfer->asked == NULL) {
        phase = phase_of(transfer);
    } else if (transfer->asked == transfer->pool->proxy_place) {
        phase = "looking up the proxy's name";
    }
    return say(transfer, ATTEMPT_TIMEOUT, "timed out after %lld ms while %s",
               (long long)transfer->timeout_ms, phase);
}

static enum attempt_failure say_stopped(struct http_transfer *transfer)
{
    switch (transfer->stop) {
    case HTTP_STOP_BODY:
        return ATTEMPT_ANSWERED;
    case HTTP_STOP_HEADERS:
        return say(transfer, ATTEMPT_PROTOCOL, "the answer's headers exceed %d bytes",
                   SINK_HTTP_HEADER_BYTES_MAX);
    case HTTP_STOP_INFORMATIONAL:
        return say(transfer, ATTEMPT_PROTOCOL, "more than %d informational (1xx) answers",
                   SINK_HTTP_INFORMATIONAL_MAX);
    case HTTP_STOP_NONE:
        break;
    }
    return say(transfer, ATTEMPT_PROTOCOL, "the answer could not be read");
}

static enum attempt_failure classify(struct http_transfer *transfer, CURLcode code)
{
    if (transfer->stop != HTTP_STOP_NONE) {
        return say_stopped(transfer);
    }
    switch ((int)code) {
    case CURLE_OK:
        /* Curl takes headers that end with the connection. */
        return has_head(transfer) ? ATTEMPT_ANSWERED : say_broken(transfer);
    case CURLE_COULDNT_RESOLVE_HOST:
        return say(transfer, ATTEMPT_DNS, "the name has no address: %.200s",
                   transfer->route->place->host);
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
        return say_connect(transfer);
    case CURLE_OPERATION_TIMEDOUT:
        return say_phase(transfer);
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_ENGINE_INITFAILED:
        return say_tls(transfer);
    case CURLE_SSL_CACERT_BADFILE:
        /* Curl would name the path. */
        return say(transfer, ATTEMPT_TLS, "our file of trusted certificates cannot be used");
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return is_before_tunnel(transfer) ? say_no_tunnel(transfer, code) : say_broken(transfer);
    case CURLE_ABORTED_BY_CALLBACK: /* http_flood_on_progress */
        return say_no_tunnel(transfer, code);
    case CURLE_PROXY:
        return say_socks(transfer);
    case CURLE_COULDNT_RESOLVE_PROXY:
        return say(transfer, ATTEMPT_DNS, "the proxy: its name has no address");
    case CURLE_PARTIAL_FILE:
        if (transfer->sink->is_flooded && transfer->route->is_https && !has_head(transfer)) {
            return say(transfer, ATTEMPT_PROTOCOL, "the receiver sends without an end");
        }
        return say(transfer, ATTEMPT_PROTOCOL, "the answer is shorter than it said");
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        return say(transfer, ATTEMPT_PROTOCOL, "the answer is not HTTP");
    case CURLE_OUT_OF_MEMORY:
        /* Curl's own limit of one header line gives this. */
        return say(transfer, ATTEMPT_PROTOCOL, "a header line of the answer is too long");
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return say(transfer, ATTEMPT_PROTOCOL, "HTTP/2 error: %.200s",
                   transfer->curl_error[0] != '\0' ? transfer->curl_error
                                                   : "the receiver is ending the connection");
    default:
        return say(transfer, ATTEMPT_PROTOCOL, "%s", curl_easy_strerror(code));
    }
}

void http_result_of_curl(struct http_transfer *transfer, CURLcode code,
                         struct sink_result *ret_result)
{
    fill(transfer, classify(transfer, code), ret_result);
}

void http_result_of_timeout(struct http_transfer *transfer, struct sink_result *ret_result)
{
    fill(transfer, say_phase(transfer), ret_result);
}

void http_result_of_early_failure(struct http_transfer *transfer, struct sink_result *ret_result)
{
    fill(transfer, transfer->early_failure, ret_result);
}

void http_result_say_early(struct http_transfer *transfer, enum attempt_failure failure,
                           const char *words)
{
    transfer->early_failure = say(transfer, failure, "%s", words);
}

void http_result_say_unknown_name(struct http_transfer *transfer, const struct http_place *place)
{
    bool is_proxy = place == transfer->pool->proxy_place;
    transfer->early_failure =
        say(transfer, ATTEMPT_DNS, "%s%s", is_proxy ? "the proxy: " : "", place->answer->text);
}

void http_result_of_failure(struct http_transfer *transfer, enum attempt_failure failure,
                            const char *words, struct sink_result *ret_result)
{
    fill(transfer, say(transfer, failure, "%s", words), ret_result);
}
