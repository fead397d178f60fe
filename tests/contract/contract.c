/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/contract.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "contract/postgres_harness.h"
#include "db/db.h"

/* One server per program; cmocka gives group state to no test that has a setup of its own. */
static struct postgres_harness *harness;
static unsigned stores_made;

int contract_begin(PH_UNUSED void **state)
{
    harness = postgres_harness_start();
    return harness == NULL ? -1 : 0;
}

int contract_end(PH_UNUSED void **state)
{
    postgres_harness_stop(harness);
    harness = NULL;
    return 0;
}

void contract_check_ok(enum ph_error error, const struct diag *diag, const char *file, int line)
{
    if (error != PH_OK) {
        print_error("%s: %s\n", ph_error_name(error), diag == NULL ? "" : diag->text);
        _fail(file, line);
    }
}

/* CREATE and DROP DATABASE run on a connection to the server's first database. */
static void run_on_server(const char *sql)
{
    char url[256];
    struct diag diag = {0};
    struct db *db = NULL;
    postgres_harness_url(harness, "postgres", url, sizeof url);
    CONTRACT_OK(db_open(url, DB_READ_WRITE, &diag, &db), &diag);
    enum ph_error error = db_run(db, sql, &diag);
    db_close(db);
    CONTRACT_OK(error, &diag);
}

void contract_store_open(struct contract_store *store, enum db_kind kind)
{
    char sql[128];
    assert_non_null(harness);
    *store = (struct contract_store){.kind = kind};
    stores_made++;
    if (kind == DB_SQLITE) {
        store->name = "sqlite";
        (void)snprintf(store->directory, sizeof store->directory, "%s/store-%u",
                       postgres_harness_folder(harness), stores_made);
        assert_int_equal(mkdir(store->directory, 0700), 0);
        (void)snprintf(store->address, sizeof store->address, "sqlite:%s", store->directory);
        return;
    }
    store->name = "postgres";
    (void)snprintf(store->database, sizeof store->database, "store_%u", stores_made);
    (void)snprintf(sql, sizeof sql, "CREATE DATABASE %s", store->database);
    run_on_server(sql);
    postgres_harness_url(harness, store->database, store->address, sizeof store->address);
}

void contract_store_close(struct contract_store *store)
{
    char text[256];
    if (store->kind == DB_POSTGRES) {
        (void)snprintf(text, sizeof text, "DROP DATABASE %s WITH (FORCE)", store->database);
        run_on_server(text);
        return;
    }
    static const char *const files[] = {"/posthorn.db", "/posthorn.db-wal", "/posthorn.db-shm"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(files); index++) {
        (void)snprintf(text, sizeof text, "%s%s", store->directory, files[index]);
        (void)unlink(text);
    }
    (void)rmdir(store->directory); /* what a test added goes with the harness's folder */
}

static int set_up(void **state, enum db_kind kind)
{
    struct contract_store *store = ph_calloc(1, sizeof *store);
    *state = store;
    contract_store_open(store, kind);
    return 0;
}

int contract_setup_sqlite(void **state)
{
    return set_up(state, DB_SQLITE);
}

int contract_setup_postgres(void **state)
{
    return set_up(state, DB_POSTGRES);
}

int contract_teardown(void **state)
{
    contract_store_close(*state);
    free(*state);
    return 0;
}

struct db *contract_connect(const struct contract_store *store, enum db_mode mode)
{
    struct diag diag = {0};
    struct db *db = NULL;
    CONTRACT_OK(db_open(store->address, mode, &diag, &db), &diag);
    return db;
}

void contract_expect_abort(void (*body)(void *context), void *context)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        /* Neither the expected words nor a core file. */
        int nothing = open("/dev/null", O_WRONLY);
        (void)dup2(nothing, STDERR_FILENO);
        struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL);
        body(context);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

int64_t contract_number(struct db *db, const char *sql, int64_t id)
{
    struct diag diag = {0};
    struct db_statement *select = db_prepare(db, sql);
    if (id != 0) {
        db_bind_int64(select, 1, id);
    }
    bool has_row = false;
    CONTRACT_OK(db_step(select, &diag, &has_row), &diag);
    assert_true(has_row);
    int64_t number = db_int64(select, 0);
    db_done(select);
    return number;
}
