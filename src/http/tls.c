/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/secret.h"
#include "http/server_int.h"

#define PEM_MAX_BYTES ((size_t)1024 * 1024)

/* Reads a whole file, NUL-terminated. */
static enum ph_error read_pem(const char *path, struct diag *diag, char **ret_text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return diag_set(diag, PH_IO, NULL, "could not open %s: %s", path, strerror(errno));
    }
    char *text = ph_malloc(PEM_MAX_BYTES + 1);
    size_t length = 0;
    ssize_t got = 0;
    while (length < PEM_MAX_BYTES && ((got = read(fd, text + length, PEM_MAX_BYTES - length)) > 0 ||
                                      (got < 0 && errno == EINTR))) {
        length += got > 0 ? (size_t)got : 0;
    }
    int reason = errno;
    (void)close(fd);
    if (got != 0) {
        secret_wipe(text, length);
        free(text);
        return diag_set(diag, PH_IO, NULL, "could not read %s: %s", path,
                        got < 0 ? strerror(reason) : "it is larger than 1 MiB");
    }
    text[length] = '\0';
    *ret_text = text;
    return PH_OK;
}

/* --- certificate and key ---------------------------------------------------------------------- */

#define CHAIN_MAX 16

struct http_credentials {
    atomic_int references;
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned chain_length;
    gnutls_privkey_t key;
};

struct http_credentials *http_credentials_ref(struct http_credentials *credentials)
{
    (void)atomic_fetch_add_explicit(&credentials->references, 1, memory_order_relaxed);
    return credentials;
}

void http_credentials_unref(struct http_credentials *credentials)
{
    if (credentials == NULL ||
        atomic_fetch_sub_explicit(&credentials->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (unsigned i = 0; i < credentials->chain_length; i++) {
        gnutls_pcert_deinit(&credentials->chain[i]);
    }
    if (credentials->key != NULL) {
        gnutls_privkey_deinit(credentials->key);
    }
    free(credentials);
}

static gnutls_datum_t datum(const char *text)
{
    return (gnutls_datum_t){(unsigned char *)(uintptr_t)text, (unsigned)strlen(text)};
}

/* GnuTLS compares the two only when it gets them together. */
static int check_pair(const gnutls_datum_t *cert, const gnutls_datum_t *key)
{
    gnutls_certificate_credentials_t pair;
    int outcome = gnutls_certificate_allocate_credentials(&pair);
    if (outcome == GNUTLS_E_SUCCESS) {
        outcome = gnutls_certificate_set_x509_key_mem(pair, cert, key, GNUTLS_X509_FMT_PEM);
        gnutls_certificate_free_credentials(pair);
    }
    return outcome < 0 ? outcome : GNUTLS_E_SUCCESS;
}

static int import(struct http_credentials *credentials, const char *cert_text, const char *key_text)
{
    gnutls_datum_t cert = datum(cert_text);
    gnutls_datum_t key = datum(key_text);
    int outcome = check_pair(&cert, &key);
    if (outcome == GNUTLS_E_SUCCESS) {
        unsigned length = CHAIN_MAX;
        outcome = gnutls_pcert_list_import_x509_raw(credentials->chain, &length, &cert,
                                                    GNUTLS_X509_FMT_PEM, 0);
        credentials->chain_length = outcome == GNUTLS_E_SUCCESS ? length : 0;
    }
    if (outcome == GNUTLS_E_SUCCESS) {
        outcome = gnutls_privkey_init(&credentials->key);
    }
    if (outcome == GNUTLS_E_SUCCESS) {
        outcome =
            gnutls_privkey_import_x509_raw(credentials->key, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
    }
    return outcome;
}

enum ph_error http_credentials_load(const char *cert_file, const char *key_file, struct diag *diag,
                                    struct http_credentials **ret_credentials)
{
    PH_AUTO_FREE char *cert = NULL;
    char *key = NULL;
    enum ph_error error = read_pem(cert_file, diag, &cert);
    if (error == PH_OK) {
        error = read_pem(key_file, diag, &key);
    }
    if (error != PH_OK) {
        return error;
    }
    struct http_credentials *credentials = ph_calloc(1, sizeof *credentials);
    atomic_init(&credentials->references, 1);
    int outcome = import(credentials, cert, key);
    secret_wipe(key, strlen(key));
    free(key);
    if (outcome != GNUTLS_E_SUCCESS) {
        http_credentials_unref(credentials);
        return diag_set(diag, PH_INVALID, "tls_cert_file",
                        "cannot use TLS with %s and %s: they are no PEM certificate with its key "
                        "(%s)",
                        cert_file, key_file, gnutls_strerror(outcome));
    }
    *ret_credentials = credentials;
    return PH_OK;
}

/*
 * GnuTLS asks for the certificate in each handshake. What it gets stays valid for the handshake,
 * because the connection holds the settings until its first request.
 */
int http_credentials_give(gnutls_session_t session, const gnutls_datum_t *authorities,
                          int authority_count, const gnutls_pk_algorithm_t *algorithms,
                          int algorithm_count, gnutls_pcert_st **ret_chain, unsigned *ret_length,
                          gnutls_privkey_t *ret_key)
{
    (void)authorities;
    (void)authority_count;
    (void)algorithms;
    (void)algorithm_count;
    struct MHD_Connection *mhd = gnutls_session_get_ptr(session);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    PH_ASSERT(info != NULL && info->socket_context != NULL);
    const struct http_connection *connection = info->socket_context;
    struct http_credentials *credentials = connection->settings->credentials;
    *ret_chain = credentials->chain;
    *ret_length = credentials->chain_length;
    *ret_key = credentials->key;
    return 0;
}
