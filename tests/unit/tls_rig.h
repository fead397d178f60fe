/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates made on the spot and a TLS server that may ask for one, for the tests of the HTTP
 * sink. Include it before anything else: OpenSSL uses a name that base/compiler.h poisons.
 */
#ifndef PH_UNIT_TLS_RIG_H
#define PH_UNIT_TLS_RIG_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "unit/sink_rig.h"

/* A key, a certificate signed by itself or by another, both as PEM, and a file with the latter. */
struct identity {
    EVP_PKEY *key;
    X509 *certificate;
    char file[64];
    char *cert_pem;
    char *key_pem;
};

static inline char *text_of_bio(BIO *bio)
{
    char *bytes;
    long length = BIO_get_mem_data(bio, &bytes);
    char *text = ph_memdup_text(bytes, (size_t)length);
    BIO_free(bio);
    return text;
}

static inline void identity_write(struct identity *identity)
{
    BIO *certificate = BIO_new(BIO_s_mem());
    BIO *key = BIO_new(BIO_s_secmem());
    assert_int_equal(PEM_write_bio_X509(certificate, identity->certificate), 1);
    assert_int_equal(PEM_write_bio_PrivateKey(key, identity->key, NULL, NULL, 0, NULL, NULL), 1);
    identity->cert_pem = text_of_bio(certificate);
    identity->key_pem = text_of_bio(key);
    (void)snprintf(identity->file, sizeof identity->file, "/tmp/posthorn-test-XXXXXX");
    int fd = mkstemp(identity->file);
    assert_true(fd >= 0);
    size_t length = strlen(identity->cert_pem);
    assert_int_equal(write(fd, identity->cert_pem, length), length);
    assert_int_equal(close(fd), 0);
}

static inline void identity_extend(X509 *certificate, int id, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, id, value);
    assert_non_null(extension);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

/* `subject_alt_name` such as "IP:127.0.0.1"; `issuer` NULL: signed by itself. */
static inline void identity_init(struct identity *identity, const char *common_name,
                                 const char *subject_alt_name, const struct identity *issuer)
{
    identity->key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    assert_non_null(identity->key);
    assert_non_null(certificate);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60L);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600L);
    X509_set_pubkey(certificate, identity->key);
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1,
                               -1, 0);
    X509_set_issuer_name(certificate,
                         issuer == NULL ? name : X509_get_subject_name(issuer->certificate));
    identity_extend(certificate, NID_subject_alt_name, subject_alt_name);
    identity_extend(certificate, NID_basic_constraints, issuer == NULL ? "CA:TRUE" : "CA:FALSE");
    EVP_PKEY *signer = issuer == NULL ? identity->key : issuer->key;
    assert_true(X509_sign(certificate, signer, EVP_sha256()) > 0);
    identity->certificate = certificate;
    identity_write(identity);
}

static inline void identity_done(struct identity *identity)
{
    (void)unlink(identity->file);
    free(identity->cert_pem);
    free(identity->key_pem);
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
}

struct tls_server {
    SSL_CTX *context;
    bool is_silent;         /* reads requests, answers none */
    bool closes;            /* after each answer */
    const char *then;       /* written after an answer, as a record of its own */
    atomic_uint requests;   /* read so far */
    atomic_uint handshakes; /* that succeeded */
    atomic_uint resumed;    /* of these */
    atomic_uint strangers;  /* requests whose X-Cert is not the certificate of the connection */
};

static inline void tls_server_init(struct tls_server *server, const struct identity *identity)
{
    *server = (struct tls_server){.context = SSL_CTX_new(TLS_server_method())};
    assert_non_null(server->context);
    assert_int_equal(SSL_CTX_use_certificate(server->context, identity->certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server->context, identity->key), 1);
}

/* From now on clients must show a certificate that `authority` signed. */
static inline void tls_server_ask(struct tls_server *server, const struct identity *authority)
{
    X509_STORE *store = SSL_CTX_get_cert_store(server->context);
    assert_int_equal(X509_STORE_add_cert(store, authority->certificate), 1);
    SSL_CTX_set_verify(server->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    static const unsigned char id[] = "rig";
    assert_int_equal(SSL_CTX_set_session_id_context(server->context, id, sizeof id), 1);
}

static inline void tls_server_done(struct tls_server *server)
{
    SSL_CTX_free(server->context);
}

/* The head and the body of one request, which ends with {"a":1}. */
static inline bool tls_read_request(SSL *ssl, char *text, size_t text_size)
{
    size_t used = 0;
    for (;;) {
        int count = SSL_read(ssl, text + used, (int)(text_size - 1 - used));
        if (count <= 0) {
            return false;
        }
        used += (size_t)count;
        text[used] = '\0';
        if (strstr(text, "{\"a\":1}") != NULL) {
            return true;
        }
    }
}

static inline bool is_stranger(SSL *ssl, const char *request)
{
    const char *field = strstr(request, "\r\nX-Cert: ");
    X509 *certificate = SSL_get1_peer_certificate(ssl);
    char name[64] = "";
    if (certificate != NULL) {
        X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                                  sizeof name);
        X509_free(certificate);
    }
    return field != NULL && strncmp(field + 10, name, strlen(name)) != 0;
}

static inline void tls_talk(struct tls_server *server, SSL *ssl)
{
    char text[8192];
    while (tls_read_request(ssl, text, sizeof text)) {
        if (is_stranger(ssl, text)) {
            atomic_fetch_add(&server->strangers, 1);
        }
        atomic_fetch_add(&server->requests, 1);
        if (!server->is_silent && SSL_write(ssl, OK_ANSWER, (int)(sizeof OK_ANSWER - 1)) <= 0) {
            return;
        }
        if (server->then != NULL) {
            (void)SSL_write(ssl, server->then, (int)strlen(server->then));
        }
        if (server->closes) {
            (void)SSL_shutdown(ssl);
            return;
        }
    }
}

static inline void serve_tls(struct raw_server *raw, int fd, void *context)
{
    struct tls_server *server = context;
    SSL *ssl = SSL_new(server->context);
    (void)raw;
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
        atomic_fetch_add(&server->handshakes, 1);
        if (SSL_session_reused(ssl) == 1) {
            atomic_fetch_add(&server->resumed, 1);
        }
        tls_talk(server, ssl);
    } else {
        /* Closed with something unread it would take the alert back. */
        (void)shutdown(fd, SHUT_WR);
        (void)raw_server_wait_end(fd, -1);
    }
    SSL_free(ssl);
}

static inline const char *tls_url_of(const struct raw_server *server, char url[URL_MAX])
{
    (void)snprintf(url, URL_MAX, "https://127.0.0.1:%u/hook?token=hidden", raw_server_port(server));
    return url;
}

#endif
