/* SPDX-License-Identifier: Apache-2.0 */
#include "app/command.h"

extern const struct command command_serve, command_jwt, command_token;
extern const struct command command_send, command_tail, command_replay, command_listen;
extern const struct command command_verify, command_doctor, command_backup, command_restore;
extern const struct command command_prune, command_key, command_migrate;
extern const struct command command_version, command_jq_worker;

static const struct command *const table[] = {
    &command_serve,  &command_jwt,     &command_token,   &command_send,
    &command_tail,   &command_replay,  &command_listen,  &command_verify,
    &command_doctor, &command_backup,  &command_restore, &command_prune,
    &command_key,    &command_migrate, &command_version, &command_jq_worker,
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
