/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JSON Schema and, behind the first line feed, a value: what is decided is decided the same way
 * again, `not` turns it around, and what is refused is refused with words.
 */
#include <string.h>

#include "base/buf.h"
#include "core/schema.h"
#include "fuzz/fuzz.h"

#define TEXT_BYTES ((size_t)2 * 1024 * 1024)

/* So that the outcome does not depend on the time. */
static int64_t stopped_clock(void)
{
    return 1;
}

static enum ph_error validate(const struct schema *schema, struct slice value, bool *ret_exhausted)
{
    struct diag diag = {.error = PH_OK};
    struct schema_budget budget = schema_budget(value.len);
    enum ph_error error =
        schema_validate(schema, value, stopped_clock, &budget, "body.payload", &diag);
    PH_ASSERT(error == PH_OK || error == PH_INVALID);
    PH_ASSERT(error == PH_OK || (diag.error == error && diag.text[0] != '\0' &&
                                 slice_is_utf8_text(slice_of(diag.text))));
    PH_ASSERT(slice_is_utf8_text(slice_of(diag.field)));
    *ret_exhausted = strstr(diag.text, "too much work") != NULL;
    return error;
}

static void check_value(const struct schema *schema, struct slice text, struct slice value)
{
    bool is_exhausted;
    bool again;
    struct schema *opposite = NULL;
    BUF_AUTO struct buf negated;
    enum ph_error error = validate(schema, value, &is_exhausted);
    PH_ASSERT(validate(schema, value, &again) == error && again == is_exhausted);
    buf_init(&negated, TEXT_BYTES);
    buf_append_text(&negated, "{\"not\":");
    buf_append_slice(&negated, text);
    buf_append_text(&negated, "}");
    /* References are from the root, which is another one there. */
    bool has_reference =
        memmem(text.ptr, text.len, "ref", 3) != NULL || memchr(text.ptr, '\\', text.len) != NULL;
    if (!has_reference && schema_compile(buf_slice(&negated), "schema", NULL, &opposite) == PH_OK) {
        bool is_opposite = validate(opposite, value, &again) == PH_OK;
        PH_ASSERT(is_exhausted || again || is_opposite == (error != PH_OK));
        schema_free(opposite);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = fuzz_text(data, size);
    size_t end = slice_find(all, '\n');
    struct slice text = {all.ptr, end};
    struct slice value = {all.ptr + end, all.len - end};
    struct diag diag = {.error = PH_OK};
    struct schema *schema = NULL;
    enum ph_error error = schema_compile(text, "schema", &diag, &schema);
    if (error != PH_OK) {
        PH_ASSERT(diag.error == error && diag.text[0] != '\0' && schema == NULL);
        return 0;
    }
    if (scan_document(value, NULL, &diag, NULL) == PH_OK) {
        check_value(schema, text, value);
    }
    schema_free(schema);
    return 0;
}
