/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of requests to the magpie surface. The first byte says whether it is a form. What a member
 * gives as a text is valid UTF-8 without NUL, and an error has words. */
#include "fuzz/fuzz.h"
#include "surfaces/magpie/body.h"
#include "surfaces/magpie/permission.h"

#define ARENA_BYTES ((size_t)4 * 1024 * 1024)

static void read_all(struct magpie_body *body, const char *name)
{
    struct slice text;
    enum scan_type type;
    int64_t number;
    bool flag;
    if (magpie_body_text(body, name, &text) == MAGPIE_GIVEN) {
        PH_ASSERT(slice_is_utf8_text(text));
    }
    (void)magpie_body_number(body, name, &number);
    PH_ASSERT(number >= 0);
    (void)magpie_body_bool(body, name, &flag);
    if (magpie_body_object(body, name, &text) == MAGPIE_GIVEN) {
        PH_ASSERT(scan_document(text, &type, NULL, NULL) == PH_OK && type == SCAN_OBJECT);
    }
    if (magpie_body_value(body, name, &type, &text) == MAGPIE_GIVEN) {
        PH_ASSERT(scan_document(text, NULL, NULL, NULL) == PH_OK);
    }
    (void)magpie_body_required(body, name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a", "permission", ""};
    struct diag diag = {.error = PH_OK};
    struct magpie_body body;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    if (size == 0) {
        return 0;
    }
    magpie_body_open(&body,
                     data[0] % 2 == 0 ? SLICE_LITERAL("application/json")
                                      : SLICE_LITERAL("application/x-www-form-urlencoded"),
                     fuzz_text(data + 1, size - 1), PH_INVALID, &arena, &diag);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(names); index++) {
        read_all(&body, names[index]);
    }
    PH_ASSERT(body.error == PH_OK || diag.text[0] != '\0');
    return 0;
}
