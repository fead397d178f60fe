/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAPI documents, as YAML and as JSON: whatever comes out is an event type that could have been
 * made by hand, and each of its schemas is a JSON Schema whose references stay inside.
 */
#include <string.h>

#include "api/import_openapi.h"
#include "api/import_schema.h"
#include "api/json_schema.h"
#include "api/yaml_json.h"
#include "core/name.h"
#include "fuzz/fuzz.h"

#define ARENA_BYTES ((size_t)32 * 1024 * 1024)

static void check_item(const struct import_item *item)
{
    PH_ASSERT(name_check_event_type(item->name, NULL, NULL) == PH_OK);
    PH_ASSERT(item->description.ptr != NULL);
    PH_ASSERT(slice_is_utf8_text(item->description));
    if (item->schemas.ptr != NULL) {
        json_t *versions = json_loadb(item->schemas.ptr, item->schemas.len, 0, NULL);
        json_t *schema = json_object_get(versions, "1");
        PH_ASSERT(json_schema_find_error(schema) == NULL);
        PH_ASSERT(strstr(item->schemas.ptr, "\"$ref\":\"#/components/schemas/\"") == NULL);
        json_decref(versions);
    }
    if (item->feature_flags.ptr != NULL) {
        json_t *flags = json_loadb(item->feature_flags.ptr, item->feature_flags.len, 0, NULL);
        PH_ASSERT(json_is_array(flags));
        json_decref(flags);
    }
}

static void check_document(json_t *document)
{
    ARENA_AUTO struct arena arena;
    struct import_item *items;
    size_t count;
    struct diag diag = {.error = PH_OK};
    arena_init(&arena, ARENA_BYTES);
    enum ph_error error = import_openapi(document, "body.spec", &arena, &diag, &items, &count);
    PH_ASSERT(error == PH_OK || (error == diag.error && diag.text[0] != '\0'));
    for (size_t index = 0; error == PH_OK && index < count; index++) {
        check_item(&items[index]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = fuzz_text(data, size);
    struct diag diag = {.error = PH_OK};
    json_t *document;
    enum ph_error error = yaml_to_json(text, "body.spec_raw", &diag, &document);
    PH_ASSERT(error == PH_OK || (error == diag.error && diag.text[0] != '\0'));
    if (error == PH_OK) {
        check_document(document);
        json_decref(document);
    }
    document = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    if (document != NULL) {
        check_document(document);
        json_decref(document);
    }
    return 0;
}
