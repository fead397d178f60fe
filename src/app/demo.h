/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `serve --demo`: a sample application with two endpoints, a receiver inside the process, and real
 * dbt-shaped events sent through the real HTTP path by a thread of its own.
 */
#ifndef PH_APP_DEMO_H
#define PH_APP_DEMO_H

#include "app/option.h"

struct demo;

/* Before the server starts: loopback deliveries and a quick schedule unless configured, and a
 * temporary data directory unless one is given; returns its path (free it) or NULL. */
char *demo_prepare(struct options *options);
/* The same for options that were read again; `data` is the directory in use. */
void demo_prepare_again(struct options *options, const char *data);
/* After it is ready. */
struct demo *demo_start(const struct options *options, const char *server_url);
void demo_stop(struct demo *demo); /* NULL is fine */

#endif
