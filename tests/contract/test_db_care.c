/* SPDX-License-Identifier: Apache-2.0 */
/* A copy of a database that is written to meanwhile; checks of its pages; giving space back. */
#include "contract/contract.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db/care.h"

#define ROWS 3000
#define PATH_BYTES 256

static void run(struct db *db, const char *sql)
{
    struct diag diag = {0};
    CONTRACT_OK(db_run(db, sql, &diag), &diag);
}

static int64_t number(struct db *db, const char *sql)
{
    struct diag diag = {0};
    struct db_statement *select = db_prepare(db, sql);
    bool has_row = false;
    CONTRACT_OK(db_step(select, &diag, &has_row), &diag);
    assert_true(has_row);
    int64_t value = db_int64(select, 0);
    db_done(select);
    return value;
}

/* A table with `ROWS` rows of about one page each. */
static struct db *open_filled(void **state)
{
    struct db *db = contract_connect(*state, DB_READ_WRITE);
    run(db, "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, body BLOB NOT NULL)");
    run(db, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
            " INSERT INTO t SELECT i, zeroblob(3000) FROM n");
    assert_int_equal(number(db, "SELECT count(*) FROM t"), ROWS);
    return db;
}

static void make_folder(const struct contract_store *store, const char *name, char *ret_path)
{
    (void)snprintf(ret_path, PATH_BYTES, "%s/%s", store->directory, name);
    assert_int_equal(mkdir(ret_path, 0700), 0);
}

static void remove_folder(const char *folder)
{
    static const char *const names[] = {"posthorn.db", "posthorn.db-wal", "posthorn.db-shm"};
    char path[PATH_BYTES + 32];
    for (size_t index = 0; index < PH_ARRAY_LENGTH(names); index++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[index]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(folder), 0);
}

static struct db *open_copy(const char *folder)
{
    struct diag diag = {0};
    struct db *db = NULL;
    char address[PATH_BYTES + 16];
    (void)snprintf(address, sizeof address, "sqlite:%s", folder);
    CONTRACT_OK(db_open(address, DB_READ_WRITE, &diag, &db), &diag);
    enum db_soundness soundness = DB_DAMAGED;
    CONTRACT_OK(db_quick_check(db, 0, &diag, &soundness), &diag);
    assert_int_equal(soundness, DB_WHOLE);
    return db;
}

static struct db_copy_state step(struct db_copy *copy, int pages)
{
    struct diag diag = {0};
    struct db_copy_state copied;
    CONTRACT_OK(db_copy_step(copy, pages, &diag, &copied), &diag);
    return copied;
}

static void test_a_copy_takes_over_what_changes(void **state)
{
    struct db *db = open_filled(state);
    char folder[PATH_BYTES];
    make_folder(*state, "copy", folder);
    struct diag diag = {0};
    struct db_copy *copy = NULL;
    CONTRACT_OK(db_copy_begin(db, folder, &diag, &copy), &diag);
    struct db_copy_state copied = step(copy, ROWS / 2);
    assert_false(copied.is_done);
    assert_true(copied.left_bytes > 0 && copied.left_bytes < copied.total_bytes);
    int64_t left_bytes = copied.left_bytes;
    /* Pages that were copied, pages that were not yet, and new ones. */
    CONTRACT_OK(db_begin(db, &diag), &diag);
    run(db, "UPDATE t SET body = x'01' WHERE id IN (1, 2, 2999)");
    run(db, "INSERT INTO t SELECT id + 3000, body FROM t WHERE id <= 50");
    CONTRACT_OK(db_commit(db, &diag), &diag);
    /* What is taken back is not taken over; a savepoint does not begin the copy anew. */
    CONTRACT_OK(db_begin(db, &diag), &diag);
    CONTRACT_OK(db_savepoint(db, &diag), &diag);
    run(db, "DELETE FROM t WHERE id IN (7, 2990)");
    db_savepoint_rollback(db);
    CONTRACT_OK(db_commit(db, &diag), &diag);
    copied = step(copy, 1);
    assert_true(copied.left_bytes < left_bytes + 60 * 4096);
    CONTRACT_OK(db_begin(db, &diag), &diag);
    run(db, "DELETE FROM t WHERE id % 2 = 0");
    db_rollback(db);
    while (!copied.is_done) {
        copied = step(copy, 100);
    }
    assert_int_equal(copied.left_bytes, 0);
    db_copy_end(copy);
    run(db, "DELETE FROM t");

    struct db *taken = open_copy(folder);
    assert_int_equal(number(taken, "SELECT count(*) FROM t"), ROWS + 50);
    assert_int_equal(number(taken, "SELECT count(*) FROM t WHERE body = x'01'"), 5);
    db_close(taken);
    remove_folder(folder);
    db_close(db);
}

static void test_a_copy_keeps_no_read_transaction(void **state)
{
    struct db *db = open_filled(state);
    struct db *keeper = contract_connect(*state, DB_READ_WRITE);
    char folder[PATH_BYTES];
    make_folder(*state, "copy", folder);
    struct diag diag = {0};
    struct db_copy *copy = NULL;
    CONTRACT_OK(db_copy_begin(db, folder, &diag, &copy), &diag);
    struct db_copy_state copied = step(copy, 100);
    int64_t wal_bytes = 0;
    for (int64_t round = 0; round < 20; round++) {
        run(db, "UPDATE t SET body = zeroblob(3001) WHERE id <= 100");
        int64_t left_bytes = -1;
        CONTRACT_OK(db_checkpoint(keeper, &diag, &left_bytes), &diag);
        assert_int_equal(left_bytes, 0); /* so that the next commit begins the log anew */
        int64_t before_bytes = copied.left_bytes;
        copied = step(copy, 100);
        assert_true(copied.left_bytes < before_bytes); /* a checkpoint does not begin it anew */
        wal_bytes = db_wal_bytes(db);
        assert_true(wal_bytes < 300 * 4096);
    }
    db_copy_end(copy); /* before its end: the file stays and is worth nothing */
    remove_folder(folder);
    db_close(keeper);
    db_close(db);
}

static void test_a_copy_is_private_and_new(void **state)
{
    struct db *db = open_filled(state);
    char folder[PATH_BYTES];
    char path[PATH_BYTES + 32];
    make_folder(*state, "copy", folder);
    (void)snprintf(path, sizeof path, "%s/posthorn.db", folder);
    struct diag diag = {0};
    struct db_copy *copy = NULL;
    CONTRACT_OK(db_copy_begin(db, folder, &diag, &copy), &diag);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    struct db_copy *second = NULL;
    assert_int_equal(db_copy_begin(db, folder, &diag, &second), PH_CONFLICT);
    db_copy_end(copy);
    remove_folder(folder);
    assert_int_equal(db_copy_begin(db, folder, &diag, &second), PH_STORE);
    db_copy_end(NULL);
    db_close(db);
}

static void test_a_check_ends_in_time(void **state)
{
    struct db *db = open_filled(state);
    struct diag diag = {0};
    enum db_soundness soundness = DB_DAMAGED;
    CONTRACT_OK(db_quick_check(db, 60000, &diag, &soundness), &diag);
    assert_int_equal(soundness, DB_WHOLE);
    run(db, "CREATE TABLE many (id INTEGER NOT NULL PRIMARY KEY, a INTEGER)");
    run(db, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)"
            " INSERT INTO many SELECT i, i FROM n");
    CONTRACT_OK(db_quick_check(db, 1, &diag, &soundness), &diag);
    assert_int_equal(soundness, DB_NOT_ALL_CHECKED);
    /* The connection works on, and is not limited any more. */
    assert_int_equal(number(db, "SELECT count(*) FROM many WHERE a > 0"), 300000);
    db_close(db);
}

static void test_a_check_finds_damage(void **state)
{
    const struct contract_store *store = *state;
    struct db *db = open_filled(state);
    db_close(db);
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/posthorn.db", store->directory);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    char noise[4096];
    memset(noise, 0x55, sizeof noise);
    assert_int_equal(pwrite(fd, noise, sizeof noise, 4096 * 3), sizeof noise);
    (void)close(fd);
    db = contract_connect(store, DB_READ_ONLY);
    struct diag diag = {0};
    enum db_soundness soundness = DB_WHOLE;
    if (db_quick_check(db, 0, &diag, &soundness) == PH_OK) {
        assert_int_equal(soundness, DB_DAMAGED);
    }
    assert_true(diag.text[0] != '\0');
    db_close(db);
}

static void test_free_pages_are_given_back_in_steps(void **state)
{
    struct db *db = open_filled(state);
    struct diag diag = {0};
    int64_t before_bytes = 0;
    CONTRACT_OK(db_size(db, &diag, &before_bytes), &diag);
    run(db, "DELETE FROM t WHERE id > 10");
    int64_t freed_bytes = 0;
    int64_t sum_bytes = 0;
    int steps = 0;
    do {
        CONTRACT_OK(db_begin(db, &diag), &diag);
        CONTRACT_OK(db_shrink(db, &diag, &freed_bytes), &diag);
        CONTRACT_OK(db_commit(db, &diag), &diag);
        /* Pages that tell where others are go along. */
        assert_true(freed_bytes <= (DB_SHRINK_PAGES + 4) * 4096);
        sum_bytes += freed_bytes;
        steps++;
    } while (freed_bytes > 0);
    assert_true(steps > 10);
    int64_t after_bytes = 0;
    CONTRACT_OK(db_size(db, &diag, &after_bytes), &diag);
    assert_int_equal(before_bytes - after_bytes, sum_bytes);
    assert_true(after_bytes < before_bytes / 20);
    assert_int_equal(number(db, "SELECT count(*) FROM t"), 10);
    db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_SQLITE(test_a_copy_takes_over_what_changes),
        CONTRACT_SQLITE(test_a_copy_keeps_no_read_transaction),
        CONTRACT_SQLITE(test_a_copy_is_private_and_new),
        CONTRACT_SQLITE(test_a_check_ends_in_time),
        CONTRACT_SQLITE(test_a_check_finds_damage),
        CONTRACT_SQLITE(test_free_pages_are_given_back_in_steps),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
