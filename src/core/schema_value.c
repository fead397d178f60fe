/* SPDX-License-Identifier: Apache-2.0 */
#include "core/schema_value.h"

#include "base/map.h"

/* Exponents beyond this are all the same to us: no comparison depends on more. */
#define EXPONENT_MAX INT64_C(1000000000000000)

/* --- numbers ---------------------------------------------------------------------------------- */

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static int64_t parse_exponent(struct slice text)
{
    bool is_negative = text.len > 0 && text.ptr[0] == '-';
    int64_t value = 0;
    for (size_t index = 0; index < text.len; index++) {
        if (is_digit(text.ptr[index]) && value < EXPONENT_MAX) {
            value = value * 10 + (text.ptr[index] - '0');
        }
    }
    return is_negative ? -value : value;
}

struct decimal decimal_parse(struct slice number)
{
    struct decimal decimal = {.is_negative = number.len > 0 && number.ptr[0] == '-'};
    size_t end = 0;
    while (end < number.len && number.ptr[end] != 'e' && number.ptr[end] != 'E') {
        end++;
    }
    size_t point = end;
    size_t first = end;
    size_t last = end;
    for (size_t at = 0; at < end; at++) {
        if (number.ptr[at] == '.') {
            point = at;
        } else if (is_digit(number.ptr[at]) && number.ptr[at] != '0') {
            first = first == end ? at : first;
            last = at;
        }
    }
    if (first == end) {
        return (struct decimal){.digits = {number.ptr, 0}};
    }
    decimal.digits = (struct slice){number.ptr + first, last - first + 1};
    decimal.count = decimal.digits.len - (point > first && point < last);
    decimal.exponent = last < point ? (int64_t)(point - last) - 1 : -(int64_t)(last - point);
    if (end < number.len) {
        decimal.exponent +=
            parse_exponent((struct slice){number.ptr + end + 1, number.len - end - 1});
    }
    return decimal;
}

static bool is_zero(const struct decimal *number)
{
    return number->count == 0;
}

/* The next digit; false at the end. */
static bool next_digit(struct slice *digits, unsigned *ret_digit)
{
    if (digits->len > 0 && digits->ptr[0] == '.') {
        digits->ptr++;
        digits->len--;
    }
    if (digits->len == 0) {
        return false;
    }
    *ret_digit = (unsigned)(digits->ptr[0] - '0');
    digits->ptr++;
    digits->len--;
    return true;
}

/* Without the signs; neither is 0. */
static int compare_magnitudes(const struct decimal *left, const struct decimal *right)
{
    int64_t left_top = left->exponent + (int64_t)left->count;
    int64_t right_top = right->exponent + (int64_t)right->count;
    if (left_top != right_top) {
        return left_top < right_top ? -1 : 1;
    }
    struct slice a = left->digits;
    struct slice b = right->digits;
    for (;;) {
        unsigned x = 0;
        unsigned y = 0;
        bool has_x = next_digit(&a, &x);
        bool has_y = next_digit(&b, &y);
        if (x != y) {
            return x < y ? -1 : 1;
        }
        if (!has_x || !has_y) {
            /* The last digit of either is not 0. */
            return (int)has_x - (int)has_y;
        }
    }
}

int decimal_compare(const struct decimal *left, const struct decimal *right)
{
    int left_sign = is_zero(left) ? 0 : left->is_negative ? -1 : 1;
    int right_sign = is_zero(right) ? 0 : right->is_negative ? -1 : 1;
    if (left_sign != right_sign) {
        return left_sign < right_sign ? -1 : 1;
    }
    return left_sign == 0 ? 0 : left_sign * compare_magnitudes(left, right);
}

bool decimal_is_integer(const struct decimal *number)
{
    return is_zero(number) || number->exponent >= 0;
}

/* a * b mod m; m below 2^63. */
static uint64_t multiply(uint64_t a, uint64_t b, uint64_t m)
{
    uint64_t result = 0;
    for (a %= m; b > 0; b >>= 1) {
        if ((b & 1) != 0) {
            result = (result + a) % m;
        }
        a = (a + a) % m;
    }
    return result;
}

static uint64_t power_of_ten(int64_t exponent, uint64_t m)
{
    uint64_t result = 1 % m;
    uint64_t base = 10 % m;
    for (; exponent > 0; exponent >>= 1) {
        if ((exponent & 1) != 0) {
            result = multiply(result, base, m);
        }
        base = multiply(base, base, m);
    }
    return result;
}

bool decimal_is_multiple(const struct decimal *number, const struct decimal *divisor)
{
    PH_ASSERT(!is_zero(divisor) && divisor->count <= DECIMAL_DIVISOR_DIGITS_MAX);
    if (is_zero(number)) {
        return true;
    }
    /* Its last digit is not 0, so it has no factor 10 to give away. */
    if (number->exponent < divisor->exponent) {
        return false;
    }
    uint64_t m = 0;
    uint64_t rest = 0;
    unsigned digit;
    struct slice digits = divisor->digits;
    while (next_digit(&digits, &digit)) {
        m = m * 10 + digit;
    }
    digits = number->digits;
    while (next_digit(&digits, &digit)) {
        rest = (rest * 10 + digit) % m;
    }
    return multiply(rest, power_of_ten(number->exponent - divisor->exponent, m), m) == 0;
}

bool decimal_to_size(const struct decimal *number, int64_t max, int64_t *ret_size)
{
    if (number->is_negative || !decimal_is_integer(number)) {
        return false;
    }
    int64_t size = 0;
    unsigned digit;
    struct slice digits = number->digits;
    while (size < max && next_digit(&digits, &digit)) {
        size = size > (max - digit) / 10 ? max : size * 10 + digit;
    }
    for (int64_t left = number->exponent; size > 0 && size < max && left > 0; left--) {
        size = size > max / 10 ? max : size * 10;
    }
    *ret_size = size;
    return true;
}

/* --- strings ---------------------------------------------------------------------------------- */

static uint32_t hex_digit(char byte)
{
    return byte <= '9' ? (uint32_t)(byte - '0') : (uint32_t)((byte | 0x20) - 'a' + 10);
}

/* \uXXXX at the front, which is there whole. */
static uint32_t take_quad(struct slice *rest)
{
    uint32_t code = 0;
    for (size_t index = 2; index < 6; index++) {
        code = code << 4 | hex_digit(rest->ptr[index]);
    }
    rest->ptr += 6;
    rest->len -= 6;
    return code;
}

static uint32_t take_escape(struct slice *rest)
{
    static const char from[] = "bfnrt";
    static const char to[] = "\b\f\n\r\t";
    char kind = rest->ptr[1];
    if (kind != 'u') {
        const char *found = strchr(from, kind);
        rest->ptr += 2;
        rest->len -= 2;
        return (uint32_t)(unsigned char)(found == NULL ? kind : to[found - from]);
    }
    uint32_t code = take_quad(rest);
    if (code >= 0xd800 && code < 0xdc00 && rest->len >= 6 && rest->ptr[0] == '\\' &&
        rest->ptr[1] == 'u') {
        struct slice behind = *rest;
        uint32_t partner = take_quad(&behind);
        if (partner >= 0xdc00 && partner <= 0xdfff) {
            *rest = behind;
            code = 0x10000 + ((code - 0xd800) << 10) + (partner - 0xdc00);
        }
    }
    return code;
}

bool text_next(struct slice *rest, uint32_t *ret_character)
{
    if (rest->len == 0) {
        return false;
    }
    unsigned char lead = (unsigned char)rest->ptr[0];
    if (lead == '\\') {
        *ret_character = take_escape(rest);
        return true;
    }
    size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t code = length == 1 ? lead : lead & (0xffu >> (length + 1));
    for (size_t index = 1; index < length; index++) {
        code = code << 6 | ((unsigned char)rest->ptr[index] & 0x3f);
    }
    rest->ptr += length;
    rest->len -= length;
    *ret_character = code;
    return true;
}

static struct slice inside(struct slice value)
{
    return (struct slice){value.ptr + 1, value.len - 2};
}

size_t text_length(struct slice value)
{
    struct slice rest = inside(value);
    size_t length = 0;
    uint32_t character;
    if (memchr(rest.ptr, '\\', rest.len) == NULL) {
        for (size_t index = 0; index < rest.len; index++) {
            length += ((unsigned char)rest.ptr[index] & 0xc0) != 0x80;
        }
        return length;
    }
    while (text_next(&rest, &character)) {
        length++;
    }
    return length;
}

size_t text_cut(struct slice text, size_t max)
{
    size_t length = text.len;
    if (length > max) {
        length = max;
        while (length > 0 && ((unsigned char)text.ptr[length] & 0xc0) == 0x80) {
            length--;
        }
    }
    return length;
}

static bool text_equal(struct slice left, struct slice right)
{
    bool has_escapes =
        memchr(left.ptr, '\\', left.len) != NULL || memchr(right.ptr, '\\', right.len) != NULL;
    if (!has_escapes || slice_equal(left, right)) {
        return slice_equal(left, right);
    }
    uint32_t a = 0;
    uint32_t b = 0;
    bool has_a;
    bool has_b;
    do {
        has_a = text_next(&left, &a);
        has_b = text_next(&right, &b);
    } while (has_a && has_b && a == b);
    return !has_a && !has_b;
}

/* --- values ----------------------------------------------------------------------------------- */

enum scan_type value_type(struct slice text)
{
    switch (text.len == 0 ? '\0' : text.ptr[0]) {
    case '{':
        return SCAN_OBJECT;
    case '[':
        return SCAN_ARRAY;
    case '"':
        return SCAN_STRING;
    case 't':
        return SCAN_TRUE;
    case 'f':
        return SCAN_FALSE;
    case 'n':
        return SCAN_NULL;
    default:
        return SCAN_NUMBER;
    }
}

static bool array_equal(struct slice left, struct slice right, size_t *cost)
{
    struct scan_cursor a;
    struct scan_cursor b;
    scan_cursor_init(&a, left);
    scan_cursor_init(&b, right);
    for (;;) {
        enum scan_type x;
        enum scan_type y;
        struct slice u;
        struct slice v;
        bool has_x = scan_next_element(&a, &x, &u);
        bool has_y = scan_next_element(&b, &y, &v);
        if (!has_x || !has_y) {
            return has_x == has_y;
        }
        if (!value_equal(x, u, y, v, cost)) {
            return false;
        }
    }
}

/* The last member with this key, as written between the quotes. */
static bool find_key(struct slice object, struct slice key, struct scan_member *ret_member)
{
    struct scan_cursor cursor;
    struct scan_member member;
    bool is_found = false;
    scan_cursor_init(&cursor, object);
    while (scan_next_member(&cursor, &member)) {
        if (text_equal(member.key, key)) {
            *ret_member = member;
            is_found = true;
        }
    }
    return is_found;
}

static size_t count_members(struct slice object)
{
    struct scan_cursor cursor;
    struct scan_member member;
    size_t count = 0;
    scan_cursor_init(&cursor, object);
    while (scan_next_member(&cursor, &member)) {
        count++;
    }
    return count;
}

static bool object_equal(struct slice left, struct slice right, size_t *cost)
{
    struct scan_cursor cursor;
    struct scan_member member;
    struct scan_member other;
    if (count_members(left) != count_members(right)) {
        return false;
    }
    scan_cursor_init(&cursor, left);
    while (scan_next_member(&cursor, &member)) {
        *cost += right.len;
        if (!find_key(right, member.key, &other) ||
            !value_equal(member.type, member.value, other.type, other.value, cost)) {
            return false;
        }
    }
    return true;
}

/* The depth of what was scanned is bounded, and so is this. */
bool value_equal(enum scan_type left_type, struct slice left, enum scan_type right_type,
                 struct slice right, size_t *cost)
{
    if (left_type != right_type) {
        return false;
    }
    *cost += left.len < right.len ? left.len : right.len;
    switch (left_type) {
    case SCAN_TRUE:
    case SCAN_FALSE:
    case SCAN_NULL:
        return true;
    case SCAN_STRING:
        return text_equal(left, right);
    case SCAN_ARRAY:
        return array_equal(left, right, cost);
    case SCAN_OBJECT:
        return object_equal(left, right, cost);
    case SCAN_NUMBER:
        break;
    }
    const struct decimal a = decimal_parse(left);
    const struct decimal b = decimal_parse(right);
    return decimal_compare(&a, &b) == 0;
}

static uint64_t text_hash(struct slice inside_text)
{
    uint64_t hash = 1;
    uint32_t character;
    while (text_next(&inside_text, &character)) {
        hash = map_mix(hash ^ character);
    }
    return hash;
}

static uint64_t number_hash(struct slice value)
{
    const struct decimal number = decimal_parse(value);
    uint64_t hash = map_mix((uint64_t)number.exponent) + number.is_negative;
    struct slice digits = number.digits;
    unsigned digit;
    while (next_digit(&digits, &digit)) {
        hash = map_mix(hash ^ digit);
    }
    return hash;
}

static uint64_t array_hash(struct slice value)
{
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice element;
    uint64_t hash = 3;
    scan_cursor_init(&cursor, value);
    while (scan_next_element(&cursor, &type, &element)) {
        hash = map_mix(hash ^ value_hash(type, element));
    }
    return hash;
}

static uint64_t object_hash(struct slice value)
{
    struct scan_cursor cursor;
    struct scan_member member;
    uint64_t hash = 5;
    scan_cursor_init(&cursor, value);
    while (scan_next_member(&cursor, &member)) {
        /* A sum, so that the order does not matter. */
        hash += map_mix(text_hash(member.key) ^ value_hash(member.type, member.value));
    }
    return hash;
}

uint64_t value_hash(enum scan_type type, struct slice value)
{
    uint64_t hash = 0;
    switch (type) {
    case SCAN_TRUE:
    case SCAN_FALSE:
    case SCAN_NULL:
        break;
    case SCAN_STRING:
        hash = text_hash(inside(value));
        break;
    case SCAN_NUMBER:
        hash = number_hash(value);
        break;
    case SCAN_ARRAY:
        hash = array_hash(value);
        break;
    case SCAN_OBJECT:
        hash = object_hash(value);
        break;
    }
    return map_mix(hash + (uint64_t)type);
}
