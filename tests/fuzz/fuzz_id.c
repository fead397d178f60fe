/* SPDX-License-Identifier: Apache-2.0 */
/* Ids and the iterators of lists, which are ids: only the one text of an id is taken for it. */
#include "core/id.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct id_codec codec = {
        .key = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
    struct slice text = fuzz_text(data, size);
    char again[ID_TEXT_MAX];
    for (int kind = 0; kind < ID_KIND_COUNT; kind++) {
        int64_t id = -1;
        if (id_parse(&codec, (enum id_kind)kind, text, &id)) {
            size_t length = id_format(&codec, (enum id_kind)kind, id, again);
            PH_ASSERT(id >= 0 && slice_equal(text, (struct slice){again, length}));
            PH_ASSERT(id_has_prefix((enum id_kind)kind, text));
        } else {
            PH_ASSERT(id == -1);
        }
    }
    if (size >= sizeof(int64_t)) {
        int64_t id;
        memcpy(&id, data, sizeof id);
        id &= INT64_MAX;
        int64_t parsed = -1;
        size_t length = id_format(&codec, ID_MESSAGE, id, again);
        PH_ASSERT(id_parse(&codec, ID_MESSAGE, (struct slice){again, length}, &parsed));
        PH_ASSERT(parsed == id);
    }
    return 0;
}
