/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subcommands: one file each, one row each in command_table.c. A command gets its own arguments
 * (without the program and its name) and returns the exit code: 0 done, 1 failed, 2 wrong usage.
 * What it takes stands in its `struct command`: the arguments are read by it, and help, man page,
 * docs/reference/commands.md and shell completion are made from it. Main thread.
 */
#ifndef PH_APP_COMMAND_H
#define PH_APP_COMMAND_H

#include <stddef.h>

#include "app/option.h"
#include "base/log.h"
#include "base/secret.h"

#define EXIT_DONE 0
#define EXIT_FAILED 1
#define EXIT_USAGE 2

#define DEFAULT_ORGANISATION "org_23rb8YdGqMT0qIzpgGwdXfHirMu"

/* --- what a command takes -------------------------------------------------------------------- */

enum flag_kind {
    FLAG_SWITCH, /* sets a bool */
    FLAG_VALUE,  /* sets a const char *; the last one counts */
    FLAG_LIST,   /* adds to a struct flag_values */
};

#define FLAG_REQUIRED 1u
#define FLAG_HIDDEN 2u /* a former name: read, and in no document */
#define FLAG_ONCE 4u   /* a list of which the last item counts */

#define FLAG_VALUES_MAX 64

struct flag_values {
    const char *items[FLAG_VALUES_MAX];
    size_t count;
};

struct flag_row {
    const char *name; /* "--app" */
    enum flag_kind kind;
    unsigned traits;
    size_t offset; /* of what it sets in the command's own struct */
    /* What stands for the value in documents; FILE and DIR, a|b|c are what completion offers. NULL
     * for a switch. */
    const char *value;
    const char *help; /* a sentence */
};

/* Of commands that talk to a server (remote.h), in a struct that has `url` and `token`. */
#define FLAG_URL(type)                                                                             \
    {                                                                                              \
        "--url", FLAG_VALUE, 0, offsetof(type, url), "URL",                                        \
            "The server's address; else POSTHORN_URL, else the server that runs on --data."        \
    }
#define FLAG_TOKEN(type)                                                                           \
    {                                                                                              \
        "--token", FLAG_VALUE, 0, offsetof(type, token), "TOKEN",                                  \
            "The token; else POSTHORN_TOKEN, else one that is made with the secret of --data. "    \
            "Prefer the "                                                                          \
            "variable: other users of the machine see command lines."                              \
    }
#define FLAG_JSON(type, words)                                                                     \
    {                                                                                              \
        "--json", FLAG_SWITCH, 0, offsetof(type, is_json), NULL, words                             \
    }

struct command {
    const char *name;
    int (*run)(int count, char **arguments);
    const char *arguments; /* those without a flag, as in a usage line; NULL = none */
    size_t argument_max;
    const struct flag_row *flags;
    size_t flag_count;
    /* More flags, known when the program runs; NULL = none. */
    const struct flag_row *(*more_flags)(size_t *ret_count);
    const enum option_id *options; /* of the option table, that matter most */
    size_t option_count;
    bool takes_options; /* all of the option table matter */
    /* The first argument without a flag and all behind it are another program's; neither the option
     * table nor its sources are read. */
    bool passes_rest;
    const char *help;     /* what it does, in a line without a full stop; NULL = not for people */
    const char *details;  /* paragraphs with line breaks between; "" = nothing more to say */
    const char *examples; /* lines; "" = none */
};

/* One file each, command_NAME.c; in the order in which they are listed. */
#define COMMANDS(X)                                                                                \
    X(serve)                                                                                       \
    X(token)                                                                                       \
    X(jwt)                                                                                         \
    X(send)                                                                                        \
    X(explain)                                                                                     \
    X(tail)                                                                                        \
    X(replay)                                                                                      \
    X(magpie)                                                                                      \
    X(listen)                                                                                      \
    X(verify)                                                                                      \
    X(dbt)                                                                                         \
    X(doctor)                                                                                      \
    X(backup)                                                                                      \
    X(restore)                                                                                     \
    X(prune)                                                                                       \
    X(key)                                                                                         \
    X(migrate)                                                                                     \
    X(completion)                                                                                  \
    X(version)                                                                                     \
    X(jq_worker)

#define DECLARE(name) extern const struct command command_##name;
COMMANDS(DECLARE)
#undef DECLARE

/* All commands, in that order. */
const struct command *const *command_table(size_t *ret_count);
const struct command *command_find(const char *name); /* NULL = none */
/* The flags one after the other; NULL at the end. */
const struct flag_row *command_flag(const struct command *command, size_t index);

/* --- arguments ------------------------------------------------------------------------------ */

struct command_line {
    struct options options;
    const char **rest; /* positional arguments */
    size_t rest_count;
    struct buf unknown_variables; /* POSTHORN_* that are no option, separated by spaces */
};

/*
 * Reads configuration (file, environment) and arguments: --set KEY=VALUE, flags of the option table
 * (--data, --listen …, as `--flag VALUE` or `--flag=VALUE`), the command's own flags into `values`,
 * its positional ones; behind `--` all are positional. False after it has told the person what was
 * wrong: exit with EXIT_USAGE. Finish with command_line_done in either case.
 */
bool command_read(struct command_line *line, const struct command *command, int count,
                  char **arguments, void *values);
void command_line_done(struct command_line *line);

/* "posthorn: " and the words on stderr. */
PH_PRINTF(1, 2) void command_complain(const char *format, ...);
/* The same with the usage line; gives EXIT_USAGE. */
int command_complain_usage(const struct command *command);

/* --- documents, made from the table ---------------------------------------------------------- */

/* "posthorn send --app ID …". */
void command_append_usage(const struct command *command, struct buf *text);
void command_write_names(struct buf *text);                                 /* one a line */
void command_write_overview(struct buf *text);                              /* posthorn help */
void command_write_help(const struct command *command, struct buf *text);   /* … help NAME */
void command_write_man(struct buf *text);                                   /* posthorn(1) */
void command_write_man_of(const struct command *command, struct buf *text); /* posthorn-NAME(1) */
void command_write_markdown(struct buf *text); /* docs/reference/commands.md */
/* The word that stands for an option's value: "DIR", "debug|info|warn|error". */
void command_append_option_value(const struct option_row *row, struct buf *text);

/* --- the data directory ------------------------------------------------------------------------
 */

/* The store's address: the option, or SQLite in the data directory. Freed by the caller. */
PH_NODISCARD char *data_store_address(const struct options *options);
/* The folder of the SQLite store, NULL with PostgreSQL. Freed by the caller. */
PH_NODISCARD char *data_store_directory(const struct options *options);
/* Stands beside the store while a restore puts another one in its place. */
#define DATA_UNFINISHED "restore.unfinished"
/* PH_CONFLICT when a restore was cut short: what is there must not be used. */
PH_NODISCARD enum ph_error data_check_restored(const struct options *options, struct diag *diag);
/* The same, and PH_NOT_FOUND when there is no SQLite store yet. */
PH_NODISCARD enum ph_error data_check_store(const struct options *options, struct diag *diag);
/* Makes the directory (0700) when it is missing. */
PH_NODISCARD enum ph_error data_make(const struct options *options, struct diag *diag);
/* The secret that signs tokens: the option, or DATA/jwt_secret, made on first use. */
PH_NODISCARD enum ph_error data_jwt_secret(const struct options *options, struct diag *diag,
                                           struct secret *ret_secret);
/* Logs what makes tokens weak: a short secret, files that others can read. */
void data_warn(const struct options *options, const struct secret *secret, const struct log *log);
/* The master key in the file `path`; an empty path gives an empty secret. PH_INVALID in words when
 * it is no key, or when others may read or change the file. */
PH_NODISCARD enum ph_error data_master_key(const char *path, struct diag *diag,
                                           struct secret *ret_master);
/* Takes the lock of the data directory; the descriptor keeps it. PH_CONFLICT when a server has it.
 */
PH_NODISCARD enum ph_error data_lock(const struct options *options, struct diag *diag, int *ret_fd);
/* DATA/NAME; freed by the caller. */
PH_NODISCARD char *data_path(const struct options *options, const char *name);

/* A token: organisation token for application SLICE_NONE. `expires_us` wall clock. Appends it. */
void token_append(const struct secret *secret, const char *org, const char *application,
                  int64_t now_us, int64_t expires_us, struct buf *text);

/* Prints a token of the native API; `application` NULL = the organisation's, `expires_us` wall
 * clock, 0 = as usual. Gives the exit code. */
int token_create_native(const struct options *options, const char *application, int64_t expires_us,
                        bool is_json);

#endif
