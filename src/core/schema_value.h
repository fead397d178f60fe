/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON values as they stand in a text, compared by what they mean: numbers of any size and
 * precision exactly, strings by their characters, objects without order. The texts were validated
 * before. Pure; any thread.
 */
#ifndef PH_CORE_SCHEMA_VALUE_H
#define PH_CORE_SCHEMA_VALUE_H

#include "core/scan.h"

/* A number without loss, as long as its exponent has 15 digits at most; slices into its text. */
struct decimal {
    bool is_negative; /* false for zero */
    struct slice
        digits;       /* from the first to the last that is not 0, a `.` may be inside; empty = 0 */
    size_t count;     /* digits without the `.` */
    int64_t exponent; /* power of ten of the last digit */
};

/* Digits of a divisor, so that arithmetic stays within 64 bits. */
#define DECIMAL_DIVISOR_DIGITS_MAX 18

struct decimal decimal_parse(struct slice number);
/* Below, equal, above: -1, 0, 1. */
int decimal_compare(const struct decimal *left, const struct decimal *right);
bool decimal_is_integer(const struct decimal *number);
/* Whether `number` is a multiple of `divisor`, which is not 0 and has DECIMAL_DIVISOR_DIGITS_MAX
 * digits at most. */
bool decimal_is_multiple(const struct decimal *number, const struct decimal *divisor);
/* An integer of 0 or more; what is larger than `max` becomes `max`. False for other numbers. */
bool decimal_to_size(const struct decimal *number, int64_t max, int64_t *ret_size);

/* The next character of a string's inside (between the quotes); false at the end. Half of a
 * surrogate pair stands for itself. */
bool text_next(struct slice *rest, uint32_t *ret_character);
/* Characters of a string value, its quotes not counted. */
size_t text_length(struct slice value);

/* How much of a text there is room for, `max` at most, without half a character at the end. */
size_t text_cut(struct slice text, size_t max);

/* Whether two values are the same as JSON Schema sees it. `cost` grows with the work done. */
bool value_equal(enum scan_type left_type, struct slice left, enum scan_type right_type,
                 struct slice right, size_t *cost);
/* Equal for equal values. */
uint64_t value_hash(enum scan_type type, struct slice value);
/* The first value of a text that is one. */
enum scan_type value_type(struct slice text);

#endif
