/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/process.h"

/* Runs in a child: the change is for good. */
static int hide_and_look(void)
{
    struct rlimit limit;
    if (!process_hide_memory()) {
        return 0; /* a build with a sanitizer */
    }
    bool is_hidden = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 &&
                     getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 &&
                     limit.rlim_max == 0;
    return is_hidden ? 0 : 1;
}

static void test_a_process_that_hides_leaves_no_core(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(hide_and_look());
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_process_that_hides_leaves_no_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
