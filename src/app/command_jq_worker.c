/* SPDX-License-Identifier: Apache-2.0 */
/* A child process of the server that runs users' jq programs; started by jq/pool.h only. */
#include "app/command.h"
#include "jq/worker.h"

int command_jq_worker(int count, char **arguments)
{
    return jq_worker_main(count, arguments);
}
