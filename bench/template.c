/* SPDX-License-Identifier: Apache-2.0 */
#include "template.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The changing parts. While the request is built, each is a run of its own control character, as
 * long as it will be; text of JSON or HTTP holds no such character.
 */
enum field {
    FIELD_SENT = 1,
    FIELD_SEQUENCE,
    FIELD_APPLICATION,
    FIELD_ENDPOINT,
    FIELD_KEY,
    FIELD_COUNT
};

#define SENT "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"
#define SEQUENCE "\2\2\2\2\2\2\2\2\2\2\2\2\2\2"
#define APPLICATION "\3\3\3\3\3\3\3\3"
#define ENDPOINT "\4\4\4\4\4\4\4\4"
#define KEY "\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5"

static const size_t field_bytes[FIELD_COUNT] = {[FIELD_SENT] = sizeof SENT - 1,
                                                [FIELD_SEQUENCE] = sizeof SEQUENCE - 1,
                                                [FIELD_APPLICATION] = sizeof APPLICATION - 1,
                                                [FIELD_ENDPOINT] = sizeof ENDPOINT - 1,
                                                [FIELD_KEY] = sizeof KEY - 1};

/* Writes the payload: a run event of dbt Cloud with the time of sending in front. `run` tells the
   ids of this process from those of another. */
static void write_payload(FILE *out, uint32_t run, size_t padding)
{
    fprintf(out,
            "{\"sent_us\":" SENT ",\"accountId\":70471823,"
            "\"eventId\":\"wev_bench%08" PRIx32 SEQUENCE "\",",
            run);
    fputs("\"webhookId\":\"wsu_12345abcde\",\"webhookName\":\"Nightly runs\","
          "\"eventType\":\"job.run.completed\",\"timestamp\":\"2026-01-31T19:28:07Z\","
          "\"data\":{\"jobId\":\"123\",\"jobName\":\"Daily Job (dbt build)\",\"runId\":\"1234500\","
          "\"environmentId\":\"1234\",\"environmentName\":\"Production\",\"dbtVersion\":\"1.8.0\","
          "\"projectName\":\"Warehouse\",\"projectId\":\"167194\",\"runStatus\":\"Success\","
          "\"runStatusCode\":10,\"runReason\":\"Kicked off by the scheduler\","
          "\"runStartedAt\":\"2026-01-31T19:20:44Z\",\"runFinishedAt\":\"2026-01-31T19:28:07Z\","
          "\"runStatusMessage\":\"",
          out);
    for (size_t i = 0; i < padding; i++) {
        fputc('a' + (int)(i % 26), out);
    }
    fputs("\"}}", out);
}

static void write_channel(FILE *out, const struct template_options *options)
{
    if (options->has_channel) {
        fputs(",\"channels\":[\"c" ENDPOINT "\"]", out);
    }
}

/* MessageIn up to its payload. */
static void write_message_head(FILE *out, const struct template_options *options)
{
    fprintf(out, "{\"eventType\":\"%s\"", options->event_type);
    write_channel(out, options);
    fputs(",\"payload\":", out);
}

static void write_batch(FILE *out, const struct template_options *options, uint32_t run,
                        size_t padding, size_t *ret_payload_bytes)
{
    fputs("{\"messages\":[", out);
    for (size_t i = 0; i < options->batch; i++) {
        fputs(i == 0 ? "" : ",", out);
        write_message_head(out, options);
        const long before = ftell(out);
        write_payload(out, run, padding);
        *ret_payload_bytes = (size_t)(ftell(out) - before);
        fputc('}', out);
    }
    fputs("]}", out);
}

static void write_body(FILE *out, const struct template_options *options, uint32_t run,
                       size_t padding, size_t *ret_payload_bytes)
{
    switch (options->kind) {
    case TEMPLATE_APPLICATION:
        fprintf(out, "{\"name\":\"benchmark\",\"uid\":\"%s-" APPLICATION "\"}", options->uid);
        return;
    case TEMPLATE_ENDPOINT:
        fprintf(out, "{\"url\":\"%s/hook/" ENDPOINT "\"", options->receiver);
        if (options->endpoint_secret != NULL) {
            fprintf(out, ",\"secret\":\"%s\"", options->endpoint_secret);
        }
        write_channel(out, options);
        fputc('}', out);
        return;
    case TEMPLATE_USER:
        fprintf(out, "{\"user_name\":\"%s-" SEQUENCE "\",", options->uid);
        fprintf(out, "\"email\":\"%s-" SEQUENCE "@example.org\"}", options->uid);
        return;
    case TEMPLATE_MESSAGE:
        if (options->batch > 0) {
            write_batch(out, options, run, padding, ret_payload_bytes);
            return;
        }
        write_message_head(out, options);
        break;
    case TEMPLATE_PAYLOAD:
        break;
    }
    const long before = ftell(out);
    write_payload(out, run, padding);
    *ret_payload_bytes = (size_t)(ftell(out) - before);
    if (options->kind == TEMPLATE_MESSAGE) {
        fputc('}', out);
    }
}

static void write_path(FILE *out, const struct template_options *options)
{
    fputs(options->base, out);
    if (options->path != NULL) {
        fputs(options->path, out);
        return;
    }
    switch (options->kind) {
    case TEMPLATE_APPLICATION:
        fputs("/api/v1/app", out);
        return;
    case TEMPLATE_ENDPOINT:
        fprintf(out, "/api/v1/app/%s-" APPLICATION "/endpoint", options->uid);
        return;
    case TEMPLATE_USER:
        fputs("/magpie/users", out);
        return;
    case TEMPLATE_MESSAGE:
        fprintf(out, "/api/v1/app/%s-" APPLICATION "/msg%s?with_content=false", options->uid,
                options->batch > 0 ? "/batch" : "");
        return;
    case TEMPLATE_PAYLOAD:
        fputs("/hook/0", out);
        return;
    }
}

static void write_request(FILE *out, const struct template_options *options, uint32_t run,
                          const char *body, size_t body_bytes)
{
    fputs("POST ", out);
    write_path(out, options);
    fprintf(out,
            " HTTP/1.1\r\nHost: %s\r\nUser-Agent: ph-load\r\nContent-Type: application/json\r\n",
            options->host);
    if (options->token != NULL) {
        fprintf(out, "Authorization: Bearer %s\r\n", options->token);
    }
    if (options->has_idempotency_key) {
        fputs("idempotency-key: auto_" KEY "\r\n", out);
    }
    if (options->kind == TEMPLATE_PAYLOAD) {
        fprintf(out, "webhook-id: msg_bench%08" PRIx32 SEQUENCE "\r\n", run);
    }
    fprintf(out, "Content-Length: %zu\r\n\r\n", body_bytes);
    fwrite(body, 1, body_bytes, out);
}

/* Finds the runs of marks; false when out of memory. */
static bool find_places(struct template *request)
{
    /* Two for each message, and up to five around them. */
    const size_t places_max = 2 * request->events + 5;
    request->place = calloc(places_max, sizeof *request->place);
    if (request->place == NULL) {
        return false;
    }
    for (size_t at = 0; at < request->bytes;) {
        const int field = (unsigned char)request->data[at];
        if (field == 0 || field >= FIELD_COUNT) {
            at++;
            continue;
        }
        if (request->places == places_max) {
            abort(); /* the texts above have more of them than they should */
        }
        request->place[request->places++] = (struct template_place){.at = at, .field = field};
        at += field_bytes[field];
    }
    return true;
}

/* The body text; NULL when out of memory. */
static char *make_body(const struct template_options *options, uint32_t run, size_t padding,
                       size_t *ret_body_bytes, size_t *ret_payload_bytes)
{
    char *body = NULL;
    FILE *out = open_memstream(&body, ret_body_bytes);
    if (out == NULL) {
        return NULL;
    }
    *ret_payload_bytes = options->payload_bytes; /* a body without one needs no padding */
    write_body(out, options, run, padding, ret_payload_bytes);
    if (fclose(out) != 0) {
        free(body);
        return NULL;
    }
    return body;
}

bool template_init(struct template *request, const struct template_options *options)
{
    size_t body_bytes = 0;
    struct random_source random;
    random_init(&random);
    const uint32_t run = (uint32_t)random_next(&random);
    *request = (struct template){.applications = options->applications,
                                 .endpoints = options->endpoints,
                                 .events = options->batch == 0 ? 1 : options->batch};
    char *body = make_body(options, run, 0, &body_bytes, &request->payload_bytes);
    if (body != NULL && request->payload_bytes < options->payload_bytes) {
        free(body);
        body = make_body(options, run, options->payload_bytes - request->payload_bytes, &body_bytes,
                         &request->payload_bytes);
    }
    FILE *out = body == NULL ? NULL : open_memstream(&request->data, &request->bytes);
    if (out == NULL) {
        free(body);
        return false;
    }
    write_request(out, options, run, body, body_bytes);
    free(body);
    if (fclose(out) != 0 || !find_places(request)) {
        template_done(request);
        return false;
    }
    return true;
}

void template_done(struct template *request)
{
    free(request->data);
    free(request->place);
    *request = (struct template){0};
}

/* Writes `value` right-aligned; what lies left of it becomes `pad`. */
static void put_decimal(char *text, size_t digits, uint64_t value, char pad)
{
    size_t at = digits;
    do {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0 && at > 0);
    memset(text, pad, at);
}

void template_fill(const struct template *request, char *data, uint64_t number, int64_t sent_us,
                   struct random_source *random)
{
    const uint64_t endpoint = request->endpoints == 0 ? number : number % request->endpoints;
    uint64_t sequence = number * request->events;
    for (size_t i = 0; i < request->places; i++) {
        const enum field field = (enum field)request->place[i].field;
        char *text = data + request->place[i].at;
        switch (field) {
        case FIELD_SENT: /* JSON has no leading zeros but allows blanks before a number */
            put_decimal(text, field_bytes[field], (uint64_t)sent_us, ' ');
            break;
        case FIELD_SEQUENCE:
            put_decimal(text, field_bytes[field], sequence, '0');
            sequence += request->events > 1; /* elsewhere it may come twice for one event */
            break;
        case FIELD_APPLICATION:
            put_decimal(text, field_bytes[field], endpoint % request->applications, '0');
            break;
        case FIELD_ENDPOINT:
            put_decimal(text, field_bytes[field], endpoint, '0');
            break;
        case FIELD_KEY:
            random_uuid(random, text);
            break;
        case FIELD_COUNT:
            break;
        }
    }
}
