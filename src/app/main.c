/* SPDX-License-Identifier: Apache-2.0 */
#include "app/command.h"
#include "base/metrics.h"

#define DOCUMENT_BYTES_MAX ((size_t)1024 * 1024)

/* For the build: what the files of docs/reference and the man pages are made from. */
static bool write_document(const char *name, struct buf *text)
{
    if (strcmp(name, "--options-markdown") == 0) {
        option_write_markdown(text);
    } else if (strcmp(name, "--commands-markdown") == 0) {
        command_write_markdown(text);
    } else if (strcmp(name, "--metrics-markdown") == 0) {
        metrics_write_markdown(text);
    } else if (strcmp(name, "--names") == 0) {
        command_write_names(text);
    } else if (strcmp(name, "--man") == 0) {
        command_write_man(text);
    } else {
        return false;
    }
    return true;
}

static int help(int count, char **arguments)
{
    BUF_AUTO struct buf text;
    buf_init(&text, DOCUMENT_BYTES_MAX);
    const struct command *command = count > 0 ? command_find(arguments[count - 1]) : NULL;
    bool is_man = count == 2 && strcmp(arguments[0], "--man") == 0;
    if (is_man && command == NULL) {
        command_complain("no man page of \"%s\"; see `posthorn help`", arguments[1]);
        return EXIT_USAGE;
    }
    if (count > 1 && !is_man) {
        command_complain("the argument \"%s\" is one too many; see `posthorn help`", arguments[1]);
        return EXIT_USAGE;
    }
    if (count == 0) {
        command_write_overview(&text);
    } else if (strcmp(arguments[0], "options") == 0) {
        option_write_help(&text);
    } else if (command != NULL && command->help != NULL && is_man) {
        command_write_man_of(command, &text);
    } else if (command != NULL && command->help != NULL) {
        command_write_help(command, &text);
    } else if (!write_document(arguments[0], &text)) {
        command_complain("no help for \"%s\"; see `posthorn help`", arguments[count - 1]);
        return EXIT_USAGE;
    }
    (void)fputs(buf_text(&text), stdout);
    return EXIT_DONE;
}

/* Whether the next argument is the value of this one. */
static bool has_value_behind(const struct command *command, const char *argument)
{
    const struct flag_row *flag;
    for (size_t index = 0; (flag = command_flag(command, index)) != NULL; index++) {
        if (strcmp(flag->name, argument) == 0) {
            return flag->kind != FLAG_SWITCH;
        }
    }
    return false;
}

/* Somewhere among the arguments, before those of another program. */
static bool asks_for_help(const struct command *command, int count, char **arguments)
{
    for (int index = 0; index < count && strcmp(arguments[index], "--") != 0; index++) {
        if (command->passes_rest && arguments[index][0] != '-') {
            return false;
        }
        if (command->passes_rest && has_value_behind(command, arguments[index])) {
            index++;
            continue;
        }
        if (strcmp(arguments[index], "--help") == 0 || strcmp(arguments[index], "-h") == 0) {
            return true;
        }
    }
    return false;
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        BUF_AUTO struct buf text;
        buf_init(&text, DOCUMENT_BYTES_MAX);
        command_write_overview(&text);
        (void)fputs(buf_text(&text), stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0) {
        return help(argc - 2, argv + 2);
    }
    const struct command *command =
        command_find(strcmp(argv[1], "--version") == 0 ? "version" : argv[1]);
    if (command == NULL) {
        command_complain("unknown command \"%s\"; see `posthorn help`", argv[1]);
        return EXIT_USAGE;
    }
    if (command->help != NULL && asks_for_help(command, argc - 2, argv + 2)) {
        return help(1, argv + 1);
    }
    return command->run(argc - 2, argv + 2);
}

int main(int argc, char **argv)
{
    int code = run(argc, argv);
    /* What could not be written was not said. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_DONE) {
        command_complain("could not write to standard output");
        return EXIT_FAILED;
    }
    return code;
}
