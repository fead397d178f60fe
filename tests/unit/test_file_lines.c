/* SPDX-License-Identifier: Apache-2.0 */
/* A text read line by line, whatever the pieces are in which it comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/file.h"

#define LONG_LINE 40000 /* longer than what is read at once */

struct text {
    char path[64];
};

static int set_up(void **state)
{
    static struct text text;
    (void)snprintf(text.path, sizeof text.path, "/tmp/posthorn-lines-XXXXXX");
    int fd = mkstemp(text.path);
    assert_true(fd >= 0);
    (void)close(fd);
    *state = &text;
    return 0;
}

static int tear_down(void **state)
{
    const struct text *text = *state;
    return unlink(text->path);
}

static void put(const struct text *text, struct slice content)
{
    struct diag diag;
    assert_int_equal(file_write(text->path, content, 0600, false, &diag), PH_OK);
}

static void open_lines(const struct text *text, struct file_lines *lines)
{
    struct diag diag;
    assert_int_equal(file_lines_open(text->path, LONG_LINE, &diag, lines), PH_OK);
}

static void expect_line(struct file_lines *lines, struct slice expected)
{
    struct diag diag;
    struct slice line;
    bool has_line = false;
    assert_int_equal(file_lines_next(lines, &diag, &line, &has_line), PH_OK);
    assert_true(has_line);
    assert_int_equal(line.len, expected.len);
    assert_memory_equal(line.ptr, expected.ptr, expected.len);
}

static void expect_end(struct file_lines *lines, int64_t count)
{
    struct diag diag;
    struct slice line;
    for (int turn = 0; turn < 2; turn++) {
        bool has_line = true;
        assert_int_equal(file_lines_next(lines, &diag, &line, &has_line), PH_OK);
        assert_false(has_line);
    }
    assert_int_equal(lines->number, count);
    file_lines_close(lines);
}

static void test_short_texts(void **state)
{
    const struct text *text = *state;
    struct file_lines lines;
    put(text, SLICE_LITERAL(""));
    open_lines(text, &lines);
    expect_end(&lines, 0);
    assert_int_equal(file_count_lines(text->path), 0);
    put(text, SLICE_LITERAL("a\n\nb\r\nc"));
    open_lines(text, &lines);
    expect_line(&lines, SLICE_LITERAL("a"));
    expect_line(&lines, SLICE_LITERAL(""));
    expect_line(&lines, SLICE_LITERAL("b\r"));
    expect_line(&lines, SLICE_LITERAL("c"));
    expect_end(&lines, 4);
    assert_int_equal(file_count_lines(text->path), 4);
    put(text, SLICE_LITERAL("\n"));
    open_lines(text, &lines);
    expect_line(&lines, SLICE_LITERAL(""));
    expect_end(&lines, 1);
    assert_int_equal(file_count_lines(text->path), 1);
}

static void test_lines_over_the_pieces(void **state)
{
    const struct text *text = *state;
    BUF_AUTO struct buf content;
    buf_init(&content, (size_t)1 << 22);
    for (int number = 0; number < 5000; number++) {
        buf_append_format(&content, "line %d %*s\n", number, number % 97, "");
    }
    char wide[LONG_LINE];
    memset(wide, 'w', sizeof wide);
    buf_append(&content, wide, sizeof wide);
    buf_append_text(&content, "\nlast");
    put(text, buf_slice(&content));
    assert_int_equal(file_count_lines(text->path), 5002);
    struct file_lines lines;
    open_lines(text, &lines);
    for (int number = 0; number < 5000; number++) {
        char expected[256];
        int length = snprintf(expected, sizeof expected, "line %d %*s", number, number % 97, "");
        expect_line(&lines, (struct slice){expected, (size_t)length});
    }
    expect_line(&lines, (struct slice){wide, sizeof wide});
    expect_line(&lines, SLICE_LITERAL("last"));
    expect_end(&lines, 5002);
}

static void test_a_line_that_is_too_long(void **state)
{
    const struct text *text = *state;
    BUF_AUTO struct buf content;
    buf_init(&content, (size_t)1 << 22);
    buf_append_text(&content, "first\n");
    for (int count = 0; count < 3 * LONG_LINE; count++) {
        buf_append_byte(&content, 'x');
    }
    put(text, buf_slice(&content));
    struct file_lines lines;
    struct diag diag;
    struct slice line;
    bool has_line;
    open_lines(text, &lines);
    expect_line(&lines, SLICE_LITERAL("first"));
    assert_int_equal(file_lines_next(&lines, &diag, &line, &has_line), PH_TOO_LARGE);
    assert_non_null(strstr(diag.text, "line 2: more than 40000 bytes"));
    file_lines_close(&lines);
}

static void test_what_is_no_file(void **state)
{
    (void)state;
    struct file_lines lines;
    struct diag diag;
    assert_int_equal(file_lines_open("/nothing/here", LONG_LINE, &diag, &lines), PH_NOT_FOUND);
    assert_int_equal(file_count_lines("/nothing/here"), -1);
    assert_int_equal(file_count_lines("/dev/null"), -1);
    assert_int_equal(file_count_lines("-"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_texts),
        cmocka_unit_test(test_lines_over_the_pieces),
        cmocka_unit_test(test_a_line_that_is_too_long),
        cmocka_unit_test(test_what_is_no_file),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
