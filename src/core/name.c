/* SPDX-License-Identifier: Apache-2.0 */
#include "core/name.h"

static bool is_name_byte(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '-' || byte == '_' || byte == '.';
}

static enum ph_error check(struct slice text, size_t max, const char *field, struct diag *diag)
{
    if (text.len == 0 || text.len > max) {
        return diag_set(diag, PH_INVALID, field, "must have 1 to %zu characters", max);
    }
    for (size_t index = 0; index < text.len; index++) {
        if (!is_name_byte(text.ptr[index])) {
            return diag_set(diag, PH_INVALID, field,
                            "may have letters a-z and A-Z, digits, `-`, `_` and `.` only");
        }
    }
    return PH_OK;
}

enum ph_error name_check_uid(struct slice text, enum id_kind kind, const char *field,
                             struct diag *diag)
{
    enum ph_error error = check(text, NAME_UID_MAX, field, diag);
    if (error == PH_OK && id_has_prefix(kind, text)) {
        return diag_set(diag, PH_INVALID, field,
                        "must not start with `%s`, which is for generated ids", id_prefix(kind));
    }
    return error;
}

enum ph_error name_check_event_type(struct slice text, const char *field, struct diag *diag)
{
    return check(text, NAME_EVENT_TYPE_MAX, field, diag);
}

enum ph_error name_check_channel(struct slice text, const char *field, struct diag *diag)
{
    return check(text, NAME_CHANNEL_MAX, field, diag);
}
