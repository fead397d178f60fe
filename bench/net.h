/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PH_BENCH_NET_H
#define PH_BENCH_NET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Sockets and http:// addresses. */

/* Where to connect: resolved once, used for every connection. */
struct net_target {
    struct sockaddr_storage address;
    socklen_t address_bytes;
    int family;
    char host[300]; /* host and port as they go into the Host field */
    char path[512]; /* what follows the authority, without a slash at its end; may be empty */
};

/* Raises the number of descriptors this process may open to what the system allows. */
void net_raise_descriptor_limit(void);

/* Reads and resolves an http:// URL; false, with the reason on stderr, when it cannot be used. */
bool net_target_init(struct net_target *target, const char *url);

/* Connects (waiting at most 5 s) and turns Nagle off; a blocking socket, or -1 with errno. */
int net_connect(const struct net_target *target);

/* Makes the socket non-blocking. */
bool net_set_nonblocking(int fd);

/* Binds to an IPv4 address; port 0 picks one. Until net_start_listening() connections are refused
   and nothing else gets the port. A non-blocking socket, or -1 with errno. */
int net_bind(const char *address, uint16_t port, uint16_t *ret_port);
bool net_start_listening(int fd);

#endif
