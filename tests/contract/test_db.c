/* SPDX-License-Identifier: Apache-2.0 */
/* Statements and values mean the same on both databases. */
#include "contract/contract.h"

#include <float.h>
#include <sys/stat.h>

#include "db/db.h"

#define TEXT(literal) SLICE_LITERAL(literal)

static void run(struct db *db, const char *sql)
{
    struct diag diag = {0};
    CONTRACT_OK(db_run(db, sql, &diag), &diag);
}

static void exec(struct db_statement *statement)
{
    struct diag diag = {0};
    CONTRACT_OK(db_exec(statement, &diag), &diag);
}

static bool step(struct db_statement *statement)
{
    struct diag diag = {0};
    bool has_row = false;
    CONTRACT_OK(db_step(statement, &diag, &has_row), &diag);
    return has_row;
}

static int64_t number(struct db *db, const char *sql)
{
    struct diag diag = {0};
    int64_t value = 0;
    CONTRACT_OK(db_read_int64(db_prepare(db, sql), &diag, &value), &diag);
    return value;
}

static void assert_slice(struct slice value, struct slice expected)
{
    assert_non_null(value.ptr);
    assert_int_equal(value.len, expected.len);
    assert_memory_equal(value.ptr, expected.ptr, expected.len);
}

static void test_parameters_out_of_order(void **state)
{
    struct db *db = contract_connect(*state, DB_READ_WRITE);
    run(db, "CREATE TABLE t (a BIGINT, b TEXT, c BIGINT)");
    struct db_statement *insert = db_prepare(db, "INSERT INTO t (a, b, c) VALUES ($3, $1, $2)");
    db_bind_int64(insert, 3, 30);
    db_bind_text(insert, 1, TEXT("one"));
    db_bind_int64(insert, 2, 20);
    exec(insert);
    assert_int_equal(db_changes(db), 1);

    struct db_statement *select = db_prepare(db, "SELECT a, b, c FROM t WHERE c = $2 AND b = $1");
    db_bind_text(select, 1, TEXT("one"));
    db_bind_int64(select, 2, 20);
    assert_true(step(select));
    assert_int_equal(db_int64(select, 0), 30);
    assert_slice(db_text(select, 1), TEXT("one"));
    assert_int_equal(db_int64(select, 2), 20);
    assert_false(step(select));
    db_close(db);
}

/* The statement has ended after each: it can be bound again. */
static void test_first_rows(void **state)
{
    struct diag diag = {0};
    bool exists = true;
    int64_t value = 1;
    struct db *db = contract_connect(*state, DB_READ_WRITE);
    run(db, "CREATE TABLE t (a BIGINT)");
    struct db_statement *select = db_prepare(db, "SELECT a FROM t WHERE a > $1 ORDER BY a");
    db_bind_int64(select, 1, 0);
    CONTRACT_OK(db_read_exists(select, &diag, &exists), &diag);
    assert_false(exists);
    db_bind_int64(select, 1, 0);
    CONTRACT_OK(db_read_int64(select, &diag, &value), &diag);
    assert_int_equal(value, 0);
    db_bind_int64(select, 1, 0);
    assert_int_equal(db_find_row(select, "no such number: 100%", &diag), PH_NOT_FOUND);
    assert_string_equal(diag.text, "no such number: 100%");

    run(db, "INSERT INTO t VALUES (7), (8)");
    db_bind_int64(select, 1, 0);
    CONTRACT_OK(db_read_exists(select, &diag, &exists), &diag);
    assert_true(exists);
    db_bind_int64(select, 1, 0);
    CONTRACT_OK(db_read_int64(select, &diag, &value), &diag);
    assert_int_equal(value, 7);
    db_bind_int64(select, 1, 7);
    CONTRACT_OK(db_find_row(select, "no such number", &diag), &diag);
    assert_int_equal(db_int64(select, 0), 8);
    db_done(select);
    db_close(db);
}

static void test_one_parameter_twice(void **state)
{
    struct db *db = contract_connect(*state, DB_READ_WRITE);
    run(db, "CREATE TABLE t (a BIGINT, b BIGINT, c BIGINT)");
    struct db_statement *insert = db_prepare(db, "INSERT INTO t VALUES ($2, $1, $2)");
    db_bind_int64(insert, 1, 1);
    db_bind_int64(insert, 2, 2);
    exec(insert);
    assert_int_equal(number(db, "SELECT count(*) FROM t WHERE a = 2 AND b = 1 AND c = 2"), 1);
    db_close(db);
}

/* What was bound is forgotten after each run: the second row gets NULL, not the first one's. */
static void test_nulls(void **state)
{
    struct db *db = contract_connect(*state, DB_READ_WRITE);
    run(db, "CREATE TABLE t (id BIGINT, a BIGINT, b TEXT, c {blob}, d DOUBLE PRECISION)");
    struct db_statement *insert = db_prepare(db, "INSERT INTO t VALUES ($1, $2, $3, $4, $5)");
    db_bind_int64(insert, 1, 1);
    db_bind_int64(insert, 2, 7);
    db_bind_text(insert, 3, TEXT(""));
    db_bind_blob(insert, 4, TEXT(""));
    db_bind_double(insert, 5, 0.5);
    exec(insert);
    db_bind_int64(insert, 1, 2);
    exec(insert);
    db_bind_int64(insert, 1, 3);
    db_bind_null(insert, 2);
    db_bind_text(insert, 3, SLICE_NONE);
    db_bind_blob(insert, 4, SLICE_NONE);
    db_bind_null(insert, 5);
    exec(insert);

    struct db_statement *select = db_prepare(db, "SELECT id, a, b, c, d FROM t ORDER BY id");
    assert_true(step(select));
    for (int column = 0; column < 5; column++) {
        assert_false(db_is_null(select, column));
    }
    assert_slice(db_text(select, 2), TEXT(""));
    assert_slice(db_blob(select, 3), TEXT(""));
    for (int id = 2; id <= 3; id++) {
        assert_true(step(select));
        assert_int_equal(db_int64(select, 0), id);
        for (int column = 1; column < 5; column++) {
            assert_true(db_is_null(select, column));
        }
        assert_int_equal(db_int64(select, 1), 0);
        assert_null(db_text(select, 2).ptr);
        assert_null(db_blob(select, 3).ptr);
        assert_true(db_double(select, 4) == 0);
    }
    assert_false(step(select));
    db_close(db);
}

/* A parameter that was NULL at first was typed by the server; a later value must still fit. */
static void test_null_before_value(void **state)
{
    struct db *db = contract_connect(*state, DB_READ_WRITE);
    run(db, "CREATE TABLE t (a SMALLINT, b TEXT, c {blob})");
    struct db_statement *insert = db_prepare(db, "INSERT INTO t VALUES ($1, $2, $3)");
    exec(insert);
    db_bind_int64(insert, 1, 5);
    exec(insert);
    db_bind_text(insert, 2, TEXT("five"));
    db_bind_blob(insert, 3, TEXT("\x05"));
    exec(insert);
    db_bind_int64(insert, 1, 6);
    exec(insert);
    assert_int_equal(number(db, "SELECT count(*) FROM t"), 4);
    assert_int_equal(number(db, "SELECT sum(a) FROM t"), 11);
    assert_int_equal(number(db, "SELECT count(*) FROM t WHERE b = 'five' AND a IS NULL"), 1);
    db_close(db);
}

static void test_values_survive(void **state)
{
    static const int64_t numbers[] = {
        0,         1,         -1,        INT32_MAX,    INT32_MIN,
        INT64_MAX, INT64_MIN, 1LL << 53, -(1LL << 53), 9007199254740993};
    static const char bytes[] = "\0\xff\0\x80'\"\\x41\n";
    static const char utf8[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x93\xaf 'quoted' \"x\" \\ {blob} $1";
    struct db *db = contract_connect(*state, DB_READ_WRITE);
    run(db, "CREATE TABLE t (id BIGINT, n BIGINT, b {blob}, s TEXT, d DOUBLE PRECISION)");
    struct db_statement *insert = db_prepare(db, "INSERT INTO t VALUES ($1, $2, $3, $4, $5)");
    struct db_statement *select = db_prepare(db, "SELECT n, b, s, d FROM t WHERE id = $1");
    for (size_t index = 0; index < PH_ARRAY_LENGTH(numbers); index++) {
        double floating = index % 2 == 0 ? DBL_MAX : -DBL_MIN;
        db_bind_int64(insert, 1, (int64_t)index);
        db_bind_int64(insert, 2, numbers[index]);
        db_bind_blob(insert, 3, TEXT(bytes));
        db_bind_text(insert, 4, TEXT(utf8));
        db_bind_double(insert, 5, floating);
        exec(insert);
        db_bind_int64(select, 1, (int64_t)index);
        assert_true(step(select));
        assert_true(db_int64(select, 0) == numbers[index]);
        assert_slice(db_blob(select, 1), TEXT(bytes));
        assert_slice(db_text(select, 2), TEXT(utf8));
        assert_true(db_double(select, 3) == floating);
        assert_false(step(select));
    }
    db_close(db);
}

static void test_large_blob(void **state)
{
    size_t length = 3 << 20;
    struct db *db = contract_connect(*state, DB_READ_WRITE);
    run(db, "CREATE TABLE t (b {blob})");
    PH_AUTO_FREE char *bytes = ph_malloc(length);
    for (size_t index = 0; index < length; index++) {
        bytes[index] = (char)(index * 7 % 251);
    }
    struct db_statement *insert = db_prepare(db, "INSERT INTO t VALUES ($1)");
    db_bind_blob(insert, 1, (struct slice){bytes, length});
    exec(insert);
    struct db_statement *select = db_prepare(db, "SELECT b FROM t");
    assert_true(step(select));
    assert_slice(db_blob(select, 0), (struct slice){bytes, length});
    db_done(select);
    db_close(db);
}

/* Numbers as expressions give them: sums are numeric on PostgreSQL, comparisons boolean. */
static void test_computed_numbers(void **state)
{
    struct db *db = contract_connect(*state, DB_READ_WRITE);
    run(db, "CREATE TABLE t (n BIGINT, s SMALLINT, i INTEGER);"
            "INSERT INTO t VALUES (4000000000000000000, -3, -70000), "
            "(5000000000000000000, 2, 60000), (-10000, 1, 1)");
    struct db_statement *select = db_prepare(
        db, "SELECT sum(n), sum(s), min(i), avg(s), count(*), max(n) > 5, sum(n) < 5 FROM t");
    assert_true(step(select));
    assert_true(db_int64(select, 0) == 8999999999999990000);
    assert_int_equal(db_int64(select, 1), 0);
    assert_int_equal(db_int64(select, 2), -70000);
    assert_true(db_double(select, 3) == 0);
    assert_int_equal(db_int64(select, 4), 3);
    assert_int_equal(db_int64(select, 5), 1);
    assert_int_equal(db_int64(select, 6), 0);
    assert_true(db_double(select, 1) == 0);
    db_done(select);
    select = db_prepare(db, "SELECT sum(n), -sum(n), avg(i) * 1.0, s FROM t GROUP BY s ORDER BY s");
    assert_true(step(select));
    assert_true(db_double(select, 0) == 4e18);
    assert_true(db_int64(select, 1) == -4000000000000000000);
    assert_true(db_double(select, 2) == -70000.0);
    assert_true(db_double(select, 3) == -3.0);
    db_done(select);
    select = db_prepare(db, "SELECT avg(s) FROM t WHERE s > 0");
    assert_true(step(select));
    assert_true(db_double(select, 0) == 1.5);
    assert_int_equal(db_int64(select, 0), 1);
    db_done(select);
    db_close(db);
}

static void test_on_conflict_returning(void **state)
{
    struct db *db = contract_connect(*state, DB_READ_WRITE);
    run(db, "CREATE TABLE t (id {id_key}, uid {text_key} UNIQUE)");
    struct db_statement *insert = db_prepare(
        db, "INSERT INTO t (id, uid) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING id");
    db_bind_int64(insert, 1, 5);
    db_bind_text(insert, 2, TEXT("five"));
    assert_true(step(insert));
    assert_int_equal(db_int64(insert, 0), 5);
    assert_false(step(insert));
    db_bind_int64(insert, 1, 6);
    db_bind_text(insert, 2, TEXT("five"));
    assert_false(step(insert));
    db_bind_int64(insert, 1, 6);
    db_bind_text(insert, 2, TEXT("five"));
    exec(insert);
    assert_int_equal(db_changes(db), 0);
    assert_int_equal(number(db, "SELECT count(*) FROM t"), 1);

    struct db_statement *update = db_prepare(db, "UPDATE t SET uid = $1 WHERE id >= $2");
    db_bind_text(update, 1, TEXT("six"));
    db_bind_int64(update, 2, 1);
    exec(update);
    assert_int_equal(db_changes(db), 1);
    db_bind_text(update, 1, TEXT("six"));
    db_bind_int64(update, 2, 6);
    exec(update);
    assert_int_equal(db_changes(db), 0);
    db_close(db);
}

static void test_unique_violation(void **state)
{
    struct db *db = contract_connect(*state, DB_READ_WRITE);
    run(db, "CREATE TABLE t (id {id_key}, uid {text_key} NOT NULL, small BIGINT CHECK (small < 9));"
            "CREATE UNIQUE INDEX t_uid ON t (uid); INSERT INTO t VALUES (1, 'one', 1)");
    struct db_statement *insert = db_prepare(db, "INSERT INTO t VALUES ($1, $2, $3)");
    const struct {
        int64_t id;
        const char *uid;
        int64_t small;
        bool is_unique_violation;
    } rows[] = {{1, "two", 1, true},
                {2, "one", 1, true},
                {2, "two", 10, false},
                {2, NULL, 1, false},
                {1, "one", 1, true}};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        struct diag diag = {0};
        db_bind_int64(insert, 1, rows[index].id);
        db_bind_text(insert, 2, slice_of(rows[index].uid));
        db_bind_int64(insert, 3, rows[index].small);
        enum ph_error error = db_exec(insert, &diag);
        assert_int_equal(error, rows[index].is_unique_violation ? PH_CONFLICT : PH_STORE);
        assert_int_equal(diag.error, error);
        assert_non_null(strstr(diag.text, index == 2 ? "small" : ""));
    }
    db_bind_int64(insert, 1, 2);
    db_bind_text(insert, 2, TEXT("two"));
    db_bind_int64(insert, 3, 1);
    exec(insert);
    assert_int_equal(number(db, "SELECT count(*) FROM t"), 2);
    db_close(db);
}

/* Keys compare bytewise on both, whatever the locale. */
static void test_text_key_order(void **state)
{
    struct db *db = contract_connect(*state, DB_READ_WRITE);
    run(db, "CREATE TABLE t (k {text_key} NOT NULL PRIMARY KEY) {without_rowid};"
            "INSERT INTO t VALUES ('b'), ('a'), ('B'), ('_'), ('\xc3\xa4'), ('a-b'), ('ab')");
    struct db_statement *select = db_prepare(db, "SELECT k FROM t ORDER BY k");
    static const char *const expected[] = {"B", "_", "a", "a-b", "ab", "b", "\xc3\xa4"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(expected); index++) {
        assert_true(step(select));
        assert_slice(db_text(select, 0), slice_of(expected[index]));
    }
    assert_false(step(select));
    db_close(db);
}

static void test_statement_is_cached(void **state)
{
    static const char select_a[] = "SELECT 1";
    static const char select_b[] = "SELECT 2";
    struct db *db = contract_connect(*state, DB_READ_WRITE);
    struct db_statement *first = db_prepare(db, select_a);
    assert_ptr_not_equal(db_prepare(db, select_b), first);
    assert_ptr_equal(db_prepare(db, select_a), first);
    assert_int_equal(number(db, select_a), 1);
    assert_int_equal(number(db, select_b), 2);
    db_close(db);
}

/* LeakSanitizer watches this one. Half of them are left in the middle of their rows. */
static void test_thousand_statements(void **state)
{
    enum { COUNT = 1000, LENGTH = 64 };
    struct db *db = contract_connect(*state, DB_READ_WRITE);
    PH_AUTO_FREE char *texts = ph_calloc(COUNT, LENGTH);
    for (int index = 0; index < COUNT; index++) {
        char *sql = texts + index * LENGTH;
        (void)snprintf(sql, LENGTH, "SELECT $1 + %d UNION ALL SELECT 5", index);
        struct db_statement *statement = db_prepare(db, sql);
        db_bind_int64(statement, 1, 1);
        assert_true(step(statement));
        if (index % 2 == 0) {
            db_done(statement);
            db_done(statement);
        }
    }
    struct db_statement *again = db_prepare(db, texts + 998 * LENGTH);
    db_bind_int64(again, 1, 1);
    assert_true(step(again));
    assert_int_equal(db_int64(again, 0), 999);
    db_close(db);
    db_close(NULL);
}

/* Several statements may be in the middle of their rows. */
static void test_interleaved_statements(void **state)
{
    struct db *db = contract_connect(*state, DB_READ_WRITE);
    run(db, "CREATE TABLE t (n BIGINT); INSERT INTO t VALUES (1), (2), (3)");
    struct db_statement *outer = db_prepare(db, "SELECT n FROM t ORDER BY n");
    struct db_statement *inner = db_prepare(db, "SELECT count(*) FROM t WHERE n <= $1");
    int rows = 0;
    while (step(outer)) {
        rows++;
        db_bind_int64(inner, 1, db_int64(outer, 0));
        assert_true(step(inner));
        assert_int_equal(db_int64(inner, 0), rows);
        db_done(inner);
        assert_int_equal(db_int64(outer, 0), rows);
    }
    assert_int_equal(rows, 3);
    db_close(db);
}

static void test_open_errors_hide_passwords(PH_UNUSED void **state)
{
    static const char *const addresses[] = {
        "mysql://user:hunter2@host/db",
        "postgres://user:hunter2@127.0.0.1:1/db",
        "postgres://user:hunter2@127.0.0.1:1/db?password=hunter2&nonsense=hunter2",
        "postgres://user:hunter2@[::1/db",
        "postgresql:///db?host=/nonexistent&password=hunter2",
        "sqlite:",
        "sqlite:/nonexistent/folder",
        "",
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(addresses); index++) {
        struct diag diag = {0};
        struct db *db = NULL;
        assert_int_equal(db_open(addresses[index], DB_READ_WRITE, &diag, &db), PH_STORE);
        assert_null(db);
        assert_null(strstr(diag.text, "hunter2"));
        assert_true(strlen(diag.text) > 20);
    }
}

static void prepare_nonsense(void *context)
{
    struct db *db = contract_connect(context, DB_READ_WRITE);
    struct db_statement *statement = db_prepare(db, "SELECT nothing FROM nowhere");
    enum ph_error ignored = db_exec(statement, NULL);
    (void)ignored;
}

static void bind_beyond(void *context)
{
    struct db *db = contract_connect(context, DB_READ_WRITE);
    db_bind_int64(db_prepare(db, "SELECT $1"), 2, 1);
}

static void bind_while_rows_are_left(void *context)
{
    struct db *db = contract_connect(context, DB_READ_WRITE);
    struct db_statement *statement = db_prepare(db, "SELECT $1 + 1 UNION ALL SELECT 2");
    db_bind_int64(statement, 1, 1);
    if (step(statement)) {
        db_bind_int64(statement, 1, 2);
    }
}

static void use_unknown_fragment(void *context)
{
    struct db *db = contract_connect(context, DB_READ_WRITE);
    (void)db_prepare(db, "SELECT {nonsense}");
}

static void test_programmer_errors_abort(void **state)
{
    contract_expect_abort(prepare_nonsense, *state);
    contract_expect_abort(bind_beyond, *state);
    contract_expect_abort(bind_while_rows_are_left, *state);
    contract_expect_abort(use_unknown_fragment, *state);
}

static void test_wrong_run_is_an_error(void **state)
{
    struct diag diag = {0};
    struct db *db = contract_connect(*state, DB_READ_WRITE);
    assert_int_equal(db_run(db, "CREATE TABLE t (a BIGINT); SELEKT 1", &diag), PH_STORE);
    assert_non_null(strstr(diag.text, "SELEKT"));
    db_close(db);
}

static void test_read_only_connection(void **state)
{
    struct db *db = contract_connect(*state, DB_READ_WRITE);
    run(db, "CREATE TABLE t (n BIGINT); INSERT INTO t VALUES (1)");
    struct db *reader = contract_connect(*state, DB_READ_ONLY);
    struct db_statement *insert = db_prepare(reader, "INSERT INTO t VALUES (2)");
    struct diag diag = {0};
    assert_int_equal(db_exec(insert, &diag), PH_STORE);
    assert_int_equal(number(reader, "SELECT count(*) FROM t"), 1);
    db_close(reader);
    db_close(db);
}

/* The settings that db.h promises; the file is private and is not made by a reader. */
static void test_sqlite_file(void **state)
{
    static const struct {
        const char *sql;
        int64_t value;
    } pragmas[] = {{"PRAGMA page_size", 4096},    {"PRAGMA auto_vacuum", 2},
                   {"PRAGMA synchronous", 2},     {"PRAGMA foreign_keys", 0},
                   {"PRAGMA temp_store", 2},      {"PRAGMA cache_size", -8192},
                   {"PRAGMA busy_timeout", 5000}, {"PRAGMA mmap_size", 0}};
    const struct contract_store *store = *state;
    struct db *db = NULL;
    struct diag diag = {0};
    assert_int_equal(db_open(store->address, DB_READ_ONLY, &diag, &db), PH_STORE);
    db = contract_connect(store, DB_READ_WRITE);
    run(db, "CREATE TABLE t (n BIGINT)");
    for (size_t index = 0; index < PH_ARRAY_LENGTH(pragmas); index++) {
        assert_int_equal(number(db, pragmas[index].sql), pragmas[index].value);
    }
    struct db_statement *mode = db_prepare(db, "PRAGMA journal_mode");
    assert_true(step(mode));
    assert_slice(db_text(mode, 0), TEXT("wal"));
    db_done(mode);
    static const char *const files[] = {"posthorn.db", "posthorn.db-wal", "posthorn.db-shm"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(files); index++) {
        char path[256];
        struct stat status;
        (void)snprintf(path, sizeof path, "%s/%s", store->directory, files[index]);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
    db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_BOTH(test_parameters_out_of_order),
        CONTRACT_BOTH(test_first_rows),
        CONTRACT_BOTH(test_one_parameter_twice),
        CONTRACT_BOTH(test_nulls),
        CONTRACT_BOTH(test_null_before_value),
        CONTRACT_BOTH(test_values_survive),
        CONTRACT_BOTH(test_large_blob),
        CONTRACT_BOTH(test_computed_numbers),
        CONTRACT_BOTH(test_on_conflict_returning),
        CONTRACT_BOTH(test_unique_violation),
        CONTRACT_BOTH(test_text_key_order),
        CONTRACT_BOTH(test_statement_is_cached),
        CONTRACT_BOTH(test_thousand_statements),
        CONTRACT_BOTH(test_interleaved_statements),
        CONTRACT_BOTH(test_programmer_errors_abort),
        CONTRACT_BOTH(test_wrong_run_is_an_error),
        CONTRACT_BOTH(test_read_only_connection),
        CONTRACT_SQLITE(test_sqlite_file),
        cmocka_unit_test(test_open_errors_hide_passwords),
    };
    return cmocka_run_group_tests(tests, contract_begin, contract_end);
}
