/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP sink over TLS: which certificates it takes. The certificates are made here. */
/* First, because these use a name that base/compiler.h poisons. */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "sinks/http.h"
#include "unit/sink_rig.h"

/* A key, a certificate that signs itself, and the file that has it. */
struct identity {
    EVP_PKEY *key;
    X509 *certificate;
    char file[64];
};

static void identity_init(struct identity *identity, const char *subject_alt_name)
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
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_EXTENSION *extension =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, subject_alt_name);
    assert_non_null(extension);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    assert_true(X509_sign(certificate, identity->key, EVP_sha256()) > 0);
    identity->certificate = certificate;

    (void)snprintf(identity->file, sizeof identity->file, "/tmp/posthorn-test-XXXXXX");
    int fd = mkstemp(identity->file);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    assert_int_equal(fclose(file), 0);
}

static void identity_done(struct identity *identity)
{
    (void)unlink(identity->file);
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
}

struct tls_server {
    SSL_CTX *context;
    bool is_silent;       /* reads requests, answers none */
    atomic_uint requests; /* read so far */
};

static void tls_server_init(struct tls_server *server, const struct identity *identity)
{
    *server = (struct tls_server){.context = SSL_CTX_new(TLS_server_method())};
    assert_non_null(server->context);
    assert_int_equal(SSL_CTX_use_certificate(server->context, identity->certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server->context, identity->key), 1);
}

static bool read_request(SSL *ssl)
{
    char text[8192];
    size_t used = 0;
    for (;;) {
        int count = SSL_read(ssl, text + used, (int)(sizeof text - 1 - used));
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

static void serve_tls(struct raw_server *raw, int fd, void *context)
{
    struct tls_server *server = context;
    SSL *ssl = SSL_new(server->context);
    (void)raw;
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
        while (read_request(ssl)) {
            atomic_fetch_add(&server->requests, 1);
            if (!server->is_silent && SSL_write(ssl, OK_ANSWER, (int)(sizeof OK_ANSWER - 1)) <= 0) {
                break;
            }
        }
    }
    SSL_free(ssl);
}

struct tls_case {
    const char *subject_alt_name;
    bool has_ca_file;
    enum attempt_failure failure;
    const char *words;
};

static void run_case(const struct tls_case *one)
{
    struct identity identity;
    struct tls_server server;
    struct rig rig;
    struct outcome outcome;
    char url[URL_MAX];
    identity_init(&identity, one->subject_alt_name);
    tls_server_init(&server, &identity);
    rig_init(&rig, &(struct rig_options){.ca_file = one->has_ca_file ? identity.file : NULL});
    struct raw_server *raw = raw_server_start(serve_tls, &server);
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u/?token=hidden", raw_server_port(raw));
    for (int i = 0; i < 2; i++) {
        struct sink_request request = request_of(url, &outcome);
        exchange(&rig, &request);
        assert_int_equal(outcome.failure, one->failure);
        assert_int_equal(outcome.status_code, one->failure == ATTEMPT_ANSWERED ? 200 : 0);
        assert_non_null(strstr(outcome.error_text, one->words));
        assert_null(strstr(outcome.error_text, "hidden"));
    }
    bool is_answered = one->failure == ATTEMPT_ANSWERED;
    assert_int_equal(atomic_load(&server.requests), is_answered ? 2 : 0);
    assert_int_equal(raw_server_connections(raw), is_answered ? 1 : 2);
    rig_stop(&rig);
    raw_server_stop(raw);
    SSL_CTX_free(server.context);
    identity_done(&identity);
}

static void test_certificates(void **state)
{
    (void)state;
    static const struct tls_case cases[] = {
        {"IP:127.0.0.1", false, ATTEMPT_TLS, "certificate verify failed: self"},
        {"IP:127.0.0.1", true, ATTEMPT_ANSWERED, ""},
        {"DNS:other.test", true, ATTEMPT_TLS, "verify failed: it is not for 127.0.0.1"},
    };
    for (size_t i = 0; i < PH_ARRAY_LENGTH(cases); i++) {
        run_case(&cases[i]);
    }
}

/* Requests to one host wait for each other's handshake, but not for each other's answer. */
static void test_requests_do_not_wait_for_answers(void **state)
{
    (void)state;
    struct identity identity;
    struct tls_server server;
    struct rig rig;
    struct outcome outcomes[5];
    char url[URL_MAX];
    identity_init(&identity, "IP:127.0.0.1");
    tls_server_init(&server, &identity);
    server.is_silent = true;
    rig_init(&rig, &(struct rig_options){.ca_file = identity.file});
    struct raw_server *raw = raw_server_start(serve_tls, &server);
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u/", raw_server_port(raw));
    for (size_t i = 0; i < PH_ARRAY_LENGTH(outcomes); i++) {
        struct sink_request request = request_of(url, &outcomes[i]);
        send_request(&rig, &request);
    }
    RUN_UNTIL(&rig, atomic_load(&server.requests) == PH_ARRAY_LENGTH(outcomes));
    rig_stop(&rig);
    raw_server_stop(raw);
    SSL_CTX_free(server.context);
    identity_done(&identity);
}

/* Takes the connection and says nothing, not even a handshake. */
static void stay_silent(struct raw_server *server, int fd, void *context)
{
    (void)server;
    (void)context;
    (void)raw_server_wait_end(fd, -1);
}

/* Answers a handshake with words. */
static void answer_plainly(struct raw_server *server, int fd, void *context)
{
    (void)server;
    (void)context;
    (void)raw_server_write(fd, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    (void)raw_server_wait_end(fd, -1);
}

static void test_no_handshake(void **state)
{
    (void)state;
    struct rig rig;
    struct outcome outcome;
    char url[URL_MAX];
    rig_start(&rig);
    struct raw_server *raw = raw_server_start(stay_silent, NULL);
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u/", raw_server_port(raw));
    struct sink_request request = request_of(url, &outcome);
    request.timeout_ms = 150;
    exchange(&rig, &request);
    assert_int_equal(outcome.failure, ATTEMPT_TIMEOUT);
    assert_string_equal(outcome.error_text,
                        "timed out after 150 ms while the TLS handshake was going on");
    raw_server_stop(raw);
    raw = raw_server_start(answer_plainly, NULL);
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u/", raw_server_port(raw));
    request = request_of(url, &outcome);
    exchange(&rig, &request);
    assert_int_equal(outcome.failure, ATTEMPT_TLS);
    raw_server_stop(raw);
    rig_stop(&rig);
}

static void test_ca_file_must_be_readable(void **state)
{
    (void)state;
    struct resolver *resolver = NULL;
    struct sink_http *sink = NULL;
    struct diag diag = {0};
    assert_int_equal(resolver_new(NULL, NULL, &resolver), PH_OK);
    struct sink_http_options options = {
        .resolver = resolver,
        .ca_file = "/nonexistent/ca.pem",
        .read_max_bytes = 1,
        .keep_max_bytes = 1,
        .connections_max = 1,
        .on_result = on_result,
    };
    assert_int_equal(sink_http_new(&options, &diag, &sink), PH_IO);
    assert_string_equal(diag.field, "ca_file");
    resolver_free(resolver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_requests_do_not_wait_for_answers),
        cmocka_unit_test(test_no_handshake),
        cmocka_unit_test(test_ca_file_must_be_readable),
    };
    return cmocka_run_group_tests_name("sink_http_tls", tests, rig_set_up, rig_tear_down);
}
