/* SPDX-License-Identifier: Apache-2.0 */
/* Templates: the first line is the value of the parameters, the rest a payload in JSON. What comes
 * out is JSON, in ASCII, and the same when there is nothing to replace. */
#include "core/scan.h"
#include "fuzz/fuzz.h"
#include "surfaces/magpie/template.h"

#define ARENA_BYTES ((size_t)16 * 1024 * 1024)
#define TEXT_BYTES ((size_t)16 * 1024 * 1024)

static void ignore_name(void *context, struct slice name)
{
    (void)context;
    PH_ASSERT(name.len > 0);
}

static bool render(struct slice payload, const struct magpie_parameters *parameters,
                   struct buf *ret_json)
{
    struct diag diag;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    buf_init(ret_json, TEXT_BYTES);
    return magpie_render_json(payload, parameters, &arena, &diag, ret_json) == PH_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = fuzz_text(data, size);
    struct slice value = fuzz_line(&rest);
    struct diag diag;
    if (!slice_is_utf8_text(value) || rest.ptr == NULL ||
        scan_document(rest, NULL, NULL, NULL) != PH_OK) {
        return 0;
    }
    const struct magpie_parameter items[] = {
        {"user.name", {MAGPIE_STRING, value, 0}},
        {"user.id", {MAGPIE_INTEGER, SLICE_NONE, 7}},
        {"service.name", {MAGPIE_NULL, SLICE_NONE, 0}},
    };
    const struct magpie_parameters parameters = {items, PH_ARRAY_LENGTH(items)};
    const struct magpie_parameters none = {NULL, 0};
    BUF_AUTO struct buf json;
    BUF_AUTO struct buf plain;
    BUF_AUTO struct buf again;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    magpie_template_names(rest, &arena, ignore_name, NULL);
    if (render(rest, &parameters, &json)) {
        PH_ASSERT(scan_document(buf_slice(&json), NULL, &diag, NULL) == PH_OK);
        for (size_t index = 0; index < json.len; index++) {
            PH_ASSERT((unsigned char)json.data[index] < 0x80);
        }
    }
    bool is_plain = render(rest, &none, &plain);
    buf_init(&again, 1);
    if (is_plain) {
        PH_ASSERT(render(buf_slice(&plain), &none, &again));
        PH_ASSERT(slice_equal(buf_slice(&plain), buf_slice(&again)));
    }
    return 0;
}
