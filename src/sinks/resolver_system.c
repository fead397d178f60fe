/* SPDX-License-Identifier: Apache-2.0 */
/* The only call of getaddrinfo. It may block for many seconds; only pool threads come here. */
#include "sinks/resolver.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/slice.h"

static void add_address(const struct sockaddr *address, char *text, size_t text_size)
{
    char number[INET6_ADDRSTRLEN];
    bool is_v6 = address->sa_family == AF_INET6;
    const void *bytes;
    if (is_v6) {
        bytes = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    } else if (address->sa_family == AF_INET) {
        bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    } else {
        return;
    }
    if (inet_ntop(address->sa_family, bytes, number, sizeof number) == NULL) {
        return;
    }
    size_t used = strlen(text);
    /* Brackets, comma and NUL: an address that does not fit in full is left out. */
    if (used + strlen(number) + 4 > text_size) {
        return;
    }
    (void)snprintf(text + used, text_size - used, "%s%s%s%s", used > 0 ? "," : "", is_v6 ? "[" : "",
                   number, is_v6 ? "]" : "");
}

bool resolver_system_lookup(void *context, const char *host, char *ret_text, size_t text_size)
{
    (void)context;
    /* AI_ADDRCONFIG would hide IPv6 addresses from a machine that has only ::1. */
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    ret_text[0] = '\0';
    int status = getaddrinfo(host, NULL, &hints, &found);
    if (status == 0) {
        for (const struct addrinfo *one = found; one != NULL; one = one->ai_next) {
            add_address(one->ai_addr, ret_text, text_size);
        }
        freeaddrinfo(found);
        if (ret_text[0] != '\0') {
            return true;
        }
        status = EAI_NONAME;
    }
    (void)snprintf(ret_text, text_size, "could not look up %s: %s", host, gai_strerror(status));
    return false;
}
