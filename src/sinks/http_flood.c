/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receivers that send without an end. Curl does not come back from a call, and calls nobody, while
 * a socket has more to read (measured with 7.88): HTTP/2 settings, pings or informational answers
 * would hold all deliveries up, past every timeout, since they cost more to read than to send. So
 * what one TLS connection may have read within one call is limited, where only OpenSSL sees it: at
 * the records. What curl reads without TLS costs less than the network needs to bring it.
 */
#include "sinks/http_int.h"

#include <openssl/ssl.h>

#include "base/clock.h"

/* Both must be reached; proper answers are far from either. */
enum {
    RECORDS_MAX = 64,
    CALL_MAX_US = 50000,
};

void http_flood_begin(struct sink_http *sink)
{
    sink->call_ssl = NULL;
}

/* OpenSSL calls this for each record's head. */
static void on_record(int is_written, int version, int type, const void *bytes, size_t length,
                      SSL *ssl, void *sink_pointer)
{
    (void)version;
    (void)bytes;
    (void)length;
    struct sink_http *sink = sink_pointer;
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

CURLcode http_flood_on_ssl_context(CURL *easy, void *context, void *sink_pointer)
{
    (void)easy;
    SSL_CTX_set_msg_callback(context, on_record);
    SSL_CTX_set_msg_callback_arg(context, sink_pointer);
    return CURLE_OK;
}
