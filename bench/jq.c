/* SPDX-License-Identifier: Apache-2.0 */

/* ph-jq: how many jq programs a second the server's pool runs, with workers of the real binary. */

#include "arguments.h"
#include "clock.h"
#include "histogram.h"

#include "base/buf.h"
#include "base/json_out.h"
#include "jq/event.h"
#include "jq/pool.h"

#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const char usage[] = "usage: ph-jq --posthorn FILE [options]\n"
                            "  --workers N       worker processes (1)\n"
                            "  --evaluations N   of each kind (100000)\n"
                            "  --body-bytes N    size of the payload (600)\n"
                            "  --programs N      different programs, in turn (1)\n"
                            "  --in-flight N     requests that wait or run at a time (256)\n"
                            "Runs a filter and then a transform as often. Prints one line of JSON. "
                            "Exits 1 when an evaluation "
                            "did not give its result.\n";

enum { PROGRAMS_MAX = 4000, EVENT_BYTES_MAX = 1 << 20 };

struct run {
    struct jq_pool *pool;
    struct jq_program *programs[PROGRAMS_MAX];
    size_t program_count;
    enum jq_kind kind;
    struct buf input;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t in_flight;
    uint64_t bad;
    struct histogram latency; /* added to by the pool's thread */
};

struct call {
    struct run *run;
    int64_t begun_us;
};

static void done(void *context, const struct jq_result *result)
{
    struct call *call = context;
    struct run *run = call->run;
    histogram_add(&run->latency, clock_now_us() - call->begun_us);
    pthread_mutex_lock(&run->lock);
    run->in_flight--;
    if (result->outcome != JQ_OK) {
        run->bad++;
        if (run->bad == 1) {
            fprintf(stderr, "ph-jq: %s\n", result->words);
        }
    }
    pthread_cond_signal(&run->changed);
    pthread_mutex_unlock(&run->lock);
    free(call);
}

static void submit(struct run *run, uint64_t number)
{
    struct call *call = ph_malloc(sizeof *call);
    *call = (struct call){run, clock_now_us()};
    struct jq_request request = {
        .program = run->programs[number % run->program_count],
        .kind = run->kind,
        .owner = number % 16 + 1,
        .input = slice_dup(buf_slice(&run->input)),
        .input_len = run->input.len,
        .done = done,
        .context = call,
    };
    struct diag diag;
    if (jq_pool_submit(run->pool, &request, &diag) != PH_OK) {
        fprintf(stderr, "ph-jq: %s\n", diag.text);
        exit(1);
    }
}

/* Seconds that `evaluations` take, at most `in_flight_max` at a time. */
static double run_many(struct run *run, uint64_t evaluations, uint64_t in_flight_max)
{
    int64_t begun_us = clock_now_us();
    histogram_clear(&run->latency);
    for (uint64_t number = 0; number < evaluations; number++) {
        pthread_mutex_lock(&run->lock);
        while (run->in_flight >= in_flight_max) {
            pthread_cond_wait(&run->changed, &run->lock);
        }
        run->in_flight++;
        pthread_mutex_unlock(&run->lock);
        submit(run, number);
    }
    pthread_mutex_lock(&run->lock);
    while (run->in_flight > 0) {
        pthread_cond_wait(&run->changed, &run->lock);
    }
    pthread_mutex_unlock(&run->lock);
    return (double)(clock_now_us() - begun_us) / 1e6;
}

/* The programs differ in a number that changes nothing. */
static void make_programs(struct run *run, enum jq_kind kind, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        char text[256];
        struct diag diag;
        const char *format =
            kind == JQ_FILTER ? ".type == \"job.run.completed\" and (.data.number > 5) and "
                                "(.data.state | IN(\"failed\", \"done\")) and %zu >= 0"
                              : "{body: {text: \"run \\(.data.number) \\(.data.state)\", "
                                "at: .timestamp, raw: .data, n: %zu}, headers: {\"x-run\": .id}}";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(text, sizeof text, format, index);
#pragma GCC diagnostic pop
        if (jq_program_new(slice_of(text), "program", &diag, &run->programs[index]) != PH_OK) {
            fprintf(stderr, "ph-jq: %s\n", diag.text);
            exit(1);
        }
    }
    run->kind = kind;
    run->program_count = count;
}

static void drop_programs(struct run *run)
{
    for (size_t index = 0; index < run->program_count; index++) {
        jq_program_unref(run->programs[index]);
    }
}

static void make_input(struct buf *input, size_t body_bytes)
{
    char data[256];
    BUF_AUTO struct buf payload;
    buf_init(&payload, EVENT_BYTES_MAX);
    (void)snprintf(data, sizeof data,
                   "{\"number\":12345,\"state\":\"done\",\"tags\":[\"a\",\"b\"],\"took_s\":1.25,"
                   "\"steps\":[{\"name\":\"build\",\"ok\":true},{\"name\":\"test\",\"ok\":true}],"
                   "\"text\":\"");
    buf_append_text(&payload, data);
    while (payload.len + 2 < body_bytes) {
        buf_append_byte(&payload, payload.len % 7 == 0 ? ' ' : 'x');
    }
    buf_append_text(&payload, "\"}");
    buf_init(input, (size_t)2 * EVENT_BYTES_MAX);
    jq_event_write(&(struct jq_event){.type = SLICE_LITERAL("job.run.completed"),
                                      .data = buf_slice(&payload),
                                      .id = SLICE_LITERAL("msg_2b1wZ7fGhJkLmNpQrStUvWxYz12"),
                                      .timestamp_us = INT64_C(1767607872131415)},
                   input);
}

static double cpu_s(int who)
{
    struct rusage used;
    (void)getrusage(who, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

struct settings {
    const char *posthorn;
    uint64_t workers;
    uint64_t evaluations;
    uint64_t body_bytes;
    uint64_t programs;
    uint64_t in_flight;
};

/* Members of one kind, with `prefix` before their names; the first of them is compiled before. */
static void measure(struct run *run, const struct settings *settings, const char *name)
{
    double compile_s = run_many(run, settings->programs, 1);
    double seconds = run_many(run, settings->evaluations, settings->in_flight);
    printf("\"%s_per_s\": %.0f, \"%s_p50_ms\": %.3f, \"%s_p99_ms\": %.3f, \"%s_first_ms\": %.2f, ",
           name, (double)settings->evaluations / seconds, name,
           histogram_quantile_ms(&run->latency, 0.5), name,
           histogram_quantile_ms(&run->latency, 0.99), name,
           compile_s * 1e3 / (double)settings->programs);
}

static int run_all(const struct settings *settings)
{
    static struct run run = {.lock = PTHREAD_MUTEX_INITIALIZER,
                             .changed = PTHREAD_COND_INITIALIZER};
    const struct jq_pool_options options = {.workers = (unsigned)settings->workers,
                                            .executable = settings->posthorn};
    int64_t begun_us = clock_now_us();
    make_input(&run.input, settings->body_bytes);
    run.pool = jq_pool_new(&options);
    printf("{\"scenario\": \"jq\", \"workers\": %" PRIu64 ", \"evaluations\": %" PRIu64
           ", \"programs\": %" PRIu64 ", \"input_bytes\": %zu, ",
           settings->workers, 2 * settings->evaluations, settings->programs, run.input.len);
    make_programs(&run, JQ_FILTER, settings->programs);
    measure(&run, settings, "filter");
    drop_programs(&run);
    make_programs(&run, JQ_TRANSFORM, settings->programs);
    measure(&run, settings, "transform");
    drop_programs(&run);
    jq_pool_free(run.pool); /* so that the workers' time is known */
    double seconds = (double)(clock_now_us() - begun_us) / 1e6;
    double both_s = cpu_s(RUSAGE_SELF) + cpu_s(RUSAGE_CHILDREN);
    struct rusage children;
    (void)getrusage(RUSAGE_CHILDREN, &children);
    printf("\"seconds\": %.3f, \"cpu_s\": %.3f, \"worker_cpu_s\": %.3f, \"worker_rss_mb\": %.1f, "
           "\"per_core_s\": %.0f, \"bad\": %" PRIu64 "}\n",
           seconds, cpu_s(RUSAGE_SELF), cpu_s(RUSAGE_CHILDREN), (double)children.ru_maxrss / 1024,
           2 * (double)settings->evaluations / both_s, run.bad);
    buf_done(&run.input);
    return run.bad == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"posthorn", required_argument, NULL, 'x'},
        {"workers", required_argument, NULL, 'w'},
        {"evaluations", required_argument, NULL, 'e'},
        {"body-bytes", required_argument, NULL, 'b'},
        {"programs", required_argument, NULL, 'p'},
        {"in-flight", required_argument, NULL, 'i'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct settings settings = {NULL, 1, 100000, 600, 1, 256};
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (option) {
        case 'x':
            settings.posthorn = optarg;
            break;
        case 'w':
            settings.workers = arguments_number("workers", optarg, 1, JQ_WORKERS_MAX);
            break;
        case 'e':
            settings.evaluations = arguments_number("evaluations", optarg, 1, 1000000000);
            break;
        case 'b':
            settings.body_bytes = arguments_number("body-bytes", optarg, 200, EVENT_BYTES_MAX / 2);
            break;
        case 'p':
            settings.programs = arguments_number("programs", optarg, 1, PROGRAMS_MAX);
            break;
        case 'i':
            settings.in_flight = arguments_number("in-flight", optarg, 1, 4000);
            break;
        case 'h':
            printf("%s", usage);
            return 0;
        default:
            fprintf(stderr, "%s", usage);
            return 2;
        }
    }
    if (settings.posthorn == NULL || optind != argc) {
        fprintf(stderr, "%s", usage);
        return 2;
    }
    return run_all(&settings);
}
