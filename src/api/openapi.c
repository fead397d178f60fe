/* SPDX-License-Identifier: Apache-2.0 */
#include "api/openapi.h"

#include "api/api_int.h"
#include "api/embedded.h"

#define POINTER_PREFIX "#/components/"
#define REFERENCES_MAX 8 /* one behind the other */

static const char description[] =
    "Calls need the header `Authorization: Bearer TOKEN`, but for those of the server itself.\n\n"
    "Ids or the caller's own uids name things in paths. Unknown members of bodies and unknown "
    "query parameters are ignored. A trailing slash of a path is ignored. HEAD answers as GET "
    "without the body. POST requests with an `idempotency-key` are carried out once.\n\n"
    "Integers are written without a fraction.\n\n"
    "Beside the answers listed, any request may get 405 (the path has other methods, see `Allow`) "
    "and what the rules of HTTP ask for: 400, 408, 413, 414, 417, 431 or 505.";

static const struct api_operation *operation_of(const struct http_route *route)
{
    return route->data;
}

static void put(json_t *object, const char *key, json_t *value)
{
    PH_ASSERT(value != NULL && json_object_set_new(object, key, value) == 0);
}

static void add(json_t *array, json_t *value)
{
    PH_ASSERT(value != NULL && json_array_append_new(array, value) == 0);
}

/* --- reading the table ------------------------------------------------------------------------ */

json_t *openapi_components(void)
{
    json_error_t error;
    json_t *components =
        json_loadb(embedded_schemas, embedded_schemas_length, JSON_REJECT_DUPLICATES, &error);
    PH_ASSERT(json_is_object(components));
    return components;
}

static void copy_name(struct slice text, char ret_name[OPENAPI_NAME_MAX])
{
    PH_ASSERT(text.len > 0 && text.len < OPENAPI_NAME_MAX);
    memcpy(ret_name, text.ptr, text.len);
    ret_name[text.len] = '\0';
}

void openapi_tag(const char *id, char ret_tag[OPENAPI_NAME_MAX])
{
    struct slice text = slice_of(id);
    if (slice_starts_with(text, "v1.")) {
        text = (struct slice){text.ptr + 3, text.len - 3};
    }
    size_t length = slice_find(text, '.');
    copy_name(length == text.len ? SLICE_LITERAL("server") : (struct slice){text.ptr, length},
              ret_tag);
}

json_t *openapi_resolve(json_t *components, json_t *value)
{
    for (int step = 0; step < REFERENCES_MAX; step++) {
        const char *pointer = json_string_value(json_object_get(value, "$ref"));
        if (pointer == NULL) {
            return value;
        }
        PH_ASSERT(strncmp(pointer, POINTER_PREFIX, strlen(POINTER_PREFIX)) == 0);
        char section[OPENAPI_NAME_MAX];
        struct slice rest = slice_of(pointer + strlen(POINTER_PREFIX));
        struct slice part;
        PH_ASSERT(slice_next(&rest, '/', &part));
        copy_name(part, section);
        value = json_object_get(json_object_get(components, section), rest.ptr);
        PH_ASSERT(value != NULL);
    }
    PH_ASSERT(false);
}

bool openapi_next_name(struct slice *list, char ret_name[OPENAPI_NAME_MAX])
{
    struct slice part;
    if (list->len == 0 || !slice_next(list, ' ', &part)) {
        return false;
    }
    copy_name(part, ret_name);
    return true;
}

bool openapi_next_path_parameter(struct slice *path, char ret_name[OPENAPI_NAME_MAX])
{
    size_t start = slice_find(*path, '{');
    if (start == path->len) {
        return false;
    }
    struct slice rest = {path->ptr + start + 1, path->len - start - 1};
    size_t length = slice_find(rest, '}');
    copy_name((struct slice){rest.ptr, length}, ret_name);
    *path = (struct slice){rest.ptr + length, rest.len - length};
    return true;
}

bool openapi_is_built(const struct http_route *route)
{
    return operation_of(route)->function != api_not_implemented;
}

bool openapi_is_deprecated(const struct http_route *route)
{
    return strstr(operation_of(route)->summary, "(deprecated)") != NULL;
}

const char *openapi_callers(const struct http_route *route)
{
#define OF_APPLICATION "Tokens of the organisation, and of the application that the path names"
    switch (operation_of(route)->auth) {
    case API_AUTH_NONE:
        return "Everybody, without a token";
    case API_AUTH_ORGANISATION:
        return "Tokens of the organisation";
    case API_AUTH_APPLICATION:
        return route->method == HTTP_GET ? OF_APPLICATION
                                         : OF_APPLICATION " with the capability ManageEndpoint";
    case API_AUTH_VIEW:
        return OF_APPLICATION;
    case API_AUTH_MANAGE:
        return OF_APPLICATION " with the capability ManageEndpoint";
    case API_AUTH_VIEW_SECRET:
        return OF_APPLICATION " with a capability that reads secrets";
    case API_AUTH_MANAGE_SECRET:
        return OF_APPLICATION " with a capability that manages secrets";
    case API_AUTH_TRANSFORM:
        return OF_APPLICATION " with the capability ManageTransformations";
    case API_AUTH_ATTEMPT:
        return OF_APPLICATION " with the capability CreateAttempts";
    case API_AUTH_EVERYTHING:
        return OF_APPLICATION " with all capabilities";
    case API_AUTH_READ_ALL:
        return "Any token";
    case API_AUTH_TOKEN:
        return "Tokens of an application, for themselves";
    }
    PH_ASSERT(false);
}

const char *openapi_method(const struct http_route *route)
{
    static const char *const names[HTTP_METHOD_COUNT] = {
        [HTTP_GET] = "get",     [HTTP_POST] = "post",     [HTTP_PUT] = "put",
        [HTTP_PATCH] = "patch", [HTTP_DELETE] = "delete",
    };
    PH_ASSERT(names[route->method] != NULL);
    return names[route->method];
}

/* --- one operation ---------------------------------------------------------------------------- */

static json_t *reference(const char *section, const char *name)
{
    return json_pack("{s: s+++}", "$ref", POINTER_PREFIX, section, "/", name);
}

static json_t *parameters_of(const struct http_route *route)
{
    const struct api_operation *operation = operation_of(route);
    json_t *parameters = json_array();
    char name[OPENAPI_NAME_MAX];
    struct slice path = slice_of(route->pattern);
    while (openapi_next_path_parameter(&path, name)) {
        add(parameters, reference("parameters", name));
    }
    struct slice query = slice_of(operation->query);
    while (openapi_next_name(&query, name)) {
        add(parameters, reference("parameters", name));
    }
    if (route->method == HTTP_POST && operation->auth != API_AUTH_NONE) {
        add(parameters, reference("parameters", "idempotency-key"));
    }
    return parameters;
}

static json_t *content(const char *type, json_t *schema)
{
    return json_pack("{s: {s: o}}", type, "schema", schema);
}

static json_t *request_body(const char *request)
{
    bool is_optional = request[0] == '?';
    json_t *schema = reference("schemas", request + (is_optional ? 1 : 0));
    return json_pack("{s: b, s: o}", "required", !is_optional, "content",
                     content("application/json", schema));
}

static json_t *success(const struct api_operation *operation)
{
    json_t *response = json_pack("{s: s}", "description", operation->summary);
    if (operation->response != NULL && strchr(operation->response, '/') != NULL) {
        put(response, "content",
            content(operation->response, json_pack("{s: s}", "type", "string")));
    } else if (operation->response != NULL) {
        put(response, "content",
            content("application/json", reference("schemas", operation->response)));
    }
    return response;
}

static void put_error(json_t *responses, int status, const char *name)
{
    char key[8];
    (void)snprintf(key, sizeof key, "%d", status);
    if (json_object_get(responses, key) == NULL) {
        put(responses, key, reference("responses", name));
    }
}

/* What every operation of its kind may answer. */
static void put_errors(json_t *responses, const struct http_route *route)
{
    const struct api_operation *operation = operation_of(route);
    bool has_parameters = strchr(route->pattern, '{') != NULL;
    bool has_body = route->method != HTTP_GET && route->method != HTTP_DELETE;
    if (operation->auth != API_AUTH_NONE) {
        put_error(responses, 400, "BadRequest");
        put_error(responses, 401, "Unauthorized");
        put_error(responses, 403, "Forbidden");
    }
    if (has_parameters) {
        put_error(responses, 404, "NotFound");
    }
    if (has_body && operation->request != NULL && operation->response != NULL) {
        put_error(responses, 409, "Conflict");
    }
    if (has_body) {
        put_error(responses, 413, "TooLarge");
    }
    if (operation->query[0] != '\0') {
        put_error(responses, 414, "UriTooLong");
    }
    if (operation->request != NULL || operation->query[0] != '\0') {
        put_error(responses, 422, "Invalid");
    }
    if (operation->auth != API_AUTH_NONE) {
        put_error(responses, 500, "Failed");
    }
    if (!openapi_is_built(route)) {
        put_error(responses, 501, "NotImplemented");
    }
    if (operation->auth != API_AUTH_NONE) {
        put_error(responses, 503, "Busy");
        if (route->method != HTTP_GET) {
            put_error(responses, 507, "StoreFull");
        }
    }
}

static json_t *responses_of(const struct http_route *route)
{
    const struct api_operation *operation = operation_of(route);
    json_t *responses = json_object();
    char status[OPENAPI_NAME_MAX];
    struct slice statuses = slice_of(operation->statuses);
    while (openapi_next_name(&statuses, status)) {
        put(responses, status, success(operation));
    }
    put_errors(responses, route);
    return responses;
}

static json_t *operation_object(const struct http_route *route)
{
    const struct api_operation *operation = operation_of(route);
    char tag[OPENAPI_NAME_MAX];
    openapi_tag(operation->id, tag);
    json_t *object =
        json_pack("{s: s, s: s, s: s, s: [s]}", "operationId", operation->id, "summary",
                  operation->summary, "description", openapi_callers(route), "tags", tag);
    PH_ASSERT(object != NULL);
    if (openapi_is_deprecated(route)) {
        put(object, "deprecated", json_true());
    }
    if (!openapi_is_built(route)) {
        put(object, "x-not-implemented", json_true());
    }
    if (operation->auth == API_AUTH_NONE) {
        put(object, "security", json_array());
    }
    put(object, "parameters", parameters_of(route));
    if (operation->request != NULL) {
        put(object, "requestBody", request_body(operation->request));
    }
    put(object, "responses", responses_of(route));
    return object;
}

/* --- the document ----------------------------------------------------------------------------- */

static void note_tag(json_t *tags, const char *id)
{
    char tag[OPENAPI_NAME_MAX];
    openapi_tag(id, tag);
    size_t index;
    json_t *each;
    json_array_foreach(tags, index, each)
    {
        if (strcmp(json_string_value(json_object_get(each, "name")), tag) == 0) {
            return;
        }
    }
    add(tags, json_pack("{s: s}", "name", tag));
}

static json_t *components_object(void)
{
    json_t *components = openapi_components();
    put(components, "securitySchemes",
        json_pack("{s: {s: s, s: s, s: s}}", "bearer", "type", "http", "scheme", "bearer",
                  "bearerFormat", "JWT"));
    return components;
}

json_t *openapi_document(const struct http_route *routes, size_t count)
{
    json_t *tags = json_array();
    json_t *paths = json_object();
    for (size_t index = 0; index < count; index++) {
        note_tag(tags, operation_of(&routes[index])->id);
        json_t *path = json_object_get(paths, routes[index].pattern);
        if (path == NULL) {
            path = json_object();
            put(paths, routes[index].pattern, path);
        }
        put(path, openapi_method(&routes[index]), operation_object(&routes[index]));
    }
    json_t *document =
        json_pack("{s: s, s: {s: s, s: s, s: s, s: {s: s, s: s}}, s: [{s: s}], s: [{s: []}]}",
                  "openapi", "3.1.0", "info", "title", "Posthorn", "version", PH_VERSION,
                  "description", description, "license", "name", "Apache-2.0", "identifier",
                  "Apache-2.0", "servers", "url", "/", "security", "bearer");
    PH_ASSERT(document != NULL);
    put(document, "tags", tags);
    put(document, "paths", paths);
    put(document, "components", components_object());
    return document;
}
