/* SPDX-License-Identifier: Apache-2.0 */
#include "app/wrap_line.h"

#include "base/siphash.h"

#define COMMAND_BYTES_MAX 200
#define LINE_BYTES_MAX 1024 /* two of those, and what is between */
#define ID_BITS 53

struct known_flag {
    const char *name;
    const char *letter; /* NULL = none */
    size_t offset;      /* in struct wrap_line */
};

static const struct known_flag known_flags[] = {
    {"--project-dir", NULL, offsetof(struct wrap_line, project_dir)},
    {"--profiles-dir", NULL, offsetof(struct wrap_line, profiles_dir)},
    {"--profile", NULL, offsetof(struct wrap_line, profile)},
    {"--target", "-t", offsetof(struct wrap_line, target)},
    {"--target-path", NULL, offsetof(struct wrap_line, target_path)},
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* Where dbt's own arguments begin: other programs in front of it have a -t of their own. */
static size_t find_dbt(size_t count, const char *const *arguments)
{
    static const char *const names[] = {"dbt", "dbtf", "dbt.cli.main"};
    for (size_t index = 0; index < count; index++) {
        for (size_t name = 0; name < PH_ARRAY_LENGTH(names); name++) {
            if (strcmp(base_name(arguments[index]), names[name]) == 0) {
                return index + 1;
            }
        }
    }
    return count > 0 ? 1 : 0;
}

/* The value behind `=` or the letter, or `next`, the next argument; NULL when it is not this flag.
 */
static const char *value_of(const struct known_flag *flag, const char *argument, const char *next,
                            bool *ret_is_next)
{
    size_t length = strlen(flag->name);
    *ret_is_next = false;
    if (strncmp(argument, flag->name, length) == 0 && argument[length] == '=') {
        return argument + length + 1;
    }
    bool is_letter = flag->letter != NULL && strncmp(argument, flag->letter, 2) == 0;
    if (is_letter && argument[2] != '\0') {
        return argument + 2;
    }
    *ret_is_next = next != NULL && (is_letter || strcmp(argument, flag->name) == 0);
    return *ret_is_next ? next : NULL;
}

void wrap_line_read(struct wrap_line *line, size_t count, const char *const *arguments)
{
    *line = (struct wrap_line){0};
    size_t index = find_dbt(count, arguments);
    while (index < count) {
        const char *argument = arguments[index++];
        const char *next = index < count ? arguments[index] : NULL;
        bool is_next = false;
        for (size_t flag = 0; !is_next && flag < PH_ARRAY_LENGTH(known_flags); flag++) {
            const char *value = value_of(&known_flags[flag], argument, next, &is_next);
            if (value != NULL) {
                *(const char **)(void *)((char *)line + known_flags[flag].offset) = value;
            }
        }
        index += is_next ? 1 : 0;
    }
}

/* Of the character at an offset; 0 when it is none that a report can have. */
static size_t character_bytes(struct slice words, size_t at)
{
    for (size_t length = 1; length <= 4 && at + length <= words.len; length++) {
        if (slice_is_utf8_text((struct slice){words.ptr + at, length})) {
            return length;
        }
    }
    return 0;
}

void wrap_line_append_cut(struct slice words, size_t bytes_max, struct buf *text)
{
    size_t appended = 0;
    for (size_t at = 0; at < words.len;) {
        size_t length = character_bytes(words, at);
        struct slice piece =
            length > 0 ? (struct slice){words.ptr + at, length} : SLICE_LITERAL("\xef\xbf\xbd");
        appended += piece.len;
        if (appended > bytes_max) {
            return;
        }
        buf_append_slice(text, piece);
        at += length > 0 ? length : 1;
    }
}

void wrap_line_append_command(size_t count, const char *const *arguments, struct buf *text)
{
    BUF_AUTO struct buf whole;
    buf_init(&whole, LINE_BYTES_MAX);
    for (size_t index = 0; index < count; index++) {
        const char *argument = arguments[index];
        if (strcmp(argument, "--vars") == 0 || strcmp(argument, "--args") == 0) {
            index++;
        } else if (strncmp(argument, "--vars=", 7) != 0 && strncmp(argument, "--args=", 7) != 0) {
            buf_append_text(&whole, index == 0 ? "" : " ");
            wrap_line_append_cut(slice_of(index == 0 ? base_name(argument) : argument),
                                 COMMAND_BYTES_MAX, &whole);
        }
        if (whole.len > COMMAND_BYTES_MAX) {
            break;
        }
    }
    wrap_line_append_cut(buf_slice(&whole), COMMAND_BYTES_MAX, text);
}

int64_t wrap_line_id(struct slice name)
{
    static const uint8_t key[16] = "posthorn dbt ids";
    uint64_t hash = siphash64(key, name.ptr, name.len) >> (64 - ID_BITS);
    return hash == 0 ? 1 : (int64_t)hash;
}

void wrap_line_read_id(const char *given, int64_t *ret_id, struct slice *ret_name)
{
    struct slice text = slice_trim(slice_of(given));
    bool is_number = slice_to_int64(text, ret_id) && *ret_id > 0;
    *ret_name = is_number ? SLICE_NONE : text;
    *ret_id = is_number ? *ret_id : wrap_line_id(text);
}
