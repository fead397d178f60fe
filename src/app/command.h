/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subcommands: one file each, one row each in main.c. A command gets its own arguments (without
 * the program and its name) and returns the exit code: 0 done, 1 failed, 2 wrong usage.
 * Main thread.
 */
#ifndef PH_APP_COMMAND_H
#define PH_APP_COMMAND_H

#include "app/option.h"
#include "base/log.h"
#include "base/secret.h"

#define EXIT_DONE 0
#define EXIT_FAILED 1
#define EXIT_USAGE 2

int command_serve(int count, char **arguments);
int command_jwt(int count, char **arguments);
int command_token(int count, char **arguments);
int command_migrate(int count, char **arguments);
int command_version(int count, char **arguments);
int command_send(int count, char **arguments);
int command_tail(int count, char **arguments);
int command_listen(int count, char **arguments);
int command_replay(int count, char **arguments);
int command_verify(int count, char **arguments);
int command_doctor(int count, char **arguments);
int command_key(int count, char **arguments);
int command_backup(int count, char **arguments);
int command_restore(int count, char **arguments);
int command_prune(int count, char **arguments);
int command_jq_worker(int count, char **arguments);

/* --- arguments ------------------------------------------------------------------------------ */

/* A flag of one command, beside those of the option table. */
struct command_flag {
    const char *name;   /* "--app" */
    const char **value; /* gets the argument; NULL = a switch */
    bool *is_given;     /* may be NULL */
};

#define COMMAND_LIST_MAX 64

/* A flag that may be given several times. */
struct command_list_flag {
    const char *name;
    const char *items[COMMAND_LIST_MAX];
    size_t count;
};

struct command_line {
    struct options options;
    const char **rest; /* positional arguments */
    size_t rest_count;
    struct buf unknown_variables; /* POSTHORN_* that are no option, separated by spaces */
};

/*
 * Reads configuration (file, environment) and arguments: --set KEY=VALUE, flags of the option table
 * (--data, --listen …, as `--flag VALUE` or `--flag=VALUE`), the command's own flags, at most
 * `rest_max` positional ones. False after it has told the person what was wrong: exit with
 * EXIT_USAGE. Finish with command_line_done in either case.
 */
bool command_line_read(struct command_line *line, int count, char **arguments,
                       const struct command_flag *flags, size_t flag_count, size_t rest_max);
/* The same with flags that gather what they are given. */
bool command_line_read_lists(struct command_line *line, int count, char **arguments,
                             const struct command_flag *flags, size_t flag_count,
                             struct command_list_flag *lists, size_t list_count, size_t rest_max);
void command_line_done(struct command_line *line);

/* "posthorn: " and the words on stderr. */
PH_PRINTF(1, 2) void command_complain(const char *format, ...);

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
int token_create_native(const struct options *options, const char *application, int64_t expires_us);

#endif
