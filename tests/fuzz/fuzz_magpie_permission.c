/* SPDX-License-Identifier: Apache-2.0 */
/* Permission texts: what is taken has an explicit form, which is read as the same. */
#include "fuzz/fuzz.h"
#include "surfaces/magpie/permission.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct diag diag = {.error = PH_OK};
    struct magpie_permission permission;
    struct magpie_permission again;
    BUF_AUTO struct buf text;
    buf_init(&text, MAGPIE_PERMISSION_TEXT_MAX);
    if (magpie_permission_parse(fuzz_text(data, size), "permission", &diag, &permission) != PH_OK) {
        PH_ASSERT(diag.error == PH_INVALID && strcmp(diag.field, "permission") == 0);
        return 0;
    }
    PH_ASSERT(permission.name == magpie_permission_name(slice_of(permission.name)));
    magpie_permission_append(&permission, &text);
    PH_ASSERT(!text.failed);
    PH_ASSERT(magpie_permission_parse(buf_slice(&text), "permission", &diag, &again) == PH_OK);
    PH_ASSERT(again.name == permission.name && again.access == permission.access &&
              again.scope == permission.scope);
    return 0;
}
