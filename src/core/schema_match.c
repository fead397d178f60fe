/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matching with a bound. PCRE2 limits the steps from one start only, and does not count what a
 * repeat runs over, so that a long text can cost the square of its length. Therefore a text is
 * searched in growing stretches of starts, and with a growing limit of steps, and once that is
 * needed processor time is looked at in between: the next call takes a small multiple of what those
 * before it took.
 */
#include "core/schema_run.h"

#define STRETCH_FIRST 64
#define STEPS_FIRST 100
#define STEPS_MAX 2000000
#define STEPS_FACTOR 8
#define HEAP_KIB 16384

/* Counts the time since `*since_us`, which is moved; the first time only moves it. */
static bool has_time(struct run *run, int64_t *since_us)
{
    int64_t now_us = run->clock();
    if (*since_us >= 0) {
        run->budget->match_us -= now_us - *since_us;
    }
    *since_us = now_us;
    if (run->budget->match_us <= 0) {
        run->is_exhausted = true;
    }
    return !run->is_exhausted;
}

static void prepare(struct run *run)
{
    if (run->context == NULL) {
        run->context = pcre2_match_context_create(NULL);
        run->matches = pcre2_match_data_create(1, NULL);
        PH_ASSERT(run->context != NULL && run->matches != NULL);
        (void)pcre2_set_heap_limit(run->context, HEAP_KIB);
    }
}

/* The first byte of a character at or behind `at`. */
static size_t next_start(struct slice text, size_t at)
{
    while (at < text.len && ((unsigned char)text.ptr[at] & 0xc0) == 0x80) {
        at++;
    }
    return at;
}

bool schema_matches(struct run *run, const pcre2_code *code, struct slice text)
{
    uint32_t options = 0;
    (void)pcre2_pattern_info(code, PCRE2_INFO_ALLOPTIONS, &options);
    size_t stretch = (options & PCRE2_ANCHORED) != 0 ? text.len : STRETCH_FIRST;
    uint32_t steps = STEPS_FIRST;
    size_t start = 0;
    int64_t since_us = -1;
    prepare(run);
    while (schema_spend(run, STRETCH_FIRST)) {
        size_t last = stretch < text.len - start ? start + stretch : text.len;
        (void)pcre2_set_match_limit(run->context, steps);
        (void)pcre2_set_offset_limit(run->context, last);
        int result = pcre2_match(code, (PCRE2_SPTR)text.ptr, text.len, start, PCRE2_NO_UTF_CHECK,
                                 run->matches, run->context);
        if (result >= 0) {
            return true;
        }
        if (result == PCRE2_ERROR_MATCHLIMIT && steps < STEPS_MAX) {
            steps *= STEPS_FACTOR;
        } else if (result != PCRE2_ERROR_NOMATCH) {
            run->is_exhausted = true;
        } else if (last == text.len) {
            return false;
        } else {
            start = next_start(text, last + 1);
            stretch *= 2;
        }
        if (!has_time(run, &since_us)) {
            break;
        }
    }
    return false;
}
