/* SPDX-License-Identifier: Apache-2.0 */
/* What the tables of commands and options say: usage lines, help, man pages, a page of reference.
 */
#include <ctype.h>

#include "app/command.h"

#define INDENT 6
#define WIDTH 80
#define NAME_WIDTH 12
#define SCRATCH_MAX 16384

/* --- pieces ----------------------------------------------------------------------------------- */

static bool is_several(const struct flag_row *flag)
{
    return flag->kind == FLAG_LIST && (flag->traits & FLAG_ONCE) == 0;
}

static bool is_shown(const struct flag_row *flag)
{
    return (flag->traits & FLAG_HIDDEN) == 0;
}

void command_append_option_value(const struct option_row *row, struct buf *text)
{
    if (row->type == OPTION_TYPE_ADDRESS_LIST) {
        buf_append_text(text, "ADDR:PORT");
    } else if (row->type == OPTION_TYPE_ENUM) {
        buf_append_text(text, row->choices);
    } else if (row->type == OPTION_TYPE_BOOL) {
        buf_append_text(text, "true|false");
    } else if (strcmp(row->unit, "directory") == 0) {
        buf_append_text(text, "DIR");
    } else if (row->unit[0] == '\0') {
        buf_append_text(text, "VALUE");
    } else {
        for (const char *at = row->unit; *at != '\0'; at++) {
            buf_append_byte(text, *at == ' ' ? '_' : (char)toupper((unsigned char)*at));
        }
    }
}

/* "--app ID", "--json". */
static void append_flag(const struct flag_row *flag, struct buf *text)
{
    buf_append_text(text, flag->name);
    if (flag->kind != FLAG_SWITCH) {
        buf_append_format(text, " %s", flag->value);
    }
}

static void append_option(enum option_id id, struct buf *text)
{
    option_flag_name(option_row(id), text);
    buf_append_byte(text, ' ');
    command_append_option_value(option_row(id), text);
}

/* Whether something that takes an argument stands in the usage line as it is, or in brackets. */
static void append_usage_flag(const struct flag_row *flag, struct buf *text)
{
    bool is_required = (flag->traits & FLAG_REQUIRED) != 0;
    buf_append_text(text, is_required ? " " : " [");
    append_flag(flag, text);
    buf_append_text(text, is_required ? "" : "]");
    buf_append_text(text, is_several(flag) ? "…" : "");
}

void command_append_usage(const struct command *command, struct buf *text)
{
    buf_append_format(text, "posthorn %s", command->name);
    if (command->arguments != NULL && !command->passes_rest) {
        buf_append_format(text, " %s", command->arguments);
    }
    for (int required = 1; required >= 0; required--) {
        const struct flag_row *flag;
        for (size_t index = 0; (flag = command_flag(command, index)) != NULL; index++) {
            if (is_shown(flag) && ((flag->traits & FLAG_REQUIRED) != 0) == (required == 1)) {
                append_usage_flag(flag, text);
            }
        }
    }
    for (size_t index = 0; index < command->option_count; index++) {
        buf_append_text(text, " [");
        append_option(command->options[index], text);
        buf_append_text(text, "]");
    }
    buf_append_text(text, command->takes_options ? " [--set KEY=VALUE]…" : "");
    if (command->passes_rest) {
        buf_append_format(text, " %s", command->arguments);
    }
}

/* The next paragraph, of texts with line breaks between. */
static bool next_line(struct slice *rest, struct buf *line)
{
    struct slice part;
    buf_clear(line);
    if (rest->len == 0 || !slice_next(rest, '\n', &part)) {
        return false;
    }
    buf_append_slice(line, part);
    return true;
}

/* "Print the version." */
static void append_sentence(struct buf *text, const char *words)
{
    buf_append_byte(text, (char)toupper((unsigned char)words[0]));
    buf_append_format(text, "%s.", words + 1);
}

/* Calls `each` for every flag and every option that matters: how it is written, and what it does.
 */
static void each_flag(const struct command *command,
                      void (*each)(const char *usage, const char *help, struct buf *text),
                      struct buf *text)
{
    BUF_AUTO struct buf usage;
    BUF_AUTO struct buf help;
    buf_init(&usage, SCRATCH_MAX);
    buf_init(&help, SCRATCH_MAX);
    const struct flag_row *flag;
    for (size_t index = 0; (flag = command_flag(command, index)) != NULL; index++) {
        if (is_shown(flag)) {
            buf_clear(&usage);
            buf_clear(&help);
            append_flag(flag, &usage);
            buf_append_text(&help, flag->help);
            buf_append_text(&help, (flag->traits & FLAG_REQUIRED) != 0 ? " Required." : "");
            buf_append_text(&help, is_several(flag) ? " May be given several times." : "");
            each(buf_text(&usage), buf_text(&help), text);
        }
    }
    for (size_t index = 0; index < command->option_count; index++) {
        buf_clear(&usage);
        append_option(command->options[index], &usage);
        each(buf_text(&usage), option_row(command->options[index])->help, text);
    }
    if (command->takes_options) {
        each("--set KEY=VALUE",
             "Any option, see `posthorn help options`; each has a flag of its own, too. May be "
             "given several times.",
             text);
    }
}

/* Of a usage line: what stands in brackets, or a flag with its value, stays together. */
static struct slice next_group(struct slice *rest)
{
    bool is_bracket = rest->len > 0 && rest->ptr[0] == '[';
    size_t end = 0;
    while (end < rest->len) {
        end += slice_find((struct slice){rest->ptr + end, rest->len - end}, ' ');
        bool ends_bracket = rest->ptr[end - 1] == ']' || rest->ptr[end - 1] == (char)0xa6; /* … */
        bool is_value = end + 1 < rest->len && rest->ptr[end + 1] != '-' &&
                        rest->ptr[end + 1] != '[' && rest->ptr[0] == '-';
        if (is_bracket ? ends_bracket : !is_value) {
            break;
        }
        end++;
    }
    struct slice group = {rest->ptr, end};
    size_t skipped = end < rest->len ? end + 1 : end;
    *rest = (struct slice){rest->ptr + skipped, rest->len - skipped};
    return group;
}

static void append_wrapped_usage(const struct command *command, struct buf *text)
{
    BUF_AUTO struct buf usage;
    buf_init(&usage, SCRATCH_MAX);
    command_append_usage(command, &usage);
    struct slice rest = buf_slice(&usage);
    size_t column = 0;
    while (rest.len > 0) {
        struct slice group = next_group(&rest);
        if (column > 0 && column + 1 + group.len > WIDTH) {
            buf_append_format(text, "\n%*s", INDENT, "");
            column = INDENT;
        } else if (column > 0) {
            buf_append_byte(text, ' ');
            column++;
        }
        buf_append_slice(text, group);
        column += group.len;
    }
    buf_append_byte(text, '\n');
}

/* --- for the terminal ------------------------------------------------------------------------- */

void command_write_names(struct buf *text)
{
    size_t count;
    const struct command *const *commands = command_table(&count);
    for (size_t index = 0; index < count; index++) {
        if (commands[index]->help != NULL) {
            buf_append_format(text, "%s\n", commands[index]->name);
        }
    }
}

void command_write_overview(struct buf *text)
{
    buf_append_text(text, "posthorn takes events, keeps them safe, and delivers them as "
                          "webhooks.\n\n");
    size_t count;
    const struct command *const *commands = command_table(&count);
    for (size_t index = 0; index < count; index++) {
        if (commands[index]->help != NULL) {
            buf_append_format(text, "  posthorn %-*s %s\n", NAME_WIDTH, commands[index]->name,
                              commands[index]->help);
        }
    }
    buf_append_text(text,
                    "\n`posthorn help COMMAND` says more of one, `posthorn help options` lists "
                    "the options for --set,\nthe environment and the configuration file.\n");
}

static void write_flag_help(const char *usage, const char *help, struct buf *text)
{
    buf_append_format(text, "  %s\n%*s", usage, INDENT, "");
    option_append_wrapped(text, help, INDENT, WIDTH);
}

static bool has_flags(const struct command *command)
{
    return command->flag_count + command->option_count > 0;
}

void command_write_help(const struct command *command, struct buf *text)
{
    BUF_AUTO struct buf line;
    buf_init(&line, SCRATCH_MAX);
    append_wrapped_usage(command, text);
    buf_append_byte(text, '\n');
    append_sentence(text, command->help);
    buf_append_byte(text, '\n');
    struct slice rest = slice_of(command->details);
    while (next_line(&rest, &line)) {
        buf_append_byte(text, '\n');
        option_append_wrapped(text, buf_text(&line), 0, WIDTH);
    }
    if (has_flags(command)) {
        buf_append_byte(text, '\n');
        each_flag(command, write_flag_help, text);
    }
    rest = slice_of(command->examples);
    buf_append_text(text, rest.len > 0 ? "\nExamples:\n" : "");
    while (next_line(&rest, &line)) {
        buf_append_format(text, "  %s\n", buf_text(&line));
    }
}

/* --- man pages -------------------------------------------------------------------------------- */

/* A line of text; one that begins with a dot or a quote would be a command. */
static void append_man_line(struct buf *text, const char *words)
{
    buf_append_text(text, words[0] == '.' || words[0] == '\'' ? "\\&" : "");
    option_append_troff(text, words);
    buf_append_byte(text, '\n');
}

static void write_man_head(struct buf *text, const char *name, const char *help)
{
    buf_append_text(text, ".TH ");
    for (const char *at = name; *at != '\0'; at++) {
        if (*at == '-') {
            buf_append_text(text, "\\-");
        } else {
            buf_append_byte(text, (char)toupper((unsigned char)*at));
        }
    }
    buf_append_text(text, " 1 \"\" \"posthorn " PH_VERSION "\" \"Posthorn\"\n.SH NAME\n");
    option_append_troff(text, name);
    buf_append_text(text, " \\- ");
    append_man_line(text, help);
}

static void write_man_ends(struct buf *text)
{
    buf_append_text(text, ".SH EXIT STATUS\n.TP\n0\nIt is done.\n.TP\n1\nIt did not work; standard "
                          "error says why.\n.TP\n2\nWrong usage.\n");
}

void command_write_man(struct buf *text)
{
    write_man_head(text, "posthorn",
                   "takes events, keeps them safe, and delivers them as webhooks");
    buf_append_text(text, ".SH SYNOPSIS\n.B posthorn\n.I COMMAND\n[\\fIARGUMENTS\\fR]\n"
                          ".SH COMMANDS\n");
    size_t count;
    const struct command *const *commands = command_table(&count);
    for (size_t index = 0; index < count; index++) {
        if (commands[index]->help != NULL) {
            buf_append_text(text, ".TP\n.BR posthorn\\-");
            option_append_troff(text, commands[index]->name);
            buf_append_text(text, " (1)\n");
            append_man_line(text, commands[index]->help);
        }
    }
    write_man_ends(text);
    buf_append_text(
        text, ".SH SIGNALS\nSIGTERM and SIGINT end the server after the attempts in "
              "flight; a second one ends it at once. SIGHUP reads the configuration "
              "again: keys that can change while running take effect, the log names "
              "those that need a restart.\n.SH OPTIONS\nLater sources win: defaults, the YAML file "
              "(\\-\\-config FILE), the environment, flags.\n");
    option_write_man(text);
}

static void write_man_flag(const char *usage, const char *help, struct buf *text)
{
    buf_append_text(text, ".TP\n.B ");
    option_append_troff(text, usage);
    buf_append_byte(text, '\n');
    append_man_line(text, help);
}

void command_write_man_of(const struct command *command, struct buf *text)
{
    BUF_AUTO struct buf line;
    buf_init(&line, SCRATCH_MAX);
    buf_append_format(&line, "posthorn-%s", command->name);
    write_man_head(text, buf_text(&line), command->help);
    buf_clear(&line);
    buf_append_text(text, ".SH SYNOPSIS\n");
    command_append_usage(command, &line);
    append_man_line(text, buf_text(&line));
    buf_append_text(text, ".SH DESCRIPTION\n");
    buf_clear(&line);
    append_sentence(&line, command->help);
    append_man_line(text, buf_text(&line));
    struct slice rest = slice_of(command->details);
    while (next_line(&rest, &line)) {
        buf_append_text(text, ".PP\n");
        append_man_line(text, buf_text(&line));
    }
    if (has_flags(command)) {
        buf_append_text(text, ".SH OPTIONS\n");
        each_flag(command, write_man_flag, text);
    }
    write_man_ends(text);
    rest = slice_of(command->examples);
    buf_append_text(text, rest.len > 0 ? ".SH EXAMPLES\n.nf\n" : "");
    while (next_line(&rest, &line)) {
        append_man_line(text, buf_text(&line));
    }
    buf_append_text(text, command->examples[0] != '\0' ? ".fi\n" : "");
    buf_append_text(text, ".SH SEE ALSO\n.BR posthorn (1)\n");
}

/* --- reference -------------------------------------------------------------------------------- */

static void write_markdown_flag(const char *usage, const char *help, struct buf *text)
{
    buf_append_text(text, "| `");
    option_append_cell(text, usage);
    buf_append_text(text, "` | ");
    option_append_cell(text, help);
    buf_append_text(text, " |\n");
}

static void write_markdown_of(const struct command *command, struct buf *text)
{
    BUF_AUTO struct buf line;
    buf_init(&line, SCRATCH_MAX);
    buf_append_format(text, "\n## %s\n\n", command->name);
    append_sentence(text, command->help);
    buf_append_text(text, "\n");
    struct slice rest = slice_of(command->details);
    while (next_line(&rest, &line)) {
        buf_append_format(text, "\n%s\n", buf_text(&line));
    }
    buf_append_text(text, "\n```\n");
    append_wrapped_usage(command, text);
    buf_append_text(text, "```\n");
    if (has_flags(command)) {
        buf_append_text(text, "\n| | |\n|---|---|\n");
        each_flag(command, write_markdown_flag, text);
    }
    rest = slice_of(command->examples);
    buf_append_text(text, rest.len > 0 ? "\nExamples:\n\n```\n" : "");
    while (next_line(&rest, &line)) {
        buf_append_format(text, "%s\n", buf_text(&line));
    }
    buf_append_text(text, command->examples[0] != '\0' ? "```\n" : "");
}

void command_write_markdown(struct buf *text)
{
    buf_append_text(
        text,
        "<!-- Made from the tables of src/app/command_*.c by `posthorn help --commands-markdown`. "
        "-->\n"
        "# Commands\n\n"
        "Every command but `dbt` also takes the flags of the [options](options.md), reads the file "
        "that `--config` names and the\n`POSTHORN_*` variables. Exit codes: 0 it is done, 1 it did "
        "not "
        "work and standard error says why, 2 wrong usage.\n`posthorn help COMMAND` and the man "
        "page "
        "posthorn-COMMAND(1) say the same as this page.\n");
    size_t count;
    const struct command *const *commands = command_table(&count);
    for (size_t index = 0; index < count; index++) {
        if (commands[index]->help != NULL) {
            write_markdown_of(commands[index], text);
        }
    }
}
