/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <unistd.h>

#include "app/command.h"

#define UNKNOWN_VARIABLES_MAX 4096
#define MISSING_BYTES_MAX 1024
#define USAGE_BYTES_MAX 4096

void command_complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("posthorn: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
}

int command_complain_usage(const struct command *command)
{
    BUF_AUTO struct buf usage;
    buf_init(&usage, USAGE_BYTES_MAX);
    command_append_usage(command, &usage);
    command_complain("usage: %s", buf_text(&usage));
    return EXIT_USAGE;
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
    const struct command *command;
    char *values; /* the command's own struct */
    int count;
    char **arguments;
    int index; /* of the next argument */
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

static const struct flag_row *find_flag(const struct command *command, struct slice name)
{
    const struct flag_row *flag = NULL;
    for (size_t index = 0; (flag = command_flag(command, index)) != NULL; index++) {
        if (slice_equal_text(name, flag->name)) {
            break;
        }
    }
    return flag;
}

static bool take_flag(struct reader *reader, const struct flag_row *flag, const char *equals)
{
    void *place = reader->values + flag->offset;
    if (flag->kind == FLAG_SWITCH) {
        if (equals != NULL) {
            command_complain("%s takes no value", flag->name);
            return false;
        }
        *(bool *)place = true;
        return true;
    }
    const char *value = take_value(reader, flag->name, equals);
    if (value == NULL) {
        return false;
    }
    if (flag->kind == FLAG_VALUE) {
        *(const char **)place = value;
        return true;
    }
    struct flag_values *list = place;
    if (list->count == FLAG_VALUES_MAX) {
        command_complain("%s may be given %d times at most", flag->name, FLAG_VALUES_MAX);
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
    const struct flag_row *own = find_flag(reader->command, name);
    if (own != NULL) {
        return take_flag(reader, own, equals);
    }
    enum option_id id;
    bool is_set = slice_equal_text(name, "--set");
    if (reader->command->passes_rest || (!is_set && !find_option(name, &id))) {
        command_complain("unknown flag %.*s; see `posthorn help %s`", SLICE_ARG(name),
                         reader->command->name);
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

static bool take_argument(struct reader *reader, const char *argument)
{
    if (reader->line->rest_count == reader->command->argument_max) {
        command_complain("the argument \"%s\" is one too many; see `posthorn help %s`", argument,
                         reader->command->name);
        return false;
    }
    reader->line->rest[reader->line->rest_count++] = argument;
    return true;
}

static bool is_given(const struct reader *reader, const struct flag_row *flag)
{
    const void *place = reader->values + flag->offset;
    return flag->kind == FLAG_LIST ? ((const struct flag_values *)place)->count > 0
                                   : *(const char *const *)place != NULL;
}

/* Names all that is missing, not the first alone. */
static bool check_required(const struct reader *reader)
{
    BUF_AUTO struct buf missing;
    buf_init(&missing, MISSING_BYTES_MAX);
    const struct flag_row *flag;
    for (size_t index = 0; (flag = command_flag(reader->command, index)) != NULL; index++) {
        if ((flag->traits & FLAG_REQUIRED) != 0 && !is_given(reader, flag)) {
            buf_append_format(&missing, "%s%s %s", missing.len == 0 ? "" : ", ", flag->name,
                              flag->value);
        }
    }
    if (missing.len > 0) {
        command_complain("%s wants %s; see `posthorn help %s`", reader->command->name,
                         buf_text(&missing), reader->command->name);
    }
    return missing.len == 0;
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

static bool read_arguments(struct reader *reader)
{
    bool has_flags = true;
    while (reader->index < reader->count) {
        const char *argument = reader->arguments[reader->index++];
        bool is_flag = has_flags && argument[0] == '-' && argument[1] != '\0';
        has_flags = has_flags && (is_flag || !reader->command->passes_rest);
        if (is_flag && strcmp(argument, "--") == 0) {
            has_flags = false;
        } else if (!(is_flag ? read_flag(reader, argument) : take_argument(reader, argument))) {
            return false;
        }
    }
    return check_required(reader);
}

bool command_read(struct command_line *line, const struct command *command, int count,
                  char **arguments, void *values)
{
    options_init(&line->options);
    line->rest = ph_calloc((size_t)count + 1, sizeof(char *));
    line->rest_count = 0;
    buf_init(&line->unknown_variables, UNKNOWN_VARIABLES_MAX);
    struct reader reader = {line, command, values, count, arguments, 0};
    return read_arguments(&reader) && (command->passes_rest || load_sources(line));
}

void command_line_done(struct command_line *line)
{
    options_done(&line->options);
    free(line->rest);
    buf_done(&line->unknown_variables);
}
