/* SPDX-License-Identifier: Apache-2.0 */
/* What `posthorn dbt` takes from the command line of a dbt command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/wrap_line.h"

#define WORDS_MAX 16

/* The words of a line, with spaces between. */
struct words {
    char text[512];
    const char *items[WORDS_MAX];
    size_t count;
};

static void split(const char *text, struct words *words)
{
    (void)snprintf(words->text, sizeof words->text, "%s", text);
    words->count = 0;
    for (char *at = words->text; at != NULL && *at != '\0';) {
        char *space = strchr(at, ' ');
        assert_true(words->count < WORDS_MAX);
        words->items[words->count++] = at;
        if (space != NULL) {
            *space++ = '\0';
        }
        at = space;
    }
}

static struct wrap_line read_line(struct words *words, const char *text)
{
    struct wrap_line line;
    split(text, words);
    wrap_line_read(&line, words->count, words->items);
    return line;
}

static void expect_target(const char *text, const char *target)
{
    struct words words;
    struct wrap_line line = read_line(&words, text);
    if (target == NULL) {
        assert_null(line.target);
    } else {
        assert_non_null(line.target);
        assert_string_equal(line.target, target);
    }
}

static void test_flags_in_all_their_forms(void **state)
{
    (void)state;
    expect_target("dbt build", NULL);
    expect_target("dbt build --target prod", "prod");
    expect_target("dbt build --target=prod", "prod");
    expect_target("dbt --target prod build", "prod");
    expect_target("dbt build -t prod", "prod");
    expect_target("dbt build -tprod", "prod");
    expect_target("dbt build -t a --target b -t c", "c");
    expect_target("dbt build --target", NULL);
    expect_target("dbt build --target=", "");
    expect_target("dbt build --target-path x", NULL);
    expect_target("dbt build --targets x", NULL);
    expect_target("", NULL);
    expect_target("dbt", NULL);
}

static void test_flags_of_other_programs(void **state)
{
    (void)state;
    expect_target("docker run -t image dbt build", NULL);
    expect_target("docker run -t image dbt build -t prod", "prod");
    expect_target("/venv/bin/dbt build -t prod", "prod");
    expect_target("python -m dbt.cli.main build -t prod", "prod");
    expect_target("uv run -t x dbtf build -t prod", "prod");
    expect_target("make build --target prod", "prod");
}

static void test_every_flag(void **state)
{
    (void)state;
    struct words words;
    struct wrap_line line =
        read_line(&words, "dbt run --project-dir a --profiles-dir b --profile c "
                          "--target d --target-path e --project-dir f");
    assert_string_equal(line.project_dir, "f");
    assert_string_equal(line.profiles_dir, "b");
    assert_string_equal(line.profile, "c");
    assert_string_equal(line.target, "d");
    assert_string_equal(line.target_path, "e");
}

static void expect_command(const char *text, const char *expected)
{
    struct words words;
    BUF_AUTO struct buf command;
    buf_init(&command, 4096);
    split(text, &words);
    wrap_line_append_command(words.count, words.items, &command);
    assert_string_equal(buf_text(&command), expected);
}

static void test_the_command_for_people(void **state)
{
    (void)state;
    expect_command("dbt build", "dbt build");
    expect_command("/usr/bin/dbt build /a/b", "dbt build /a/b");
    expect_command("dbt run --vars secret --full-refresh", "dbt run --full-refresh");
    expect_command("dbt run --vars=secret --args=other -x", "dbt run -x");
    expect_command("dbt run-operation x --args", "dbt run-operation x");
}

static void test_a_long_command_is_cut_between_characters(void **state)
{
    (void)state;
    char word[401];
    for (size_t index = 0; index < 200; index++) {
        memcpy(word + 2 * index, "\xc3\xb6", 2); /* ö */
    }
    word[400] = '\0';
    for (size_t before = 1; before <= 2; before++) {
        const char *arguments[] = {before == 1 ? "d" : "db", word};
        BUF_AUTO struct buf command;
        buf_init(&command, 4096);
        wrap_line_append_command(2, arguments, &command);
        assert_in_range(command.len, 199, 200);
        assert_true(slice_is_utf8_text(buf_slice(&command)));
        assert_int_equal(strlen(buf_text(&command)), command.len);
    }
}

static void expect_id(const char *given, int64_t id, const char *name)
{
    int64_t found;
    struct slice words;
    wrap_line_read_id(given, &found, &words);
    assert_int_equal(found, id);
    assert_true(name == NULL ? words.ptr == NULL : slice_equal_text(words, name));
}

/* A byte that is not UTF-8 is three bytes of a report. */
static void test_what_is_no_text_takes_its_room_too(void **state)
{
    (void)state;
    BUF_AUTO struct buf text;
    buf_init(&text, 4096);
    wrap_line_append_cut(SLICE_LITERAL("a\xff\xc3\xb6\0\xe2\x82"), 100, &text);
    assert_string_equal(buf_text(&text),
                        "a\xef\xbf\xbd\xc3\xb6\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    char bytes[600];
    memset(bytes, 0xc3, sizeof bytes);
    for (size_t room = 298; room <= 300; room++) {
        buf_clear(&text);
        wrap_line_append_cut((struct slice){bytes, sizeof bytes}, room, &text);
        assert_int_equal(text.len, room / 3 * 3);
    }
}

static void test_ids(void **state)
{
    (void)state;
    expect_id("41", 41, NULL);
    expect_id(" 41 ", 41, NULL);
    expect_id("9223372036854775807", INT64_MAX, NULL);
    /* No id, and so names. */
    expect_id("0", wrap_line_id(SLICE_LITERAL("0")), "0");
    expect_id("-3", wrap_line_id(SLICE_LITERAL("-3")), "-3");
    expect_id("nightly", wrap_line_id(SLICE_LITERAL("nightly")), "nightly");
    expect_id(" nightly\n", wrap_line_id(SLICE_LITERAL("nightly")), "nightly");
    expect_id("9223372036854775808", wrap_line_id(SLICE_LITERAL("9223372036854775808")),
              "9223372036854775808");
}

/* People write them into filters: a change of the function is a change of everybody's ids. */
static void test_ids_of_names_stay(void **state)
{
    (void)state;
    assert_int_equal(wrap_line_id(SLICE_LITERAL("nightly")), INT64_C(5492812979458777));
    char name[16];
    for (int index = 0; index < 1000; index++) {
        (void)snprintf(name, sizeof name, "job %d", index);
        int64_t id = wrap_line_id(slice_of(name));
        assert_true(id > 0 && id < INT64_C(1) << 53);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags_in_all_their_forms),
        cmocka_unit_test(test_flags_of_other_programs),
        cmocka_unit_test(test_every_flag),
        cmocka_unit_test(test_the_command_for_people),
        cmocka_unit_test(test_a_long_command_is_cut_between_characters),
        cmocka_unit_test(test_what_is_no_text_takes_its_room_too),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_ids_of_names_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
