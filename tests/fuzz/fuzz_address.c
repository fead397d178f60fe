/* SPDX-License-Identifier: Apache-2.0 */
/* The address guard. The input is a list of networks, a line break, and 16 bytes of address. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "core/address.h"
#include "fuzz/fuzz.h"

static struct sockaddr_storage address_of(const uint8_t *bytes, bool is_v6)
{
    struct sockaddr_storage storage = {.ss_family = AF_UNSPEC};
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (is_v6) {
        memcpy(&in6.sin6_addr, bytes, 16);
        memcpy(&storage, &in6, sizeof in6);
    } else {
        memcpy(&in.sin_addr, bytes, 4);
        memcpy(&storage, &in, sizeof in);
    }
    return storage;
}

static bool judge(const uint8_t *bytes, bool is_v6, const struct cidr_set *allow)
{
    const char *rule = NULL;
    struct sockaddr_storage address = address_of(bytes, is_v6);
    bool is_allowed = address_check((const struct sockaddr *)&address, allow, &rule);
    PH_ASSERT(is_allowed == (rule == NULL));
    return is_allowed;
}

static bool contains(const struct cidr_set *set, const uint8_t *bytes, bool is_v6)
{
    struct sockaddr_storage address = address_of(bytes, is_v6);
    return cidr_set_contains(set, (const struct sockaddr *)&address);
}

/* Each network contains its own address, and reads the same when it is written out. */
static void check_items(const struct cidr_set *set)
{
    for (size_t index = 0; index < set->count; index++) {
        const struct cidr *item = &set->items[index];
        char address[INET6_ADDRSTRLEN];
        char text[INET6_ADDRSTRLEN + 8];
        CIDR_SET_AUTO struct cidr_set again = {NULL, 0};
        PH_ASSERT(item->bits <= (item->is_v6 ? 128 : 32));
        PH_ASSERT(contains(set, item->bytes, item->is_v6) || item->is_v6);
        PH_ASSERT(inet_ntop(item->is_v6 ? AF_INET6 : AF_INET, item->bytes, address,
                            sizeof address) != NULL);
        (void)snprintf(text, sizeof text, "%s/%u", address, item->bits);
        PH_ASSERT(cidr_set_parse(slice_of(text), "x", NULL, &again) == PH_OK);
        PH_ASSERT(again.count == 1 && again.items[0].bits == item->bits);
        PH_ASSERT(again.items[0].is_v6 == item->is_v6);
        PH_ASSERT(memcmp(again.items[0].bytes, item->bytes, item->is_v6 ? 16 : 4) == 0);
    }
}

/* Whatever the way to write an IPv4 address as IPv6, it is not more allowed than by itself. */
static void check_embedded(const uint8_t v4[4], const struct cidr_set *allow)
{
    static const struct {
        uint8_t bytes[16];
        size_t offset;
        bool is_equal;
    } forms[] = {
        {{[10] = 0xff, 0xff}, 12, true},          /* mapped */
        {{0}, 12, false},                         /* compatible */
        {{0, 0x64, 0xff, 0x9b}, 12, false},       /* NAT64 */
        {{0, 0x64, 0xff, 0x9b, 0, 1}, 12, false}, /* local NAT64 */
        {{0x20, 0x02}, 2, false},                 /* 6to4 */
    };
    bool is_allowed = judge(v4, false, allow);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(forms); index++) {
        uint8_t bytes[16];
        memcpy(bytes, forms[index].bytes, sizeof bytes);
        memcpy(bytes + forms[index].offset, v4, 4);
        bool is_loopback_or_none = index == 1 && v4[0] == 0 && v4[1] == 0 && v4[2] == 0;
        if (!is_loopback_or_none && judge(bytes, true, allow)) {
            PH_ASSERT(is_allowed);
        } else if (forms[index].is_equal) {
            PH_ASSERT(!is_allowed);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t bytes[16] = {0};
    struct slice rest = fuzz_text(data, size);
    struct slice text = fuzz_line(&rest);
    struct diag diag = {.error = PH_OK};
    CIDR_SET_AUTO struct cidr_set set = {NULL, 0};
    if (rest.len > 0) {
        memcpy(bytes, rest.ptr, rest.len < sizeof bytes ? rest.len : sizeof bytes);
    }
    if (cidr_set_parse(text, "x", &diag, &set) == PH_OK) {
        PH_ASSERT(set.count <= CIDR_SET_MAX);
        check_items(&set);
    } else {
        PH_ASSERT(set.count == 0 && diag.error == PH_INVALID);
    }
    for (int is_v6 = 0; is_v6 < 2; is_v6++) {
        /* A list only opens, and an empty one opens nothing. */
        bool by_itself = judge(bytes, is_v6 != 0, NULL);
        bool with_list = judge(bytes, is_v6 != 0, &set);
        PH_ASSERT(with_list || !by_itself);
        PH_ASSERT(by_itself || !with_list || set.count > 0);
    }
    check_embedded(bytes, NULL);
    check_embedded(bytes, &set);
    return 0;
}
