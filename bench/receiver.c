/* SPDX-License-Identifier: Apache-2.0 */

/* ph-receiver: a web hook receiver that answers at once and counts what it got. */

#include "arguments.h"
#include "net.h"
#include "receive.h"

#include <getopt.h>
#include <stdio.h>

static const char usage[] =
    "usage: ph-receiver [options]\n"
    "  --listen ADDRESS   IPv4 address to listen on (127.0.0.1)\n"
    "  --port N           0 picks one (0); printed as: ready http://ADDRESS:PORT\n"
    "  --threads N        epoll threads (1)\n"
    "  --status N         status of each answer (204)\n"
    "  --delay-ms N       wait before each answer (0)\n"
    "  --hang PREFIX      never answer paths that start with PREFIX\n"
    "  --verify SECRET    check each signature with this whsec_ secret, count bad ones\n"
    "GET /stats gives the counts as one line of JSON; POST /reset starts them anew. The second\n"
    "port takes deliveries between POST /open and POST /close and refuses connections otherwise.\n";

static const struct option long_options[] = {
    {"listen", required_argument, NULL, 'l'},
    {"port", required_argument, NULL, 'p'},
    {"threads", required_argument, NULL, 't'},
    {"status", required_argument, NULL, 's'},
    {"delay-ms", required_argument, NULL, 'd'},
    {"hang", required_argument, NULL, 'g'},
    {"verify", required_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

int main(int argc, char **argv)
{
    struct receive_options options = {.address = "127.0.0.1", .threads = 1, .status = 204};
    struct receiver_ports ports = {0};
    int option = 0;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (option) {
        case 'l':
            options.address = optarg;
            break;
        case 'p':
            options.port = (uint16_t)arguments_number("port", optarg, 0, 65535);
            break;
        case 't':
            options.threads = (unsigned)arguments_number("threads", optarg, 1, 64);
            break;
        case 's':
            options.status = (int)arguments_number("status", optarg, 200, 599);
            break;
        case 'd':
            options.delay_ms = (unsigned)arguments_number("delay-ms", optarg, 0, 3600000);
            break;
        case 'g':
            options.hang_prefix = optarg;
            break;
        case 'v':
            options.verify_secret = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    net_raise_descriptor_limit();
    struct receiver *receiver = receiver_start(&options, &ports);
    if (receiver == NULL) {
        return 1;
    }
    printf("gate http://%s:%u\nready http://%s:%u\n", options.address, ports.gate, options.address,
           ports.main);
    fflush(stdout);
    receiver_join(receiver);
    return 0;
}
