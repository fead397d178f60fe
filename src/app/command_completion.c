/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `completion`: what a shell needs to complete the arguments of posthorn, made from the tables of
 * commands and options. After a flag its value is offered: files for FILE, folders for DIR, the
 * words of a|b|c; else the flags that the command has, and what it takes without one.
 */
#include "app/command.h"

#define SCRIPT_MAX ((size_t)1024 * 1024)
#define NAME_MAX_BYTES 256

enum offer_kind { OFFER_NOTHING, OFFER_FILES, OFFER_FOLDERS, OFFER_WORDS };

/* What may stand at a place. */
struct offer {
    enum offer_kind kind;
    struct slice words; /* OFFER_WORDS: with `|` between */
};

static bool has_text(struct slice whole, const char *text)
{
    size_t length = strlen(text);
    for (size_t at = 0; at + length <= whole.len; at++) {
        if (memcmp(whole.ptr + at, text, length) == 0) {
            return true;
        }
    }
    return false;
}

/* "DIR", "JSON|FILE|-", "team|enterprise", "create|list [ID]", "N". Words that are meant as they
 * stand are in small letters. */
static struct offer offer_of(const char *value)
{
    if (value == NULL) {
        return (struct offer){.kind = OFFER_NOTHING};
    }
    struct slice text = slice_of(value);
    text.len = slice_find(text, ' ');
    bool is_word = text.len > 0 && text.ptr[0] >= 'a' && text.ptr[0] <= 'z';
    if (is_word) {
        return (struct offer){OFFER_WORDS, text};
    }
    if (has_text(text, "FILE")) {
        return (struct offer){.kind = OFFER_FILES};
    }
    return (struct offer){.kind = has_text(text, "DIR") ? OFFER_FOLDERS : OFFER_NOTHING};
}

/* The words of an offer with spaces between. */
static void append_words(struct buf *script, struct offer offer)
{
    struct slice rest = offer.words;
    struct slice word;
    for (const char *between = ""; slice_next(&rest, '|', &word); between = " ") {
        buf_append_text(script, between);
        buf_append_slice(script, word);
    }
}

/* --- flags of a command, those of the option table too ---------------------------------------- */

struct offered_flag {
    const char *name;
    const char *value; /* NULL = a switch */
    const char *help;
    bool is_several;
    bool has_choices; /* the value is a|b|c, in whatever letters */
};

static struct offer offer_of_flag(const struct offered_flag *flag)
{
    return flag->has_choices ? (struct offer){OFFER_WORDS, slice_of(flag->value)}
                             : offer_of(flag->value);
}

typedef void each_function(struct buf *script, const struct command *command,
                           const struct offered_flag *flag);

static void each_option(struct buf *script, const struct command *command, enum option_id id,
                        each_function *each)
{
    BUF_AUTO struct buf name;
    BUF_AUTO struct buf value;
    buf_init(&name, NAME_MAX_BYTES);
    buf_init(&value, NAME_MAX_BYTES);
    option_flag_name(option_row(id), &name);
    command_append_option_value(option_row(id), &value);
    const struct offered_flag flag = {
        .name = buf_text(&name),
        .value = buf_text(&value),
        .help = option_row(id)->help,
        .is_several = option_is_list(option_row(id)->type),
        .has_choices = option_row(id)->type == OPTION_TYPE_ENUM,
    };
    each(script, command, &flag);
}

static void each_flag(struct buf *script, const struct command *command, each_function *each)
{
    const struct flag_row *row;
    for (size_t index = 0; (row = command_flag(command, index)) != NULL; index++) {
        if ((row->traits & FLAG_HIDDEN) == 0) {
            const struct offered_flag flag = {row->name, row->value, row->help,
                                              row->kind == FLAG_LIST, false};
            each(script, command, &flag);
        }
    }
    for (unsigned id = 0; command->takes_options && id < OPTION_COUNT; id++) {
        each_option(script, command, (enum option_id)id, each);
    }
    for (size_t index = 0; !command->takes_options && index < command->option_count; index++) {
        each_option(script, command, command->options[index], each);
    }
    const struct offered_flag last[] = {
        {"--set", "KEY=VALUE", "Any option, see `posthorn help options`.", true, false},
        {"--help", NULL, "Says what the command does and takes.", false, false},
    };
    if (!command->passes_rest) {
        each(script, command, &last[0]);
    }
    each(script, command, &last[1]);
}

static void each_command(struct buf *script,
                         void (*each)(struct buf *script, const struct command *command))
{
    size_t count;
    const struct command *const *commands = command_table(&count);
    for (size_t index = 0; index < count; index++) {
        if (commands[index]->help != NULL) {
            each(script, commands[index]);
        }
    }
}

static void append_name(struct buf *script, const struct command *command)
{
    buf_append_format(script, " %s", command->name);
}

/* --- bash ------------------------------------------------------------------------------------- */

static void bash_flag_name(struct buf *script, const struct command *command,
                           const struct offered_flag *flag)
{
    (void)command;
    buf_append_format(script, " %s", flag->name);
}

static void bash_offer(struct buf *script, struct offer offer)
{
    switch (offer.kind) {
    case OFFER_FILES:
        buf_append_text(script, "_posthorn_offer -f");
        break;
    case OFFER_FOLDERS:
        buf_append_text(script, "_posthorn_offer -d");
        break;
    case OFFER_WORDS:
        buf_append_text(script, "_posthorn_offer -W '");
        append_words(script, offer);
        buf_append_text(script, "'");
        break;
    case OFFER_NOTHING:
        buf_append_text(script, ":");
        break;
    }
}

static void bash_flag_value(struct buf *script, const struct command *command,
                            const struct offered_flag *flag)
{
    (void)command;
    if (flag->value != NULL) {
        buf_append_format(script, "        %s) ", flag->name);
        bash_offer(script, offer_of_flag(flag));
        buf_append_text(script, "; return ;;\n");
    }
}

static void bash_command(struct buf *script, const struct command *command)
{
    buf_append_format(script, "    %s)\n        case $previous in\n", command->name);
    each_flag(script, command, bash_flag_value);
    buf_append_text(script, "        esac\n        if [[ $current == -* ]]; then\n"
                            "            _posthorn_offer -W '");
    each_flag(script, command, bash_flag_name);
    buf_append_text(script, "'\n        else\n            ");
    bash_offer(script, offer_of(command->arguments));
    buf_append_text(script, "\n        fi\n        ;;\n");
}

static void write_bash(struct buf *script)
{
    buf_append_text(
        script,
        "# Completion of posthorn for bash, made by `posthorn completion bash`.\n"
        "_posthorn_offer()\n{\n"
        "    mapfile -t COMPREPLY < <(compgen \"$@\" -- \"$current\")\n"
        "    [[ $1 == -W ]] || compopt -o filenames 2>/dev/null\n}\n\n"
        "_posthorn()\n{\n"
        "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
        "    COMPREPLY=()\n"
        "    # --flag=value comes as three words.\n"
        "    if [[ $current == = ]]; then\n        current=\n"
        "    elif [[ $previous == = ]]; then\n"
        "        previous=${COMP_WORDS[COMP_CWORD - 2]}\n    fi\n"
        "    if ((COMP_CWORD == 1)); then\n        _posthorn_offer -W 'help");
    each_command(script, append_name);
    buf_append_text(script, "'\n        return\n    fi\n"
                            "    case ${COMP_WORDS[1]} in\n    help) _posthorn_offer -W 'options");
    each_command(script, append_name);
    buf_append_text(script, "' ;;\n");
    each_command(script, bash_command);
    buf_append_text(script, "    esac\n}\n\ncomplete -F _posthorn posthorn\n");
}

/* --- zsh -------------------------------------------------------------------------------------- */

/* Of a specification for _arguments or _describe, where some characters mean something. */
static void append_zsh(struct buf *script, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '\'') {
            buf_append_text(script, "'\\''");
            continue;
        }
        buf_append_text(script, strchr("[]:\\", *at) != NULL ? "\\" : "");
        buf_append_byte(script, *at);
    }
}

static void zsh_offer(struct buf *script, const char *value, struct offer offer)
{
    buf_append_byte(script, ':');
    append_zsh(script, value);
    buf_append_byte(script, ':');
    if (offer.kind == OFFER_FILES) {
        buf_append_text(script, "_files");
    } else if (offer.kind == OFFER_FOLDERS) {
        buf_append_text(script, "_files -/");
    } else if (offer.kind == OFFER_WORDS) {
        buf_append_byte(script, '(');
        append_words(script, offer);
        buf_append_byte(script, ')');
    }
}

static void zsh_flag(struct buf *script, const struct command *command,
                     const struct offered_flag *flag)
{
    (void)command;
    buf_append_format(script, " \\\n            '%s%s%s[", flag->is_several ? "*" : "", flag->name,
                      flag->value == NULL ? "" : "=");
    append_zsh(script, flag->help);
    buf_append_byte(script, ']');
    if (flag->value != NULL) {
        zsh_offer(script, flag->value, offer_of_flag(flag));
    }
    buf_append_byte(script, '\'');
}

static void zsh_command(struct buf *script, const struct command *command)
{
    buf_append_format(script, "    %s)\n        _arguments", command->name);
    each_flag(script, command, zsh_flag);
    if (command->arguments != NULL) {
        buf_append_text(script, " \\\n            '1");
        zsh_offer(script, command->arguments, offer_of(command->arguments));
        buf_append_byte(script, '\'');
    }
    buf_append_text(script, "\n        ;;\n");
}

static void zsh_description(struct buf *script, const struct command *command)
{
    buf_append_format(script, "\n        '%s:", command->name);
    append_zsh(script, command->help);
    buf_append_byte(script, '\'');
}

static void write_zsh(struct buf *script)
{
    buf_append_text(script, "#compdef posthorn\n"
                            "# Completion of posthorn for zsh, made by `posthorn completion zsh`.\n"
                            "_posthorn() {\n    local -a commands\n    commands=(");
    each_command(script, zsh_description);
    buf_append_text(script, "\n    )\n    if ((CURRENT == 2)); then\n"
                            "        commands+=('help:say what a command does and takes')\n"
                            "        _describe command commands\n        return\n    fi\n"
                            "    shift words\n    ((CURRENT--))\n    case $words[1] in\n"
                            "    help)\n        commands+=('options:list the options')\n"
                            "        ((CURRENT == 2)) && _describe command commands\n        ;;\n");
    each_command(script, zsh_command);
    buf_append_text(script, "    esac\n}\n\n"
                            "if [[ $funcstack[1] == _posthorn ]]; then\n    _posthorn \"$@\"\n"
                            "else\n    compdef _posthorn posthorn\nfi\n");
}

/* --- fish ------------------------------------------------------------------------------------- */

/* In single quotes, where a backslash protects a quote and itself. */
static void append_fish(struct buf *script, const char *text)
{
    buf_append_byte(script, '\'');
    for (const char *at = text; *at != '\0'; at++) {
        buf_append_text(script, *at == '\'' || *at == '\\' ? "\\" : "");
        buf_append_byte(script, *at);
    }
    buf_append_byte(script, '\'');
}

static void fish_begin(struct buf *script, const struct command *command)
{
    buf_append_format(script, "complete -c posthorn -n '__posthorn_is %s'", command->name);
}

static void fish_offer(struct buf *script, struct offer offer)
{
    switch (offer.kind) {
    case OFFER_FILES:
        buf_append_text(script, " -r -F");
        break;
    case OFFER_FOLDERS:
        buf_append_text(script, " -x -a '(__fish_complete_directories)'");
        break;
    case OFFER_WORDS:
        buf_append_text(script, " -x -a '");
        append_words(script, offer);
        buf_append_text(script, "'");
        break;
    case OFFER_NOTHING:
        buf_append_text(script, " -x");
        break;
    }
}

static void fish_flag(struct buf *script, const struct command *command,
                      const struct offered_flag *flag)
{
    fish_begin(script, command);
    buf_append_format(script, " -l %s", flag->name + 2);
    if (flag->value != NULL) {
        fish_offer(script, offer_of_flag(flag));
    }
    buf_append_text(script, " -d ");
    append_fish(script, flag->help);
    buf_append_byte(script, '\n');
}

static void fish_command(struct buf *script, const struct command *command)
{
    buf_append_format(script, "complete -c posthorn -n '__posthorn_is \"\"' -a %s -d ",
                      command->name);
    append_fish(script, command->help);
    buf_append_text(script, "\ncomplete -c posthorn -n '__posthorn_is help' -a ");
    buf_append_format(script, "%s\n", command->name);
    each_flag(script, command, fish_flag);
    struct offer offer = offer_of(command->arguments);
    if (offer.kind != OFFER_NOTHING) {
        fish_begin(script, command);
        fish_offer(script, offer);
        buf_append_byte(script, '\n');
    }
}

static void write_fish(struct buf *script)
{
    buf_append_text(
        script, "# Completion of posthorn for fish, made by `posthorn completion fish`.\n"
                "# Whether the command is this one; \"\" = none stands there yet.\n"
                "function __posthorn_is\n    set -l words (commandline -opc)\n"
                "    test \"$words[2]\" = \"$argv[1]\"\nend\n"
                "complete -c posthorn -f\n"
                "complete -c posthorn -n '__posthorn_is \"\"' -a help -d 'say what a command does "
                "and takes'\n"
                "complete -c posthorn -n '__posthorn_is help' -a options\n");
    each_command(script, fish_command);
}

/* --- the command ------------------------------------------------------------------------------ */

static int run(int count, char **arguments);

const struct command command_completion = {
    .name = "completion",
    .run = run,
    .arguments = "bash|zsh|fish",
    .argument_max = 1,
    .help = "print what a shell needs to complete the arguments",
    .details = "Packages put it where the shells look. Without one: source it in bash, save it as "
               "_posthorn in a folder of zsh's fpath, or as posthorn.fish in fish's completions.",
    .examples = "source <(posthorn completion bash)\n"
                "posthorn completion zsh > ~/.zfunc/_posthorn\n"
                "posthorn completion fish > ~/.config/fish/completions/posthorn.fish",
};

static int run(int count, char **arguments)
{
    static const struct {
        const char *shell;
        void (*write)(struct buf *script);
    } shells[] = {{"bash", write_bash}, {"zsh", write_zsh}, {"fish", write_fish}};
    struct command_line line;
    int code = EXIT_USAGE;
    if (command_read(&line, &command_completion, count, arguments, NULL)) {
        const char *name = line.rest_count == 1 ? line.rest[0] : "";
        BUF_AUTO struct buf script;
        buf_init(&script, SCRIPT_MAX);
        for (size_t index = 0; index < PH_ARRAY_LENGTH(shells); index++) {
            if (strcmp(name, shells[index].shell) == 0) {
                shells[index].write(&script);
                PH_ASSERT(!script.failed);
                (void)fputs(buf_text(&script), stdout);
                code = EXIT_DONE;
            }
        }
        code = code == EXIT_DONE ? code : command_complain_usage(&command_completion);
    }
    command_line_done(&line);
    return code;
}
