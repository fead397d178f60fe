/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands keeps its rules, what is read by it, and what is made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/command.h"

#define TEXT_MAX 65536

/* --- the table -------------------------------------------------------------------------------- */

static bool is_word(const char *name)
{
    for (const char *at = name; *at != '\0'; at++) {
        if ((*at < 'a' || *at > 'z') && *at != '-') {
            return false;
        }
    }
    return true;
}

static void check_flag(const struct command *command, size_t index)
{
    const struct flag_row *flag = command_flag(command, index);
    bool is_hidden = (flag->traits & FLAG_HIDDEN) != 0;
    size_t length = strlen(flag->help);
    assert_true(strncmp(flag->name, "--", 2) == 0 && is_word(flag->name + 2));
    if ((flag->kind == FLAG_SWITCH) != (flag->value == NULL)) {
        fail_msg("%s %s: a value has a name, a switch has no value", command->name, flag->name);
    }
    if (!is_hidden && (length < 5 || flag->help[length - 1] != '.')) {
        fail_msg("%s %s: its help is no sentence: %s", command->name, flag->name, flag->help);
    }
    assert_false(flag->kind == FLAG_SWITCH && (flag->traits & FLAG_REQUIRED) != 0);
    for (size_t other = 0; other < index; other++) {
        assert_string_not_equal(flag->name, command_flag(command, other)->name);
    }
    /* It would hide the flag of an option. */
    for (unsigned id = 0; id < OPTION_COUNT; id++) {
        BUF_AUTO struct buf name;
        buf_init(&name, 256);
        option_flag_name(option_row((enum option_id)id), &name);
        assert_string_not_equal(flag->name, buf_text(&name));
    }
}

static bool has_flag(const struct command *command, struct slice name)
{
    const struct flag_row *row;
    for (size_t index = 0; (row = command_flag(command, index)) != NULL; index++) {
        if (slice_equal_text(name, row->name)) {
            return true;
        }
    }
    for (size_t index = 0; index < command->option_count; index++) {
        BUF_AUTO struct buf flag;
        buf_init(&flag, 256);
        option_flag_name(option_row(command->options[index]), &flag);
        if (slice_equal(name, buf_slice(&flag))) {
            return true;
        }
    }
    return false;
}

/* What the words say about flags must be true: `--x` is a flag of the command. */
static void check_words(const struct command *command, const char *words)
{
    const char *at = words;
    while ((at = strstr(at, "--")) != NULL) {
        size_t length = strspn(at + 2, "abcdefghijklmnopqrstuvwxyz-") + 2;
        const struct slice name = {at, length};
        if (length == 2 && command->passes_rest) {
            at = strchrnul(at, '\n'); /* the rest of the line is another program's */
            continue;
        }
        if (length > 2 && !has_flag(command, name) && !slice_equal_text(name, "--set")) {
            fail_msg("%s speaks of %.*s, which it does not have", command->name, SLICE_ARG(name));
        }
        at += length;
    }
}

static void test_the_rules_of_the_table(void **state)
{
    (void)state;
    size_t count;
    const struct command *const *commands = command_table(&count);
    assert_true(count > 10);
    for (size_t index = 0; index < count; index++) {
        const struct command *command = commands[index];
        assert_true(is_word(command->name));
        assert_ptr_equal(command_find(command->name), command); /* and so names are unique */
        assert_non_null(command->run);
        if (command->help == NULL) {
            continue;
        }
        size_t length = strlen(command->help);
        assert_in_range(length, 10, 79);
        assert_int_not_equal(command->help[length - 1], '.');
        assert_true((command->arguments == NULL) == (command->argument_max == 0));
        for (size_t flag = 0; command_flag(command, flag) != NULL; flag++) {
            check_flag(command, flag);
        }
        check_words(command, command->details);
        check_words(command, command->examples);
    }
    assert_null(command_find("no-such"));
}

/* --- documents -------------------------------------------------------------------------------- */

static void test_documents_are_complete(void **state)
{
    (void)state;
    BUF_AUTO struct buf markdown;
    BUF_AUTO struct buf overview;
    buf_init(&markdown, (size_t)1 << 20);
    buf_init(&overview, TEXT_MAX);
    command_write_markdown(&markdown);
    command_write_overview(&overview);
    size_t count;
    const struct command *const *commands = command_table(&count);
    for (size_t index = 0; index < count; index++) {
        const struct command *command = commands[index];
        BUF_AUTO struct buf help;
        BUF_AUTO struct buf man;
        BUF_AUTO struct buf name;
        buf_init(&help, TEXT_MAX);
        buf_init(&man, TEXT_MAX);
        buf_init(&name, 64);
        buf_append_format(&name, "\n## %s\n", command->name);
        bool is_listed = strstr(buf_text(&markdown), buf_text(&name)) != NULL;
        assert_true(is_listed == (command->help != NULL));
        if (command->help == NULL) {
            continue;
        }
        assert_non_null(strstr(buf_text(&overview), command->help));
        command_write_help(command, &help);
        command_write_man_of(command, &man);
        assert_false(help.failed || man.failed);
        const struct flag_row *row;
        for (size_t flag = 0; (row = command_flag(command, flag)) != NULL; flag++) {
            bool is_hidden = (row->traits & FLAG_HIDDEN) != 0;
            buf_clear(&name);
            buf_append_format(&name, "\n  %s%s", row->name, row->value == NULL ? "\n" : " ");
            assert_true((strstr(buf_text(&help), buf_text(&name)) == NULL) == is_hidden);
        }
        /* A terminal has 80 columns; only examples may be longer, to be copied. */
        struct slice rest = buf_slice(&help);
        struct slice line;
        while (slice_next(&rest, '\n', &line) && !slice_equal_text(line, "Examples:")) {
            assert_in_range(line.len, 0, 84); /* bytes; a dash or an ellipsis has three */
        }
    }
    assert_false(markdown.failed || overview.failed);
}

/* --- reading ---------------------------------------------------------------------------------- */

struct given {
    const char *name;
    const char *other;
    struct flag_values tags;
    bool is_quiet;
};

static int run_nothing(int count, char **arguments)
{
    (void)count;
    (void)arguments;
    return EXIT_DONE;
}

static const struct flag_row flags[] = {
    {"--name", FLAG_VALUE, FLAG_REQUIRED, offsetof(struct given, name), "NAME", "A name."},
    {"--other", FLAG_VALUE, FLAG_REQUIRED, offsetof(struct given, other), "NAME", "Another."},
    {"--tag", FLAG_LIST, 0, offsetof(struct given, tags), "TAG", "A tag."},
    {"--quiet", FLAG_SWITCH, 0, offsetof(struct given, is_quiet), NULL, "No words."},
    {"--former", FLAG_VALUE, FLAG_HIDDEN, offsetof(struct given, name), "NAME", ""},
};

static const struct command trial = {
    .name = "trial",
    .run = run_nothing,
    .arguments = "FILE…",
    .argument_max = 2,
    .flags = flags,
    .flag_count = PH_ARRAY_LENGTH(flags),
    .help = "try the reader",
    .details = "",
    .examples = "",
};

/* Reads the words; what is complained of goes to `said`, which gets the first line. */
static bool read_words(const char *const *words, struct given *given, struct command_line *line,
                       char said[256])
{
    int count = 0;
    while (words[count] != NULL) {
        count++;
    }
    int ends[2];
    int former = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    *given = (struct given){0};
    bool is_good = command_read(line, &trial, count, (char **)(uintptr_t)words, given);
    (void)fflush(stderr);
    assert_int_equal(dup2(former, STDERR_FILENO), STDERR_FILENO);
    (void)close(former);
    (void)close(ends[1]);
    ssize_t length = read(ends[0], said, 255);
    said[length < 0 ? 0 : length] = '\0';
    (void)close(ends[0]);
    return is_good;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_what_is_read(void **state)
{
    (void)state;
    struct given given;
    struct command_line line;
    char said[256];
    assert_true(read_words(WORDS("one", "--name", "a", "--tag=x", "--tag", "y", "--quiet",
                                 "--other=b=c", "--data", "there", "--", "--two"),
                           &given, &line, said));
    assert_string_equal(given.name, "a");
    assert_string_equal(given.other, "b=c");
    assert_true(given.is_quiet);
    assert_int_equal(given.tags.count, 2);
    assert_string_equal(given.tags.items[1], "y");
    assert_int_equal(line.rest_count, 2);
    assert_string_equal(line.rest[0], "one");
    assert_string_equal(line.rest[1], "--two");
    assert_string_equal(option_text(&line.options, OPTION_DATA), "there");
    assert_string_equal(said, "");
    command_line_done(&line);
    /* The last one counts, the former name too. */
    assert_true(
        read_words(WORDS("--name", "a", "--former", "z", "--other", ""), &given, &line, said));
    assert_string_equal(given.name, "z");
    command_line_done(&line);
}

static void check_refused(const char *const *words, const char *expected)
{
    struct given given;
    struct command_line line;
    char said[256];
    assert_false(read_words(words, &given, &line, said));
    command_line_done(&line);
    if (strstr(said, expected) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", expected, said);
    }
}

static void test_what_is_refused(void **state)
{
    (void)state;
    check_refused(WORDS("--tag", "x"), "trial wants --name NAME, --other NAME");
    check_refused(WORDS("--name", "a"), "trial wants --other NAME; see `posthorn help trial`");
    check_refused(WORDS("--nope"), "unknown flag --nope; see `posthorn help trial`");
    check_refused(WORDS("--name"), "--name wants a value");
    check_refused(WORDS("--quiet=yes"), "--quiet takes no value");
    check_refused(WORDS("a", "b", "c"), "\"c\" is one too many");
    const char *many[2 * (FLAG_VALUES_MAX + 1) + 1] = {0};
    for (size_t index = 0; index <= FLAG_VALUES_MAX; index++) {
        many[2 * index] = "--tag";
        many[2 * index + 1] = "x";
    }
    check_refused(many, "--tag may be given 64 times at most");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_rules_of_the_table),
        cmocka_unit_test(test_documents_are_complete),
        cmocka_unit_test(test_what_is_read),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
