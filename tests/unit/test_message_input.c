/* SPDX-License-Identifier: Apache-2.0 */
/* MessageIn: what is taken, and which error each wrong body gets (svix-api spec sections 4, 9). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/attempt.h"
#include "api/message_input.h"

#define DECODE "value_error.jsondecode"
#define HOUR_US INT64_C(3600000000)
#define DEFAULT_US (30 * 24 * HOUR_US)

struct reading {
    struct arena arena;
    struct diag diag;
    struct message_input message;
};

static enum ph_error read_slice(struct reading *reading, struct slice body)
{
    arena_init(&reading->arena, (size_t)1024 * 1024);
    reading->diag = (struct diag){0};
    reading->message = (struct message_input){0};
    return message_input_read(body, DEFAULT_US, &reading->arena, &reading->diag, &reading->message);
}

static void read_ok(struct reading *reading, const char *body)
{
    enum ph_error error = read_slice(reading, slice_of(body));
    if (error != PH_OK) {
        fail_msg("%s: %s %s", body, reading->diag.field, reading->diag.text);
    }
}

static void assert_text(struct slice text, const char *expected)
{
    assert_non_null(text.ptr);
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.ptr, expected, text.len);
}

static void test_the_least(void **state)
{
    (void)state;
    struct reading reading;
    read_ok(&reading, "{\"eventType\":\"a.b\",\"payload\":{}}");
    assert_text(reading.message.event_type, "a.b");
    assert_text(reading.message.payload, "{}");
    assert_null(reading.message.event_id.ptr);
    assert_null(reading.message.channels_json.ptr);
    assert_int_equal(reading.message.channel_count, 0);
    assert_null(reading.message.raw_body.ptr);
    assert_int_equal(reading.message.payload_retention_us, DEFAULT_US);
    assert_false(reading.message.has_application);
    arena_done(&reading.arena);
}

static void test_everything(void **state)
{
    (void)state;
    struct reading reading;
    read_ok(&reading, "{\"tags\":[\"t/1\"],\"eventId\":\"run-1\",\"eventType\":\"a\\u002eb\","
                      "\"channels\":[\"x\",\"y\",\"x\"],\"payloadRetentionPeriod\":90,"
                      "\"application\":{\"name\":\"A\",\"uid\":\"a\"},\"unknown\":{\"deep\":[{}]},"
                      "\"transformationsParams\":{\"rawPayload\":\"a\\u0000b\\n\"},"
                      "\"deliverAt\":null,\"payload\":{\"a\":1}}");
    const struct message_input *message = &reading.message;
    assert_text(message->event_id, "run-1");
    assert_text(message->event_type, "a.b");
    assert_text(message->channels_json, "[\"x\",\"y\"]");
    assert_int_equal(message->channel_count, 2);
    assert_text(message->channels[1], "y");
    assert_int_equal(message->payload_retention_us, 90 * 24 * HOUR_US);
    assert_int_equal(message->raw_body.len, 4);
    assert_memory_equal(message->raw_body.ptr, "a\0b\n", 4);
    assert_true(message->has_application);
    assert_text(message->application.name, "A");
    assert_text(message->application.uid, "a");
    arena_done(&reading.arena);
}

/* Byte for byte, without the white space around it. */
static void test_the_payload_is_a_slice(void **state)
{
    (void)state;
    struct reading reading;
    static const char body[] = " {\"payload\" :\n\t{ \"b\": 1.10,\"a\":1e400 ,\"b\" : \"\\u00e9\" "
                               "} \r\n,\"eventType\":\"a\"}";
    read_ok(&reading, body);
    assert_text(reading.message.payload, "{ \"b\": 1.10,\"a\":1e400 ,\"b\" : \"\\u00e9\" }");
    assert_true(reading.message.payload.ptr > body &&
                reading.message.payload.ptr < body + sizeof body);
    arena_done(&reading.arena);

    read_ok(&reading, "{\"data\":{\"x\":2},\"eventType\":\"a\"}");
    assert_text(reading.message.payload, "{\"x\":2}");
    arena_done(&reading.arena);
    read_ok(&reading, "{\"data\":7,\"eventType\":\"a\",\"payload\":{}}");
    assert_text(reading.message.payload, "{}");
    arena_done(&reading.arena);
    read_ok(&reading, "{\"eventType\":\"a\",\"payload\":{},\"transformationsParams\":"
                      "{\"rawPayload\":\"\"}}");
    assert_non_null(reading.message.raw_body.ptr);
    assert_int_equal(reading.message.raw_body.len, 0);
    arena_done(&reading.arena);
}

static void test_null_is_absent(void **state)
{
    (void)state;
    struct reading reading;
    read_ok(&reading, "{\"eventType\":\"a\",\"payload\":{},\"eventId\":null,\"channels\":null,"
                      "\"payloadRetentionPeriod\":null,\"payloadRetentionHours\":1,"
                      "\"application\":null,\"transformationsParams\":null}");
    assert_null(reading.message.event_id.ptr);
    assert_null(reading.message.channels_json.ptr);
    assert_false(reading.message.has_application);
    assert_int_equal(reading.message.payload_retention_us, HOUR_US);
    arena_done(&reading.arena);
}

/* More members than the small table has. */
static void test_many_members(void **state)
{
    (void)state;
    struct reading reading;
    BUF_AUTO struct buf body;
    buf_init(&body, 65536);
    buf_append_text(&body, "{\"eventType\":\"a\"");
    for (int index = 0; index < 100; index++) {
        buf_append_format(&body, ",\"k%d\":%d", index, index);
    }
    buf_append_text(&body, ",\"payload\":{\"z\":1}}");
    read_ok(&reading, buf_text(&body));
    assert_text(reading.message.payload, "{\"z\":1}");
    arena_done(&reading.arena);
}

struct refusal {
    const char *body;
    const char *field;
    const char *code; /* "" = plain value_error */
};

#define WITH(members) "{\"eventType\":\"a\",\"payload\":{}," members "}"
#define NAMES_256                                                                                  \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"                             \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"                             \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"                             \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct refusal refusals[] = {
    {"", "body", DECODE},
    {"{", "body", DECODE},
    {"[]", "body", DECODE},
    {"{\"eventType\":\"a\",\"payload\":{}} x", "body", DECODE},
    {"{\"eventType\":\"a\",\"payload\":{\"a\":\"\xff\"}}", "body", DECODE},
    {"{\"eventType\":\"a\",\"payload\":{\"a\":1,}}", "body", DECODE},
    {"{\"payload\":{}}", "body.eventType", DECODE},
    {"{\"eventType\":null,\"payload\":{}}", "body.eventType", DECODE},
    {"{\"eventType\":7,\"payload\":{}}", "body.eventType", DECODE},
    {"{\"eventType\":\"\",\"payload\":{}}", "body.event_type", ""},
    {"{\"eventType\":\"a b\",\"payload\":{}}", "body.event_type", ""},
    {"{\"eventType\":\"\\u0000\",\"payload\":{}}", "body.event_type", ""},
    {"{\"eventType\":\"" NAMES_256 "a\",\"payload\":{}}", "body.event_type", ""},
    {"{\"eventType\":\"a\"}", "body.payload", DECODE},
    {"{\"eventType\":\"a\",\"payload\":null}", "body.payload", DECODE},
    {"{\"eventType\":\"a\",\"payload\":[]}", "body.payload", DECODE},
    {"{\"eventType\":\"a\",\"payload\":\"{}\"}", "body.payload", DECODE},
    {"{\"eventType\":\"a\",\"data\":1}", "body.data", DECODE},
    {WITH("\"eventId\":1"), "body.eventId", DECODE},
    {WITH("\"eventId\":\"\""), "body.event_id", ""},
    {WITH("\"eventId\":\"a/b\""), "body.event_id", ""},
    {WITH("\"eventId\":\"msg_a\""), "body.event_id", ""},
    {WITH("\"eventId\":\"" NAMES_256 "a\""), "body.event_id", ""},
    {WITH("\"channels\":\"a\""), "body.channels", DECODE},
    {WITH("\"channels\":[]"), "body.channels", ""},
    {WITH("\"channels\":[1]"), "body.channels.[0]", DECODE},
    {WITH("\"channels\":[\"a\",\"b c\"]"), "body.channels.[1]", ""},
    {WITH("\"channels\":[\"0\",\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\"]"),
     "body.channels", ""},
    {WITH("\"payloadRetentionPeriod\":\"5\""), "body.payloadRetentionPeriod", DECODE},
    {WITH("\"payloadRetentionPeriod\":1.5"), "body.payloadRetentionPeriod", DECODE},
    {WITH("\"payloadRetentionPeriod\":-1"), "body.payloadRetentionPeriod", DECODE},
    {WITH("\"payloadRetentionPeriod\":0"), "body.payload_retention_period", ""},
    {WITH("\"payloadRetentionPeriod\":91"), "body.payload_retention_period", ""},
    {WITH("\"payloadRetentionHours\":true"), "body.payloadRetentionHours", DECODE},
    {WITH("\"payloadRetentionHours\":0"), "body.payload_retention_hours", ""},
    {WITH("\"payloadRetentionHours\":2161"), "body.payload_retention_hours", ""},
    {WITH("\"payloadRetentionHours\":5,\"payloadRetentionPeriod\":5"),
     "body.payload_retention_hours", ""},
    {WITH("\"application\":\"x\""), "body.application", DECODE},
    {WITH("\"application\":{}"), "body.application.name", DECODE},
    {WITH("\"application\":{\"name\":\"n\",\"uid\":\"a b\"}"), "body.application.uid", ""},
    {WITH("\"transformationsParams\":[]"), "body.transformationsParams", DECODE},
    {WITH("\"transformationsParams\":{\"rawPayload\":{}}"), "body.transformationsParams.rawPayload",
     DECODE},
    {WITH("\"transformationsParams\":{\"rawPayload\":\"\\ud800\"}"),
     "body.transformationsParams.rawPayload", DECODE},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(refusals); index++) {
        const struct refusal *refusal = &refusals[index];
        struct reading reading;
        enum ph_error error = read_slice(&reading, slice_of(refusal->body));
        if (error != PH_INVALID || strcmp(reading.diag.field, refusal->field) != 0 ||
            strcmp(reading.diag.code, refusal->code) != 0 || reading.diag.text[0] == '\0') {
            fail_msg("%s: error %d, field %s, code %s, text %s", refusal->body, (int)error,
                     reading.diag.field, reading.diag.code, reading.diag.text);
        }
        arena_done(&reading.arena);
    }
}

/* What may just be: one step inside each of the limits above. */
static void test_limits_are_inclusive(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"eventType\":\"" NAMES_256 "\",\"payload\":{}}",
        WITH("\"eventId\":\"" NAMES_256 "\""),
        WITH("\"payloadRetentionPeriod\":1"),
        WITH("\"payloadRetentionPeriod\":90"),
        WITH("\"payloadRetentionHours\":2160"),
        WITH("\"channels\":[\"0\",\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]"),
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(bodies); index++) {
        struct reading reading;
        read_ok(&reading, bodies[index]);
        arena_done(&reading.arena);
    }
}

static void test_an_arena_at_its_cap(void **state)
{
    (void)state;
    struct reading reading;
    arena_init(&reading.arena, 64);
    assert_int_equal(message_input_read(slice_of("{\"eventType\":\"a\",\"payload\":{},"
                                                 "\"application\":{\"name\":\"n\"}}"),
                                        DEFAULT_US, &reading.arena, &reading.diag,
                                        &reading.message),
                     PH_NO_MEMORY);
    arena_done(&reading.arena);
}

/* --- what comes out ------------------------------------------------------------------------------
 */

static void test_statuses(void **state)
{
    (void)state;
    static const struct {
        struct delivery_view view;
        bool is_expanded;
        enum attempt_status status;
    } rows[] = {
        {{false, DELIVERY_PENDING, 0, ATTEMPT_SUCCESS}, false, ATTEMPT_STATUS_SUCCESS},
        {{false, DELIVERY_PENDING, 0, ATTEMPT_FAIL}, false, ATTEMPT_STATUS_FAIL},
        {{true, DELIVERY_PENDING, 9, ATTEMPT_ANY_STATUS}, false, ATTEMPT_STATUS_PENDING},
        {{true, DELIVERY_PENDING, 9, ATTEMPT_FAIL}, true, ATTEMPT_STATUS_SENDING},
        {{true, DELIVERY_SUCCEEDED, 0, ATTEMPT_FAIL}, false, ATTEMPT_STATUS_SUCCESS},
        {{true, DELIVERY_FAILED, 0, ATTEMPT_FAIL}, true, ATTEMPT_STATUS_FAIL},
        {{true, DELIVERY_CANCELLED, 0, ATTEMPT_FAIL}, false, ATTEMPT_STATUS_FAIL},
        {{true, DELIVERY_CANCELLED, 0, ATTEMPT_FAIL}, true, ATTEMPT_STATUS_CANCELED},
        {{true, DELIVERY_CANCELLED, 0, ATTEMPT_ANY_STATUS}, false, ATTEMPT_STATUS_CANCELED},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        assert_int_equal(attempt_status_of(&rows[index].view, rows[index].is_expanded),
                         rows[index].status);
    }
}

static void assert_response(struct slice response, const char *expected)
{
    BUF_AUTO struct buf text;
    buf_init(&text, 65536);
    struct json_out out;
    json_out_init(&out, &text);
    attempt_write_response(&out, response);
    assert_string_equal(buf_text(&text), expected);
}

static void test_responses(void **state)
{
    (void)state;
    assert_response(SLICE_NONE, "\"EXPUNGED\"");
    assert_response(SLICE_LITERAL(""), "\"\"");
    assert_response(SLICE_LITERAL("caf\xc3\xa9 \"ok\""), "\"caf\xc3\xa9 \\\"ok\\\"\"");
    assert_response(SLICE_LITERAL("a\0b"), "\"a\\u0000b\"");
    assert_response(SLICE_LITERAL("\0"), "\"\\u0000\"");
    assert_response(SLICE_LITERAL("\xff\xfe"), "\"//4=\"");
    assert_response(SLICE_LITERAL("abc\xc3"), "\"YWJjww==\"");
}

/* Kept to 20000 bytes, in the middle of a character. */
static void test_a_response_cut_inside_a_character(void **state)
{
    (void)state;
    char cut[20000];
    memset(cut, 'x', sizeof cut);
    memcpy(cut + sizeof cut - 3, "\xf0\x9f\x98", 3);
    BUF_AUTO struct buf text;
    buf_init(&text, 65536);
    struct json_out out;
    json_out_init(&out, &text);
    attempt_write_response(&out, (struct slice){cut, sizeof cut});
    assert_int_equal(text.len, sizeof cut - 3 + 2);
    assert_int_equal(text.data[text.len - 2], 'x');

    memcpy(cut + sizeof cut - 3, "x\xc3\xa9", 3);
    buf_clear(&text);
    json_out_init(&out, &text);
    attempt_write_response(&out, (struct slice){cut, sizeof cut});
    assert_int_equal(text.len, sizeof cut + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_least),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_the_payload_is_a_slice),
        cmocka_unit_test(test_null_is_absent),
        cmocka_unit_test(test_many_members),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_limits_are_inclusive),
        cmocka_unit_test(test_an_arena_at_its_cap),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_a_response_cut_inside_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
