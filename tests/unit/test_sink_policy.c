/* SPDX-License-Identifier: Apache-2.0 */
/* Policies by themselves: what is refused when one is saved, and with which words. */
#include "unit/tls_rig.h"

#include <openssl/rsa.h>

#include "sinks/http.h"
#include "sinks/policy.h"

static struct identity ada;
static struct identity bob;

static void expect(const struct sink_policy *policy, const char *field, const char *words)
{
    struct diag diag = {0};
    enum ph_error error = sink_policy_check(policy, &diag);
    if (field == NULL) {
        if (error != PH_OK) {
            print_error("%s: %s\n", diag.field, diag.text);
        }
        assert_int_equal(error, PH_OK);
        return;
    }
    if (error != PH_INVALID || strstr(diag.text, words) == NULL) {
        print_error("%d %s: %s\n", (int)error, diag.field, diag.text);
    }
    assert_int_equal(error, PH_INVALID);
    assert_string_equal(diag.field, field);
    assert_non_null(strstr(diag.text, words));
}

static char *join(const char *first, const char *second)
{
    struct buf text;
    buf_init(&text, 65536);
    buf_append_text(&text, first);
    buf_append_text(&text, second);
    return buf_take(&text, NULL);
}

static void test_good_ones(void **state)
{
    (void)state;
    char *chain = join(ada.cert_pem, bob.cert_pem);
    char *combined = join(ada.key_pem, ada.cert_pem);
    expect(&(struct sink_policy){0}, NULL, NULL);
    expect(
        &(struct sink_policy){.cert_pem = slice_of(ada.cert_pem), .key_pem = slice_of(ada.key_pem)},
        NULL, NULL);
    expect(&(struct sink_policy){.cert_pem = slice_of(chain),
                                 .key_pem = slice_of(ada.key_pem),
                                 .ca_pem = slice_of(chain)},
           NULL, NULL);
    /* Both in one text, given twice. */
    expect(&(struct sink_policy){.cert_pem = slice_of(combined), .key_pem = slice_of(combined)},
           NULL, NULL);
    free(chain);
    free(combined);
}

static void test_bad_certificates(void **state)
{
    (void)state;
    char *broken = ph_strdup(ada.cert_pem);
    broken[strlen(broken) / 2] = '*';
    char *broken_chain = join(ada.cert_pem, broken);
    char *large = ph_malloc(SINK_POLICY_PEM_MAX + 1);
    memset(large, 'a', SINK_POLICY_PEM_MAX + 1);
    struct slice key = slice_of(ada.key_pem);
    const struct {
        struct slice pem;
        const char *words;
    } cases[] = {
        {SLICE_LITERAL("hello"), "there is no certificate in PEM form"},
        {key, "there is no certificate in PEM form"},
        {slice_of(broken), "certificate 1 cannot be read: bad base64 decode"},
        {slice_of(broken_chain), "certificate 2 cannot be read: bad base64 decode"},
        {{large, SINK_POLICY_PEM_MAX + 1}, "larger than 65536 bytes"},
    };
    for (size_t i = 0; i < PH_ARRAY_LENGTH(cases); i++) {
        expect(&(struct sink_policy){.cert_pem = cases[i].pem, .key_pem = key}, "cert_pem",
               cases[i].words);
        expect(&(struct sink_policy){.ca_pem = cases[i].pem}, "ca_pem", cases[i].words);
    }
    expect(&(struct sink_policy){.key_pem = key}, "cert_pem", "the key needs its certificate");
    free(broken);
    free(broken_chain);
    free(large);
}

/* Encrypted with a passphrase that nobody is asked for, not even on a terminal. */
static char *encrypted_key(void)
{
    BIO *bio = BIO_new(BIO_s_mem());
    static const unsigned char phrase[] = "phrase";
    assert_int_equal(PEM_write_bio_PrivateKey(bio, ada.key, EVP_aes_128_cbc(), phrase,
                                              sizeof phrase - 1, NULL, NULL),
                     1);
    return text_of_bio(bio);
}

static void test_bad_keys(void **state)
{
    (void)state;
    struct slice certificate = slice_of(ada.cert_pem);
    char *encrypted = encrypted_key();
    char *broken = ph_strdup(ada.key_pem);
    broken[strlen(broken) / 2] = '*';
    const struct {
        struct slice pem;
        const char *words;
    } cases[] = {
        {SLICE_NONE, "the certificate needs its private key"},
        {SLICE_LITERAL("hello"), "there is no private key in PEM form"},
        {certificate, "there is no private key in PEM form"},
        {slice_of(broken), "there is no private key in PEM form"},
        {slice_of(bob.key_pem), "the key does not belong to the certificate"},
        {slice_of(encrypted), "the key has a passphrase"},
    };
    for (size_t i = 0; i < PH_ARRAY_LENGTH(cases); i++) {
        expect(&(struct sink_policy){.cert_pem = certificate, .key_pem = cases[i].pem}, "key_pem",
               cases[i].words);
    }
    free(encrypted);
    free(broken);
}

/* OpenSSL would refuse it when a connection is made. */
static void test_weak_key(void **state)
{
    (void)state;
    struct identity weak = {.key = EVP_RSA_gen(1024U), .certificate = X509_dup(ada.certificate)};
    assert_non_null(weak.key);
    X509_set_pubkey(weak.certificate, weak.key);
    assert_true(X509_sign(weak.certificate, weak.key, EVP_sha256()) > 0);
    identity_write(&weak);
    expect(&(struct sink_policy){.cert_pem = slice_of(weak.cert_pem),
                                 .key_pem = slice_of(weak.key_pem)},
           "cert_pem", "the certificate cannot be used: ee key too small");
    identity_done(&weak);
}

static void test_proxies(void **state)
{
    (void)state;
    static const char *const good[] = {
        "http://proxy.test",
        "HTTP://proxy.test:3128/",
        "https://user:pass@proxy.test",
        "socks5h://127.0.0.1:1080",
        "socks5://u%40x:p%3A%2F@[::1]:1",
        "http://user@10.0.0.1:8080",
    };
    static const struct {
        const char *url;
        const char *words;
    } bad[] = {
        {"proxy.test:3128", "a proxy URL starts with"},
        {"ftp://proxy.test", "a proxy URL starts with"},
        {"socks4://proxy.test", "a proxy URL starts with"},
        {"http://", "host"},
        {"http:///", "host"},
        {"http://proxy.test:0", "port"},
        {"http://proxy.test:99999", "port"},
        {"http://proxy.test/path", "not the URL of a proxy"},
        {"http://proxy.test?query", "not the URL of a proxy"},
        {"http://proxy.test#part", "not the URL of a proxy"},
        {"http://a@b@proxy.test", "not the URL of a proxy"},
        {"http://proxy test", ""},
        {"http://us%3Aer:hidden@proxy.test", "a character that cannot be sent"},
        {"http://user:hidden%0d%0aX:%20y@proxy.test", "a character that cannot be sent"},
    };
    for (size_t i = 0; i < PH_ARRAY_LENGTH(good); i++) {
        expect(&(struct sink_policy){.proxy = slice_of(good[i])}, NULL, NULL);
    }
    for (size_t i = 0; i < PH_ARRAY_LENGTH(bad); i++) {
        struct diag diag = {0};
        expect(&(struct sink_policy){.proxy = slice_of(bad[i].url)}, "proxy", bad[i].words);
        assert_int_equal(sink_policy_check_proxy(slice_of(bad[i].url), "egress_proxy", &diag),
                         PH_INVALID);
        assert_string_equal(diag.field, "egress_proxy");
        assert_null(strstr(diag.text, "hidden"));
    }
    char url[2048];
    (void)snprintf(url, sizeof url, "http://user:%0256d@proxy.test", 0);
    expect(&(struct sink_policy){.proxy = slice_of(url)}, "proxy", "is too long");
}

static void test_keys_tell_policies_apart(void **state)
{
    (void)state;
    struct slice text = SLICE_LITERAL("text");
    struct slice longer = SLICE_LITERAL("texttext");
    struct sink_policy policies[] = {
        {.ca_pem = {NULL, 0}}, {.cert_pem = text}, {.key_pem = text},
        {.ca_pem = text},      {.proxy = text},    {.cert_pem = text, .key_pem = text},
        {.cert_pem = longer},
    };
    for (size_t i = 0; i < PH_ARRAY_LENGTH(policies); i++) {
        sink_policy_identify(&policies[i]);
        struct sink_policy again = policies[i];
        sink_policy_identify(&again);
        assert_memory_equal(again.key, policies[i].key, sizeof again.key);
        assert_int_equal(sink_policy_is_empty(&policies[i]), i == 0);
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(policies[i].key, policies[j].key, SINK_POLICY_KEY_BYTES);
        }
    }
}

static int set_up(void **state)
{
    identity_init(&ada, "ada", "DNS:ada.test", NULL);
    identity_init(&bob, "bob", "DNS:bob.test", NULL);
    return rig_set_up(state);
}

static int tear_down(void **state)
{
    identity_done(&bob);
    identity_done(&ada);
    return rig_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_ones), cmocka_unit_test(test_bad_certificates),
        cmocka_unit_test(test_bad_keys),  cmocka_unit_test(test_weak_key),
        cmocka_unit_test(test_proxies),   cmocka_unit_test(test_keys_tell_policies_apart),
    };
    return cmocka_run_group_tests_name("sink_policy", tests, set_up, tear_down);
}
