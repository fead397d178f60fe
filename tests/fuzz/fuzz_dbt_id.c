/* SPDX-License-Identifier: Apache-2.0 */
/* Ids of the dbt surface: only the one text of an id is taken for it. */
#include "fuzz/fuzz.h"
#include "surfaces/dbt/id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct id_codec codec = {.key = {1, 2, 3}};
    struct slice text = fuzz_text(data, size);
    char again[DBT_ID_TEXT_MAX];
    int64_t first = -1;
    int64_t second = -1;
    for (int kind = 0; kind < DBT_ID_KIND_COUNT; kind++) {
        if (dbt_id_parse(&codec, (enum dbt_id_kind)kind, text, &first)) {
            dbt_id_format(&codec, (enum dbt_id_kind)kind, first, again);
            PH_ASSERT(slice_equal(text, slice_of(again)));
        }
    }
    if (dbt_event_id_parse(&codec, text, &first, &second)) {
        dbt_event_id_format(&codec, first, second, again);
        PH_ASSERT(slice_equal(text, slice_of(again)));
    }
    if (size >= 2 * sizeof(int64_t)) {
        int64_t ids[2];
        int64_t back[2];
        memcpy(ids, data, sizeof ids);
        ids[0] = (ids[0] & INT64_MAX) | 1;
        ids[1] = (ids[1] & INT64_MAX) | 1;
        dbt_event_id_format(&codec, ids[0], ids[1], again);
        PH_ASSERT(dbt_event_id_parse(&codec, slice_of(again), &back[0], &back[1]));
        PH_ASSERT(ids[0] == back[0] && ids[1] == back[1]);
    }
    return 0;
}
