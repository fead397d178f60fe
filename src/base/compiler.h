/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only place that knows compiler extensions, the assertion that stays on in release, and the
 * list of functions that nobody may call.
 */
#ifndef PH_BASE_COMPILER_H
#define PH_BASE_COMPILER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PH_NODISCARD __attribute__((warn_unused_result))
#define PH_PRINTF(format_index, first_index)                                                       \
    __attribute__((format(printf, format_index, first_index)))
#define PH_NORETURN __attribute__((noreturn))
#define PH_UNUSED __attribute__((unused))
#define PH_LIKELY(x) __builtin_expect(!!(x), 1)
#define PH_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Runs `function(&variable)` when the variable leaves its scope. */
#define PH_CLEANUP(function) __attribute__((cleanup(function)))

#define PH_ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* The struct that holds `member` at `pointer`. */
#define PH_CONTAINER_OF(pointer, type, member)                                                     \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* Prints where and what, then aborts. Never returns. */
PH_NORETURN void ph_assert_failed(const char *expression, const char *file, int line);

/* A programmer error ends the process, in release too: a crash loses nothing acknowledged. */
#define PH_ASSERT(expression)                                                                      \
    do {                                                                                           \
        if (PH_UNLIKELY(!(expression))) {                                                          \
            ph_assert_failed(#expression, __FILE__, __LINE__);                                     \
        }                                                                                          \
    } while (0)

/* malloc and friends that end the process when memory is out. For sizes that do not come from
 * outside; sizes from outside use `buf` and `arena`, which have limits and report errors. */
PH_NODISCARD void *ph_malloc(size_t size_bytes);
PH_NODISCARD void *ph_calloc(size_t count, size_t size_bytes);
PH_NODISCARD void *ph_realloc(void *pointer, size_t size_bytes);
PH_NODISCARD char *ph_strdup(const char *text);
PH_NODISCARD char *ph_memdup_text(const char *bytes, size_t length); /* adds a NUL */

/* Frees a `char *` or other plain pointer variable at the end of its scope. */
void ph_free_pointer(void *pointer_to_pointer);
#define PH_AUTO_FREE PH_CLEANUP(ph_free_pointer)

#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol gets system popen

#endif
