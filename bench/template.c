/* SPDX-License-Identifier: Apache-2.0 */
#include "template.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SENT_DIGITS = 16, SEQUENCE_DIGITS = 14 };

static const char sent_blank[] = "               0";
static const char sequence_blank[] = "00000000000000";

/* Writes the payload: a run event of dbt Cloud with the time of sending in front. `run` tells the
   ids of this process from those of another. */
static void write_payload(FILE *out, uint32_t run, size_t padding)
{
    fprintf(out, "{\"sent_us\":%s,\"accountId\":70471823,", sent_blank);
    fprintf(out, "\"eventId\":\"wev_bench%08" PRIx32 "%s\",", run, sequence_blank);
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

static void write_request(FILE *out, const struct template_options *options, uint32_t run,
                          const char *body, size_t body_bytes)
{
    fprintf(out,
            "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: ph-load\r\n"
            "Content-Type: application/json\r\n",
            options->target, options->host);
    if (options->token != NULL) {
        fprintf(out, "Authorization: Bearer %s\r\n", options->token);
    }
    if (options->has_idempotency_key) {
        fputs("idempotency-key: auto_00000000-0000-0000-0000-000000000000\r\n", out);
    }
    if (options->event_type == NULL) {
        fprintf(out, "webhook-id: msg_bench%08" PRIx32 "%s\r\n", run, sequence_blank);
    }
    fprintf(out, "Content-Length: %zu\r\n\r\n", body_bytes);
    fwrite(body, 1, body_bytes, out);
}

/* The place right behind the first `mark`, or 0. */
static size_t place_after(const struct template *request, const char *mark, size_t skip)
{
    const char *found = memmem(request->data, request->bytes, mark, strlen(mark));
    return found == NULL ? 0 : (size_t)(found - request->data) + strlen(mark) + skip;
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
    if (options->event_type != NULL) {
        fprintf(out, "{\"eventType\":\"%s\",\"payload\":", options->event_type);
    }
    const long before = ftell(out);
    write_payload(out, run, padding);
    *ret_payload_bytes = (size_t)(ftell(out) - before);
    if (options->event_type != NULL) {
        fputc('}', out);
    }
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
    *request = (struct template){0};
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
    if (fclose(out) != 0) {
        template_done(request);
        return false;
    }
    request->sent_at = place_after(request, "\"sent_us\":", 0);
    request->event_at = place_after(request, "\"eventId\":\"wev_bench", 8);
    if (options->event_type == NULL) {
        request->id_at = place_after(request, "webhook-id: msg_bench", 8);
    }
    if (options->has_idempotency_key) {
        request->key_at = place_after(request, "idempotency-key: auto_", 0);
    }
    return true;
}

void template_done(struct template *request)
{
    free(request->data);
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

void template_fill(const struct template *request, char *data, uint64_t sequence, int64_t sent_us,
                   struct random_source *random)
{
    /* JSON has no leading zeros but allows blanks before a number. */
    put_decimal(data + request->sent_at, SENT_DIGITS, (uint64_t)sent_us, ' ');
    put_decimal(data + request->event_at, SEQUENCE_DIGITS, sequence, '0');
    if (request->id_at != 0) {
        put_decimal(data + request->id_at, SEQUENCE_DIGITS, sequence, '0');
    }
    if (request->key_at != 0) {
        random_uuid(random, data + request->key_at);
    }
}
