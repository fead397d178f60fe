/* SPDX-License-Identifier: Apache-2.0 */
/* What a proxy says of its client: an address comes out, or nothing; never a trusted proxy's while
 * another one stands behind it. */
#include "fuzz/fuzz.h"
#include "http/forwarded.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const proxies[] = {"10.0.0.0/8", "2001:db8::/32"};
    struct http_network *networks;
    if (http_networks_parse(proxies, 2, NULL, &networks) != PH_OK) {
        return 0;
    }
    const struct slice text = {(const char *)data, size};
    struct forwarded list = {.proxies = networks, .proxy_count = 2};
    struct forwarded elements = list;
    forwarded_add_list(&list, text);
    forwarded_add_elements(&elements, text);
    forwarded_add_list(&list, SLICE_LITERAL("192.0.2.1, 10.1.2.3"));
    PH_ASSERT(list.is_known && list.address[12] == 192);
    forwarded_add_elements(&elements, SLICE_LITERAL("for=192.0.2.1, for=\"[2001:db8::1]\""));
    PH_ASSERT(elements.is_known && elements.address[12] == 192);
    free(networks);
    return 0;
}
