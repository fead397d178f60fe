/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bodies of run events, byte for byte, against tests/golden/dbt: with both names of the
 * webhook's id, and with each alone. POSTHORN_GOLDEN_WRITE=1 writes the files anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "core/hex.h"
#include "core/signature.h"
#include "surfaces/dbt/dbt_int.h"
#include "surfaces/dbt/event.h"
#include "surfaces/dbt/format.h"

#ifndef PH_GOLDEN
#define PH_GOLDEN "tests/golden"
#endif

static const struct id_codec codec = {.key = {1, 2, 3, 4, 5, 6, 7, 8}};
static const struct dbt_settings settings = {0};

#define STARTED_US INT64_C(1700000000000000)

static struct dbt_run_facts facts(enum dbt_run_status status)
{
    return (struct dbt_run_facts){
        .account = 900,
        .job_id = 41,
        .run_id = 218726483,
        .environment_id = 72,
        .project_id = 6,
        .job_name = SLICE_LITERAL("Daily \"models\" \xc3\xbc"),
        .environment_name = SLICE_LITERAL("production"),
        .project_name = SLICE_LITERAL("Acme"),
        .dbt_version = SLICE_LITERAL("1.9.2"),
        .status_message =
            status == DBT_RUN_ERROR ? SLICE_LITERAL("dbt command failed") : SLICE_NONE,
        .reason = SLICE_LITERAL("Kicked off from CLI by a@b.example"),
        .status = status,
        .started_at_us = STARTED_US,
        .finished_at_us = status == DBT_RUN_RUNNING ? 0 : STARTED_US + 61 * CLOCK_US_PER_S,
        .details = SLICE_LITERAL("{\"href\":\"https://x.example/1\"}"),
    };
}

static void write_data(enum dbt_event_type type, const struct dbt_run_facts *run, struct buf *text)
{
    struct json_out out;
    json_out_init(&out, text);
    dbt_event_write_data(type, run, &settings, &out);
    json_out_end_document(&out);
}

/* The body that an endpoint with this configuration gets. */
static void write_body(enum dbt_event_type type, enum dbt_run_status status, const char *config,
                       struct buf *body)
{
    const struct dbt_run_facts run = facts(status);
    BUF_AUTO struct buf data;
    BUF_AUTO struct buf payload;
    ARENA_AUTO struct arena arena;
    struct diag diag = {0};
    buf_init(&data, 65536);
    buf_init(&payload, 65536);
    arena_init(&arena, 65536);
    write_data(type, &run, &data);
    buf_append_format(
        &payload,
        "{\"accountId\":%lld,\"eventId\":\"wev_x\",\"timestamp\":\"x\","
        "\"eventType\":\"%s\",\"data\":%s,\"run\":{\"href\":\"https://x.example/1\"}}",
        (long long)run.account, dbt_event_type_name(type), buf_text(&data));
    const struct format_event event = {
        .codec = &codec,
        .message_id = id_floor(STARTED_US + 5 * CLOCK_US_PER_S) | 7,
        .endpoint_id = id_floor(STARTED_US - CLOCK_US_PER_S) | 3,
        .event_type = slice_of(dbt_event_type_name(type)),
        .payload = buf_slice(&payload),
        .config = slice_of(config),
    };
    enum ph_error error = dbt_format_write(&event, &arena, &diag, body);
    if (error != PH_OK) {
        print_error("%s\n", diag.text);
    }
    assert_int_equal(error, PH_OK);
}

static void compare(const char *name, struct slice body)
{
    char path[256];
    char content[65536];
    (void)snprintf(path, sizeof path, "%s/dbt/%s.json", PH_GOLDEN, name);
    if (getenv("POSTHORN_GOLDEN_WRITE") != NULL) {
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(body.ptr, 1, body.len, file), body.len);
        assert_int_equal(fclose(file), 0);
    }
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t length = fread(content, 1, sizeof content - 1, file);
    (void)fclose(file);
    content[length] = '\0';
    PH_AUTO_FREE char *text = slice_dup(body);
    assert_string_equal(text, content);
}

#define BOTH "{\"name\":\"orders\",\"idKey\":\"both\"}"

static void test_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum dbt_event_type type;
        enum dbt_run_status status;
        const char *config;
    } rows[] = {
        {"started", DBT_EVENT_STARTED, DBT_RUN_RUNNING, BOTH},
        {"completed", DBT_EVENT_COMPLETED, DBT_RUN_SUCCESS, BOTH},
        {"errored", DBT_EVENT_ERRORED, DBT_RUN_ERROR, BOTH},
        {"completed_after_error", DBT_EVENT_COMPLETED, DBT_RUN_ERROR, BOTH},
        {"canceled", DBT_EVENT_CANCELED, DBT_RUN_CANCELLED, BOTH},
        {"started_webhooks_id", DBT_EVENT_STARTED, DBT_RUN_RUNNING,
         "{\"name\":\"orders\",\"idKey\":\"webhooksID\"}"},
        {"completed_webhook_id", DBT_EVENT_COMPLETED, DBT_RUN_SUCCESS,
         "{\"name\":\"orders\",\"idKey\":\"webhookId\"}"},
        {"completed_enriched", DBT_EVENT_COMPLETED, DBT_RUN_SUCCESS,
         "{\"name\":\"orders\",\"idKey\":\"both\",\"enrich\":true}"},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        BUF_AUTO struct buf body;
        BUF_AUTO struct buf again;
        buf_init(&body, 65536);
        buf_init(&again, 65536);
        write_body(rows[index].type, rows[index].status, rows[index].config, &body);
        write_body(rows[index].type, rows[index].status, rows[index].config, &again);
        assert_true(slice_equal(buf_slice(&body), buf_slice(&again)));
        compare(rows[index].name, buf_slice(&body));
    }
}

static void test_what_is_unknown_is_empty(void **state)
{
    (void)state;
    const struct dbt_run_facts run = {.account = 1, .status = DBT_RUN_ERROR};
    BUF_AUTO struct buf text;
    buf_init(&text, 65536);
    write_data(DBT_EVENT_ERRORED, &run, &text);
    assert_string_equal(
        buf_text(&text),
        "{\"jobId\":\"0\",\"jobName\":\"\",\"runId\":\"0\",\"environmentId\":\"0\","
        "\"environmentName\":\"\",\"dbtVersion\":\"\",\"projectName\":\"\",\"projectId\":\"0\","
        "\"runStatus\":\"Errored\",\"runStatusCode\":20,\"runStatusMessage\":\"None\","
        "\"runReason\":\"\",\"runStartedAt\":\"\",\"runErroredAt\":\"\"}");
}

static void test_what_is_no_run_event_is_not_sent(void **state)
{
    (void)state;
    static const struct {
        const char *payload;
        const char *config;
        enum ph_error error;
    } rows[] = {
        {"{\"accountId\":1}", BOTH, PH_INVALID},
        {"{\"data\":{}}", BOTH, PH_INVALID},
        {"[]", BOTH, PH_INVALID},
        {"{\"accountId\":1,\"data\":{}}", "{}", PH_STORE},
        {"{\"accountId\":1,\"data\":{}}", "nonsense", PH_STORE},
        {"{\"accountId\":1,\"data\":{}}", NULL, PH_STORE},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        BUF_AUTO struct buf body;
        ARENA_AUTO struct arena arena;
        struct diag diag = {0};
        buf_init(&body, 65536);
        arena_init(&arena, 65536);
        const struct format_event event = {.codec = &codec,
                                           .message_id = 1,
                                           .endpoint_id = 1,
                                           .event_type = SLICE_LITERAL("job.run.started"),
                                           .payload = slice_of(rows[index].payload),
                                           .config = slice_of(rows[index].config)};
        assert_int_equal(dbt_format_write(&event, &arena, &diag, &body), rows[index].error);
        assert_true(diag.text[0] != '\0');
    }
}

/* The vectors of the specification: the key is the text's bytes, no scheme, lower-case hex. */
static void test_signature_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *signature;
    } rows[] = {
        {"{\"accountId\":7,\"webhooksID\":\"wsu_demo\",\"eventId\":\"wev_demo\","
         "\"eventType\":\"job.run.started\",\"data\":{\"jobId\":\"11\",\"runStatusCode\":3}}",
         "e99425691d7b2409e03611ca32126185b0358594cc797c44cc7d7286756a094f"},
        {"", "2093b628443ad5929529ad1ea8fdc4e4610e8667c660429a11990ca9c3209a9e"},
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(rows); index++) {
        uint8_t mac[32];
        BUF_AUTO struct buf text;
        buf_init(&text, 128);
        signature_hmac(256, SLICE_LITERAL("demo-secret-1"), slice_of(rows[index].body), mac);
        hex_append(&text, mac, sizeof mac);
        assert_string_equal(buf_text(&text), rows[index].signature);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_what_is_unknown_is_empty),
        cmocka_unit_test(test_what_is_no_run_event_is_not_sent),
        cmocka_unit_test(test_signature_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
