/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration: the option table (option.def) and its sources. Later ones win:
 *
 *   defaults < YAML file (`config`) < environment POSTHORN_* < command line
 *
 * Every value remembers its source, so the sources may be read in any order. A value that is not
 * legal is an error whatever its source, even when a higher source hides it.
 * Owned by the main thread; others read only what was copied out of it.
 */
#ifndef PH_APP_OPTION_H
#define PH_APP_OPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

enum option_type {
    OPTION_TYPE_TEXT,
    OPTION_TYPE_STORE, /* sqlite:DIRECTORY or postgres://… */
    OPTION_TYPE_URL,   /* http or https, without query and fragment */
    OPTION_TYPE_PROXY, /* http, https or socks5h, perhaps with user name and password */
    OPTION_TYPE_INT,
    OPTION_TYPE_NUMBER,       /* with fractions */
    OPTION_TYPE_BOOL,         /* true false yes no on off 1 0 */
    OPTION_TYPE_SECONDS,      /* with fractions; kept in microseconds */
    OPTION_TYPE_HOURS,        /* with fractions; kept in microseconds */
    OPTION_TYPE_DAYS,         /* with fractions; kept in microseconds */
    OPTION_TYPE_SIZE,         /* bytes, or with KiB MiB GiB */
    OPTION_TYPE_SECONDS_LIST, /* numbers with fractions, separated by commas */
    OPTION_TYPE_CIDR_LIST,
    OPTION_TYPE_ADDRESS_LIST,
    OPTION_TYPE_ENUM,
};

enum option_id {
#define X(id, key, type, fallback, minimum, maximum, unit, choices, traits, help) OPTION_##id,
#include "app/option.def"
#undef X
    OPTION_COUNT
};

#define OPTION_RELOADABLE 1u
#define OPTION_SENSITIVE 2u

enum option_source {
    OPTION_FROM_DEFAULT,
    OPTION_FROM_FILE,
    OPTION_FROM_ENVIRONMENT,
    OPTION_FROM_FLAG
};

struct option_row {
    const char *key;
    enum option_type type;
    const char *fallback; /* the default, as text */
    double minimum;
    double maximum;
    const char *unit;
    const char *choices;
    unsigned traits;
    const char *help;
};

struct option_value {
    char *text;      /* as given */
    int64_t number;  /* INT; BOOL 0 or 1; SIZE in bytes; durations in microseconds; ENUM: index */
    double fraction; /* NUMBER */
    char **items;    /* lists: the trimmed items */
    size_t item_count;
    enum option_source source;
};

struct options {
    struct option_value values[OPTION_COUNT];
};

const struct option_row *option_row(enum option_id id);
bool option_find(struct slice key, enum option_id *ret_id);
bool option_is_list(enum option_type type);
/* "text", "seconds" …, for help and documents. Static text. */
const char *option_type_name(enum option_type type);
/* "0.001 to 3600 seconds", "one of a, b, c" …; what a value may be. */
void option_describe_range(const struct option_row *row, struct buf *text);
/* The variable of a key: POSTHORN_HTTP_IDLE_TIMEOUT; and the flag: --http-idle-timeout. */
void option_variable_name(const struct option_row *row, struct buf *text);
void option_flag_name(const struct option_row *row, struct buf *text);

/* Fills in the defaults. */
void options_init(struct options *options);
void options_done(struct options *options);

/*
 * Sets one key. `where` names the source for people ("--set", "POSTHORN_STORE", "file:12"). A value
 * from a lower source than the present one is checked and then dropped. Errors (PH_INVALID; an
 * unknown key PH_NOT_FOUND) name where, key, value and what is allowed.
 */
PH_NODISCARD enum ph_error options_set(struct options *options, enum option_source source,
                                       const char *where, struct slice key, struct slice value,
                                       struct diag *diag);
/* As options_set, but a list that this same source gave already grows. */
PH_NODISCARD enum ph_error options_append(struct options *options, enum option_source source,
                                          const char *where, struct slice key, struct slice value,
                                          struct diag *diag);
/* Reads a YAML file (at most 1 MiB). */
PH_NODISCARD enum ph_error options_load_file(struct options *options, const char *path,
                                             struct diag *diag);
/* The same from memory; `name` stands for the file in errors. */
PH_NODISCARD enum ph_error options_load_yaml(struct options *options, const char *name,
                                             struct slice text, struct diag *diag);
/* Reads the POSTHORN_* variables of `environment` ("NAME=VALUE", NULL at the end). Names that are
 * no option are no error, because orchestrators set such (POSTHORN_PORT); they are listed in
 * `ret_unknown`, separated by spaces (may be NULL). Those of subcommands are not listed. */
PH_NODISCARD enum ph_error options_load_environment(struct options *options,
                                                    const char *const *environment,
                                                    struct buf *ret_unknown, struct diag *diag);
/* Checks that need several keys. After all sources. */
PH_NODISCARD enum ph_error options_check(const struct options *options, struct diag *diag);

/* Values. The kind must fit the table (asserted). Text is never NULL. */
const char *option_text(const struct options *options, enum option_id id);
int64_t option_int(const struct options *options, enum option_id id); /* INT, SIZE, ENUM */
bool option_bool(const struct options *options, enum option_id id);
double option_number(const struct options *options, enum option_id id);
int64_t option_us(const struct options *options, enum option_id id); /* durations */
const char *const *option_list(const struct options *options, enum option_id id, size_t *ret_count);
bool option_is_set(const struct options *options, enum option_id id); /* by any source */
/* Whether both say the same, however it is written (64MiB, 67108864). */
bool option_equal(const struct options *left, const struct options *right, enum option_id id);
/* Exchanges one value between the two. */
void option_exchange(struct options *left, struct options *right, enum option_id id);

/* Documents, made from the table. */
void option_write_help(struct buf *text);     /* for `posthorn help options` */
void option_write_markdown(struct buf *text); /* docs/reference/options.md */
void option_write_man(struct buf *text);      /* the OPTIONS part of the man page, in troff */
/* Breaks words at spaces, so that lines end before column `width` and all but the first begin with
 * `indent` spaces; then a line break. */
void option_append_wrapped(struct buf *text, const char *words, size_t indent, size_t width);
void option_append_troff(struct buf *text, const char *content);
void option_append_cell(struct buf *text, const char *content); /* of a table in Markdown */

#endif
