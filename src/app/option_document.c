/* SPDX-License-Identifier: Apache-2.0 */
#include "app/option.h"

#define NAME_MAX_BYTES 256

static void append_number(struct buf *text, double number)
{
    bool is_whole = number >= 1 && number < 1e15 && number == (double)(int64_t)number;
    bool is_tiny = number > 0 && number < 0.001;
    buf_append_format(text, is_whole ? "%.0f" : is_tiny ? "%.5f" : "%.12g", number);
}

static void append_choices(struct buf *text, const char *choices)
{
    struct slice rest = slice_of(choices);
    struct slice choice;
    for (bool is_first = true; slice_next(&rest, '|', &choice); is_first = false) {
        buf_append_text(text, is_first ? "one of " : ", ");
        buf_append_slice(text, choice);
    }
}

static void append_numbers(struct buf *text, const struct option_row *row)
{
    append_number(text, row->minimum);
    buf_append_text(text, " to ");
    append_number(text, row->maximum);
    if (row->unit[0] != '\0') {
        buf_append_format(text, " %s", row->unit);
    }
}

void option_describe_range(const struct option_row *row, struct buf *text)
{
    switch (row->type) {
    case OPTION_TYPE_TEXT:
        buf_append_text(text, row->unit);
        break;
    case OPTION_TYPE_STORE:
        buf_append_text(text, "sqlite:DIRECTORY or postgres://…");
        break;
    case OPTION_TYPE_URL:
        buf_append_text(text, "http:// or https:// with a host, perhaps a path");
        break;
    case OPTION_TYPE_PROXY:
        buf_append_text(text, "http://, https:// or socks5h://, [USER:PASSWORD@]HOST[:PORT]");
        break;
    case OPTION_TYPE_BOOL:
        buf_append_text(text, "true or false");
        break;
    case OPTION_TYPE_INT:
    case OPTION_TYPE_NUMBER:
    case OPTION_TYPE_SECONDS:
    case OPTION_TYPE_HOURS:
    case OPTION_TYPE_DAYS:
        append_numbers(text, row);
        break;
    case OPTION_TYPE_SIZE:
        append_numbers(text, row);
        buf_append_text(text, ", or with KiB, MiB, GiB");
        break;
    case OPTION_TYPE_SECONDS_LIST:
        buf_append_text(text, "up to 32 numbers between commas, each ");
        append_numbers(text, row);
        break;
    case OPTION_TYPE_CIDR_LIST:
        buf_append_text(text, "addresses or networks between commas, such as 10.0.0.0/8,fd00::/8");
        break;
    case OPTION_TYPE_ADDRESS_LIST:
        buf_append_text(text, "IPv4:PORT or [IPv6]:PORT between commas");
        break;
    case OPTION_TYPE_ENUM:
        append_choices(text, row->choices);
        break;
    }
}

void option_append_wrapped(struct buf *text, const char *words, size_t indent, size_t width)
{
    struct slice rest = slice_of(words);
    struct slice word;
    size_t column = indent;
    for (bool is_first = true; slice_next(&rest, ' ', &word); is_first = false) {
        if (!is_first && column + 1 + word.len > width) {
            buf_append_format(text, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!is_first) {
            buf_append_byte(text, ' ');
            column++;
        }
        buf_append_slice(text, word);
        column += word.len;
    }
    buf_append_byte(text, '\n');
}

void option_write_help(struct buf *text)
{
    buf_append_text(
        text, "Options. Later sources win: defaults, the YAML file (--config FILE), the\n"
              "environment, flags. The key retry_after_cap is the flag --retry-after-cap, or\n"
              "--set retry_after_cap=…, or POSTHORN_RETRY_AFTER_CAP; a dot in a key is a -\n"
              "in the flag and a _ in the variable.\n");
    for (unsigned id = 0; id < OPTION_COUNT; id++) {
        const struct option_row *row = option_row((enum option_id)id);
        buf_append_format(text, "\n  %s", row->key);
        if (row->fallback[0] != '\0') {
            buf_append_format(text, " (default %s)", row->fallback);
        }
        buf_append_text(text, "\n      ");
        option_append_wrapped(text, row->help, 6, 80);
        BUF_AUTO struct buf range;
        buf_init(&range, 512);
        option_describe_range(row, &range);
        buf_append_text(text, "      Allowed: ");
        option_append_wrapped(text, buf_text(&range), 6, 71);
    }
}

void option_append_cell(struct buf *text, const char *content)
{
    for (const char *at = content; *at != '\0'; at++) {
        if (*at == '|') {
            buf_append_byte(text, '\\');
        }
        buf_append_byte(text, *at);
    }
}

void option_write_markdown(struct buf *text)
{
    buf_append_text(
        text,
        "<!-- Made from src/app/option.def by `posthorn help --options-markdown`. -->\n"
        "# Options\n\n"
        "Each key can be given in four ways; later ones win:\n\n"
        "1. the default;\n"
        "2. the YAML file that `--config FILE` names, in which nested maps join with dots;\n"
        "3. the environment;\n"
        "4. the command line: the flag, or `--set KEY=VALUE`.\n\n"
        "Repeating the flag of a list adds to the list; repeating `--set` replaces the value. "
        "Unknown keys and\nvalues out of range end the program with exit code 2; unknown variables "
        "are named in a warning. Keys marked "
        "*reload* take effect on SIGHUP.\n");
    for (unsigned id = 0; id < OPTION_COUNT; id++) {
        const struct option_row *row = option_row((enum option_id)id);
        buf_append_format(text, "\n## %s\n\n", row->key);
        option_append_cell(text, row->help);
        buf_append_text(text, "\n\n| | |\n|---|---|\n");
        buf_append_format(text, "| type | %s |\n", option_type_name(row->type));
        if (row->fallback[0] != '\0') {
            buf_append_format(text, "| default | `%s` |\n", row->fallback);
        } else {
            buf_append_text(text, "| default | empty |\n");
        }
        buf_append_text(text, "| allowed | ");
        option_describe_range(row, text);
        buf_append_text(text, " |\n| flag | `");
        option_flag_name(row, text);
        buf_append_text(text, "` |\n| variable | `");
        option_variable_name(row, text);
        buf_append_text(text, "` |\n");
        if ((row->traits & OPTION_RELOADABLE) != 0) {
            buf_append_text(text, "| reload | yes |\n");
        }
    }
}

/* troff reads a backslash, and a dot or quote that begins a line, as its own; a bare minus would
 * become a hyphen that cannot be copied. */
void option_append_troff(struct buf *text, const char *content)
{
    for (const char *at = content; *at != '\0'; at++) {
        if (*at == '\\') {
            buf_append_text(text, "\\e");
        } else if (*at == '-') {
            buf_append_text(text, "\\-");
        } else {
            buf_append_byte(text, *at);
        }
    }
}

void option_write_man(struct buf *text)
{
    for (unsigned id = 0; id < OPTION_COUNT; id++) {
        const struct option_row *row = option_row((enum option_id)id);
        BUF_AUTO struct buf scratch;
        buf_init(&scratch, NAME_MAX_BYTES * 4);
        buf_append_text(text, ".TP\n.B ");
        option_append_troff(text, row->key);
        buf_append_text(text, "\n");
        option_append_troff(text, row->help);
        buf_append_text(text, "\nFlag ");
        option_flag_name(row, &scratch);
        option_append_troff(text, buf_text(&scratch));
        buf_append_text(text, ", variable ");
        option_variable_name(row, text);
        buf_append_text(text, ".\nDefault: ");
        option_append_troff(text, row->fallback[0] == '\0' ? "empty" : row->fallback);
        buf_append_text(text, ". Allowed: ");
        buf_clear(&scratch);
        option_describe_range(row, &scratch);
        option_append_troff(text, buf_text(&scratch));
        buf_append_text(text, ".\n");
    }
}
