/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: a process of its own that compiles and runs jq programs for a pool (jq/pool.h), one
 * request after the other. It has a socket on descriptor 0 and nothing else: no files, no network,
 * no environment, limits on memory and processor time, and only the system calls that memory and
 * that socket need.
 */
#ifndef PH_JQ_WORKER_H
#define PH_JQ_WORKER_H

#include <stddef.h>

/* Main thread of a process that does nothing else, never returns before the socket is closed or
 * the worker gives up. `memory_bytes` is what it may allocate, `output_bytes_max` goes for one
 * result. Returns the exit code. */
int jq_worker_run(size_t memory_bytes, size_t output_bytes_max);
/* The same from the arguments that a pool gives its executable behind "jq-worker". */
int jq_worker_main(int count, char **arguments);

#endif
