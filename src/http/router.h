/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree of path segments compiled from a route table. Immutable after router_new: any thread.
 * A literal segment goes before a parameter; when the literal leads nowhere the parameter is
 * tried, so `/a/{x}/b` still serves `/a/list/b` beside `/a/list`.
 */
#ifndef PH_HTTP_ROUTER_H
#define PH_HTTP_ROUTER_H

#include "http/server.h"

#define ROUTER_SEGMENTS_MAX 24
#define ROUTER_PARAMETERS_MAX 8

struct router;

struct router_parameter {
    struct slice name;
    size_t segment; /* its index among the segments of the path */
    bool is_rest;   /* it takes this segment and all behind it */
};

/* A compiled route. */
struct router_row {
    const struct http_route *route;
    size_t parameter_count;
    struct router_parameter parameters[ROUTER_PARAMETERS_MAX];
};

struct router_match {
    const struct router_row *row; /* NULL when nothing fits path and method */
    unsigned allowed;             /* bit per enum http_method that the path has; 0 = no such path */
};

/* The patterns are checked: malformed ones and two routes for the same method and path are
 * programmer errors (asserted). The table must outlive the router. */
PH_NODISCARD struct router *router_new(const struct http_route *routes, size_t count);
void router_free(struct router *router);
/* `method` may be HTTP_METHOD_COUNT for one that is not in the enum: it fits no route. HEAD falls
 * back to GET. `segments` are decoded; empty ones fit nothing. */
struct router_match router_find(const struct router *router, enum http_method method,
                                const struct slice *segments, size_t segment_count);

#endif
