/* SPDX-License-Identifier: Apache-2.0 */
#include "base/compiler.h"

void ph_assert_failed(const char *expression, const char *file, int line)
{
    (void)fprintf(stderr, "posthorn: assertion failed: %s (%s:%d)\n", expression, file, line);
    abort();
}

static void *checked(void *pointer)
{
    if (pointer == NULL) {
        (void)fputs("posthorn: out of memory\n", stderr);
        abort();
    }
    return pointer;
}

void *ph_malloc(size_t size_bytes)
{
    return checked(malloc(size_bytes == 0 ? 1 : size_bytes));
}

void *ph_calloc(size_t count, size_t size_bytes)
{
    return checked(calloc(count == 0 ? 1 : count, size_bytes == 0 ? 1 : size_bytes));
}

void *ph_realloc(void *pointer, size_t size_bytes)
{
    return checked(realloc(pointer, size_bytes == 0 ? 1 : size_bytes));
}

char *ph_memdup_text(const char *bytes, size_t length)
{
    char *copy = ph_malloc(length + 1);
    if (length > 0) {
        memcpy(copy, bytes, length);
    }
    copy[length] = '\0';
    return copy;
}

char *ph_strdup(const char *text)
{
    return ph_memdup_text(text, strlen(text));
}

void ph_free_pointer(void *pointer_to_pointer)
{
    void **pointer = pointer_to_pointer;
    free(*pointer);
    *pointer = NULL;
}
