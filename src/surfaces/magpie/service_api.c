/* SPDX-License-Identifier: Apache-2.0 */
/* The operations on services (magpie spec section 8). */
#include "surfaces/magpie/resource_int.h"

#define URL_MAX 8192
#define CONFIGURATION_MAX ((size_t)64 * 1024)

/* --- answers ---------------------------------------------------------------------------------- */

void magpie_service_write_facts(struct api_call *call, struct json_out *out,
                                const struct magpie_service *service)
{
    BUF_AUTO struct buf url;
    buf_init(&url, URL_MAX);
    magpie_append_public_url(surface_state(call), service->resource.name, &url);
    json_out_member_string(out, "service_name", service->resource.name);
    json_out_member_string(out, "service_type", service->resource.service_type);
    json_out_member_string(out, "service_sync_type", service->resource.sync_type);
    json_out_member_string(out, "service_url", service->url);
    json_out_member_string(out, "public_url", buf_slice(&url));
    json_out_member_int(out, "resource_id", service->resource.id);
    json_out_member_raw(out, "configuration",
                        service->configuration.ptr != NULL ? service->configuration
                                                           : SLICE_LITERAL("null"));
    magpie_resource_write_allowed(out, &service->resource);
}

/* Names need no escapes but for white space. */
static void write_key(struct json_out *out, struct slice name)
{
    char key[MAGPIE_NAME_MAX + 1];
    (void)snprintf(key, sizeof key, "%.*s", SLICE_ARG(name));
    for (char *at = key; *at != '\0'; at++) {
        *at = *at < ' ' ? ' ' : *at;
    }
    json_out_key(out, key);
}

/* Services in the making of an answer: below their types by name, or as a flat list. They come in
 * the order of types. */
struct listing {
    struct api_call *call;
    struct json_out *out;
    bool is_flat;
    struct slice only_type; /* SLICE_NONE = all */
    char type[32];          /* of the last one; empty = none */
};

static void begin_listing(struct listing *listing, const char *key)
{
    json_out_key(listing->out, key);
    if (listing->is_flat) {
        json_out_begin_array(listing->out);
    } else {
        json_out_begin_object(listing->out);
    }
}

static void end_listing(struct listing *listing)
{
    if (listing->is_flat) {
        json_out_end_array(listing->out);
        return;
    }
    if (listing->type[0] != '\0') {
        json_out_end_object(listing->out);
    }
    json_out_end_object(listing->out);
}

/* Up to the place of the next one, which the caller writes. */
static void place_next(struct listing *listing, const struct magpie_service *service)
{
    struct slice type = service->resource.service_type;
    if (listing->is_flat) {
        return;
    }
    if (!slice_equal_text(type, listing->type)) {
        if (listing->type[0] != '\0') {
            json_out_end_object(listing->out);
        }
        (void)snprintf(listing->type, sizeof listing->type, "%.*s", SLICE_ARG(type));
        json_out_key(listing->out, listing->type);
        json_out_begin_object(listing->out);
    }
    write_key(listing->out, service->resource.name);
}

static bool list_service(void *context, const struct magpie_service *service)
{
    struct listing *listing = context;
    if (listing->only_type.ptr != NULL &&
        !slice_equal(listing->only_type, service->resource.service_type)) {
        return true;
    }
    place_next(listing, service);
    json_out_begin_object(listing->out);
    magpie_service_write_facts(listing->call, listing->out, service);
    json_out_end_object(listing->out);
    return !listing->out->buf->failed;
}

static enum ph_error answer_services(struct api_call *call, struct slice only_type,
                                     struct diag *diag)
{
    struct store *store;
    struct api_answer answer;
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error != PH_OK) {
        return error;
    }
    magpie_answer_init(&answer, "Get services successful.");
    struct listing listing = {call, &answer.out, magpie_query_flag(call, "flatten"), only_type, ""};
    begin_listing(&listing, "services");
    error = magpie_service_walk(store, list_service, &listing, diag);
    end_listing(&listing);
    return magpie_answer_send(call, &answer, error, diag);
}

enum ph_error magpie_service_list(struct api_call *call, struct diag *diag)
{
    return answer_services(call, SLICE_NONE, diag);
}

enum ph_error magpie_service_type_get(struct api_call *call, struct diag *diag)
{
    struct slice type = http_param(call->request, "service_type");
    return magpie_is_service_type(type)
               ? answer_services(call, type, diag)
               : diag_set(diag, PH_NOT_FOUND, "service_type", "there is no such service type");
}

enum ph_error magpie_service_type_list(struct api_call *call, struct diag *diag)
{
    const char *type;
    struct api_answer answer;
    magpie_answer_init(&answer, "Get service types successful.");
    json_out_key(&answer.out, "service_types");
    json_out_begin_array(&answer.out);
    for (size_t index = 0; (type = magpie_service_type_at(index)) != NULL; index++) {
        json_out_string(&answer.out, slice_of(type));
    }
    json_out_end_array(&answer.out);
    return magpie_answer_send(call, &answer, PH_OK, diag);
}

static enum ph_error read_path_service(struct api_call *call, struct diag *diag,
                                       struct store **ret_store, struct magpie_service *ret_service)
{
    enum ph_error error = api_begin_read(call, diag, ret_store);
    return error != PH_OK
               ? error
               : magpie_service_find(*ret_store, http_param(call->request, "service_name"),
                                     call->arena, diag, ret_service);
}

enum ph_error magpie_service_get(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct magpie_service service;
    struct api_answer answer;
    enum ph_error error = read_path_service(call, diag, &store, &service);
    if (error != PH_OK) {
        return error;
    }
    magpie_answer_init(&answer, "Get service successful.");
    json_out_key(&answer.out, "service");
    json_out_begin_object(&answer.out);
    magpie_service_write_facts(call, &answer.out, &service);
    json_out_end_object(&answer.out);
    return magpie_answer_send(call, &answer, PH_OK, diag);
}

/* The service with all below it. */
static enum ph_error write_tree(struct api_call *call, struct store *store, struct json_out *out,
                                const struct magpie_service *service, struct diag *diag)
{
    struct magpie_resource *rows;
    size_t count;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    enum ph_error error =
        magpie_resource_tree(store, &service->resource, &arena, diag, &rows, &count);
    if (error == PH_OK) {
        json_out_begin_object(out);
        magpie_service_write_facts(call, out, service);
        magpie_resource_write_children(out, "resources", rows, count, service->resource.id);
        json_out_end_object(out);
    }
    return error;
}

enum ph_error magpie_service_resources_list(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct magpie_service service;
    struct api_answer answer;
    enum ph_error error = read_path_service(call, diag, &store, &service);
    if (error != PH_OK) {
        return error;
    }
    magpie_answer_init(&answer, "Get service resources successful.");
    write_key(&answer.out, service.resource.name);
    error = write_tree(call, store, &answer.out, &service, diag);
    return magpie_answer_send(call, &answer, error, diag);
}

/* Ids of all services, in the order of types and names. */
struct id_list {
    struct arena *arena;
    int64_t *ids;
    size_t count;
    size_t capacity;
    bool failed;
};

static bool add_id(void *context, const struct magpie_service *service)
{
    struct id_list *list = context;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        int64_t *ids = arena_calloc(list->arena, capacity, sizeof ids[0]);
        if (ids == NULL) {
            list->failed = true;
            return false;
        }
        if (list->count > 0) {
            memcpy(ids, list->ids, list->count * sizeof ids[0]);
        }
        list->ids = ids;
        list->capacity = capacity;
    }
    list->ids[list->count++] = service->resource.id;
    return true;
}

enum ph_error magpie_resource_list(struct api_call *call, struct diag *diag)
{
    struct store *store;
    struct api_answer answer;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, API_ROWS_MAX);
    struct id_list list = {.arena = &arena};
    enum ph_error error = api_begin_read(call, diag, &store);
    if (error == PH_OK) {
        error = magpie_service_walk(store, add_id, &list, diag);
    }
    if (error == PH_OK && list.failed) {
        error = api_no_memory(diag);
    }
    if (error != PH_OK) {
        return error;
    }
    magpie_answer_init(&answer, "Get resources successful.");
    struct listing listing = {.call = call, .out = &answer.out};
    begin_listing(&listing, "resources");
    for (size_t index = 0; error == PH_OK && !answer.body.failed && index < list.count; index++) {
        struct magpie_service service;
        ARENA_AUTO struct arena one;
        arena_init(&one, API_ROWS_MAX);
        error = magpie_service_find_id(store, list.ids[index], &one, diag, &service);
        if (error == PH_OK) {
            place_next(&listing, &service);
            error = write_tree(call, store, &answer.out, &service, diag);
        }
    }
    end_listing(&listing);
    return magpie_answer_send(call, &answer, error, diag);
}

enum ph_error magpie_service_permissions_list(struct api_call *call, struct diag *diag)
{
    return magpie_resource_answer_allowed(call, diag);
}

/* --- create and delete ------------------------------------------------------------------------ */

struct service_job {
    struct api_job job;
    struct magpie_service service;
};

static enum ph_error run_create(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    struct magpie_service service = PH_CONTAINER_OF(job, struct service_job, job)->service;
    enum ph_error error = magpie_service_insert(txn, &service, diag);
    if (error == PH_OK) {
        job->status = 201;
        magpie_answer_begin(&job->answer.out, 201, "Service registration to db successful.");
        json_out_key(&job->answer.out, "service");
        json_out_begin_object(&job->answer.out);
        magpie_service_write_facts(job->call, &job->answer.out, &service);
        json_out_end_object(&job->answer.out);
        magpie_answer_end(&job->answer.out);
    }
    return error;
}

/* What is given. */
static void check_service(struct magpie_body *body, const struct magpie_service *service)
{
    const struct magpie_resource *resource = &service->resource;
    if (slice_equal_text(resource->name, "types")) {
        magpie_body_refuse(body, PH_BAD_REQUEST, "service_name", "this name is reserved");
    }
    if (resource->name.ptr != NULL && !magpie_is_resource_name(resource->name)) {
        magpie_body_refuse(body, PH_BAD_REQUEST, "service_name",
                           "a name has letters and digits, with single spaces, _ - . : between");
    }
    if (resource->service_type.ptr != NULL && !magpie_is_service_type(resource->service_type)) {
        magpie_body_refuse(body, PH_BAD_REQUEST, "service_type", "there is no such service type");
    }
    if (service->url.ptr != NULL && !magpie_is_service_url(service->url)) {
        magpie_body_refuse(body, PH_BAD_REQUEST, "service_url",
                           "the URL is http or https, with a host");
    }
    if (service->configuration.len > CONFIGURATION_MAX) {
        magpie_body_refuse(body, PH_INVALID, "configuration",
                           "the configuration is longer than %zu bytes", CONFIGURATION_MAX);
    }
}

enum ph_error magpie_service_create(struct api_call *call, struct diag *diag)
{
    struct magpie_body body;
    bool is_pushed; /* to a catalogue that is not here */
    struct service_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    struct magpie_service *service = &job->service;
    magpie_body_of(call, PH_INVALID, diag, &body);
    service->resource.name = magpie_body_required(&body, "service_name");
    service->resource.service_type = magpie_body_required(&body, "service_type");
    service->url = magpie_body_required(&body, "service_url");
    service->resource.type = SLICE_LITERAL(MAGPIE_TYPE_SERVICE);
    service->resource.display_name = SLICE_LITERAL("");
    (void)magpie_body_object(&body, "configuration", &service->configuration);
    (void)magpie_body_bool(&body, "service_push", &is_pushed);
    check_service(&body, service);
    enum ph_error error = magpie_body_end(&body);
    return error != PH_OK ? error : api_submit(call, &job->job, run_create, diag);
}

/* Puts what is given in place; false when nothing differs. */
static bool merge(const struct magpie_service *given, struct magpie_service *service)
{
    const struct magpie_service former = *service;
    if (given->resource.name.ptr != NULL) {
        service->resource.name = given->resource.name;
    }
    if (given->url.ptr != NULL) {
        service->url = given->url;
    }
    if (given->configuration.ptr != NULL) {
        service->configuration = given->configuration;
    }
    return !slice_equal(service->resource.name, former.resource.name) ||
           !slice_equal(service->url, former.url) ||
           !slice_equal(service->configuration, former.configuration);
}

static enum ph_error run_patch(struct api_job *job, struct writer_txn *txn, struct diag *diag)
{
    const struct magpie_service *given = &PH_CONTAINER_OF(job, struct service_job, job)->service;
    struct magpie_service service;
    enum ph_error error =
        magpie_service_find(txn->store, http_param(job->call->request, "service_name"),
                            job->call->arena, diag, &service);
    if (error == PH_OK && !merge(given, &service)) {
        error = diag_set(diag, PH_BAD_REQUEST, NULL, "there is nothing to change");
    }
    if (error == PH_OK) {
        error = magpie_service_update(txn, &service, diag);
    }
    if (error == PH_OK) {
        magpie_answer_begin(&job->answer.out, 200, "Update service successful.");
        json_out_key(&job->answer.out, "service");
        json_out_begin_object(&job->answer.out);
        magpie_service_write_facts(job->call, &job->answer.out, &service);
        json_out_end_object(&job->answer.out);
        magpie_answer_end(&job->answer.out);
    }
    return error;
}

enum ph_error magpie_service_patch(struct api_call *call, struct diag *diag)
{
    struct magpie_body body;
    bool is_pushed;
    struct service_job *job = api_job_new(call, sizeof *job, diag);
    if (job == NULL) {
        return PH_NO_MEMORY;
    }
    magpie_body_of(call, PH_INVALID, diag, &body);
    (void)magpie_body_text(&body, "service_name", &job->service.resource.name);
    (void)magpie_body_text(&body, "service_url", &job->service.url);
    (void)magpie_body_object(&body, "configuration", &job->service.configuration);
    (void)magpie_body_bool(&body, "service_push", &is_pushed);
    check_service(&body, &job->service);
    enum ph_error error = magpie_body_end(&body);
    return error != PH_OK ? error : api_submit(call, &job->job, run_patch, diag);
}

enum ph_error magpie_service_remove(struct api_call *call, struct diag *diag)
{
    return magpie_resource_remove(call, diag);
}

enum ph_error magpie_service_resources_create(struct api_call *call, struct diag *diag)
{
    return magpie_resource_submit(call, true, diag);
}
