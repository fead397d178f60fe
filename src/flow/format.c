/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/format.h"

static const struct delivery_format *const *table;
static size_t table_count;

void delivery_formats_set(const struct delivery_format *const *formats, size_t count)
{
    table = formats;
    table_count = count;
}

const struct delivery_format *delivery_format_find(struct slice name)
{
    for (size_t index = 0; index < table_count; index++) {
        if (slice_equal_text(name, table[index]->name)) {
            return table[index];
        }
    }
    return NULL;
}
