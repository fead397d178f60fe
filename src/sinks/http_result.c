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
    const struct sockaddr *address = (const struct sockaddr *)(const void *)&transfer->address;
    char where[80];
    if (transfer->has_opened) {
        http_address_text(address, where, sizeof where);
    } else {
        (void)snprintf(where, sizeof where, "%.70s", transfer->route->place->key);
    }
    long code = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &code);
    switch ((int)code) {
    case ECONNREFUSED:
        return say(transfer, ATTEMPT_CONNECT, "connection refused by %s", where);
    case ECONNRESET:
        return say(transfer, ATTEMPT_CONNECT, "connection reset by %s", where);
    case ENETUNREACH:
    case EHOSTUNREACH:
        return say(transfer, ATTEMPT_CONNECT, "no route to %s", where);
    case EMFILE:
    case ENFILE:
        return say(transfer, ATTEMPT_CONNECT, "no descriptor left to connect to %s", where);
    default:
        return say(transfer, ATTEMPT_CONNECT, "could not connect to %s", where);
    }
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

static enum attempt_failure say_phase(struct http_transfer *transfer)
{
    const char *phase = "looking up the name";
    if (transfer->asked == NULL) {
        curl_off_t uploaded = 0;
        long requested = 0;
        (void)curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded);
        (void)curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &requested);
        if (transfer->header_bytes > 0) {
            phase = "reading the answer";
        } else if (requested > 0) {
            phase = uploaded < (curl_off_t)transfer->body_bytes ? "sending the request"
                                                                : "waiting for the answer";
        } else if (!transfer->has_opened) {
            phase = "waiting for a connection";
        } else if (transfer->route->is_https && is_tcp_connected(transfer)) {
            phase = "the TLS handshake was going on";
        } else {
            phase = "connecting";
        }
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
        return say_broken(transfer);
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
