/* SPDX-License-Identifier: Apache-2.0 */
#include "sinks/policy.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "sinks/http_int.h"

static void digest_part(EVP_MD_CTX *digest, struct slice part)
{
    uint64_t length = part.len;
    PH_ASSERT(EVP_DigestUpdate(digest, &length, sizeof length) == 1);
    PH_ASSERT(EVP_DigestUpdate(digest, part.ptr, part.len) == 1);
}

void sink_policy_identify(struct sink_policy *policy)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    PH_ASSERT(digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1);
    digest_part(digest, policy->cert_pem);
    digest_part(digest, policy->key_pem);
    digest_part(digest, policy->ca_pem);
    digest_part(digest, policy->proxy);
    PH_ASSERT(EVP_DigestFinal_ex(digest, policy->key, NULL) == 1);
    EVP_MD_CTX_free(digest);
}

bool sink_policy_is_empty(const struct sink_policy *policy)
{
    return policy->cert_pem.len == 0 && policy->key_pem.len == 0 && policy->ca_pem.len == 0 &&
           policy->proxy.len == 0;
}

/* --- certificates ----------------------------------------------------------------------------- */

/* OpenSSL's words for the last error, which is taken off its queue. */
static const char *reason(void)
{
    const char *words = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return words != NULL ? words : "not usable";
}

static enum ph_error check_size(struct slice pem, const char *field, struct diag *diag)
{
    if (pem.len > SINK_POLICY_PEM_MAX) {
        return diag_set(diag, PH_INVALID, field, "larger than %d bytes", SINK_POLICY_PEM_MAX);
    }
    return PH_OK;
}

/* The certificates of a text, the first one first. */
static enum ph_error read_certificates(struct slice pem, const char *field, struct diag *diag,
                                       STACK_OF(X509) * certificates)
{
    BIO *text = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    PH_ASSERT(text != NULL);
    X509 *certificate;
    while ((certificate = PEM_read_bio_X509(text, NULL, NULL, NULL)) != NULL) {
        PH_ASSERT(sk_X509_push(certificates, certificate) > 0);
    }
    BIO_free(text);
    bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    const char *words = reason();
    if (sk_X509_num(certificates) == 0 && is_end) {
        return diag_set(diag, PH_INVALID, field, "there is no certificate in PEM form");
    }
    if (!is_end) {
        return diag_set(diag, PH_INVALID, field, "certificate %d cannot be read: %s",
                        sk_X509_num(certificates) + 1, words);
    }
    return PH_OK;
}

/* There is nobody to ask for a passphrase: OpenSSL's own way would be the terminal. */
static int refuse_passphrase(char *text, int size, int is_for_writing, void *was_asked)
{
    (void)text;
    (void)size;
    (void)is_for_writing;
    *(bool *)was_asked = true;
    return -1;
}

static enum ph_error read_key(struct slice pem, struct diag *diag, EVP_PKEY **ret_key)
{
    bool was_asked = false;
    BIO *text = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    PH_ASSERT(text != NULL);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(text, NULL, refuse_passphrase, &was_asked);
    BIO_free(text);
    const char *words = reason();
    if (key == NULL && was_asked) {
        return diag_set(diag, PH_INVALID, "key_pem",
                        "the key has a passphrase; it must be given without one");
    }
    if (key == NULL) {
        return diag_set(diag, PH_INVALID, "key_pem", "there is no private key in PEM form: %s",
                        words);
    }
    *ret_key = key;
    return PH_OK;
}

/* Whether a TLS client takes them: OpenSSL refuses weak keys and hashes. */
static enum ph_error check_use(STACK_OF(X509) * chain, EVP_PKEY *key, struct diag *diag)
{
    X509 *leaf = sk_X509_value(chain, 0);
    if (X509_check_private_key(leaf, key) != 1) {
        ERR_clear_error();
        return diag_set(diag, PH_INVALID, "key_pem", "the key does not belong to the certificate");
    }
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    PH_ASSERT(context != NULL);
    enum ph_error error = PH_OK;
    if (SSL_CTX_use_certificate(context, leaf) != 1) {
        error =
            diag_set(diag, PH_INVALID, "cert_pem", "the certificate cannot be used: %s", reason());
    }
    for (int index = 1; error == PH_OK && index < sk_X509_num(chain); index++) {
        if (SSL_CTX_add1_chain_cert(context, sk_X509_value(chain, index)) != 1) {
            error = diag_set(diag, PH_INVALID, "cert_pem", "certificate %d cannot be used: %s",
                             index + 1, reason());
        }
    }
    if (error == PH_OK && SSL_CTX_use_PrivateKey(context, key) != 1) {
        error = diag_set(diag, PH_INVALID, "key_pem", "the key cannot be used: %s", reason());
    }
    SSL_CTX_free(context);
    return error;
}

static enum ph_error check_client(const struct sink_policy *policy, struct diag *diag)
{
    if (policy->key_pem.len == 0 || policy->cert_pem.len == 0) {
        bool has_key = policy->key_pem.len > 0;
        return diag_set(diag, PH_INVALID, has_key ? "cert_pem" : "key_pem", "%s",
                        has_key ? "the key needs its certificate"
                                : "the certificate needs its private key");
    }
    STACK_OF(X509) *chain = sk_X509_new_null();
    EVP_PKEY *key = NULL;
    PH_ASSERT(chain != NULL);
    enum ph_error error = read_certificates(policy->cert_pem, "cert_pem", diag, chain);
    if (error == PH_OK) {
        error = read_key(policy->key_pem, diag, &key);
    }
    if (error == PH_OK) {
        error = check_use(chain, key, diag);
    }
    EVP_PKEY_free(key);
    sk_X509_pop_free(chain, X509_free);
    return error;
}

static enum ph_error check_authorities(struct slice pem, struct diag *diag)
{
    STACK_OF(X509) *certificates = sk_X509_new_null();
    PH_ASSERT(certificates != NULL);
    enum ph_error error = read_certificates(pem, "ca_pem", diag, certificates);
    sk_X509_pop_free(certificates, X509_free);
    return error;
}

/* --- all of it -------------------------------------------------------------------------------- */

enum ph_error sink_policy_check_proxy(struct slice url, const char *field, struct diag *diag)
{
    struct http_proxy proxy;
    enum ph_error error = http_proxy_parse(url, field, diag, &proxy);
    if (error == PH_OK) {
        http_proxy_done(&proxy);
    }
    return error;
}

enum ph_error sink_policy_check(const struct sink_policy *policy, struct diag *diag)
{
    enum ph_error error = check_size(policy->cert_pem, "cert_pem", diag);
    if (error == PH_OK) {
        error = check_size(policy->key_pem, "key_pem", diag);
    }
    if (error == PH_OK) {
        error = check_size(policy->ca_pem, "ca_pem", diag);
    }
    ERR_clear_error();
    if (error == PH_OK && (policy->cert_pem.len > 0 || policy->key_pem.len > 0)) {
        error = check_client(policy, diag);
    }
    if (error == PH_OK && policy->ca_pem.len > 0) {
        error = check_authorities(policy->ca_pem, diag);
    }
    if (error == PH_OK && policy->proxy.len > 0) {
        error = sink_policy_check_proxy(policy->proxy, "proxy", diag);
    }
    return error;
}
