/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose certificates are believed. Parsing the system's authorities takes tens of milliseconds and
 * a megabyte: one parsed set serves all pools of a sink and is read again once an hour, as curl
 * would for a single pool. A policy's own authorities are left to curl.
 */
#include "sinks/http_int.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/clock.h"

#define RELOAD_US (INT64_C(3600) * CLOCK_US_PER_S)

static X509_STORE *load(const struct sink_http *sink)
{
    const char *file = sink->options.ca_file;
    if (file == NULL) {
        file = curl_version_info(CURLVERSION_NOW)->cainfo;
    }
    X509_STORE *store = X509_STORE_new();
    bool is_loaded = store != NULL && (file != NULL ? X509_STORE_load_file(store, file)
                                                    : X509_STORE_set_default_paths(store)) == 1;
    ERR_clear_error();
    if (!is_loaded) {
        X509_STORE_free(store);
        return NULL;
    }
    /* As curl sets them: an authority may be an intermediate one. */
    (void)X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN);
    return store;
}

static X509_STORE *trust_of(struct sink_http *sink)
{
    int64_t now_us = clock_boot_us();
    if (sink->trust == NULL || now_us - sink->trust_loaded_us >= RELOAD_US) {
        X509_STORE *store = load(sink);
        if (store != NULL) {
            X509_STORE_free(sink->trust);
            sink->trust = store;
        }
        /* A file that cannot be read just now leaves the former set. */
        sink->trust_loaded_us = now_us;
    }
    return sink->trust;
}

/* Within TLS to a proxy OpenSSL's reason is lost to curl, since telling the receiver of it is a use
 * of OpenSSL again. */
static int on_verify(int is_fine, X509_STORE_CTX *store_context)
{
    const SSL *ssl =
        X509_STORE_CTX_get_ex_data(store_context, SSL_get_ex_data_X509_STORE_CTX_idx());
    const SSL_CTX *context = SSL_get_SSL_CTX(ssl);
    struct sink_http *sink = SSL_CTX_get_app_data(context);
    LIST_FOR_EACH(node, following, &sink->active)
    {
        struct http_transfer *transfer = LIST_ELEMENT(node, struct http_transfer, node);
        if (is_fine == 0 && transfer->ssl_context == context) {
            transfer->verify_words =
                X509_verify_cert_error_string(X509_STORE_CTX_get_error(store_context));
        }
    }
    return is_fine;
}

/* Curl frees a context that failed before it tells of it, and the next may get the same address:
 * what happens there is no longer about the transfer that had it. */
static void take_context(struct http_transfer *transfer, void *context)
{
    LIST_FOR_EACH(node, following, &transfer->sink->active)
    {
        struct http_transfer *other = LIST_ELEMENT(node, struct http_transfer, node);
        if (other->ssl_context == context) {
            other->ssl_context = NULL;
        }
    }
    transfer->ssl_context = context;
}

CURLcode http_trust_on_ssl_context(CURL *easy, void *context, void *transfer_pointer)
{
    struct http_transfer *transfer = transfer_pointer;
    (void)easy;
    take_context(transfer, context);
    http_flood_watch(transfer->sink, context);
    if (transfer->pool->proxy.kind == HTTP_PROXY_HTTPS) {
        SSL_CTX_set_app_data(context, transfer->sink);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verify);
    }
    if (transfer->pool->ca_pem.length > 0) {
        return CURLE_OK;
    }
    X509_STORE *store = trust_of(transfer->sink);
    if (store == NULL) {
        return CURLE_SSL_CACERT_BADFILE;
    }
    SSL_CTX_set1_cert_store(context, store);
    return CURLE_OK;
}

void http_trust_done(struct sink_http *sink)
{
    X509_STORE_free(sink->trust);
    sink->trust = NULL;
}
