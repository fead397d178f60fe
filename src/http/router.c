/* SPDX-License-Identifier: Apache-2.0 */
#include "http/router.h"

struct router_node {
    struct slice text;             /* of the literal segment that leads here */
    struct router_node **children; /* literals, sorted by compare_text */
    size_t child_count;
    struct router_node *parameter; /* NULL when no route has a parameter here */
    struct router_node *rest;      /* likewise, one that takes all that is left */
    const struct router_row *rows[HTTP_METHOD_COUNT];
};

struct router {
    struct router_node root;
    struct router_row *rows; /* one per route */
};

/* Length first: most literals of one node differ in it, which saves comparing bytes. */
static int compare_text(struct slice left, struct slice right)
{
    if (left.len != right.len) {
        return left.len < right.len ? -1 : 1;
    }
    return left.len == 0 ? 0 : memcmp(left.ptr, right.ptr, left.len);
}

/* Index of the first child that is not before `text`. */
static size_t child_position(const struct router_node *node, struct slice text)
{
    size_t low = 0;
    size_t high = node->child_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_text(node->children[middle]->text, text) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct router_node *child_find(const struct router_node *node, struct slice text)
{
    size_t position = child_position(node, text);
    if (position == node->child_count || compare_text(node->children[position]->text, text) != 0) {
        return NULL;
    }
    return node->children[position];
}

static struct router_node *child_make(struct router_node *node, struct slice text)
{
    struct router_node *child = child_find(node, text);
    if (child != NULL) {
        return child;
    }
    size_t position = child_position(node, text);
    node->children =
        ph_realloc(node->children, (node->child_count + 1) * sizeof(struct router_node *));
    memmove(node->children + position + 1, node->children + position,
            (node->child_count - position) * sizeof(struct router_node *));
    child = ph_calloc(1, sizeof *child);
    child->text = text;
    node->children[position] = child;
    node->child_count++;
    return child;
}

static struct router_node *parameter_make(struct router_node *node, struct router_row *row,
                                          struct slice part, size_t segment)
{
    PH_ASSERT(part.len > 2 && part.ptr[part.len - 1] == '}');
    PH_ASSERT(row->parameter_count < ROUTER_PARAMETERS_MAX);
    bool is_rest = part.ptr[part.len - 2] == '*';
    row->parameters[row->parameter_count++] = (struct router_parameter){
        {part.ptr + 1, part.len - 2 - (is_rest ? 1 : 0)}, segment, is_rest};
    struct router_node **child = is_rest ? &node->rest : &node->parameter;
    if (*child == NULL) {
        *child = ph_calloc(1, sizeof **child);
    }
    return *child;
}

static void add_route(struct router *router, struct router_row *row, const struct http_route *route)
{
    PH_ASSERT(route->handler != NULL && (unsigned)route->method < HTTP_METHOD_COUNT);
    PH_ASSERT(route->pattern != NULL && route->pattern[0] == '/');
    row->route = route;
    struct router_node *node = &router->root;
    struct slice rest = slice_of(route->pattern + 1);
    struct slice part;
    for (size_t segment = 0; rest.len > 0 && slice_next(&rest, '/', &part); segment++) {
        PH_ASSERT(part.len > 0 && segment < ROUTER_SEGMENTS_MAX);
        if (part.ptr[0] == '{') {
            node = parameter_make(node, row, part, segment);
            PH_ASSERT(!row->parameters[row->parameter_count - 1].is_rest || rest.ptr == NULL);
        } else {
            PH_ASSERT(slice_find(part, '{') == part.len && slice_find(part, '}') == part.len);
            node = child_make(node, part);
        }
    }
    PH_ASSERT(node->rows[route->method] == NULL);
    node->rows[route->method] = row;
}

struct router *router_new(const struct http_route *routes, size_t count)
{
    struct router *router = ph_calloc(1, sizeof *router);
    router->rows = ph_calloc(count, sizeof *router->rows);
    for (size_t i = 0; i < count; i++) {
        add_route(router, &router->rows[i], &routes[i]);
    }
    return router;
}

/* Recursion is as deep as our own patterns are long. */
static void free_below(struct router_node *node)
{
    for (size_t i = 0; i < node->child_count; i++) {
        free_below(node->children[i]);
        free(node->children[i]);
    }
    free(node->children);
    if (node->parameter != NULL) {
        free_below(node->parameter);
        free(node->parameter);
    }
    if (node->rest != NULL) {
        free_below(node->rest);
        free(node->rest);
    }
}

void router_free(struct router *router)
{
    if (router != NULL) {
        free_below(&router->root);
        free(router->rows);
        free(router);
    }
}

static bool has_empty(const struct slice *segments, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (segments[i].len == 0) {
            return true;
        }
    }
    return false;
}

static const struct router_row *row_for(const struct router_node *node, enum http_method method,
                                        unsigned *allowed)
{
    for (unsigned i = 0; i < HTTP_METHOD_COUNT; i++) {
        if (node->rows[i] != NULL) {
            *allowed |= 1U << i;
        }
    }
    if ((unsigned)method >= HTTP_METHOD_COUNT) {
        return NULL;
    }
    if (method == HTTP_HEAD && node->rows[HTTP_HEAD] == NULL) {
        return node->rows[HTTP_GET];
    }
    return node->rows[method];
}

/* Recursion is at most ROUTER_SEGMENTS_MAX deep and as deep as the tree. */
static void walk(const struct router_node *node, enum http_method method,
                 const struct slice *segments, size_t count, struct router_match *match)
{
    if (count == 0) {
        match->row = row_for(node, method, &match->allowed);
        return;
    }
    if (segments[0].len == 0) {
        return;
    }
    const struct router_node *child = child_find(node, segments[0]);
    if (child != NULL) {
        walk(child, method, segments + 1, count - 1, match);
    }
    if (match->row == NULL && node->parameter != NULL) {
        walk(node->parameter, method, segments + 1, count - 1, match);
    }
    if (match->row == NULL && node->rest != NULL && !has_empty(segments, count)) {
        match->row = row_for(node->rest, method, &match->allowed);
    }
}

struct router_match router_find(const struct router *router, enum http_method method,
                                const struct slice *segments, size_t segment_count)
{
    struct router_match match = {NULL, 0};
    if (segment_count <= ROUTER_SEGMENTS_MAX) {
        walk(&router->root, method, segments, segment_count, &match);
    }
    if ((match.allowed & (1U << HTTP_GET)) != 0) {
        match.allowed |= 1U << HTTP_HEAD;
    }
    return match;
}
