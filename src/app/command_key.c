/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed secrets and payloads: `key check` opens them all, `key rotate` changes the master key,
 * `key clean` removes what was stored in plain from the free space of the store.
 */
#include <unistd.h>

#include "app/command.h"
#include "store/keyring.h"
#include "store/seal_rows.h"

struct key_command {
    const struct options *options;
    char *address;
    struct secret master;
    const char *new_key_file; /* NULL when not given */
    bool is_json;
};

static void print_counts(const struct key_command *command, struct keyring *keyring,
                         const struct seal_counts *counts)
{
    long long keys = keyring == NULL ? 0 : (long long)keyring_count(keyring);
    if (command->is_json) {
        (void)printf("{\"dataKeys\":%lld,\"sealed\":%lld,\"plain\":%lld,\"broken\":%lld}\n", keys,
                     (long long)counts->sealed, (long long)counts->plain,
                     (long long)counts->broken);
        return;
    }
    if (keyring != NULL) {
        (void)printf("the master key opens %lld data keys\n", keys);
    } else {
        (void)puts("no master key is configured and nothing is sealed");
    }
    (void)printf("%lld values are sealed and open\n%lld are in plain\n%lld cannot be opened\n",
                 (long long)counts->sealed, (long long)counts->plain, (long long)counts->broken);
    if (counts->plain > 0 && keyring != NULL) {
        (void)puts("the server seals what is in plain when it runs with this master key");
    }
}

static enum ph_error need_master(const struct key_command *command, struct diag *diag)
{
    return command->master.length > 0 ? PH_OK
                                      : diag_set(diag, PH_INVALID, NULL,
                                                 "no master key is configured: set "
                                                 "master_key_file");
}

/* --- check ---------------------------------------------------------------------------------- */

static enum ph_error walk_all(struct store *store, struct diag *diag, struct seal_counts *counts)
{
    struct seal_walk walk = {0};
    enum ph_error error = PH_OK;
    while (error == PH_OK && !walk.is_done) {
        error = seal_rows_check(store, &walk, diag, counts);
    }
    return error;
}

static enum ph_error report(const struct key_command *command, struct store *store,
                            bool *ret_is_good, struct diag *diag)
{
    struct seal_counts counts = {0};
    struct diag broken = {0};
    enum ph_error error = walk_all(store, &broken, &counts);
    if (error != PH_OK) {
        *diag = broken;
        return error;
    }
    print_counts(command, store->keyring, &counts);
    if (counts.broken > 0) {
        command_complain("%s", broken.text);
    }
    *ret_is_good = counts.broken == 0;
    return PH_OK;
}

static enum ph_error check(const struct key_command *command, struct diag *diag)
{
    struct store *store;
    bool is_good = false;
    enum ph_error error = data_check_restored(command->options, diag);
    if (error == PH_OK) {
        error = store_open(command->address, DB_READ_ONLY, diag, &store);
    }
    if (error != PH_OK) {
        return error;
    }
    error = keyring_look(store->db, &command->master, diag, &store->keyring);
    if (error == PH_OK) {
        error = report(command, store, &is_good, diag);
    }
    if (error == PH_OK && !is_good) {
        error = diag_set(diag, PH_STORE, NULL, "not all sealed values can be opened");
    }
    keyring_free(store->keyring);
    store_close(store);
    return error;
}

/* --- rotate and clean: no server may run --------------------------------------------------------
 */

static enum ph_error rotate(const struct key_command *command, struct store *store,
                            struct diag *diag)
{
    SECRET_AUTO struct secret next = SECRET_NONE;
    int64_t count = 0;
    enum ph_error error = data_master_key(command->new_key_file, diag, &next);
    if (error == PH_OK && secret_equal(next.bytes, command->master.bytes, next.length)) {
        error = diag_set(diag, PH_INVALID, NULL, "the new master key is the one in use");
    }
    if (error == PH_OK) {
        error = keyring_rewrap(store->db, &command->master, &next, diag, &count);
    }
    if (error == PH_OK && command->is_json) {
        (void)printf("{\"dataKeys\":%lld}\n", (long long)count);
    } else if (error == PH_OK) {
        (void)printf("%lld data keys are wrapped by the new master key; set master_key_file to %s "
                     "before the server starts\n",
                     (long long)count, command->new_key_file);
    }
    return error;
}

static enum ph_error clean(const struct key_command *command, struct store *store,
                           struct diag *diag)
{
    enum ph_error error = keyring_look(store->db, &command->master, diag, &store->keyring);
    if (error == PH_OK) {
        error = seal_rows_clean(store, diag);
    }
    if (error == PH_OK) {
        (void)puts(command->is_json
                       ? "{\"cleaned\":true}"
                       : "the store was written anew; backups made before may have secrets and "
                         "payloads in plain");
    }
    keyring_free(store->keyring);
    return error;
}

typedef enum ph_error(alone_function)(const struct key_command *command, struct store *store,
                                      struct diag *diag);

/* The store to write to. Looking first keeps SQLite from making a file that is not there. */
static enum ph_error open_store(const char *address, struct diag *diag, struct store **ret_store)
{
    struct store *looked_at;
    enum ph_error error = store_open(address, DB_READ_ONLY, diag, &looked_at);
    if (error == PH_OK) {
        store_close(looked_at);
        error = store_open(address, DB_READ_WRITE, diag, ret_store);
    }
    return error;
}

/* Runs one of the two while no server has the data directory. */
static enum ph_error run_alone(const struct key_command *command, alone_function *run,
                               struct diag *diag)
{
    int fd;
    struct store *store;
    enum ph_error error = need_master(command, diag);
    if (error == PH_OK) {
        error = data_lock(command->options, diag, &fd);
    }
    if (error != PH_OK) {
        return error;
    }
    error = data_check_restored(command->options, diag); /* a restore holds the lock, too */
    if (error == PH_OK) {
        error = open_store(command->address, diag, &store);
    }
    if (error == PH_OK) {
        error = run(command, store, diag);
        store_close(store); /* the last one copies SQLite's log and removes it */
    }
    (void)close(fd);
    return error;
}

/* --- the command -------------------------------------------------------------------------------
 */

static int run_named(const char *name, struct key_command *command)
{
    struct diag diag = {0};
    bool is_rotate = strcmp(name, "rotate") == 0;
    if (is_rotate != (command->new_key_file != NULL)) {
        command_complain(is_rotate ? "key rotate needs --new-key-file FILE"
                                   : "--new-key-file is for `key rotate`");
        return EXIT_USAGE;
    }
    enum ph_error error = data_master_key(option_text(command->options, OPTION_MASTER_KEY_FILE),
                                          &diag, &command->master);
    if (error == PH_OK && strcmp(name, "check") == 0) {
        error = check(command, &diag);
    } else if (error == PH_OK) {
        error = run_alone(command, is_rotate ? rotate : clean, &diag);
    }
    secret_done(&command->master);
    if (error != PH_OK) {
        command_complain("%s", diag.text);
    }
    return error == PH_OK ? EXIT_DONE : EXIT_FAILED;
}

static int run(int count, char **arguments);

static const struct flag_row flags[] = {
    {"--new-key-file", FLAG_VALUE, 0, offsetof(struct key_command, new_key_file), "FILE",
     "For rotate: the file with the new master key."},
    FLAG_JSON(struct key_command, "Prints the counts as a JSON object."),
};

static const enum option_id shown_options[] = {OPTION_MASTER_KEY_FILE, OPTION_DATA};

const struct command command_key = {
    .name = "key",
    .run = run,
    .arguments = "check|rotate|clean",
    .argument_max = 1,
    .flags = flags,
    .flag_count = PH_ARRAY_LENGTH(flags),
    .options = shown_options,
    .option_count = PH_ARRAY_LENGTH(shown_options),
    .help = "look over what is sealed, change the master key, remove old copies",
    .details =
        "All take the key in use from master_key_file. check opens every secret and every payload. "
        "rotate wraps the "
        "data keys with the key of --new-key-file, which must be master_key_file from then on. "
        "clean writes the store anew, so that what was stored before there was a master key is "
        "gone from its free space. No server may run on the data directory for rotate and "
        "clean.",
    .examples = "posthorn key check --master-key-file /etc/posthorn/key --data /var/lib/posthorn",
};

static int run(int count, char **arguments)
{
    struct key_command command = {0};
    struct command_line line;
    int code = EXIT_USAGE;
    if (command_read(&line, &command_key, count, arguments, &command)) {
        const char *name = line.rest_count == 1 ? line.rest[0] : "";
        if (strcmp(name, "check") == 0 || strcmp(name, "rotate") == 0 ||
            strcmp(name, "clean") == 0) {
            command.options = &line.options;
            command.address = data_store_address(&line.options);
            code = run_named(name, &command);
            free(command.address);
        } else {
            code = command_complain_usage(&command_key);
        }
    }
    command_line_done(&line);
    return code;
}
