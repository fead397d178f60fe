/* SPDX-License-Identifier: Apache-2.0 */
/* Proxy URLs of endpoints: taken with all parts within their limits, or refused in words. */
#include "fuzz/fuzz.h"
#include "sinks/http_int.h"

static void check_credential(const struct secret *credential)
{
    PH_ASSERT(credential->length <= 255);
    for (size_t i = 0; i < credential->length; i++) {
        PH_ASSERT(credential->bytes[i] >= 0x20 && credential->bytes[i] != 0x7f);
    }
}

static void check_proxy(const struct http_proxy *proxy)
{
    PH_ASSERT(proxy->kind > HTTP_PROXY_NONE && proxy->kind <= HTTP_PROXY_SOCKS5);
    PH_ASSERT(proxy->port > 0);
    size_t length = strlen(proxy->host);
    PH_ASSERT(length > 0 && length <= 253 + 2);
    for (size_t i = 0; i < length; i++) {
        PH_ASSERT(proxy->host[i] > 0x20 && proxy->host[i] < 0x7f);
        PH_ASSERT(strchr("@/?#%\\", proxy->host[i]) == NULL);
    }
    bool is_v6 = proxy->host[0] == '[';
    PH_ASSERT(is_v6 == (proxy->host[length - 1] == ']'));
    PH_ASSERT(is_v6 == (strchr(proxy->host, ':') != NULL));
    check_credential(&proxy->username);
    check_credential(&proxy->password);
    PH_ASSERT(proxy->username.length == 0 ||
              memchr(proxy->username.bytes, ':', proxy->username.length) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = fuzz_text(data, size);
    struct diag diag = {.error = PH_OK};
    struct http_proxy proxy;
    if (http_proxy_parse(text, "proxy", &diag, &proxy) == PH_OK) {
        struct http_proxy copy;
        check_proxy(&proxy);
        http_proxy_copy(&proxy, &copy);
        check_proxy(&copy);
        http_proxy_done(&copy);
        http_proxy_done(&proxy);
    } else {
        PH_ASSERT(diag.error == PH_INVALID && strcmp(diag.field, "proxy") == 0);
        PH_ASSERT(diag.text[0] != '\0');
    }
    return 0;
}
