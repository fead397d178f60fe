/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

/* Copies `bytes` bytes as a string; false when they do not fit. */
static bool copy_text(char *to, size_t to_bytes, const char *from, size_t bytes)
{
    if (bytes >= to_bytes) {
        return false;
    }
    memcpy(to, from, bytes);
    to[bytes] = '\0';
    return true;
}

/* Splits "host:port" or "[v6]:port"; the port is 80 when absent. */
static bool split_authority(const char *authority, char *host, size_t host_bytes, char *port,
                            size_t port_bytes)
{
    const char *name = authority;
    size_t name_bytes = strcspn(authority, ":");
    const char *rest = authority + name_bytes;
    if (authority[0] == '[') {
        const char *end = strchr(authority, ']');
        if (end == NULL) {
            return false;
        }
        name = authority + 1;
        name_bytes = (size_t)(end - name);
        rest = end + 1;
    }
    const char *number = rest[0] == ':' ? rest + 1 : "80";
    return copy_text(host, host_bytes, name, name_bytes) &&
           copy_text(port, port_bytes, number, strlen(number));
}

void net_raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

bool net_target_init(struct net_target *target, const char *url)
{
    char host[256];
    char port[16];
    *target = (struct net_target){0};
    if (strncmp(url, "http://", 7) != 0) {
        fprintf(stderr, "cannot use %s: only http:// addresses can be loaded\n", url);
        return false;
    }
    const char *authority = url + 7;
    const size_t authority_bytes = strcspn(authority, "/?#");
    const char *path = authority + authority_bytes;
    size_t path_bytes = strlen(path);
    while (path_bytes > 0 && path[path_bytes - 1] == '/') {
        path_bytes--;
    }
    if (!copy_text(target->host, sizeof target->host, authority, authority_bytes) ||
        !copy_text(target->path, sizeof target->path, path, path_bytes) ||
        !split_authority(target->host, host, sizeof host, port, sizeof port)) {
        fprintf(stderr, "cannot use %s: not a usable address\n", url);
        return false;
    }
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const int problem = getaddrinfo(host, port, &hints, &found);
    if (problem != 0) {
        fprintf(stderr, "could not resolve %s: %s\n", host, gai_strerror(problem));
        return false;
    }
    memcpy(&target->address, found->ai_addr, found->ai_addrlen);
    target->address_bytes = found->ai_addrlen;
    target->family = found->ai_family;
    freeaddrinfo(found);
    return true;
}

static void set_no_delay(int fd)
{
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int net_connect(const struct net_target *target)
{
    const int fd = socket(target->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    /* On Linux the send timeout also bounds connect(). */
    const struct timeval limit = {.tv_sec = 5};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (const struct sockaddr *)&target->address, target->address_bytes) != 0) {
        const int reason = errno;
        close(fd);
        errno = reason;
        return -1;
    }
    set_no_delay(fd);
    return fd;
}

bool net_set_nonblocking(int fd)
{
    const int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

int net_bind(const char *address, uint16_t port, uint16_t *ret_port)
{
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t local_bytes = sizeof local;
    if (inet_pton(AF_INET, address, &local.sin_addr) != 1) {
        errno = EINVAL;
        return -1;
    }
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    set_no_delay(fd); /* accepted sockets inherit it */
    if (bind(fd, (const struct sockaddr *)&local, sizeof local) != 0 ||
        getsockname(fd, (struct sockaddr *)&local, &local_bytes) != 0) {
        const int reason = errno;
        close(fd);
        errno = reason;
        return -1;
    }
    *ret_port = ntohs(local.sin_port);
    return fd;
}

bool net_start_listening(int fd)
{
    return listen(fd, 4096) == 0;
}
