/* SPDX-License-Identifier: Apache-2.0 */
#include "api/import_openapi.h"

#include <stdarg.h>
#include <string.h>

#include "api/import_schema.h"
#include "core/name.h"

struct reader {
    json_t *document;
    const char *field;
    struct arena *arena;
    struct diag *diag;
    struct import_item *items;
    size_t count;
    size_t schema_bytes;
};

static enum ph_error no_memory(struct reader *reader)
{
    return diag_set(reader->diag, PH_NO_MEMORY, NULL, "the document needs too much memory");
}

PH_PRINTF(3, 4)
static enum ph_error refuse(struct reader *reader, const char *webhook, const char *format, ...)
{
    char words[200];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    return diag_set(reader->diag, PH_INVALID, reader->field, "webhook %.80s: %s", webhook, words);
}

static enum ph_error keep_text(struct reader *reader, const char *text, struct slice *ret_text)
{
    char *copy = arena_dup(reader->arena, slice_of(text));
    if (copy == NULL) {
        return no_memory(reader);
    }
    *ret_text = (struct slice){copy, strlen(copy)};
    return PH_OK;
}

static enum ph_error keep_json(struct reader *reader, json_t *value, struct slice *ret_text)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(15));
    if (text == NULL) {
        return no_memory(reader);
    }
    enum ph_error error = keep_text(reader, text, ret_text);
    free(text);
    return error;
}

/* --- one webhook ------------------------------------------------------------------------------ */

static json_t *operation_of(struct reader *reader, json_t *path_item)
{
    static const char *const methods[] = {"post", "put", "patch", "get", "delete"};
    path_item = import_resolve(reader->document, path_item);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(methods); index++) {
        json_t *operation = json_object_get(path_item, methods[index]);
        if (json_is_object(operation)) {
            return operation;
        }
    }
    return NULL;
}

static const char *description_of(json_t *operation, json_t *path_item)
{
    json_t *const places[] = {operation, operation, path_item, path_item};
    static const char *const names[] = {"description", "summary", "description", "summary"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(names); index++) {
        const char *text = json_string_value(json_object_get(places[index], names[index]));
        if (text != NULL && text[0] != '\0') {
            return text;
        }
    }
    return "";
}

static enum ph_error read_flags(struct reader *reader, const char *name, json_t *operation,
                                struct import_item *item)
{
    json_t *flags = json_object_get(operation, "x-svix-feature-flags");
    json_t *flag = json_object_get(operation, "x-svix-feature-flag");
    size_t index;
    json_t *each;
    if (flags == NULL && flag == NULL) {
        return PH_OK;
    }
    if (flags == NULL) {
        flags = json_pack("[O]", flag);
    } else {
        (void)json_incref(flags);
    }
    bool is_good = json_is_array(flags);
    json_array_foreach(flags, index, each)
    {
        is_good = is_good && json_is_string(each);
    }
    enum ph_error error = is_good ? keep_json(reader, flags, &item->feature_flags)
                                  : refuse(reader, name, "its feature flags are no texts");
    json_decref(flags);
    return error;
}

/* The JSON among the media types of the request body, else the first one. */
static json_t *media_of(struct reader *reader, json_t *operation)
{
    json_t *body = import_resolve(reader->document, json_object_get(operation, "requestBody"));
    json_t *content = json_object_get(body, "content");
    json_t *media = json_object_get(content, "application/json");
    const char *type;
    json_t *each;
    json_object_foreach(content, type, each)
    {
        media = media == NULL && strstr(type, "json") != NULL ? each : media;
    }
    void *first = json_object_iter(content);
    return media == NULL && first != NULL ? json_object_iter_value(first) : media;
}

/* The examples beside a schema go into it, before its own. */
static void add_examples(struct reader *reader, json_t *media, json_t *schema)
{
    json_t *all = json_array();
    json_t *example = json_object_get(media, "example");
    const char *name;
    json_t *each;
    if (example != NULL) {
        (void)json_array_append(all, example);
    }
    json_object_foreach(json_object_get(media, "examples"), name, each)
    {
        json_t *value = json_object_get(import_resolve(reader->document, each), "value");
        if (value != NULL) {
            (void)json_array_append(all, value);
        }
    }
    json_t *own = json_object_get(schema, "examples");
    if (json_is_array(own)) {
        (void)json_array_extend(all, own);
    }
    if (json_array_size(all) > 0 && json_is_object(schema)) {
        (void)json_object_set(schema, "examples", all);
    }
    json_decref(all);
}

static enum ph_error read_schema(struct reader *reader, const char *name, json_t *operation,
                                 struct import_item *item)
{
    json_t *media = media_of(reader, operation);
    json_t *schema = json_object_get(media, "schema");
    if (schema == NULL) {
        return PH_OK;
    }
    json_t *alone;
    enum ph_error error =
        import_schema(reader->document, schema, reader->field, name, reader->diag, &alone);
    if (error != PH_OK) {
        return error;
    }
    add_examples(reader, media, alone);
    json_t *versions = json_pack("{s: o}", "1", alone);
    error = keep_json(reader, versions, &item->schemas);
    json_decref(versions);
    if (error == PH_OK) {
        reader->schema_bytes += item->schemas.len;
        if (reader->schema_bytes > IMPORT_SCHEMAS_BYTES_MAX) {
            error = refuse(reader, name, "the schemas are larger than %zu bytes in all",
                           IMPORT_SCHEMAS_BYTES_MAX);
        }
    }
    return error;
}

static enum ph_error read_webhook(struct reader *reader, const char *name, json_t *path_item)
{
    struct import_item item = {0};
    if (name_check_event_type(slice_of(name), NULL, NULL) != PH_OK) {
        return refuse(reader, name, "its name cannot be that of an event type");
    }
    json_t *operation = operation_of(reader, path_item);
    if (operation == NULL) {
        return refuse(reader, name, "it has no operation");
    }
    json_t *group = json_object_get(operation, "x-svix-group-name");
    if (group != NULL && !json_is_string(group)) {
        return refuse(reader, name, "its group name is no text");
    }
    path_item = import_resolve(reader->document, path_item);
    item.is_deprecated = json_is_true(json_object_get(operation, "deprecated"));
    enum ph_error error = keep_text(reader, name, &item.name);
    if (error == PH_OK) {
        error = keep_text(reader, description_of(operation, path_item), &item.description);
    }
    if (error == PH_OK && group != NULL) {
        error = keep_text(reader, json_string_value(group), &item.group_name);
    }
    if (error == PH_OK) {
        error = read_flags(reader, name, operation, &item);
    }
    if (error == PH_OK) {
        error = read_schema(reader, name, operation, &item);
    }
    if (error == PH_OK) {
        reader->items[reader->count++] = item;
    }
    return error;
}

/* --- the document ----------------------------------------------------------------------------- */

/* A document may lack the version, as pieces of documents do, but must not be of another one. */
static bool is_version_3(json_t *document)
{
    json_t *version = json_object_get(document, "openapi");
    const char *text = json_string_value(version);
    if (json_is_number(version)) {
        double number = json_number_value(version);
        return number >= 3 && number < 4; /* `openapi: 3.1` in YAML */
    }
    return text != NULL ? strncmp(text, "3.", 2) == 0
                        : version == NULL && json_object_get(document, "swagger") == NULL;
}

static enum ph_error read_section(struct reader *reader, const char *section, json_t *other)
{
    json_t *webhooks = json_object_get(reader->document, section);
    const char *name;
    json_t *path_item;
    enum ph_error error = PH_OK;
    if (webhooks != NULL && !json_is_object(webhooks)) {
        return diag_set(reader->diag, PH_INVALID, reader->field, "`%s` is not an object", section);
    }
    json_object_foreach(webhooks, name, path_item)
    {
        if (error == PH_OK && json_object_get(other, name) == NULL) {
            error = read_webhook(reader, name, path_item);
        }
    }
    return error;
}

enum ph_error import_openapi(json_t *document, const char *field, struct arena *arena,
                             struct diag *diag, struct import_item **ret_items, size_t *ret_count)
{
    struct reader reader = {.document = document, .field = field, .arena = arena, .diag = diag};
    if (!json_is_object(document)) {
        return diag_set(diag, PH_INVALID, field, "is not an OpenAPI document: it is no object");
    }
    if (!is_version_3(document)) {
        return diag_set(diag, PH_INVALID, field, "is not an OpenAPI document of version 3");
    }
    json_t *webhooks = json_object_get(document, "webhooks");
    json_t *extension = json_object_get(document, "x-webhooks");
    if (webhooks == NULL && extension == NULL) {
        return diag_set(diag, PH_INVALID, field, "has neither `webhooks` nor `x-webhooks`");
    }
    reader.items = arena_calloc(arena, json_object_size(webhooks) + json_object_size(extension) + 1,
                                sizeof *reader.items);
    if (reader.items == NULL) {
        return no_memory(&reader);
    }
    enum ph_error error = read_section(&reader, "webhooks", NULL);
    if (error == PH_OK) {
        error = read_section(&reader, "x-webhooks", webhooks);
    }
    if (error == PH_OK) {
        *ret_items = reader.items;
        *ret_count = reader.count;
    }
    return error;
}
