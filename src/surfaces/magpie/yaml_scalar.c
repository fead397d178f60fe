/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/magpie/yaml_scalar.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DIGITS "0123456789"
#define FLOAT_TEXT_MAX 512
/* Decimal digits that tell every double apart. */
#define DOUBLE_DIGITS 17

/* --- forms ------------------------------------------------------------------------------------ */

/* How many bytes from `at` on are in the set. */
static size_t span(struct slice text, size_t at, const char *set)
{
    size_t start = at;
    while (at < text.len && text.ptr[at] != '\0' && strchr(set, text.ptr[at]) != NULL) {
        at++;
    }
    return at - start;
}

static bool has_at(struct slice text, size_t at, const char *word)
{
    size_t length = strlen(word);
    return text.len >= at + length && memcmp(text.ptr + at, word, length) == 0;
}

static size_t sign_of(struct slice text)
{
    return text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+');
}

static bool is_one_of(struct slice text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (slice_equal_text(text, *words)) {
            return true;
        }
    }
    return false;
}

/* (:[0-5]?[0-9])+ from `at` on; the bytes, 0 when there is none. */
static size_t span_sixties(struct slice text, size_t at)
{
    size_t start = at;
    while (at < text.len && text.ptr[at] == ':') {
        size_t digits = span(text, at + 1, DIGITS);
        if (digits == 0 || digits > 2 || (digits == 2 && text.ptr[at + 1] > '5')) {
            break;
        }
        at += 1 + digits;
    }
    return at - start;
}

enum integer_form {
    INTEGER_NONE,
    INTEGER_BINARY,
    INTEGER_OCTAL,
    INTEGER_DECIMAL,
    INTEGER_HEX,
    INTEGER_SIXTIES,
};

static enum integer_form integer_form(struct slice text)
{
    size_t at = sign_of(text);
    size_t rest = text.len - at;
    size_t length;
    if (rest == 0) {
        return INTEGER_NONE;
    }
    if (has_at(text, at, "0b")) {
        length = span(text, at + 2, "01_");
        return length > 0 && length + 2 == rest ? INTEGER_BINARY : INTEGER_NONE;
    }
    if (has_at(text, at, "0x")) {
        length = span(text, at + 2, DIGITS "abcdefABCDEF_");
        return length > 0 && length + 2 == rest ? INTEGER_HEX : INTEGER_NONE;
    }
    if (text.ptr[at] == '0') {
        length = span(text, at + 1, "01234567_");
        return rest == 1 ? INTEGER_DECIMAL : length + 1 == rest ? INTEGER_OCTAL : INTEGER_NONE;
    }
    length = text.ptr[at] == '_' ? 0 : span(text, at, DIGITS "_");
    if (length == rest) {
        return INTEGER_DECIMAL;
    }
    size_t sixties = length == 0 ? 0 : span_sixties(text, at + length);
    return sixties > 0 && length + sixties == rest ? INTEGER_SIXTIES : INTEGER_NONE;
}

/* ([eE][-+][0-9]+)? up to the end. */
static bool ends_with_exponent(struct slice text, size_t at)
{
    if (at == text.len) {
        return true;
    }
    if ((text.ptr[at] != 'e' && text.ptr[at] != 'E') || at + 2 >= text.len ||
        (text.ptr[at + 1] != '-' && text.ptr[at + 1] != '+')) {
        return false;
    }
    size_t digits = span(text, at + 2, DIGITS);
    return digits > 0 && at + 2 + digits == text.len;
}

enum float_form { FLOAT_NONE, FLOAT_DECIMAL, FLOAT_SIXTIES, FLOAT_INFINITE };

static enum float_form float_form(struct slice text)
{
    static const char *const infinite[] = {".inf",  ".Inf",  ".INF",  "+.inf", "+.Inf",
                                           "+.INF", "-.inf", "-.Inf", "-.INF", ".nan",
                                           ".NaN",  ".NAN",  NULL};
    if (is_one_of(text, infinite)) {
        return FLOAT_INFINITE;
    }
    if (text.len > 1 && text.ptr[0] == '.' && span(text, 1, DIGITS) > 0) {
        return ends_with_exponent(text, 1 + span(text, 1, DIGITS "_")) ? FLOAT_DECIMAL : FLOAT_NONE;
    }
    size_t at = sign_of(text);
    if (span(text, at, DIGITS) == 0) {
        return FLOAT_NONE;
    }
    at += span(text, at, DIGITS "_");
    size_t sixties = span_sixties(text, at);
    at += sixties;
    if (at == text.len || text.ptr[at] != '.') {
        return FLOAT_NONE;
    }
    at++;
    at += span(text, at, DIGITS "_");
    if (sixties > 0) {
        return at == text.len ? FLOAT_SIXTIES : FLOAT_NONE;
    }
    return ends_with_exponent(text, at) ? FLOAT_DECIMAL : FLOAT_NONE;
}

/* `least` to `most` digits at *at, which moves behind them. */
static bool take_digits(struct slice text, size_t *at, size_t least, size_t most)
{
    size_t digits = span(text, *at, DIGITS);
    *at += digits;
    return digits >= least && digits <= most;
}

static bool take_byte(struct slice text, size_t *at, char byte)
{
    bool is_there = *at < text.len && text.ptr[*at] == byte;
    *at += is_there;
    return is_there;
}

/* ([ \t]*(Z|[-+][0-9][0-9]?(:[0-9][0-9])?))? up to the end. */
static bool ends_with_zone(struct slice text, size_t at)
{
    if (at == text.len) {
        return true;
    }
    at += span(text, at, " \t");
    if (take_byte(text, &at, 'Z')) {
        return at == text.len;
    }
    if (!take_byte(text, &at, '-') && !take_byte(text, &at, '+')) {
        return false;
    }
    return take_digits(text, &at, 1, 2) &&
           (at == text.len ||
            (take_byte(text, &at, ':') && take_digits(text, &at, 2, 2) && at == text.len));
}

/* A date, or a date and a time. */
static bool is_time(struct slice text)
{
    size_t at = 0;
    if (!take_digits(text, &at, 4, 4) || !take_byte(text, &at, '-') ||
        !take_digits(text, &at, 1, 2) || !take_byte(text, &at, '-') ||
        !take_digits(text, &at, 1, 2)) {
        return false;
    }
    if (at == text.len) {
        return text.len == strlen("2001-12-14");
    }
    if (!take_byte(text, &at, 'T') && !take_byte(text, &at, 't')) {
        size_t blanks = span(text, at, " \t");
        at += blanks;
        if (blanks == 0) {
            return false;
        }
    }
    if (!take_digits(text, &at, 1, 2) || !take_byte(text, &at, ':') ||
        !take_digits(text, &at, 2, 2) || !take_byte(text, &at, ':') ||
        !take_digits(text, &at, 2, 2)) {
        return false;
    }
    if (take_byte(text, &at, '.')) {
        at += span(text, at, DIGITS);
    }
    return ends_with_zone(text, at);
}

static const char *const trues[] = {"yes",  "Yes", "YES", "true", "True",
                                    "TRUE", "on",  "On",  "ON",   NULL};
static const char *const falses[] = {"no",    "No",  "NO",  "false", "False",
                                     "FALSE", "off", "Off", "OFF",   NULL};

enum magpie_yaml_type magpie_scalar_type(struct slice text)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    if (is_one_of(text, nulls)) {
        return MAGPIE_YAML_NULL;
    }
    if (is_one_of(text, trues) || is_one_of(text, falses)) {
        return MAGPIE_YAML_BOOL;
    }
    if (integer_form(text) != INTEGER_NONE) {
        return MAGPIE_YAML_INTEGER;
    }
    if (float_form(text) != FLOAT_NONE) {
        return MAGPIE_YAML_FLOAT;
    }
    return is_time(text) ? MAGPIE_YAML_TIME : MAGPIE_YAML_TEXT;
}

bool magpie_scalar_is_true(struct slice text)
{
    return is_one_of(text, trues);
}

/* --- numbers ---------------------------------------------------------------------------------- */

static unsigned digit_value(char byte)
{
    return byte <= '9' ? (unsigned)(byte - '0') : (unsigned)((byte | 0x20) - 'a') + 10;
}

/* Digits of a base with underscores between; false beyond 64 bits, or without any digit. */
static bool add_digits(struct slice digits, unsigned base, uint64_t *ret_value)
{
    uint64_t value = 0;
    size_t count = 0;
    for (size_t at = 0; at < digits.len; at++) {
        if (digits.ptr[at] == '_') {
            continue;
        }
        if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit_value(digits.ptr[at]), &value)) {
            return false;
        }
        count++;
    }
    *ret_value = value;
    return count > 0;
}

/* `90:30:5`: parts of sixty each. */
static bool add_sixties(struct slice text, uint64_t *ret_value)
{
    uint64_t value = 0;
    struct slice part;
    while (slice_next(&text, ':', &part)) {
        uint64_t number;
        if (!add_digits(part, 10, &number) || __builtin_mul_overflow(value, UINT64_C(60), &value) ||
            __builtin_add_overflow(value, number, &value)) {
            return false;
        }
    }
    *ret_value = value;
    return true;
}

/* A decimal number may have any length, in JSON too. */
static void append_decimal(struct slice digits, bool is_negative, struct buf *json)
{
    bool is_zero = digits.len == 1 && digits.ptr[0] == '0';
    buf_append_text(json, is_negative && !is_zero ? "-" : "");
    for (size_t at = 0; at < digits.len; at++) {
        if (digits.ptr[at] != '_') {
            buf_append_byte(json, digits.ptr[at]);
        }
    }
}

static bool append_integer(struct slice text, enum integer_form form, struct buf *json)
{
    size_t sign = sign_of(text);
    bool is_negative = sign == 1 && text.ptr[0] == '-';
    struct slice rest = {text.ptr + sign, text.len - sign};
    struct slice digits = {rest.ptr + 2, rest.len >= 2 ? rest.len - 2 : 0};
    uint64_t value = 0;
    bool is_good;
    switch (form) {
    case INTEGER_BINARY:
        is_good = add_digits(digits, 2, &value);
        break;
    case INTEGER_HEX:
        is_good = add_digits(digits, 16, &value);
        break;
    case INTEGER_OCTAL:
        is_good = add_digits(rest, 8, &value);
        break;
    case INTEGER_SIXTIES:
        is_good = add_sixties(rest, &value);
        break;
    case INTEGER_DECIMAL:
        append_decimal(rest, is_negative, json);
        return true;
    case INTEGER_NONE:
    default:
        return false;
    }
    if (is_good) {
        buf_append_format(json, "%s%llu", is_negative && value != 0 ? "-" : "",
                          (unsigned long long)value);
    }
    return is_good;
}

void magpie_scalar_append_double(double value, struct buf *json)
{
    char text[64];
    int digits = 0;
    do {
        (void)snprintf(text, sizeof text, "%.*e", digits, value);
    } while (strtod(text, NULL) != value && ++digits < DOUBLE_DIGITS);
    int exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    if (exponent >= -4 && exponent < 16) {
        int decimals = digits > exponent ? digits - exponent : 0;
        (void)snprintf(text, sizeof text, "%.*f", decimals > 0 ? decimals : 1, value);
    }
    buf_append_text(json, text);
}

static double read_double(struct slice text)
{
    char copy[FLOAT_TEXT_MAX];
    size_t length = 0;
    for (size_t at = 0; at < text.len && length + 1 < sizeof copy; at++) {
        if (text.ptr[at] != '_') {
            copy[length++] = text.ptr[at];
        }
    }
    copy[length] = '\0';
    return strtod(copy, NULL);
}

/* The last part has a fraction. */
static double read_sixties(struct slice text)
{
    size_t sign = sign_of(text);
    double factor = sign == 1 && text.ptr[0] == '-' ? -1 : 1;
    double value = 0;
    struct slice rest = {text.ptr + sign, text.len - sign};
    struct slice part;
    while (slice_next(&rest, ':', &part)) {
        value = value * 60 + read_double(part);
    }
    return factor * value;
}

bool magpie_scalar_append_number(struct slice text, struct buf *json)
{
    enum integer_form form = integer_form(text);
    if (form != INTEGER_NONE) {
        return append_integer(text, form, json);
    }
    enum float_form number = float_form(text);
    if ((number != FLOAT_DECIMAL && number != FLOAT_SIXTIES) || text.len >= FLOAT_TEXT_MAX) {
        return false;
    }
    double value = number == FLOAT_DECIMAL ? read_double(text) : read_sixties(text);
    if (!isfinite(value)) {
        return false;
    }
    magpie_scalar_append_double(value, json);
    return true;
}
