/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Concurrency: the demo's thread sends; `lock` guards `is_stopping`. Printing of deliveries happens
 * on the receiver's thread.
 */
#include "app/demo.h"

#include <jansson.h>
#include <pthread.h>
#include <unistd.h>

#include "app/client.h"
#include "app/command.h"
#include "app/inspect.h"
#include "base/clock.h"
#include "store/application.h"

#define TEXT_MAX 65536
#define TOKEN_TEXT_MAX 4096
#define FIRST_EVENTS 5
#define EVENT_INTERVAL_S 5

struct demo {
    char *url;
    struct buf token;
    struct inspector *receiver;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_stopping;
};

static void set_default(struct options *options, enum option_id id, const char *value)
{
    struct diag diag;
    if (!option_is_set(options, id) &&
        options_set(options, OPTION_FROM_FLAG, "--demo", slice_of(option_row(id)->key),
                    slice_of(value), &diag) != PH_OK) {
        command_complain("%s", diag.text);
    }
}

static void set_defaults(struct options *options)
{
    set_default(options, OPTION_ALLOW_SUBNETS, "127.0.0.0/8");
    set_default(options, OPTION_RETRY_SCHEDULE, "1,5,15");
    set_default(options, OPTION_LOG_LEVEL, "warn");
}

void demo_prepare_again(struct options *options, const char *data)
{
    set_defaults(options);
    set_default(options, OPTION_DATA, data);
}

char *demo_prepare(struct options *options)
{
    set_defaults(options);
    if (option_is_set(options, OPTION_DATA)) {
        return NULL;
    }
    char folder[] = "/tmp/posthorn-demo-XXXXXX";
    if (mkdtemp(folder) == NULL) {
        command_complain("cannot make a folder in /tmp for the demo");
        return NULL;
    }
    set_default(options, OPTION_DATA, folder);
    return ph_strdup(folder);
}

/* One call; the answer as JSON (NULL without one). Says what went wrong. */
static json_t *call(struct demo *demo, const char *method, const char *path, const char *body)
{
    BUF_AUTO struct buf url;
    BUF_AUTO struct buf answer;
    buf_init(&url, TEXT_MAX);
    buf_init(&answer, TEXT_MAX);
    buf_append_format(&url, "%s%s", demo->url, path);
    const struct client_request request = {
        .method = method,
        .url = buf_text(&url),
        .token = buf_text(&demo->token),
        .is_local = true,
        .body = slice_of(body),
    };
    struct diag diag;
    long status = 0;
    if (client_call(&request, &answer, &diag, &status) != PH_OK) {
        command_complain("demo: %s", diag.text);
        return NULL;
    }
    if (status >= 300 && status != 409) {
        command_complain("demo: %s %s answered %ld: %s", method, path, status, buf_text(&answer));
    }
    return json_loads(buf_text(&answer), 0, NULL);
}

static void make_event_types(struct demo *demo)
{
    static const char *const bodies[] = {
        "{\"name\":\"job.run.started\",\"description\":\"A run has started\"}",
        "{\"name\":\"job.run.completed\",\"description\":\"A run has succeeded\"}",
        "{\"name\":\"job.run.errored\",\"description\":\"A run has failed\"}",
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(bodies); index++) {
        json_decref(call(demo, "POST", "/api/v1/event-type", bodies[index]));
    }
}

static void make_endpoint(struct demo *demo, const char *name, const char *event_types)
{
    BUF_AUTO struct buf body;
    buf_init(&body, TEXT_MAX);
    buf_append_format(&body, "{\"uid\":\"%s\",\"url\":\"http://%s/hook/%s\"%s}", name,
                      inspector_address(demo->receiver), name, event_types);
    json_decref(call(demo, "POST", "/api/v1/app/demo/endpoint", buf_text(&body)));
    buf_clear(&body);
    buf_append_format(&body, "/api/v1/app/demo/endpoint/%s/secret", name);
    json_t *answer = call(demo, "GET", buf_text(&body), NULL);
    const char *key = json_string_value(json_object_get(answer, "key"));
    struct diag diag;
    if (key != NULL && inspector_add_key(demo->receiver, slice_of(key), &diag) != PH_OK) {
        command_complain("demo: %s", diag.text);
    }
    json_decref(answer);
}

static void send_event(struct demo *demo, unsigned number)
{
    static const char *const types[] = {"job.run.started", "job.run.completed", "job.run.started",
                                        "job.run.errored"};
    static const char *const statuses[] = {"Running", "Success", "Running", "Errored"};
    static const int codes[] = {3, 10, 3, 20};
    unsigned kind = number % PH_ARRAY_LENGTH(types);
    char now[CLOCK_TEXT_MAX];
    clock_format(clock_wall_us(), now);
    BUF_AUTO struct buf body;
    buf_init(&body, TEXT_MAX);
    buf_append_format(
        &body,
        "{\"eventType\":\"%s\",\"payload\":{\"accountId\":1,\"eventType\":\"%s\","
        "\"timestamp\":\"%s\",\"data\":{\"jobId\":\"123\",\"jobName\":\"Daily Job (dbt build)\","
        "\"runId\":\"%u\",\"environmentId\":\"1\",\"environmentName\":\"Production\","
        "\"dbtVersion\":\"1.0.0\",\"projectName\":\"Sample Project\",\"projectId\":\"1\","
        "\"runStatus\":\"%s\",\"runStatusCode\":%d,\"runStatusMessage\":null,"
        "\"runReason\":\"Kicked off from the demo\",\"runStartedAt\":\"%s\"}}}",
        types[kind], types[kind], now, 100 + number / 2, statuses[kind], codes[kind], now);
    json_decref(call(demo, "POST", "/api/v1/app/demo/msg", buf_text(&body)));
}

static void set_up(struct demo *demo)
{
    make_event_types(demo);
    json_decref(call(demo, "POST", "/api/v1/app?get_if_exists=true",
                     "{\"name\":\"Demo\",\"uid\":\"demo\"}"));
    make_endpoint(demo, "everything", "");
    make_endpoint(demo, "failures", ",\"eventTypes\":[\"job.run.errored\"]");
    (void)printf("demo: application `demo`, endpoints `everything` and `failures` "
                 "(job.run.errored only), receiver http://%s/hook/…\n"
                 "demo: token %s\n"
                 "demo: try  curl -H 'Authorization: Bearer TOKEN' %s/api/v1/app/demo/msg\n",
                 inspector_address(demo->receiver), buf_text(&demo->token), demo->url);
    (void)fflush(stdout);
}

/* Waits between events; false when the demo stops. */
static bool pause_for(struct demo *demo, int64_t seconds)
{
    struct timespec until = clock_deadline(seconds * CLOCK_US_PER_S);
    (void)pthread_mutex_lock(&demo->lock);
    int waited = 0;
    while (!demo->is_stopping && waited == 0) {
        waited = pthread_cond_timedwait(&demo->changed, &demo->lock, &until);
    }
    bool goes_on = !demo->is_stopping;
    (void)pthread_mutex_unlock(&demo->lock);
    return goes_on;
}

static void *demo_main(void *argument)
{
    struct demo *demo = argument;
    set_up(demo);
    unsigned number = 0;
    while (number < FIRST_EVENTS) {
        send_event(demo, number++);
    }
    while (pause_for(demo, EVENT_INTERVAL_S)) {
        send_event(demo, number++);
    }
    return NULL;
}

struct demo *demo_start(const struct options *options, const char *server_url)
{
    struct demo *demo = ph_calloc(1, sizeof *demo);
    struct diag diag;
    SECRET_AUTO struct secret secret = SECRET_NONE;
    buf_init(&demo->token, TOKEN_TEXT_MAX);
    const struct inspector_options receiver = {.address = "127.0.0.1:0", .status = 204};
    enum ph_error error = data_jwt_secret(options, &diag, &secret);
    if (error == PH_OK) {
        error = inspector_start(&receiver, &diag, &demo->receiver);
    }
    if (error != PH_OK) {
        command_complain("demo: %s", diag.text);
        buf_done(&demo->token);
        free(demo);
        return NULL;
    }
    int64_t now_us = clock_wall_us();
    token_append(&secret, DEFAULT_ORGANISATION, NULL, now_us,
                 now_us + INT64_C(86400) * CLOCK_US_PER_S, &demo->token);
    demo->url = ph_strdup(server_url);
    (void)pthread_mutex_init(&demo->lock, NULL);
    clock_cond_init(&demo->changed);
    PH_ASSERT(pthread_create(&demo->thread, NULL, demo_main, demo) == 0);
    return demo;
}

void demo_stop(struct demo *demo)
{
    if (demo == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&demo->lock);
    demo->is_stopping = true;
    (void)pthread_cond_broadcast(&demo->changed);
    (void)pthread_mutex_unlock(&demo->lock);
    (void)pthread_join(demo->thread, NULL);
    inspector_stop(demo->receiver);
    buf_done(&demo->token);
    free(demo->url);
    free(demo);
}
