/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receivers that send without an end. Curl does not come back from a call, and calls nobody, while
 * a socket has more to read (measured with 7.88): HTTP/2 settings, pings or informational answers
 * would hold all deliveries up, past every timeout, since they cost more to read than to send. So
 * what one TLS connection may have read within one call is limited, where only OpenSSL sees it: at
 * the records. What curl reads without TLS costs less than the network needs to bring it, but for a
 * proxy's answer to CONNECT, which it reads byte by byte: that is limited too.
 */
#include "sinks/http_int.h"

#include <openssl/ssl.h>

#include "base/clock.h"

/* Both must be reached; proper answers are far from either. */
enum {
    RECORDS_MAX = 64,
    CALL_MAX_US = 50000,
};

/* Curl reads a proxy's answer to CONNECT byte by byte and reports progress with each. */
enum { PROGRESS_PER_CALL_MAX = 16384 };

void http_flood_begin(struct sink_http *sink)
{
    sink->call++;
    sink->call_ssl = NULL;
}

/* Noted for the words that go with a failure: alerts alone do not tell it from others. */
static void note_certificate_request(struct sink_http *sink, const SSL *ssl)
{
    const SSL_CTX *context = SSL_get_SSL_CTX(ssl);
    LIST_FOR_EACH(node, following, &sink->active)
    {
        struct http_transfer *transfer = LIST_ELEMENT(node, struct http_transfer, node);
        if (transfer->ssl_context == context) {
            transfer->is_asked_for_certificate = true;
        }
    }
}

/* OpenSSL calls this for each record's head, and for messages of the handshake. */
static void on_record(int is_written, int version, int type, const void *bytes, size_t length,
                      SSL *ssl, void *sink_pointer)
{
    (void)version;
    struct sink_http *sink = sink_pointer;
    if (is_written == 0 && type == SSL3_RT_HANDSHAKE && length > 0 &&
        *(const unsigned char *)bytes == SSL3_MT_CERTIFICATE_REQUEST) {
        note_certificate_request(sink, ssl);
    }
    if (is_written != 0 || type != SSL3_RT_HEADER) {
        return;
    }
    if (sink->call_ssl != ssl) {
        sink->call_ssl = ssl;
        sink->call_records = 0;
        sink->call_ssl_since_us = clock_boot_us();
    }
    sink->call_records++;
    if (sink->call_records >= RECORDS_MAX &&
        clock_boot_us() - sink->call_ssl_since_us >= CALL_MAX_US) {
        /* As if the receiver had said goodbye: the next read is the last. */
        SSL_set_shutdown(ssl, SSL_RECEIVED_SHUTDOWN);
        sink->is_flooded = true;
    }
}

void http_flood_watch(struct sink_http *sink, void *ssl_context)
{
    SSL_CTX_set_msg_callback(ssl_context, on_record);
    SSL_CTX_set_msg_callback_arg(ssl_context, sink);
}

int http_flood_on_progress(void *transfer_pointer, curl_off_t download_total, curl_off_t downloaded,
                           curl_off_t upload_total, curl_off_t uploaded)
{
    (void)download_total;
    (void)downloaded;
    (void)upload_total;
    (void)uploaded;
    struct http_transfer *transfer = transfer_pointer;
    if (transfer->progress_call != transfer->sink->call) {
        transfer->progress_call = transfer->sink->call;
        transfer->progress_count = 0;
    }
    return ++transfer->progress_count > PROGRESS_PER_CALL_MAX ? 1 : 0;
}
