/* SPDX-License-Identifier: Apache-2.0 */
/* jq programs through the pool, with real worker processes: what they may do and what it gives. */
#include "unit/jq_rig.h"

#include "jq/pool.h"

#define INPUT "{\"type\":\"user.created\",\"data\":{\"n\":3,\"name\":\"Zo\\u00eb\"}}"

struct row {
    enum jq_kind kind;
    const char *program;
    enum jq_outcome outcome;
    const char *text; /* the output, or a part of the words */
};

static void check_rows(const struct row *rows, size_t count)
{
    struct rig rig;
    rig_start(&rig, (struct jq_pool_options){.workers = 1});
    for (size_t index = 0; index < count; index++) {
        const struct row *row = &rows[index];
        struct call call = rig_run(&rig, row->kind, row->program, INPUT);
        if (call.outcome != row->outcome) {
            print_error("%s: %s\n", row->program, call.words);
        }
        assert_int_equal(call.outcome, row->outcome);
        if (row->kind == JQ_TRANSFORM && row->outcome == JQ_OK) {
            assert_string_equal(call.output, row->text);
        } else if (row->text != NULL && strstr(call.words, row->text) == NULL) {
            fail_msg("%s: \"%s\" does not contain \"%s\"", row->program, call.words, row->text);
        }
        call_free(&call);
    }
    rig_end(&rig);
}

static void test_filters_judge_their_first_output(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {JQ_FILTER, ".type == \"user.created\"", JQ_OK, NULL},
        {JQ_FILTER, ".data.n > 5", JQ_FALSE, NULL},
        {JQ_FILTER, ".missing", JQ_FALSE, NULL},
        {JQ_FILTER, "empty", JQ_FALSE, NULL},
        {JQ_FILTER, "0", JQ_OK, NULL},
        {JQ_FILTER, "\"\"", JQ_OK, NULL},
        {JQ_FILTER, "select(.data.n == 3)", JQ_OK, NULL},
        {JQ_FILTER, "true, error(\"not reached\")", JQ_OK, NULL},
        {JQ_FILTER, "false, true", JQ_FALSE, NULL},
        {JQ_FILTER, "repeat(true)", JQ_OK, NULL},
        {JQ_FILTER, ".data.n.x", JQ_PROGRAM_ERROR, "Cannot index number with string \"x\""},
    };
    check_rows(rows, PH_ARRAY_LENGTH(rows));
}

int main(int count, char **arguments)
{
    RIG_WORKER(count, arguments);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters_judge_their_first_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
