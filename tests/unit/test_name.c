/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/name.h"

typedef enum ph_error name_check(struct slice text, const char *field, struct diag *diag);

static enum ph_error check_message_uid(struct slice text, const char *field, struct diag *diag)
{
    return name_check_uid(text, ID_MESSAGE, field, diag);
}

static const struct {
    name_check *check;
    size_t max;
} kinds[] = {
    {check_message_uid, NAME_UID_MAX},
    {name_check_event_type, NAME_EVENT_TYPE_MAX},
    {name_check_channel, NAME_CHANNEL_MAX},
};

static void test_lengths(void **state)
{
    (void)state;
    char text[NAME_UID_MAX + 1];
    memset(text, 'a', sizeof text);
    for (size_t kind = 0; kind < PH_ARRAY_LENGTH(kinds); kind++) {
        name_check *check = kinds[kind].check;
        struct diag diag;
        assert_int_equal(check((struct slice){text, 1}, "f", &diag), PH_OK);
        assert_int_equal(check((struct slice){text, kinds[kind].max}, "f", &diag), PH_OK);
        assert_int_equal(check((struct slice){text, kinds[kind].max + 1}, "body.f", &diag),
                         PH_INVALID);
        assert_string_equal(diag.field, "body.f");
        assert_int_equal(diag.error, PH_INVALID);
        assert_int_equal(check(SLICE_NONE, "f", NULL), PH_INVALID);
        assert_int_equal(check(SLICE_LITERAL(""), "f", NULL), PH_INVALID);
    }
}

/* Each byte stands alone, first and last. */
static void test_bytes(void **state)
{
    (void)state;
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    for (unsigned byte = 0; byte < 256; byte++) {
        bool is_good = byte != 0 && strchr(allowed, (int)byte) != NULL;
        const char alone[] = {(char)byte};
        const char first[] = {(char)byte, 'a'};
        const char last[] = {'a', (char)byte};
        const struct slice texts[] = {{alone, 1}, {first, 2}, {last, 2}};
        for (size_t kind = 0; kind < PH_ARRAY_LENGTH(kinds); kind++) {
            for (size_t index = 0; index < PH_ARRAY_LENGTH(texts); index++) {
                enum ph_error error = kinds[kind].check(texts[index], "f", NULL);
                if (error != (is_good ? PH_OK : PH_INVALID)) {
                    fail_msg("byte %u", byte);
                }
            }
        }
    }
}

/* The prefix of the kind's own ids is refused, that of other kinds is not. */
static void test_uid_prefixes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum id_kind kind;
        enum ph_error error;
    } rows[] = {
        {"app_1", ID_APPLICATION, PH_INVALID}, {"app_", ID_APPLICATION, PH_INVALID},
        {"app", ID_APPLICATION, PH_OK},        {"App_1", ID_APPLICATION, PH_OK},
        {"my-app_1", ID_APPLICATION, PH_OK},   {"msg_1", ID_APPLICATION, PH_OK},
        {"ep_1", ID_ENDPOINT, PH_INVALID},     {"ep-1", ID_ENDPOINT, PH_OK},
        {"msg_1", ID_MESSAGE, PH_INVALID},     {"app_1", ID_MESSAGE, PH_OK},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        struct diag diag;
        enum ph_error error =
            name_check_uid(slice_of(rows[index].text), rows[index].kind, "body.uid", &diag);
        if (error != rows[index].error) {
            fail_msg("%s", rows[index].text);
        }
        if (error != PH_OK) {
            assert_string_equal(diag.field, "body.uid");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_uid_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
