/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <unistd.h>

#include "app/command.h"

#define UNKNOWN_VARIABLES_MAX 4096

void command_complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("posthorn: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
}

/* The option whose flag this is ("--http-idle-timeout"). */
static bool find_option(struct slice flag, enum option_id *ret_id)
{
    for (unsigned id = 0; id < OPTION_COUNT; id++) {
        BUF_AUTO struct buf name;
        buf_init(&name, 128);
        option_flag_name(option_row((enum option_id)id), &name);
        if (slice_equal(flag, buf_slice(&name))) {
            *ret_id = (enum option_id)id;
            return true;
        }
    }
    return false;
}

struct reader {
    struct command_line *line;
    int count;
    char **arguments;
    int index; /* of the next argument */
    const struct command_flag *flags;
    size_t flag_count;
    struct command_list_flag *lists;
    size_t list_count;
};

/* The value behind `=`, or the next argument. NULL when there is none. */
static const char *take_value(struct reader *reader, const char *flag, const char *equals)
{
    if (equals != NULL) {
        return equals + 1;
    }
    if (reader->index < reader->count) {
        return reader->arguments[reader->index++];
    }
    command_complain("%s wants a value", flag);
    return NULL;
}

static bool set_option(struct reader *reader, const char *where, struct slice key,
                       struct slice value)
{
    struct diag diag;
    if (options_append(&reader->line->options, OPTION_FROM_FLAG, where, key, value, &diag) !=
        PH_OK) {
        command_complain("%s", diag.text);
        return false;
    }
    return true;
}

static bool read_set(struct reader *reader, const char *value)
{
    struct slice whole = slice_of(value);
    size_t equals = slice_find(whole, '=');
    if (equals == whole.len) {
        command_complain("--set wants KEY=VALUE, not \"%s\"", value);
        return false;
    }
    struct slice key = {whole.ptr, equals};
    struct slice text = {whole.ptr + equals + 1, whole.len - equals - 1};
    struct diag diag;
    if (options_set(&reader->line->options, OPTION_FROM_FLAG, "--set", key, text, &diag) != PH_OK) {
        command_complain("%s", diag.text);
        return false;
    }
    return true;
}

static bool take_flag(struct reader *reader, const struct command_flag *flag, const char *equals)
{
    if (flag->is_given != NULL) {
        *flag->is_given = true;
    }
    if (flag->value == NULL) {
        return true;
    }
    *flag->value = take_value(reader, flag->name, equals);
    return *flag->value != NULL;
}

static bool take_item(struct reader *reader, struct command_list_flag *list, const char *equals)
{
    const char *value = take_value(reader, list->name, equals);
    if (value == NULL) {
        return false;
    }
    if (list->count == COMMAND_LIST_MAX) {
        command_complain("%s may be given %d times", list->name, COMMAND_LIST_MAX);
        return false;
    }
    list->items[list->count++] = value;
    return true;
}

static bool read_flag(struct reader *reader, const char *argument)
{
    const char *equals = strchr(argument, '=');
    struct slice name = slice_of(argument);
    if (equals != NULL) {
        name.len = (size_t)(equals - argument);
    }
    for (size_t index = 0; index < reader->flag_count; index++) {
        if (slice_equal_text(name, reader->flags[index].name)) {
            return take_flag(reader, &reader->flags[index], equals);
        }
    }
    for (size_t index = 0; index < reader->list_count; index++) {
        if (slice_equal_text(name, reader->lists[index].name)) {
            return take_item(reader, &reader->lists[index], equals);
        }
    }
    enum option_id id;
    bool is_set = slice_equal_text(name, "--set");
    if (!is_set && !find_option(name, &id)) {
        command_complain("unknown flag %.*s; see `posthorn help`", SLICE_ARG(name));
        return false;
    }
    PH_AUTO_FREE char *flag = slice_dup(name); /* without the value, which may be a secret */
    const char *value = take_value(reader, flag, equals);
    if (value == NULL) {
        return false;
    }
    return is_set ? read_set(reader, value)
                  : set_option(reader, flag, slice_of(option_row(id)->key), slice_of(value));
}

static bool load_sources(struct command_line *line)
{
    struct diag diag;
    const char *const *environment = (const char *const *)environ;
    if (options_load_environment(&line->options, environment, &line->unknown_variables, &diag) !=
        PH_OK) {
        command_complain("%s", diag.text);
        return false;
    }
    const char *file = option_text(&line->options, OPTION_CONFIG);
    if (file[0] != '\0' && options_load_file(&line->options, file, &diag) != PH_OK) {
        command_complain("%s", diag.text);
        return false;
    }
    if (options_check(&line->options, &diag) != PH_OK) {
        command_complain("%s", diag.text);
        return false;
    }
    return true;
}

bool command_line_read(struct command_line *line, int count, char **arguments,
                       const struct command_flag *flags, size_t flag_count, size_t rest_max)
{
    return command_line_read_lists(line, count, arguments, flags, flag_count, NULL, 0, rest_max);
}

bool command_line_read_lists(struct command_line *line, int count, char **arguments,
                             const struct command_flag *flags, size_t flag_count,
                             struct command_list_flag *lists, size_t list_count, size_t rest_max)
{
    options_init(&line->options);
    line->rest = ph_calloc((size_t)count + 1, sizeof(char *));
    line->rest_count = 0;
    buf_init(&line->unknown_variables, UNKNOWN_VARIABLES_MAX);
    struct reader reader = {line, count, arguments, 0, flags, flag_count, lists, list_count};
    while (reader.index < reader.count) {
        const char *argument = arguments[reader.index++];
        if (argument[0] != '-' || strcmp(argument, "-") == 0) {
            if (line->rest_count == rest_max) {
                command_complain("the argument \"%s\" is one too many; see `posthorn help`",
                                 argument);
                return false;
            }
            line->rest[line->rest_count++] = argument;
        } else if (!read_flag(&reader, argument)) {
            return false;
        }
    }
    return load_sources(line);
}

void command_line_done(struct command_line *line)
{
    options_done(&line->options);
    free(line->rest);
    buf_done(&line->unknown_variables);
}
