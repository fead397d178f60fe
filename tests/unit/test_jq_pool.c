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
        {JQ_FILTER, "error(null)", JQ_PROGRAM_ERROR, "it raised null"},
        {JQ_FILTER, ".data.n.x", JQ_PROGRAM_ERROR, "Cannot index number with string \"x\""},
    };
    check_rows(rows, PH_ARRAY_LENGTH(rows));
}

static void test_transforms_give_one_output(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {JQ_TRANSFORM, "{body: .data}", JQ_OK, "{\"body\":{\"n\":3,\"name\":\"Zoë\"}}"},
        {JQ_TRANSFORM, "{body: (.data.name | ascii_downcase)}", JQ_OK, "{\"body\":\"zoë\"}"},
        {JQ_TRANSFORM, "null", JQ_NULL, NULL},
        {JQ_TRANSFORM, "empty", JQ_NULL, NULL},
        {JQ_TRANSFORM, "select(.type == \"other\")", JQ_NULL, NULL},
        {JQ_TRANSFORM, "false", JQ_OK, "false"},
        {JQ_TRANSFORM, "1, 2", JQ_PROGRAM_ERROR, "it gave more than one output"},
        {JQ_TRANSFORM, "repeat(1)", JQ_PROGRAM_ERROR, "it gave more than one output"},
        {JQ_TRANSFORM, "1, error(\"late\")", JQ_PROGRAM_ERROR, "late"},
        {JQ_TRANSFORM, "error", JQ_PROGRAM_ERROR, "it raised {\"type\":\"user.created\""},
        {JQ_TRANSFORM, "error(\"no good\")", JQ_PROGRAM_ERROR, "no good"},
        {JQ_TRANSFORM, "error({a: 1})", JQ_PROGRAM_ERROR, "it raised {\"a\":1}"},
        {JQ_TRANSFORM, "error(null)", JQ_PROGRAM_ERROR, "it raised null"},
        {JQ_TRANSFORM, "null | error", JQ_PROGRAM_ERROR, "it raised null"},
        {JQ_TRANSFORM, "1, error(null)", JQ_PROGRAM_ERROR, "it raised null"},
        {JQ_TRANSFORM, "[.data.missing | try error catch \"caught\"]", JQ_OK, "[\"caught\"]"},
        {JQ_TRANSFORM, "try error({a: 1}) catch .a", JQ_OK, "1"},
        {JQ_TRANSFORM, "[label $out | 1, break $out, error(null)]", JQ_OK, "[1]"},
        {JQ_TRANSFORM, "try error(\"x\") catch (try error(.) catch .)", JQ_OK, "\"x\""},
        {JQ_TRANSFORM, "error(empty)", JQ_NULL, NULL},
        {JQ_TRANSFORM, "def error(f): \"mine\"; error(null)", JQ_OK, "\"mine\""},
        {JQ_TRANSFORM, ".data | tostring | error", JQ_PROGRAM_ERROR, "{\"n\":3"},
        {JQ_TRANSFORM, "[1e1000, -1e1000, nan]", JQ_OK,
         "[1.7976931348623157e+308,-1.7976931348623157e+308,null]"},
        {JQ_TRANSFORM, "12345678901234567890", JQ_OK, "12345678901234567000"},
        {JQ_TRANSFORM, "\"\\ud800x\"", JQ_PROGRAM_ERROR, "surrogate pair escape"},
        {JQ_TRANSFORM, "[limit(3; range(10))]", JQ_OK, "[0,1,2]"},
        {JQ_TRANSFORM, "[range(20000)] | sort_by(-.) | .[0]", JQ_OK, "19999"},
        {JQ_TRANSFORM, "0 | strftime(\"%Y-%m-%dT%H:%M:%SZ\")", JQ_OK, "\"1970-01-01T00:00:00Z\""},
        {JQ_TRANSFORM, "0 | localtime | mktime", JQ_OK, "0"},
        {JQ_TRANSFORM, "now > 1e9", JQ_OK, "true"},
        {JQ_TRANSFORM, "\"a,b\" | [splits(\",\")]", JQ_OK, "[\"a\",\"b\"]"},
    };
    check_rows(rows, PH_ARRAY_LENGTH(rows));
}

static void test_checks_compile_and_do_not_run(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {JQ_CHECK, ".data.n > 5", JQ_OK, NULL},
        {JQ_CHECK, "def f: f; f", JQ_OK, NULL},
        {JQ_CHECK, "error(\"at run time only\")", JQ_OK, NULL},
        {JQ_CHECK, "\n.error | $x", JQ_PROGRAM_ERROR, "$x is not defined at line 2"},
        {JQ_CHECK, "foo(1)", JQ_PROGRAM_ERROR, "foo/1 is not defined at line 1"},
        {JQ_CHECK, ". | (", JQ_PROGRAM_ERROR, "syntax error, unexpected $end at line 1"},
        {JQ_CHECK, "$x", JQ_PROGRAM_ERROR, "$x is not defined at line 1"},
        {JQ_CHECK, "\n\n.a |\n$x", JQ_PROGRAM_ERROR, "$x is not defined at line 4"},
        {JQ_CHECK, "\"\\u00e", JQ_PROGRAM_ERROR, ""},
        {JQ_CHECK, "# only a comment", JQ_OK, NULL},
    };
    check_rows(rows, PH_ARRAY_LENGTH(rows));
}

/* What reaches outside in jq finds nothing there. */
static void test_programs_see_nothing_of_the_machine(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {JQ_TRANSFORM, "[$ENV, env]", JQ_OK, "[{},{}]"},
        {JQ_TRANSFORM, "import \"a\" as a; .", JQ_PROGRAM_ERROR, "module not found: a"},
        {JQ_TRANSFORM, "import \"/etc/hosts\" as $a; .", JQ_PROGRAM_ERROR, "module not found"},
        {JQ_TRANSFORM, "import \"~/a\" as a; .", JQ_PROGRAM_ERROR, "module not found"},
        {JQ_TRANSFORM, "include \"a\" {search: \"/\"}; .", JQ_PROGRAM_ERROR, "module not found"},
        {JQ_TRANSFORM, "import \"a\" as $a {search: \"./../../tmp\"}; .", JQ_PROGRAM_ERROR,
         "module not found"},
        {JQ_TRANSFORM, "\"a\" | modulemeta", JQ_PROGRAM_ERROR, "module not found"},
        {JQ_TRANSFORM, "input", JQ_PROGRAM_ERROR, "break"},
        {JQ_TRANSFORM, "[inputs]", JQ_OK, "[]"},
        {JQ_TRANSFORM, "input_filename", JQ_NULL, NULL},
        {JQ_TRANSFORM, "debug | stderr | .data.n", JQ_OK, "3"},
        {JQ_TRANSFORM, "halt", JQ_PROGRAM_ERROR, "halt"},
        {JQ_TRANSFORM, "\"bye\" | halt_error(0)", JQ_PROGRAM_ERROR, "halt"},
        {JQ_FILTER, "halt", JQ_PROGRAM_ERROR, "halt"},
        {JQ_TRANSFORM, "$__loc__", JQ_OK, "{\"file\":\"<top-level>\",\"line\":1}"},
        {JQ_TRANSFORM, "$__prog_args", JQ_PROGRAM_ERROR, "not defined"},
        {JQ_TRANSFORM, "get_search_list", JQ_OK, "[]"},
        {JQ_TRANSFORM, "input_line_number", JQ_PROGRAM_ERROR, "Unknown input line number"},
        {JQ_TRANSFORM, ".data.n", JQ_OK, "3"},
    };
    check_rows(rows, PH_ARRAY_LENGTH(rows));
}

int main(int count, char **arguments)
{
    RIG_WORKER(count, arguments);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters_judge_their_first_output),
        cmocka_unit_test(test_transforms_give_one_output),
        cmocka_unit_test(test_checks_compile_and_do_not_run),
        cmocka_unit_test(test_programs_see_nothing_of_the_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
