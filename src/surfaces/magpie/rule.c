/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/magpie/rule.h"

#include "base/compiler.h"
#include "core/url.h"

#define EMAIL_MAX 254

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_lower(char byte)
{
    return byte >= 'a' && byte <= 'z';
}

static bool is_letter(char byte)
{
    return is_lower(byte) || (byte >= 'A' && byte <= 'Z');
}

/* Words with exactly one of `separators` between. */
static bool is_words(struct slice text, bool has_upper, const char *separators, size_t max_bytes)
{
    bool is_inside = false;
    if (text.len == 0 || text.len > max_bytes) {
        return false;
    }
    for (size_t index = 0; index < text.len; index++) {
        char byte = text.ptr[index];
        if (is_digit(byte) || (has_upper ? is_letter(byte) : is_lower(byte))) {
            is_inside = true;
        } else if (is_inside && byte != '\0' && strchr(separators, byte) != NULL) {
            is_inside = false;
        } else {
            return false;
        }
    }
    return is_inside;
}

bool magpie_is_user_name(struct slice text)
{
    return is_words(text, false, "_-.", MAGPIE_USER_NAME_MAX);
}

bool magpie_is_group_name(struct slice text)
{
    return is_words(text, true, " \t\n\r\f\v_-.", MAGPIE_NAME_MAX);
}

bool magpie_is_resource_name(struct slice text)
{
    return is_words(text, true, " \t\n\r\f\v_-.:", MAGPIE_NAME_MAX);
}

static bool is_control(char byte)
{
    return (unsigned char)byte < 0x20 || (unsigned char)byte == 0x7f;
}

bool magpie_is_email(struct slice text)
{
    size_t sign = slice_find(text, '@');
    if (text.len > EMAIL_MAX || sign == 0 || sign + 1 >= text.len) {
        return false;
    }
    for (size_t index = 0; index < text.len; index++) {
        char byte = text.ptr[index];
        if (is_control(byte) || byte == ' ' || (byte == '@' && index != sign)) {
            return false;
        }
    }
    return slice_is_utf8_text(text);
}

size_t magpie_character_count(struct slice text)
{
    size_t count = 0;
    for (size_t index = 0; index < text.len; index++) {
        count += ((unsigned char)text.ptr[index] & 0xc0) != 0x80;
    }
    return count;
}

static bool is_line(struct slice text)
{
    for (size_t index = 0; index < text.len; index++) {
        if (is_control(text.ptr[index])) {
            return false;
        }
    }
    return true;
}

bool magpie_is_text(struct slice text)
{
    return text.len <= MAGPIE_TEXT_MAX && is_line(text);
}

bool magpie_is_service_url(struct slice text)
{
    BUF_AUTO struct buf normal;
    buf_init(&normal, URL_LENGTH_MAX);
    return text.len > 0 && text.len <= MAGPIE_URL_MAX && is_line(text) &&
           url_normalise(text, NULL, NULL, &normal) == PH_OK;
}

/* --- status ----------------------------------------------------------------------------------- */

static const struct {
    int64_t status;
    const char *exact;
    const char *lower;
    const char *upper;
    const char *title;
} statuses[] = {
    {MAGPIE_STATUS_OK, "OK", "ok", "OK", "Ok"},
    {MAGPIE_STATUS_WEBHOOK_ERROR, "WebhookError", "webhookerror", "WEBHOOKERROR", "Webhookerror"},
    {MAGPIE_STATUS_PENDING, "Pending", "pending", "PENDING", "Pending"},
};

const char *magpie_status_name(int64_t status)
{
    for (size_t index = 0; index < PH_ARRAY_LENGTH(statuses); index++) {
        if (statuses[index].status == status) {
            return statuses[index].exact;
        }
    }
    return "OK";
}

bool magpie_status_parse(struct slice text, int64_t *ret_status)
{
    int64_t number = 0;
    bool is_number = text.len > 0 && is_digit(text.ptr[0]) && slice_to_int64(text, &number);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(statuses); index++) {
        if ((is_number && number == statuses[index].status) ||
            slice_equal_text(text, statuses[index].exact) ||
            slice_equal_text(text, statuses[index].lower) ||
            slice_equal_text(text, statuses[index].upper) ||
            slice_equal_text(text, statuses[index].title)) {
            *ret_status = statuses[index].status;
            return true;
        }
    }
    return false;
}

bool magpie_status_parse_filter(struct slice text, int64_t *ret_set)
{
    struct slice rest = text;
    struct slice part;
    int64_t set = 0;
    while (slice_next(&rest, ',', &part)) {
        int64_t status;
        part = slice_trim(part);
        if (slice_equal_text(part, "all") || slice_equal_text(part, "All") ||
            slice_equal_text(part, "ALL")) {
            status = MAGPIE_STATUS_ALL;
        } else if (!magpie_status_parse(part, &status)) {
            return false;
        }
        set |= status;
    }
    *ret_set = set;
    return set != 0;
}
