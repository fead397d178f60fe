/* SPDX-License-Identifier: Apache-2.0 */
/* As much of SQL's spelling as is needed to see parameters, fragments and the ends of statements:
 * quotes and comments. */
#include "db/db_int.h"

/* 'text' and "name": a doubled quote is two quoted parts side by side, so it needs no care. */
static size_t skip_to(const char *sql, char end)
{
    const char *found = strchr(sql + 1, end);
    return found == NULL ? strlen(sql) : (size_t)(found - sql) + 1;
}

/* $$…$$ and $tag$…$tag$; a `$` before a digit is a parameter. */
static size_t skip_dollar_quoted(const char *sql)
{
    size_t tag = strspn(sql + 1, "abcdefghijklmnopqrstuvwxyz_") + 2;
    if (sql[tag - 1] != '$') {
        return 0;
    }
    for (const char *here = sql + tag; (here = strchr(here, '$')) != NULL; here++) {
        if (strncmp(here, sql, tag) == 0) {
            return (size_t)(here - sql) + tag;
        }
    }
    return strlen(sql);
}

size_t sql_skip_quoted(const char *sql)
{
    if (sql[0] == '\'' || sql[0] == '"') {
        return skip_to(sql, sql[0]);
    }
    if (sql[0] == '-' && sql[1] == '-') {
        return strcspn(sql, "\n");
    }
    if (sql[0] == '/' && sql[1] == '*') {
        const char *end = strstr(sql + 2, "*/");
        return end == NULL ? strlen(sql) : (size_t)(end - sql) + 2;
    }
    return sql[0] == '$' ? skip_dollar_quoted(sql) : 0;
}

int sql_count_parameters(const char *sql)
{
    int highest = 0;
    while (*sql != '\0') {
        size_t quoted = sql_skip_quoted(sql);
        if (quoted > 0) {
            sql += quoted;
            continue;
        }
        if (*sql == '$') {
            int number = 0;
            for (; sql[1] >= '0' && sql[1] <= '9' && number <= DB_PARAMETERS_MAX; sql++) {
                number = number * 10 + (sql[1] - '0');
            }
            PH_ASSERT(number <= DB_PARAMETERS_MAX);
            highest = number > highest ? number : highest;
        }
        sql++;
    }
    return highest;
}

static int count_lines(const char *text, size_t length)
{
    int lines = 0;
    for (size_t index = 0; index < length; index++) {
        lines += text[index] == '\n';
    }
    return lines;
}

static bool is_comment(const char *sql)
{
    return (sql[0] == '-' && sql[1] == '-') || (sql[0] == '/' && sql[1] == '*');
}

bool sql_next_statement(const char **rest, int *line, struct slice *ret_statement, int *ret_line)
{
    const char *sql = *rest;
    for (;;) {
        size_t skipped = is_comment(sql) ? sql_skip_quoted(sql) : strspn(sql, " \t\r\n;");
        if (skipped == 0) {
            break;
        }
        *line += count_lines(sql, skipped);
        sql += skipped;
    }
    const char *begin = sql;
    while (*sql != '\0' && *sql != ';') {
        size_t quoted = sql_skip_quoted(sql);
        sql += quoted > 0 ? quoted : 1;
    }
    *rest = sql;
    if (sql == begin) {
        return false;
    }
    *ret_line = *line;
    *line += count_lines(begin, (size_t)(sql - begin));
    *ret_statement = (struct slice){begin, (size_t)(sql - begin)};
    return true;
}
