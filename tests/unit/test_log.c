/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "core/scan.h"

#define LINE_MAX_BYTES 8192

/* A log into a pipe, and what came out of it. */
struct rig {
    struct log log;
    int read_fd;
    int write_fd;
    char text[65536];
};

static void rig_open(struct rig *rig, bool is_json, enum log_level level)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    rig->read_fd = fds[0];
    rig->write_fd = fds[1];
    log_init(&rig->log, fds[1], is_json, level);
}

static void rig_close(struct rig *rig)
{
    (void)close(rig->read_fd);
    (void)close(rig->write_fd);
}

/* What was written since the last call. */
static const char *rig_text(struct rig *rig)
{
    ssize_t count = read(rig->read_fd, rig->text, sizeof rig->text - 1);
    if (count < 0) {
        assert_int_equal(errno, EAGAIN);
        count = 0;
    }
    rig->text[count] = '\0';
    return rig->text;
}

/* Checks the text after the time, which each line begins with. */
static void check_line(struct rig *rig, const char *expected)
{
    const char *text = rig_text(rig);
    assert_int_equal(strncmp(text, "time=", 5), 0);
    const char *rest = strchr(text, ' ');
    assert_non_null(rest);
    assert_int_equal(rest - text, strlen("time=2026-01-05T10:11:12.131415Z"));
    assert_string_equal(rest + 1, expected);
}

static void test_levels(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, false, LOG_LEVEL_WARN);
    log_write(&rig.log, LOG_SERVER_STARTED, LOG_INT("n", 1));
    log_write(&rig.log, LOG_REQUEST_SERVED, LOG_INT("n", 1));
    assert_string_equal(rig_text(&rig), "");
    assert_false(log_wants(&rig.log, LOG_SERVER_STARTED));
    assert_true(log_wants(&rig.log, LOG_CONFIG_WARNING));
    assert_true(log_wants(&rig.log, LOG_STORE_FAILED));
    log_write(&rig.log, LOG_CONFIG_WARNING, LOG_INT("n", -1));
    check_line(&rig, "level=warn msg=\"configuration warning\" n=-1\n");
    atomic_store(&rig.log.level, LOG_LEVEL_DEBUG);
    assert_true(log_wants(&rig.log, LOG_REQUEST_SERVED));
    assert_false(log_wants(NULL, LOG_STORE_FAILED));
    log_fields(NULL, LOG_STORE_FAILED, NULL, 0);
    rig_close(&rig);
}

static void test_level_names(void **state)
{
    (void)state;
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (unsigned index = 0; index < PH_ARRAY_LENGTH(names); index++) {
        enum log_level level = LOG_LEVEL_DEBUG;
        assert_true(log_level_parse(slice_of(names[index]), &level));
        assert_int_equal(level, index);
    }
    static const char *const bad[] = {"", "Info", "warning", "err", "error ", "1"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(bad); index++) {
        enum log_level level = LOG_LEVEL_WARN;
        assert_false(log_level_parse(slice_of(bad[index]), &level));
        assert_int_equal(level, LOG_LEVEL_WARN);
    }
}

static void test_logfmt_quotes(void **state)
{
    (void)state;
    static const struct {
        struct slice value;
        const char *text;
    } rows[] = {
        {SLICE_LITERAL("plain/value:1"), "plain/value:1"},
        {SLICE_LITERAL(""), "\"\""},
        {SLICE_NONE, "\"\""},
        {SLICE_LITERAL("two words"), "\"two words\""},
        {SLICE_LITERAL("a=b"), "\"a=b\""},
        {SLICE_LITERAL("say \"x\""), "\"say \\\"x\\\"\""},
        {SLICE_LITERAL("back\\slash"), "\"back\\\\slash\""},
        {SLICE_LITERAL("x\nlevel=error"), "\"x\\nlevel=error\""},
        {SLICE_LITERAL("x\r"), "\"x\\r\""},
        {SLICE_LITERAL("x\0y"), "\"x\\u0000y\""},
        {SLICE_LITERAL("\x1b[2J"), "\"\\u001b[2J\""},
        {SLICE_LITERAL("\x7f"), "\"\x7f\""},
        {SLICE_LITERAL("\xc3\xa9"), "\"\xc3\xa9\""},
        {SLICE_LITERAL("\xff"), "\"\xef\xbf\xbd\""},
    };
    struct rig rig;
    rig_open(&rig, false, LOG_LEVEL_DEBUG);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        char expected[256];
        (void)snprintf(expected, sizeof expected,
                       "level=error msg=\"store failed\" key=%s more=1\n", rows[index].text);
        log_write(&rig.log, LOG_STORE_FAILED, LOG_SLICE("key", rows[index].value),
                  LOG_INT("more", 1));
        check_line(&rig, expected);
    }
    rig_close(&rig);
}

static void test_json(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, true, LOG_LEVEL_INFO);
    log_write(&rig.log, LOG_SERVER_STARTED, LOG_TEXT("address", "a\nb"), LOG_INT("port", 80),
              LOG_TEXT("absent", NULL));
    const char *text = rig_text(&rig);
    struct scan_member members[8];
    size_t count = 0;
    assert_int_equal(scan_object(slice_of(text), members, 8, &count, NULL, NULL), PH_OK);
    assert_int_equal(count, 6);
    assert_true(slice_equal_text(members[1].value, "\"info\""));
    assert_true(slice_equal_text(members[2].value, "\"server started\""));
    assert_true(slice_equal_text(members[3].value, "\"a\\nb\""));
    assert_true(slice_equal_text(members[4].value, "80"));
    assert_true(slice_equal_text(members[5].value, "null"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    rig_close(&rig);
}

/* Fields of every length near the limit: each event is one whole line in the log's own form, with
 * the field or without it. */
static void test_long_lines(void **state)
{
    (void)state;
    struct rig rig;
    char value[LINE_MAX_BYTES + 100];
    memset(value, 'v', sizeof value);
    for (int is_json = 0; is_json < 2; is_json++) {
        rig_open(&rig, is_json != 0, LOG_LEVEL_INFO);
        bool was_whole = true;
        for (size_t length = LINE_MAX_BYTES - 200; length < sizeof value; length++) {
            log_write(&rig.log, LOG_STORE_FAILED,
                      LOG_SLICE("key", ((struct slice){value, length})));
            struct slice line = slice_of(rig_text(&rig));
            assert_in_range(line.len, 50, LINE_MAX_BYTES);
            assert_int_equal(slice_find(line, '\n'), line.len - 1);
            assert_true(slice_starts_with(line, is_json != 0 ? "{\"time\":" : "time="));
            if (is_json != 0) {
                assert_int_equal(scan_document(line, NULL, NULL, NULL), PH_OK);
            }
            bool is_whole = line.len > length;
            assert_true(was_whole || !is_whole);
            was_whole = is_whole;
        }
        assert_false(was_whole);
        rig_close(&rig);
    }
}

static void test_a_closed_descriptor_is_no_reason_to_stop(void **state)
{
    (void)state;
    struct log log;
    log_init(&log, -1, false, LOG_LEVEL_DEBUG);
    errno = 0;
    log_write(&log, LOG_STORE_FAILED, LOG_INT("n", 1));
    assert_int_equal(errno, EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_level_names),
        cmocka_unit_test(test_logfmt_quotes),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_a_closed_descriptor_is_no_reason_to_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
