/* SPDX-License-Identifier: Apache-2.0 */
/* A child process of the server that runs users' jq programs; started by jq/pool.h only. */
#include "app/command.h"
#include "jq/worker.h"

static int run(int count, char **arguments)
{
    int code = jq_worker_main(count, arguments);
    if (code == EXIT_USAGE) {
        command_complain("jq-worker is started by the server, not by hand");
    }
    return code;
}

const struct command command_jq_worker = {.name = "jq-worker", .run = run};
