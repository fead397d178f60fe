/* SPDX-License-Identifier: Apache-2.0 */
#include "app/command.h"

static const struct command *const table[] = {
#define ROW(name) &command_##name,
    COMMANDS(ROW)
#undef ROW
};

const struct command *const *command_table(size_t *ret_count)
{
    *ret_count = PH_ARRAY_LENGTH(table);
    return table;
}

const struct flag_row *command_flag(const struct command *command, size_t index)
{
    if (index < command->flag_count) {
        return &command->flags[index];
    }
    size_t count = 0;
    const struct flag_row *more = command->more_flags == NULL ? NULL : command->more_flags(&count);
    index -= command->flag_count;
    return index < count ? &more[index] : NULL;
}

const struct command *command_find(const char *name)
{
    for (size_t index = 0; index < PH_ARRAY_LENGTH(table); index++) {
        if (strcmp(name, table[index]->name) == 0) {
            return table[index];
        }
    }
    return NULL;
}
