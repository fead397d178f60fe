/* SPDX-License-Identifier: Apache-2.0 */
#include "app/option_int.h"

#include <arpa/inet.h>
#include <math.h>

#include "base/clock.h"
#include "core/address.h"
#include "core/retry.h"
#include "core/url.h"
#include "sinks/policy.h"

#define US_PER_HOUR (3600 * CLOCK_US_PER_S)
#define US_PER_DAY (86400 * CLOCK_US_PER_S)
#define ITEMS_MAX 1024
#define PORT_MAX 65535

static enum ph_error check_range(const struct option_row *row, double number, struct diag *reason)
{
    if (number < row->minimum || number > row->maximum) {
        return diag_set(reason, PH_INVALID, row->key, "is out of range");
    }
    return PH_OK;
}

static enum ph_error parse_int(const struct option_row *row, struct slice text, struct diag *reason,
                               struct option_value *value)
{
    if (!slice_to_int64(text, &value->number)) {
        return diag_set(reason, PH_INVALID, row->key, "is not a whole number");
    }
    return check_range(row, (double)value->number, reason);
}

static enum ph_error parse_fraction(const struct option_row *row, struct slice text,
                                    int64_t us_per_unit, struct diag *reason,
                                    struct option_value *value)
{
    if (!slice_to_double(text, &value->fraction)) {
        return diag_set(reason, PH_INVALID, row->key, "is not a number");
    }
    enum ph_error error = check_range(row, value->fraction, reason);
    if (error == PH_OK && us_per_unit != 0) {
        value->number = llround(value->fraction * (double)us_per_unit);
    }
    return error;
}

static enum ph_error parse_bool(const struct option_row *row, struct slice text,
                                struct diag *reason, struct option_value *value)
{
    static const char *const words[][2] = {
        {"false", "true"}, {"no", "yes"}, {"off", "on"}, {"0", "1"}};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(words); index++) {
        for (int truth = 0; truth <= 1; truth++) {
            if (slice_equal_nocase(text, slice_of(words[index][truth]))) {
                value->number = truth;
                return PH_OK;
            }
        }
    }
    return diag_set(reason, PH_INVALID, row->key, "is neither true nor false");
}

static enum ph_error parse_size(const struct option_row *row, struct slice text,
                                struct diag *reason, struct option_value *value)
{
    static const struct {
        const char *name;
        int64_t bytes;
    } units[] = {
        {"KiB", INT64_C(1) << 10},
        {"MiB", INT64_C(1) << 20},
        {"GiB", INT64_C(1) << 30},
        {"k", INT64_C(1) << 10},
        {"M", INT64_C(1) << 20},
        {"G", INT64_C(1) << 30},
        {"B", 1},
    };
    int64_t factor = 1;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(units); index++) {
        struct slice unit = slice_of(units[index].name);
        if (text.len > unit.len &&
            slice_equal_nocase((struct slice){text.ptr + text.len - unit.len, unit.len}, unit)) {
            factor = units[index].bytes;
            text = slice_trim((struct slice){text.ptr, text.len - unit.len});
            break;
        }
    }
    double number;
    if (!slice_to_double(text, &number)) {
        return diag_set(reason, PH_INVALID, row->key, "is not a size");
    }
    enum ph_error error = check_range(row, number * (double)factor, reason);
    if (error == PH_OK) {
        value->number = llround(number * (double)factor);
    }
    return error;
}

static enum ph_error parse_enum(const struct option_row *row, struct slice text,
                                struct diag *reason, struct option_value *value)
{
    struct slice rest = slice_of(row->choices);
    struct slice choice;
    for (int64_t index = 0; slice_next(&rest, '|', &choice); index++) {
        if (slice_equal(text, choice)) {
            value->number = index;
            return PH_OK;
        }
    }
    return diag_set(reason, PH_INVALID, row->key, "is none of the choices");
}

static enum ph_error parse_store(const struct option_row *row, struct slice text,
                                 struct diag *reason)
{
    static const char *const schemes[] = {"sqlite:", "postgres://", "postgresql://"};
    if (text.len == 0) {
        return PH_OK;
    }
    for (size_t index = 0; index < PH_ARRAY_LENGTH(schemes); index++) {
        if (slice_starts_with(text, schemes[index]) && text.len > strlen(schemes[index])) {
            return PH_OK;
        }
    }
    return diag_set(reason, PH_INVALID, row->key, "is not an address of a store");
}

/* What paths are appended to: a query or a fragment would swallow them. */
static enum ph_error parse_url(const struct option_row *row, struct slice text, struct diag *reason)
{
    if (text.len == 0) {
        return PH_OK;
    }
    BUF_AUTO struct buf normal;
    buf_init(&normal, URL_LENGTH_MAX);
    struct url_parts parts;
    if (url_normalise(text, row->key, NULL, &normal) != PH_OK ||
        !url_split(buf_slice(&normal), &parts)) {
        return diag_set(reason, PH_INVALID, row->key, "is not an http or https URL");
    }
    if (parts.query.ptr != NULL || parts.fragment.ptr != NULL || parts.username.ptr != NULL) {
        return diag_set(reason, PH_INVALID, row->key, "has more than scheme, host, port and path");
    }
    return PH_OK;
}

static enum ph_error parse_proxy(const struct option_row *row, struct slice text,
                                 struct diag *reason)
{
    struct diag diag;
    if (text.len == 0 || sink_policy_check_proxy(text, row->key, &diag) == PH_OK) {
        return PH_OK;
    }
    return diag_set(reason, PH_INVALID, row->key, "is not good: %.200s", diag.text);
}

/* 127.0.0.1:8071 or [::1]:8071. */
static bool is_listen_address(struct slice text)
{
    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':') {
        colon--;
    }
    if (colon < 2) {
        return false;
    }
    struct slice host = {text.ptr, colon - 1};
    struct slice port_text = {text.ptr + colon, text.len - colon};
    int64_t port;
    if (!slice_to_int64(port_text, &port) || port_text.ptr[0] == '+' || port < 0 ||
        port > PORT_MAX) {
        return false;
    }
    int family = AF_INET;
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
        family = AF_INET6;
        host = (struct slice){host.ptr + 1, host.len - 2};
    }
    PH_AUTO_FREE char *host_text = slice_dup(host);
    unsigned char bytes[16];
    return inet_pton(family, host_text, bytes) == 1;
}

static enum ph_error check_item(const struct option_row *row, struct slice item,
                                struct diag *reason)
{
    if (item.len == 0) {
        return diag_set(reason, PH_INVALID, row->key, "has an empty entry");
    }
    if (row->type == OPTION_TYPE_ADDRESS_LIST && !is_listen_address(item)) {
        return diag_set(reason, PH_INVALID, row->key, "is not a list of ADDRESS:PORT");
    }
    return PH_OK;
}

static enum ph_error split(const struct option_row *row, struct slice text, struct diag *reason,
                           struct option_value *value)
{
    struct slice rest = text.len == 0 ? SLICE_NONE : text;
    struct slice item;
    while (slice_next(&rest, ',', &item)) {
        item = slice_trim(item);
        enum ph_error error = check_item(row, item, reason);
        if (error != PH_OK) {
            return error;
        }
        if (value->item_count == ITEMS_MAX) {
            return diag_set(reason, PH_INVALID, row->key, "has too many entries");
        }
        value->items = ph_realloc(value->items, (value->item_count + 1) * sizeof *value->items);
        value->items[value->item_count++] = slice_dup(item);
    }
    return PH_OK;
}

static enum ph_error parse_list(const struct option_row *row, struct slice text,
                                struct diag *reason, struct option_value *value)
{
    enum ph_error error = split(row, text, reason, value);
    if (error != PH_OK) {
        return error;
    }
    if (row->type == OPTION_TYPE_CIDR_LIST) {
        CIDR_SET_AUTO struct cidr_set set = {0};
        if (cidr_set_parse(text, row->key, NULL, &set) != PH_OK) {
            return diag_set(reason, PH_INVALID, row->key, "is not a list of CIDR blocks");
        }
    } else if (row->type == OPTION_TYPE_SECONDS_LIST) {
        struct retry_schedule schedule;
        if (retry_schedule_parse(text, row->key, NULL, &schedule) != PH_OK) {
            return diag_set(reason, PH_INVALID, row->key, "is not a list of seconds in range");
        }
    }
    return PH_OK;
}

static enum ph_error parse_typed(const struct option_row *row, struct slice text,
                                 struct diag *reason, struct option_value *value)
{
    switch (row->type) {
    case OPTION_TYPE_TEXT:
        return PH_OK;
    case OPTION_TYPE_STORE:
        return parse_store(row, text, reason);
    case OPTION_TYPE_URL:
        return parse_url(row, text, reason);
    case OPTION_TYPE_PROXY:
        return parse_proxy(row, text, reason);
    case OPTION_TYPE_INT:
        return parse_int(row, text, reason, value);
    case OPTION_TYPE_NUMBER:
        return parse_fraction(row, text, 0, reason, value);
    case OPTION_TYPE_BOOL:
        return parse_bool(row, text, reason, value);
    case OPTION_TYPE_SECONDS:
        return parse_fraction(row, text, CLOCK_US_PER_S, reason, value);
    case OPTION_TYPE_HOURS:
        return parse_fraction(row, text, US_PER_HOUR, reason, value);
    case OPTION_TYPE_DAYS:
        return parse_fraction(row, text, US_PER_DAY, reason, value);
    case OPTION_TYPE_SIZE:
        return parse_size(row, text, reason, value);
    case OPTION_TYPE_SECONDS_LIST:
    case OPTION_TYPE_CIDR_LIST:
    case OPTION_TYPE_ADDRESS_LIST:
        return parse_list(row, text, reason, value);
    case OPTION_TYPE_ENUM:
        return parse_enum(row, text, reason, value);
    }
    PH_ASSERT(false);
    return PH_INTERNAL;
}

enum ph_error option_parse(const struct option_row *row, struct slice text, struct diag *reason,
                           struct option_value *ret_value)
{
    text = slice_trim(text);
    struct option_value value = {.source = OPTION_FROM_DEFAULT};
    enum ph_error error;
    if (memchr(text.ptr == NULL ? "" : text.ptr, '\0', text.len) != NULL) {
        error = diag_set(reason, PH_INVALID, row->key, "has a NUL byte");
    } else {
        error = parse_typed(row, text, reason, &value);
    }
    if (error != PH_OK) {
        for (size_t index = 0; index < value.item_count; index++) {
            free(value.items[index]);
        }
        free(value.items);
        return error;
    }
    value.text = text.len == 0 ? ph_strdup("") : slice_dup(text);
    *ret_value = value;
    return PH_OK;
}
