/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/surface.h"

#include "base/clock.h"
#include "base/random.h"
#include "core/base64.h"
#include "surfaces/dbt/dbt.h"
#include "surfaces/magpie/magpie.h"

#define TOKEN_RANDOM_BYTES 32
#define BEARER "Bearer "

/* One line for each surface. */
static const struct surface *const table[] = {
    &surface_dbt,
    &surface_magpie,
};
#define TABLE_COUNT PH_ARRAY_LENGTH(table)

/* A route's data: the operation, and the running surface that it belongs to. */
struct mounted {
    const struct surface_operation *operation;
    struct surface_instance *instance;
};

struct surface_instance {
    const struct surface *surface;
    void *state;
    bool is_started;
    struct mounted *mounted; /* one per route */
    struct http_route *own;  /* for its own listeners: without the mount, and with it */
};

struct surfaces {
    struct surface_environment environment;
    struct surface_instance instances[TABLE_COUNT];
    struct http_route *routes;
    size_t route_count;
    size_t native_count;
};

const struct surface *const *surface_table(size_t *ret_count)
{
    *ret_count = TABLE_COUNT;
    return table;
}

const struct surface *surface_find(const char *name)
{
    for (size_t index = 0; index < TABLE_COUNT; index++) {
        if (strcmp(table[index]->name, name) == 0) {
            return table[index];
        }
    }
    return NULL;
}

void surfaces_register_formats(void)
{
    static const struct delivery_format *formats[TABLE_COUNT];
    size_t count = 0;
    for (size_t index = 0; index < TABLE_COUNT; index++) {
        if (table[index]->format != NULL) {
            formats[count++] = table[index]->format;
        }
    }
    delivery_formats_set(formats, count);
}

/* --- routes ----------------------------------------------------------------------------------- */

static void mount(struct surfaces *surfaces, struct surface_instance *instance)
{
    const struct surface *surface = instance->surface;
    instance->mounted = ph_calloc(surface->route_count, sizeof instance->mounted[0]);
    instance->own = ph_calloc(2 * surface->route_count, sizeof instance->own[0]);
    for (size_t index = 0; index < surface->route_count; index++) {
        struct mounted *mounted = &instance->mounted[index];
        *mounted = (struct mounted){surface->routes[index].data, instance};
        instance->own[index] = surface->routes[index];
        instance->own[index].data = mounted;
        struct http_route *route = &surfaces->routes[surfaces->route_count++];
        BUF_AUTO struct buf pattern;
        buf_init(&pattern, 4096);
        buf_append_format(&pattern, "/%s%s", surface->name, surface->routes[index].pattern);
        *route = instance->own[index];
        route->pattern = buf_take(&pattern, NULL);
        instance->own[surface->route_count + index] = *route;
    }
}

static void mount_all(struct surfaces *surfaces)
{
    size_t count;
    const struct http_route *native = api_routes(&count);
    size_t total = count;
    for (size_t index = 0; index < TABLE_COUNT; index++) {
        total += table[index]->route_count;
    }
    surfaces->routes = ph_calloc(total, sizeof surfaces->routes[0]);
    memcpy(surfaces->routes, native, count * sizeof surfaces->routes[0]);
    surfaces->route_count = count;
    surfaces->native_count = count;
    for (size_t index = 0; index < TABLE_COUNT; index++) {
        mount(surfaces, &surfaces->instances[index]);
    }
}

const struct http_route *surfaces_routes(struct surfaces *surfaces, size_t *ret_count)
{
    *ret_count = surfaces->route_count;
    return surfaces->routes;
}

struct surface_instance *surfaces_instance(struct surfaces *surfaces, const struct surface *surface)
{
    for (size_t index = 0; index < TABLE_COUNT; index++) {
        if (table[index] == surface) {
            return &surfaces->instances[index];
        }
    }
    return NULL;
}

const struct http_route *surface_own_routes(struct surfaces *surfaces,
                                            const struct surface *surface, size_t *ret_count)
{
    *ret_count = 2 * surface->route_count;
    const struct surface_instance *instance = surfaces_instance(surfaces, surface);
    PH_ASSERT(instance != NULL);
    return instance->own;
}

/* Whether the path is `/NAME` or below. */
static bool is_below(struct slice path, const char *name)
{
    size_t length = strlen(name);
    return path.len > length && path.ptr[0] == '/' && memcmp(path.ptr + 1, name, length) == 0 &&
           (path.len == length + 1 || path.ptr[length + 1] == '/');
}

void surfaces_not_found(struct http_request *request)
{
    struct slice path = http_path(request);
    for (size_t index = 0; index < TABLE_COUNT; index++) {
        if (table[index]->not_found != NULL && is_below(path, table[index]->name)) {
            table[index]->not_found(request);
            return;
        }
    }
    struct diag diag;
    (void)diag_set(&diag, PH_NOT_FOUND, NULL, "Entity not found");
    http_respond_error(request, &diag);
}

bool surfaces_refuse(struct http_request *request, int status, const char *detail)
{
    struct slice path = http_path(request);
    for (size_t index = 0; index < TABLE_COUNT; index++) {
        if (table[index]->refuse != NULL && is_below(path, table[index]->name)) {
            return table[index]->refuse(request, status, detail);
        }
    }
    return false;
}

/* --- start and stop --------------------------------------------------------------------------- */

static enum ph_error find_owner(void *context, struct store *store, struct slice uid,
                                struct diag *diag, const char **ret_owner)
{
    const struct surfaces *surfaces = context;
    enum ph_error error = PH_OK;
    bool owns = false;
    *ret_owner = NULL;
    for (size_t index = 0; index < TABLE_COUNT && error == PH_OK && !owns; index++) {
        const struct surface_instance *instance = &surfaces->instances[index];
        if (instance->surface->owns_application != NULL) {
            error = instance->surface->owns_application(instance->state, store, uid, diag, &owns);
            *ret_owner = owns ? instance->surface->name : NULL;
        }
    }
    return error;
}

enum ph_error surfaces_start(const struct surface_environment *environment, struct diag *diag,
                             struct surfaces **ret_surfaces)
{
    struct surfaces *surfaces = ph_calloc(1, sizeof *surfaces);
    surfaces->environment = *environment;
    for (size_t index = 0; index < TABLE_COUNT; index++) {
        struct surface_instance *instance = &surfaces->instances[index];
        instance->surface = table[index];
        enum ph_error error = instance->surface->start == NULL
                                  ? PH_OK
                                  : instance->surface->start(environment, diag, &instance->state);
        if (error != PH_OK) {
            surfaces_stop(surfaces);
            return error;
        }
        instance->is_started = true;
    }
    mount_all(surfaces);
    if (environment->api != NULL) {
        api_set_owner(environment->api, find_owner, surfaces);
    }
    *ret_surfaces = surfaces;
    return PH_OK;
}

void surfaces_stop(struct surfaces *surfaces)
{
    if (surfaces == NULL) {
        return;
    }
    for (size_t index = surfaces->native_count; index < surfaces->route_count; index++) {
        free((char *)(uintptr_t)surfaces->routes[index].pattern);
    }
    for (size_t index = TABLE_COUNT; index-- > 0;) {
        struct surface_instance *instance = &surfaces->instances[index];
        if (instance->is_started && instance->surface->stop != NULL) {
            instance->surface->stop(instance->state);
        }
        free(instance->mounted);
        free(instance->own);
    }
    free(surfaces->routes);
    free(surfaces);
}

void surfaces_reload(struct surfaces *surfaces, const void *options)
{
    surfaces->environment.options = options;
    for (size_t index = 0; index < TABLE_COUNT; index++) {
        struct surface_instance *instance = &surfaces->instances[index];
        struct diag diag;
        if (instance->surface->reload != NULL &&
            instance->surface->reload(instance->state, &surfaces->environment, &diag) != PH_OK) {
            log_write(surfaces->environment.log, LOG_RELOAD_FAILED,
                      LOG_TEXT("surface", instance->surface->name), LOG_TEXT("error", diag.text));
        }
    }
}

void *surface_state(const struct api_call *call)
{
    return call->surface->state;
}

static struct slice bearer_token(struct http_request *request)
{
    struct slice header = http_header(request, "authorization");
    if (header.ptr == NULL || !slice_starts_with(header, BEARER)) {
        return SLICE_NONE;
    }
    return (struct slice){header.ptr + strlen(BEARER), header.len - strlen(BEARER)};
}

static enum ph_error find_token(struct api_call *call, struct diag *diag)
{
    const struct surface *surface = call->surface->surface;
    struct slice text =
        surface->token_of != NULL ? surface->token_of(call->request) : bearer_token(call->request);
    if (text.ptr == NULL || text.len == 0) {
        return diag_set(diag, PH_UNAUTHORIZED, NULL, "Invalid token.");
    }
    struct surface_token_row *row = arena_calloc(call->arena, 1, sizeof *row);
    if (row == NULL) {
        return api_no_memory(diag);
    }
    uint8_t hash[SURFACE_TOKEN_HASH_BYTES];
    surface_token_hash(text, hash);
    struct store *store;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = surface_token_find(store, slice_of(surface->name), hash, clock_wall_us(),
                                   call->arena, diag, row);
    }
    if (error == PH_NOT_FOUND && surface->find_session != NULL) {
        error = surface->find_session(call, store, hash, diag, row);
    }
    if (error == PH_NOT_FOUND) {
        return diag_set(diag, PH_UNAUTHORIZED, NULL, "Invalid token.");
    }
    call->surface_token = row;
    return error;
}

static enum ph_error judge(struct api_call *call, const void *context, struct diag *diag)
{
    const struct mounted *mounted = context;
    const struct surface *surface = mounted->instance->surface;
    call->surface = mounted->instance;
    if (surface->respond_error != NULL) {
        call->respond_error = surface->respond_error;
    }
    if (mounted->operation->auth == SURFACE_AUTH_NONE) {
        return PH_OK;
    }
    enum ph_error error = find_token(call, diag);
    if (error == PH_OK && surface->authorize != NULL) {
        error = surface->authorize(call, mounted->operation, diag);
    }
    return error;
}

void surface_handle(struct http_request *request)
{
    const struct mounted *mounted = http_route_of(request)->data;
    api_run(request, judge, mounted, mounted->operation->function);
}

/* --- tokens ----------------------------------------------------------------------------------- */

enum ph_error surface_make_token(struct writer_txn *txn, const struct surface *surface,
                                 struct slice prefix, struct slice subject, struct slice grants,
                                 const struct surface_token_request *request, struct diag *diag,
                                 struct buf *ret_text)
{
    uint8_t entropy[TOKEN_RANDOM_BYTES];
    uint8_t hash[SURFACE_TOKEN_HASH_BYTES];
    random_bytes(entropy, sizeof entropy);
    buf_append_slice(ret_text, prefix);
    base64url_append(ret_text, entropy, sizeof entropy);
    explicit_bzero(entropy, sizeof entropy);
    surface_token_hash(buf_slice(ret_text), hash);
    const struct surface_token_row row = {
        .id = writer_txn_new_id(txn),
        .surface = slice_of(surface->name),
        .subject = subject,
        .grants = grants,
        .name = request->name,
        .created_at_us = txn->now_us,
        .expires_at_us = request->expires_at_us,
    };
    return surface_token_insert(txn->store, &row, hash, diag);
}
