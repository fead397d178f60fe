/* SPDX-License-Identifier: Apache-2.0 */
#include "api/reference.h"

#include <openssl/evp.h>

#include "api/api_int.h"
#include "api/embedded.h"
#include "api/openapi.h"
#include "core/base64.h"

#define SHA256_BYTES 32
#define EXAMPLE_MAX 16384

/* What a page is made of. */
struct reference {
    struct buf *page; /* not owned */
    json_t *components;
    const struct http_route *routes;
    size_t count;
};

static const struct api_operation *operation_of(const struct http_route *route)
{
    return route->data;
}

static json_t *component(const struct reference *reference, const char *section, const char *name)
{
    json_t *value = json_object_get(json_object_get(reference->components, section), name);
    PH_ASSERT(value != NULL);
    return value;
}

/* --- one operation ---------------------------------------------------------------------------- */

static void append_parameter(const struct reference *reference, const char *key)
{
    struct buf *page = reference->page;
    json_t *parameter = component(reference, "parameters", key);
    buf_append_text(page, "<tr><td><code>");
    reference_text(page, json_string_value(json_object_get(parameter, "name")));
    buf_append_text(page, "</code>");
    buf_append_text(page, json_is_true(json_object_get(parameter, "required")) ? " *" : "");
    buf_append_format(page, "<td>%s<td>", json_string_value(json_object_get(parameter, "in")));
    json_t *schema = json_object_get(parameter, "schema");
    reference_type(page, schema);
    buf_append_text(page, "<td>");
    reference_remark(page, parameter);
    json_t *fallback = json_object_get(schema, "default");
    if (fallback != NULL) {
        buf_append_text(page, "; ");
        json_t *only = json_pack("{s: O}", "default", fallback);
        reference_remark(page, only);
        json_decref(only);
    }
    buf_append_byte(page, '\n');
}

static void append_parameters(const struct reference *reference, const struct http_route *route)
{
    struct slice path = slice_of(route->pattern);
    struct slice query = slice_of(operation_of(route)->query);
    if (slice_find(path, '{') == path.len && query.len == 0) {
        return;
    }
    buf_append_text(reference->page, "<table>\n<tr><th>Parameter<th>In<th>Type<th>Meaning\n");
    char name[OPENAPI_NAME_MAX];
    while (openapi_next_path_parameter(&path, name)) {
        append_parameter(reference, name);
    }
    while (openapi_next_name(&query, name)) {
        append_parameter(reference, name);
    }
    buf_append_text(reference->page, "</table>\n");
}

static void append_body(const struct reference *reference, const char *label, const char *schema)
{
    bool is_optional = schema[0] == '?';
    schema += is_optional ? 1 : 0;
    buf_append_format(reference->page, " %s ", label);
    if (strchr(schema, '/') != NULL) {
        buf_append_format(reference->page, "<code>%s</code>", schema);
    } else {
        buf_append_format(reference->page, "<a href=\"#%s\">%s</a>", schema, schema);
    }
    buf_append_text(reference->page, is_optional ? ", may be left out." : ".");
}

/* The path with an example in the place of each parameter. */
static void append_example_path(const struct reference *reference, struct buf *text,
                                const char *pattern)
{
    struct slice rest = slice_of(pattern);
    while (rest.len > 0) {
        size_t literal = slice_find(rest, '{');
        buf_append(text, rest.ptr, literal);
        char name[OPENAPI_NAME_MAX];
        if (!openapi_next_path_parameter(&rest, name)) {
            return;
        }
        json_t *schema = json_object_get(component(reference, "parameters", name), "schema");
        schema = openapi_resolve(reference->components, schema);
        json_t *example = json_array_get(json_object_get(schema, "examples"), 0);
        buf_append_text(text, example == NULL ? name : json_string_value(example));
        rest = (struct slice){rest.ptr + 1, rest.len - 1};
    }
}

static void append_curl(const struct reference *reference, const struct http_route *route)
{
    const struct api_operation *operation = operation_of(route);
    BUF_AUTO struct buf text;
    buf_init(&text, EXAMPLE_MAX);
    buf_append_text(&text, "curl ");
    if (route->method != HTTP_GET) {
        BUF_AUTO struct buf method;
        buf_init(&method, 16);
        for (const char *byte = openapi_method(route); *byte != '\0'; byte++) {
            buf_append_byte(&method, (char)(*byte - 'a' + 'A'));
        }
        buf_append_format(&text, "-X %s ", buf_text(&method));
    }
    buf_append_text(&text, "\"$POSTHORN_URL");
    append_example_path(reference, &text, route->pattern);
    buf_append_byte(&text, '"');
    if (operation->auth != API_AUTH_NONE) {
        buf_append_text(&text, " \\\n  -H \"Authorization: Bearer $TOKEN\"");
    }
    if (operation->request != NULL) {
        const char *name = operation->request + (operation->request[0] == '?' ? 1 : 0);
        buf_append_text(&text, " \\\n  -d '");
        reference_example(&text, reference->components, component(reference, "schemas", name));
        buf_append_byte(&text, '\'');
    }
    PH_ASSERT(!text.failed);
    buf_append_text(reference->page, "<pre>");
    reference_text(reference->page, buf_text(&text));
    buf_append_text(reference->page, "</pre>\n");
}

static void append_operation(const struct reference *reference, const struct http_route *route)
{
    struct buf *page = reference->page;
    const struct api_operation *operation = operation_of(route);
    buf_append_format(page, "<h3 id=\"%s\"><code><span class=\"method\">%s</span> ", operation->id,
                      openapi_method(route));
    reference_text(page, route->pattern);
    buf_append_text(page, "</code>");
    if (!openapi_is_built(route)) {
        buf_append_text(page, " <span class=\"mark\">not implemented: 501</span>");
    }
    buf_append_text(page, "</h3>\n<p>");
    reference_text(page, operation->summary);
    buf_append_format(page, ". <span class=\"soft\">%s.</span></p>\n", openapi_callers(route));
    if (operation->statuses[0] == '\0') {
        return; /* nothing is planned: no more to say */
    }
    append_parameters(reference, route);
    buf_append_text(page, "<p>");
    if (operation->request != NULL) {
        append_body(reference, "Body", operation->request);
    }
    buf_append_text(page, " Answers ");
    char status[OPENAPI_NAME_MAX];
    struct slice statuses = slice_of(operation->statuses);
    for (bool is_first = true; openapi_next_name(&statuses, status); is_first = false) {
        buf_append_format(page, "%s%s", is_first ? "" : " or ", status);
    }
    if (operation->response != NULL) {
        append_body(reference, "with", operation->response);
    } else {
        buf_append_text(page, " without a body.");
    }
    buf_append_text(page, "</p>\n");
    append_curl(reference, route);
}

/* --- the page --------------------------------------------------------------------------------- */

/* Whether an earlier route has the same tag. */
static bool is_known_tag(const struct reference *reference, size_t position, const char *tag)
{
    for (size_t index = 0; index < position; index++) {
        char other[OPENAPI_NAME_MAX];
        openapi_tag(operation_of(&reference->routes[index])->id, other);
        if (strcmp(other, tag) == 0) {
            return true;
        }
    }
    return false;
}

/* Calls `each` once for every tag, in the order of the table. */
static void for_each_tag(const struct reference *reference,
                         void (*each)(const struct reference *reference, const char *tag))
{
    for (size_t index = 0; index < reference->count; index++) {
        char tag[OPENAPI_NAME_MAX];
        openapi_tag(operation_of(&reference->routes[index])->id, tag);
        if (!is_known_tag(reference, index, tag)) {
            each(reference, tag);
        }
    }
}

static void append_tag_link(const struct reference *reference, const char *tag)
{
    buf_append_format(reference->page, "<li><a href=\"#tag-%s\">%s</a>\n", tag, tag);
}

static void append_group(const struct reference *reference, const char *tag)
{
    buf_append_format(reference->page, "<h2 id=\"tag-%s\">%s</h2>\n", tag, tag);
    for (size_t index = 0; index < reference->count; index++) {
        char own[OPENAPI_NAME_MAX];
        openapi_tag(operation_of(&reference->routes[index])->id, own);
        if (strcmp(own, tag) == 0) {
            append_operation(reference, &reference->routes[index]);
        }
    }
}

static const char page_head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n<title>Posthorn API</title>\n<style>";

static const char page_intro[] =
    "</style>\n</head>\n<body>\n<h1>Posthorn API</h1>\n"
    "<p class=\"soft\">Version " PH_VERSION
    ". The same as <a href=\"/openapi.json\">OpenAPI document</a>.</p>\n"
    "<p>Calls need <code>Authorization: Bearer TOKEN</code>, but for those of the server itself. "
    "In paths, ids and the caller's own uids are equally good. Unknown members of bodies and "
    "unknown query parameters are ignored. POST requests with an <code>idempotency-key</code> are "
    "carried out once. Members and parameters with * are required.</p>\n"
    "<p>Errors: 422 answers <a href=\"#HttpValidationError\">HttpValidationError</a>, 500 an empty "
    "object, the others <a href=\"#HttpError\">HttpError</a>.</p>\n<nav><ul>\n";

void reference_write(struct buf *page, const struct http_route *routes, size_t count)
{
    const struct reference reference = {page, openapi_components(), routes, count};
    buf_append_text(page, page_head);
    buf_append(page, embedded_reference_style, embedded_reference_style_length);
    buf_append_text(page, page_intro);
    for_each_tag(&reference, append_tag_link);
    buf_append_text(page, "<li><a href=\"#schemas\">schemas</a>\n</ul></nav>\n");
    for_each_tag(&reference, append_group);
    buf_append_text(page, "<h2 id=\"schemas\">Schemas</h2>\n");
    reference_schemas(page, reference.components);
    buf_append_text(page, "</body>\n</html>\n");
    json_decref(reference.components);
}

void reference_append_policy(struct buf *policy)
{
    uint8_t digest[SHA256_BYTES];
    PH_ASSERT(EVP_Digest(embedded_reference_style, embedded_reference_style_length, digest, NULL,
                         EVP_sha256(), NULL) == 1);
    buf_append_text(policy, "default-src 'none'; style-src 'sha256-");
    base64_append(policy, (const char *)digest, sizeof digest);
    buf_append_text(policy, "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
}
