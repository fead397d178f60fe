/* SPDX-License-Identifier: Apache-2.0 */
#include "app/environment.h"

#include "base/clock.h"

/* What a surface names is in the table: its own rows. */
static enum option_id id_of(const char *key)
{
    enum option_id id;
    PH_ASSERT(option_find(slice_of(key), &id));
    return id;
}

static const char *text_of(const void *options, const char *key)
{
    return option_text(options, id_of(key));
}

static double number_of(const void *options, const char *key)
{
    enum option_id id = id_of(key);
    enum option_type type = option_row(id)->type;
    if (type == OPTION_TYPE_SECONDS || type == OPTION_TYPE_HOURS || type == OPTION_TYPE_DAYS) {
        return (double)option_us(options, id) / CLOCK_US_PER_S;
    }
    return type == OPTION_TYPE_NUMBER ? option_number(options, id)
                                      : (double)option_int(options, id);
}

static bool is_set(const void *options, const char *key)
{
    return option_is_set(options, id_of(key));
}

struct surface_environment environment_of(const struct options *options)
{
    return (struct surface_environment){
        .option_text = text_of,
        .option_number = number_of,
        .option_is_set = is_set,
        .options = options,
    };
}
