/* SPDX-License-Identifier: Apache-2.0 */
#include "api/event_type.h"

#include <jansson.h>

#include "api/json_schema.h"
#include "core/name.h"

#define FEATURE_FLAGS_MAX 64

/* --- bodies ----------------------------------------------------------------------------------- */

void event_type_input_name(struct input *input, struct event_type_input *type)
{
    if (input_string(input, "name", INPUT_REQUIRED, "name", &type->row.name) == INPUT_VALUE) {
        input_note(input,
                   name_check_event_type(type->row.name, input_field(input, "name"), input->diag));
    }
}

/* Each version must be a JSON Schema. */
static void check_schemas(struct input *input, struct slice schemas)
{
    json_t *versions = json_loadb(schemas.ptr, schemas.len, 0, NULL);
    const char *version;
    json_t *schema;
    if (versions == NULL) {
        input_refuse(input, "schemas", "the schemas cannot be read as JSON");
    }
    json_object_foreach(versions, version, schema)
    {
        const char *keyword = json_schema_find_error(schema);
        if (keyword != NULL && keyword[0] != '\0') {
            input_refuse(input, "schemas",
                         "version %.40s is not a JSON Schema: `%s` has a value"
                         " that it cannot have",
                         version, keyword);
        } else if (keyword != NULL) {
            input_refuse(input, "schemas", "version %.40s is not a JSON Schema", version);
        }
    }
    json_decref(versions);
}

/* `featureFlag` is the former form: checked, and taken where the list is absent. */
static enum input_state read_flags(struct input *input, enum input_need need,
                                   struct slice *ret_flags)
{
    struct slice *names = NULL;
    struct slice single;
    size_t count = 0;
    *ret_flags = SLICE_NONE;
    enum input_state state = input_strings(input, "featureFlags", need, "feature_flags",
                                           FEATURE_FLAGS_MAX, &names, &count);
    enum input_state former = input_string(input, "featureFlag", need, "feature_flag", &single);
    if (state == INPUT_ABSENT) {
        state = former;
        names = &single;
        count = 1;
    }
    if (state == INPUT_VALUE && input_end(input) == PH_OK) {
        *ret_flags = input_names_json(input, names, count);
    }
    return state;
}

void event_type_input_read(struct input *input, bool is_patch, struct event_type_input *type)
{
    enum input_need set = is_patch ? INPUT_NOT_NULL : INPUT_OPTIONAL;
    enum input_need clear = is_patch ? INPUT_NULLABLE : INPUT_OPTIONAL;
    struct event_type_row *row = &type->row;
    type->description = input_string(input, "description", is_patch ? set : INPUT_REQUIRED,
                                     "description", &row->description);
    type->archived = input_bool(input, "archived", set, &row->is_archived);
    type->deprecated = input_bool(input, "deprecated", set, &row->is_deprecated);
    type->schemas = input_raw(input, "schemas", clear, SCAN_OBJECT, &row->schemas);
    if (type->schemas == INPUT_VALUE && input_end(input) == PH_OK) {
        check_schemas(input, row->schemas);
    }
    type->feature_flags = read_flags(input, clear, &row->feature_flags);
    type->group_name = input_string(input, "groupName", clear, "group_name", &row->group_name);
    type->validates_payload = input_bool(input, "validatePayload", set, &row->validates_payload);
}

void event_type_input_merge(const struct event_type_input *type,
                            const struct event_type_row *stored, bool is_patch,
                            struct event_type_row *ret_row)
{
    struct event_type_row *row = ret_row;
    *row = type->row;
    row->id = stored->id;
    row->org = stored->org;
    row->name = stored->name;
    row->created_at_us = stored->created_at_us;
    if (type->validates_payload == INPUT_ABSENT) {
        row->validates_payload = stored->validates_payload;
    }
    if (!is_patch) {
        return;
    }
    if (type->description == INPUT_ABSENT) {
        row->description = stored->description;
    }
    if (type->archived == INPUT_ABSENT) {
        row->is_archived = stored->is_archived;
    }
    if (type->deprecated == INPUT_ABSENT) {
        row->is_deprecated = stored->is_deprecated;
    }
    if (type->schemas == INPUT_ABSENT) {
        row->schemas = stored->schemas;
    }
    if (type->feature_flags == INPUT_ABSENT) {
        row->feature_flags = stored->feature_flags;
    }
    if (type->group_name == INPUT_ABSENT) {
        row->group_name = stored->group_name;
    }
}

/* --- answers ---------------------------------------------------------------------------------- */

/* The first flag stands alone in `featureFlag`, as the older form has it. */
static void write_feature_flags(struct json_out *out, struct slice flags)
{
    json_t *array = flags.ptr == NULL ? NULL : json_loadb(flags.ptr, flags.len, 0, NULL);
    const char *first = json_string_value(json_array_get(array, 0));
    json_out_member_text(out, "featureFlag", first);
    if (flags.ptr != NULL) {
        json_out_member_raw(out, "featureFlags", flags);
    }
    json_decref(array);
}

void event_type_write(struct json_out *out, const struct event_type_row *row)
{
    json_out_begin_object(out);
    json_out_member_string(out, "name", row->name);
    json_out_member_string(out, "description", row->description);
    json_out_member_bool(out, "archived", row->is_archived);
    json_out_member_bool(out, "deprecated", row->is_deprecated);
    if (row->schemas.ptr == NULL) {
        json_out_member_null(out, "schemas");
    } else {
        json_out_member_raw(out, "schemas", row->schemas);
    }
    json_out_member_time(out, "createdAt", row->created_at_us);
    json_out_member_time(out, "updatedAt", row->updated_at_us);
    write_feature_flags(out, row->feature_flags);
    if (row->group_name.ptr != NULL) {
        json_out_member_string(out, "groupName", row->group_name);
    }
    json_out_member_bool(out, "validatePayload", row->validates_payload);
    json_out_end_object(out);
}
