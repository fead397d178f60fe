/* SPDX-License-Identifier: Apache-2.0 */
/* The few places where two databases need different words. One more difference = one more row. */
#include "db/db_int.h"

/* In a replacement `%` stands for the argument of `{name:ARGUMENT}`. */
struct fragment {
    const char *name;
    const char *sqlite;
    const char *postgres;
};

static const struct fragment fragments[] = {
    {"blob", "BLOB", "BYTEA"},
    /* Keys compare bytewise everywhere: the order must not depend on a locale. */
    {"text_key", "TEXT", "TEXT COLLATE \"C\""},
    /* With exactly these words the column is SQLite's rowid and costs no index. */
    {"id_key", "INTEGER NOT NULL PRIMARY KEY", "BIGINT NOT NULL PRIMARY KEY"},
    {"without_rowid", "WITHOUT ROWID", ""},
    {"partition", "", "PARTITION BY RANGE (%)"},
    /* The writing transaction; readers that follow a sequence show only settled ones. */
    {"txid", "BIGINT NOT NULL DEFAULT 0",
     "BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text::bigint)"},
    /* Only what no transaction that is still open can precede. */
    {"is_settled", "1 = 1", "% < pg_snapshot_xmin(pg_current_snapshot())::text::bigint"},
    {"max_int", "9223372036854775807", "9223372036854775807"},
    /* The larger and the smaller of several values, `{greatest}(a, b)`. */
    {"greatest", "max", "GREATEST"},
    {"least", "min", "LEAST"},
    /* Row locks; a SQLite writer is alone anyway. */
    {"for_update", "", "FOR UPDATE"},
    {"for_share", "", "FOR SHARE"},
};

#define NAME_MAX_LENGTH 32

struct braces {
    struct slice name;
    struct slice argument; /* absent without `:` */
    size_t length;         /* of the whole, braces included */
};

static size_t length_of_word(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyz_");
}

/* Whether a fragment's form stands here: `{lower_case}` or `{lower_case:column}`. */
static bool read_braces(const char *sql, struct braces *ret_braces)
{
    size_t name = length_of_word(sql + 1);
    if (name == 0 || name > NAME_MAX_LENGTH) {
        return false;
    }
    *ret_braces = (struct braces){.name = {sql + 1, name}, .length = name + 2};
    const char *end = sql + 1 + name;
    if (*end == ':') {
        size_t argument =
            strspn(end + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.");
        if (argument == 0) {
            return false;
        }
        ret_braces->argument = (struct slice){end + 1, argument};
        ret_braces->length += argument + 1;
        end += argument + 1;
    }
    return *end == '}';
}

static void append_fragment(enum db_kind kind, const struct braces *braces, const char *sql,
                            struct buf *text)
{
    for (size_t index = 0; index < PH_ARRAY_LENGTH(fragments); index++) {
        const struct fragment *fragment = &fragments[index];
        if (!slice_equal_text(braces->name, fragment->name)) {
            continue;
        }
        bool takes_argument = strchr(fragment->postgres, '%') != NULL;
        PH_ASSERT(takes_argument == (braces->argument.ptr != NULL));
        const char *words = kind == DB_SQLITE ? fragment->sqlite : fragment->postgres;
        for (; *words != '\0'; words++) {
            if (*words == '%') {
                buf_append_slice(text, braces->argument);
            } else {
                buf_append_byte(text, *words);
            }
        }
        return;
    }
    db_refuse_sql(sql, "unknown fragment");
}

/* Skips `{if_…}`'s content up to and with `{end}` but keeps its line breaks. */
static const char *skip_section(const char *sql, struct buf *text)
{
    while (*sql != '\0') {
        if (strncmp(sql, "{end}", 5) == 0) {
            return sql + 5;
        }
        size_t quoted = sql_skip_quoted(sql);
        for (size_t length = quoted > 0 ? quoted : 1; length > 0; length--, sql++) {
            if (*sql == '\n') {
                buf_append_byte(text, '\n');
            }
        }
    }
    db_refuse_sql(sql, "{if_…} without {end}");
}

void fragments_expand(enum db_kind kind, const char *sql, struct buf *text)
{
    const char *whole = sql;
    bool in_section = false;
    while (*sql != '\0') {
        size_t quoted = sql_skip_quoted(sql);
        struct braces braces;
        if (quoted > 0) {
            buf_append(text, sql, quoted);
            sql += quoted;
        } else if (*sql != '{' || !read_braces(sql, &braces)) {
            buf_append_byte(text, *sql);
            sql++;
        } else if (slice_starts_with(braces.name, "if_")) {
            bool for_sqlite = slice_equal_text(braces.name, "if_sqlite");
            PH_ASSERT(for_sqlite || slice_equal_text(braces.name, "if_postgres"));
            PH_ASSERT(!in_section);
            sql += braces.length;
            if (for_sqlite == (kind == DB_SQLITE)) {
                in_section = true;
            } else {
                sql = skip_section(sql, text);
            }
        } else if (slice_equal_text(braces.name, "end")) {
            PH_ASSERT(in_section);
            in_section = false;
            sql += braces.length;
        } else {
            append_fragment(kind, &braces, whole, text);
            sql += braces.length;
        }
    }
    PH_ASSERT(!in_section);
}
