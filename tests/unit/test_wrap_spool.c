/* SPDX-License-Identifier: Apache-2.0 */
/* The spool of `posthorn dbt`: several of them at work in one folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "app/wrap_spool.h"

#define ADDER_COUNT 2
#define LISTER_COUNT 2
#define RUNS_EACH 100

struct rig {
    struct wrap_spool spool;
    atomic_bool is_over;
    atomic_int failed_count;
    struct diag diag; /* of one that failed */
};

struct adder {
    struct rig *rig;
    int number;
    pthread_t thread;
};

/* What each wrapper does at its start: it makes its run, and takes away what killed ones left. */
static void *add_runs(void *context)
{
    const struct adder *adder = context;
    struct rig *rig = adder->rig;
    for (int index = 0; index < RUNS_EACH; index++) {
        struct wrap_run run;
        struct diag diag;
        const struct wrap_start start = {
            .url = "http://127.0.0.1",
            .account = 1,
            .run_id = adder->number * RUNS_EACH + index + 1,
            .started_at_us = 1,
            .report = SLICE_LITERAL("{}"),
        };
        if (wrap_spool_add(&rig->spool, &start, &diag, &run) != PH_OK) {
            if (atomic_fetch_add(&rig->failed_count, 1) == 0) {
                rig->diag = diag;
            }
            continue;
        }
        wrap_run_remove(&run);
        wrap_run_done(&run);
    }
    return NULL;
}

static void *list_runs(void *context)
{
    struct rig *rig = context;
    while (!atomic_load(&rig->is_over)) {
        struct folder_names names;
        struct diag diag;
        if (wrap_spool_list(&rig->spool, false, &diag, &names) == PH_OK) {
            folder_names_done(&names);
        }
    }
    return NULL;
}

static void test_a_new_run_is_no_remains(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct adder adders[ADDER_COUNT];
    pthread_t listers[LISTER_COUNT];
    struct diag diag;
    char *folder;
    struct folder_names names;
    BUF_AUTO struct buf words;
    buf_init(&words, 4096);
    assert_int_equal(folder_make_temporary(&diag, &folder), PH_OK);
    assert_int_equal(wrap_spool_open(&rig.spool, folder, WRAP_SPOOL_BYTES, &words, &diag), PH_OK);
    for (int index = 0; index < LISTER_COUNT; index++) {
        assert_int_equal(pthread_create(&listers[index], NULL, list_runs, &rig), 0);
    }
    for (int index = 0; index < ADDER_COUNT; index++) {
        adders[index] = (struct adder){.rig = &rig, .number = index};
        assert_int_equal(pthread_create(&adders[index].thread, NULL, add_runs, &adders[index]), 0);
    }
    for (int index = 0; index < ADDER_COUNT; index++) {
        assert_int_equal(pthread_join(adders[index].thread, NULL), 0);
    }
    atomic_store(&rig.is_over, true);
    for (int index = 0; index < LISTER_COUNT; index++) {
        assert_int_equal(pthread_join(listers[index], NULL), 0);
    }
    assert_string_equal(atomic_load(&rig.failed_count) == 0 ? "" : rig.diag.text, "");
    assert_int_equal(wrap_spool_list(&rig.spool, false, &diag, &names), PH_OK);
    assert_int_equal(names.count, 0);
    folder_names_done(&names);
    rig.spool.is_temporary = true; /* takes the folder away */
    wrap_spool_close(&rig.spool);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_run_is_no_remains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
