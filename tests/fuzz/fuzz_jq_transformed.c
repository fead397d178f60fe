/* SPDX-License-Identifier: Apache-2.0 */
/* The output of a transform. What is taken from it is fit to be sent. */
#include "core/header_rule.h"
#include "core/scan.h"
#include "core/url.h"
#include "fuzz/fuzz.h"
#include "jq/event.h"

#define ARENA_BYTES ((size_t)256 * 1024)

static void check_headers(const struct jq_transformed *transformed)
{
    PH_ASSERT(transformed->header_count <= HEADER_COUNT_MAX);
    for (size_t index = 0; index < transformed->header_count; index++) {
        const struct jq_header *header = &transformed->headers[index];
        PH_ASSERT(header_rule_check_name(header->name, "x", NULL) == PH_OK ||
                  slice_equal_nocase(header->name, SLICE_LITERAL("content-type")));
        PH_ASSERT(header_rule_check_value(header->value, "x", NULL) == PH_OK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ARENA_AUTO struct arena arena;
    struct diag diag = {.error = PH_OK};
    struct jq_transformed transformed;
    struct url_parts parts;
    arena_init(&arena, ARENA_BYTES);
    enum ph_error error = jq_transformed_read(fuzz_text(data, size), &arena, &diag, &transformed);
    if (error != PH_OK) {
        PH_ASSERT(diag.text[0] != '\0' && diag.error == error);
        return 0;
    }
    PH_ASSERT(transformed.body.ptr != NULL && transformed.body.len <= size);
    PH_ASSERT(!transformed.is_body_json ||
              scan_document(transformed.body, NULL, NULL, NULL) == PH_OK);
    PH_ASSERT(transformed.url.ptr == NULL || url_split(transformed.url, &parts));
    check_headers(&transformed);
    return 0;
}
