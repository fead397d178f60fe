/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/progress.h"

#define S INT64_C(1000000)

static void test_the_line(void **state)
{
    (void)state;
    static const struct {
        int64_t done;
        int64_t total;
        int64_t began_at;
        int64_t elapsed_us;
        const char *expected;
    } rows[] = {
        {0, -1, 0, 0, "0 things, counting"},
        {0, 0, 0, 0, "[##############################] 100 % 0 of 0 things"},
        {0, 40, 0, 9 * S, "[..............................]   0 % 0 of 40 things"},
        {10, 40, 0, S / 2, "[#######.......................]  25 % 10 of 40 things"},
        {10, 40, 0, S, "[#######.......................]  25 % 10 of 40 things, 10/s, 4 s left"},
        {10, 40, 5, 2 * S,
         "[#######.......................]  25 % 10 of 40 things, 2.5/s, 13 s left"},
        {1000, 100000, 0, 10 * S,
         "[..............................]   1 % 1000 of 100000 things, 100/s, 16 min 31 s left"},
        {1, 10000, 0, S,
         "[..............................]   0 % 1 of 10000 things, 1.0/s, 2 h 46 min left"},
        {40, 40, 0, 9 * S, "[##############################] 100 % 40 of 40 things"},
        /* What was found first may be less than what there is in the end. */
        {41, 40, 0, 9 * S, "[##############################] 100 % 41 of 40 things"},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        BUF_AUTO struct buf line;
        buf_init(&line, 256);
        progress_write(&line, rows[index].done, rows[index].total, rows[index].began_at,
                       rows[index].elapsed_us, "things");
        assert_string_equal(buf_text(&line), rows[index].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_line)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
