/* SPDX-License-Identifier: Apache-2.0 */

/* ph-load: a load generator for servers that speak the Svix API, and for bare receivers. */

#include "arguments.h"
#include "generate.h"
#include "net.h"
#include "setup.h"
#include "template.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: ph-load --url BASE [options]\n"
    "  --token T             bearer token (not with --raw)\n"
    "  --app ID              load this application instead of making one\n"
    "  --setup-endpoints N   make N endpoints first (0)\n"
    "  --make KIND           make applications, endpoints, or users of the magpie surface "
    "(--events),\n"
    "                        with as many connections; no events\n"
    "  --uid TEXT            load applications TEXT-0, TEXT-1, ... that --make has made\n"
    "  --applications N      their number (1)\n"
    "  --endpoints N         number of endpoints in all of them together; events visit them in "
    "turn\n"
    "  --channels            each endpoint has a channel of its own and each event goes to one\n"
    "  --receiver URL        base URL of those endpoints: URL/hook/0, URL/hook/1, ...\n"
    "  --endpoint-secret S   whsec_ secret for all of them (the server chooses)\n"
    "  --event-type NAME     (job.run.completed)\n"
    "  --connections N       keep-alive connections, one request each at a time (64)\n"
    "  --events N            events to send (10000, or no limit when --seconds is given)\n"
    "  --seconds N           send no new event after N seconds\n"
    "  --rate N              events per second in all (as fast as answered)\n"
    "  --path P              post to this path instead\n"
    "  --body-bytes N        size of the payload (600)\n"
    "  --batch N             N events in each request\n"
    "  --idempotency         send an idempotency-key: auto_<uuid> with each event\n"
    "  --raw                 post the payload straight to a receiver\n"
    "  --stall-s N           give up when nothing was answered for N seconds (30)\n"
    "Prints one line of JSON. Exits 0 when every event was accepted, 1 when not.\n";

/* A number has eight digits in the requests. */
enum { NUMBERED_MAX = 99999999 };

struct arguments {
    const char *url;
    const char *make;
    const char *uid;
    uint64_t applications;
    uint64_t all_endpoints;
    const char *token;
    const char *app;
    const char *receiver;
    const char *endpoint_secret;
    const char *event_type;
    const char *path;
    size_t endpoints;
    size_t body_bytes;
    size_t batch;
    uint64_t events;
    enum template_kind kind;
    bool is_raw;
    bool has_idempotency;
    bool has_channels;
    struct generate_options load;
};

enum option_id {
    OPTION_URL = 1,
    OPTION_TOKEN,
    OPTION_APP,
    OPTION_SETUP_ENDPOINTS,
    OPTION_MAKE,
    OPTION_UID,
    OPTION_APPLICATIONS,
    OPTION_ENDPOINTS,
    OPTION_CHANNELS,
    OPTION_RECEIVER,
    OPTION_ENDPOINT_SECRET,
    OPTION_EVENT_TYPE,
    OPTION_CONNECTIONS,
    OPTION_EVENTS,
    OPTION_SECONDS,
    OPTION_RATE,
    OPTION_PATH,
    OPTION_BODY_BYTES,
    OPTION_BATCH,
    OPTION_IDEMPOTENCY,
    OPTION_RAW,
    OPTION_STALL_S,
    OPTION_HELP
};

static const struct option long_options[] = {
    {"url", required_argument, NULL, OPTION_URL},
    {"token", required_argument, NULL, OPTION_TOKEN},
    {"app", required_argument, NULL, OPTION_APP},
    {"setup-endpoints", required_argument, NULL, OPTION_SETUP_ENDPOINTS},
    {"make", required_argument, NULL, OPTION_MAKE},
    {"uid", required_argument, NULL, OPTION_UID},
    {"applications", required_argument, NULL, OPTION_APPLICATIONS},
    {"endpoints", required_argument, NULL, OPTION_ENDPOINTS},
    {"channels", no_argument, NULL, OPTION_CHANNELS},
    {"receiver", required_argument, NULL, OPTION_RECEIVER},
    {"endpoint-secret", required_argument, NULL, OPTION_ENDPOINT_SECRET},
    {"event-type", required_argument, NULL, OPTION_EVENT_TYPE},
    {"connections", required_argument, NULL, OPTION_CONNECTIONS},
    {"events", required_argument, NULL, OPTION_EVENTS},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"path", required_argument, NULL, OPTION_PATH},
    {"body-bytes", required_argument, NULL, OPTION_BODY_BYTES},
    {"batch", required_argument, NULL, OPTION_BATCH},
    {"idempotency", no_argument, NULL, OPTION_IDEMPOTENCY},
    {"raw", no_argument, NULL, OPTION_RAW},
    {"stall-s", required_argument, NULL, OPTION_STALL_S},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static _Noreturn void wrong_usage(const char *what)
{
    fprintf(stderr, "ph-load: %s\n%s", what, usage);
    exit(2);
}

/* Takes the options that shape the load; false when `option` is none of them. */
static bool take_load_option(struct generate_options *load, int option, const char *value)
{
    switch (option) {
    case OPTION_CONNECTIONS:
        load->connections = (unsigned)arguments_number("connections", value, 1, 20000);
        return true;
    case OPTION_SECONDS:
        load->seconds = (unsigned)arguments_number("seconds", value, 1, 1000000);
        return true;
    case OPTION_RATE:
        load->rate = arguments_number("rate", value, 1, 10000000);
        return true;
    case OPTION_STALL_S:
        load->stall_s = (unsigned)arguments_number("stall-s", value, 1, 3600);
        return true;
    default:
        return false;
    }
}

/* Takes the options about prepared applications; false when `option` is none of them. */
static bool take_prepared_option(struct arguments *arguments, int option, const char *value)
{
    switch (option) {
    case OPTION_MAKE:
        arguments->make = value;
        return true;
    case OPTION_UID:
        arguments->uid = value;
        return true;
    case OPTION_APPLICATIONS:
        arguments->applications = arguments_number("applications", value, 1, NUMBERED_MAX);
        return true;
    case OPTION_ENDPOINTS:
        arguments->all_endpoints = arguments_number("endpoints", value, 0, NUMBERED_MAX);
        return true;
    case OPTION_CHANNELS:
        arguments->has_channels = true;
        return true;
    default:
        return false;
    }
}

static void take_option(struct arguments *arguments, int option, const char *value)
{
    switch (option) {
    case OPTION_URL:
        arguments->url = value;
        break;
    case OPTION_TOKEN:
        arguments->token = value;
        break;
    case OPTION_APP:
        arguments->app = value;
        break;
    case OPTION_SETUP_ENDPOINTS:
        arguments->endpoints = arguments_number("setup-endpoints", value, 0, 100000);
        break;
    case OPTION_RECEIVER:
        arguments->receiver = value;
        break;
    case OPTION_ENDPOINT_SECRET:
        arguments->endpoint_secret = value;
        break;
    case OPTION_EVENT_TYPE:
        arguments->event_type = value;
        break;
    case OPTION_PATH:
        arguments->path = value;
        break;
    case OPTION_BODY_BYTES:
        arguments->body_bytes = arguments_number("body-bytes", value, 1, 8 << 20);
        break;
    case OPTION_BATCH:
        arguments->batch = arguments_number("batch", value, 1, 1000);
        break;
    case OPTION_EVENTS:
        arguments->events = arguments_number("events", value, 1, 1000000000000);
        break;
    case OPTION_IDEMPOTENCY:
        arguments->has_idempotency = true;
        break;
    case OPTION_RAW:
        arguments->is_raw = true;
        break;
    case OPTION_HELP:
        fputs(usage, stdout);
        exit(0);
    default:
        if (!take_load_option(&arguments->load, option, value) &&
            !take_prepared_option(arguments, option, value)) {
            wrong_usage("unknown option");
        }
    }
}

/* What is to be made, and how many of it: that is the load. */
static void check_make(struct arguments *arguments)
{
    if (arguments->uid == NULL) {
        wrong_usage("--make needs --uid");
    }
    if (strcmp(arguments->make, "applications") == 0) {
        arguments->kind = TEMPLATE_APPLICATION;
        arguments->events = arguments->applications;
    } else if (strcmp(arguments->make, "endpoints") == 0) {
        if (arguments->receiver == NULL || arguments->all_endpoints == 0) {
            wrong_usage("--make endpoints needs --receiver and --endpoints");
        }
        arguments->kind = TEMPLATE_ENDPOINT;
        arguments->events = arguments->all_endpoints;
    } else if (strcmp(arguments->make, "users") == 0) {
        arguments->kind = TEMPLATE_USER;
    } else {
        wrong_usage("--make takes applications, endpoints or users");
    }
}

static void parse_arguments(int argc, char **argv, struct arguments *arguments)
{
    int option = 0;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        take_option(arguments, option, optarg);
    }
    if (optind < argc) {
        wrong_usage("takes options only");
    }
    if (arguments->url == NULL) {
        wrong_usage("--url is missing");
    }
    if (!arguments->is_raw && arguments->token == NULL) {
        wrong_usage("--token is missing");
    }
    if (arguments->endpoints > 0 && arguments->receiver == NULL) {
        wrong_usage("--setup-endpoints needs --receiver");
    }
    if (arguments->make != NULL) {
        check_make(arguments);
    }
    const size_t batch = arguments->batch == 0 ? 1 : arguments->batch;
    if (arguments->events == 0 && arguments->load.seconds > 0) {
        arguments->load.requests = UINT64_MAX;
    } else {
        const uint64_t events = arguments->events == 0 ? 10000 : arguments->events;
        arguments->load.requests = (events + batch - 1) / batch;
    }
}

static void print_setup(const struct setup *setup)
{
    if (setup->app[0] == '\0') {
        return;
    }
    printf(",\"app\":\"%s\",\"endpoints\":[", setup->app);
    for (size_t i = 0; i < setup->endpoints; i++) {
        const struct setup_endpoint *endpoint = &setup->endpoint[i];
        printf("%s{\"id\":\"%s\",\"secret\":\"%s\",\"url\":\"%s\"}", i == 0 ? "" : ",",
               endpoint->id, endpoint->secret, endpoint->url);
    }
    printf("]");
}

/* `events`: of one request. Statuses and retries count requests. */
static void print_result(const struct generate_result *result, size_t events,
                         const struct setup *setup)
{
    const double seconds = (double)(result->end_us - result->start_us) / 1e6;
    const char *comma = "";
    printf("{\"events\":%" PRIu64 ",\"accepted\":%" PRIu64 ",\"seconds\":%.3f,\"per_s\":%.0f",
           result->issued * events, result->accepted * events, seconds,
           seconds > 0 ? (double)(result->accepted * events) / seconds : 0.0);
    printf(",\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f",
           histogram_quantile_ms(&result->latency, 0.50),
           histogram_quantile_ms(&result->latency, 0.99), histogram_max_ms(&result->latency));
    printf(",\"retries\":%" PRIu64 ",\"connection_errors\":%" PRIu64 ",\"unanswered\":%" PRIu64,
           result->retries, result->connection_errors, result->unanswered);
    printf(",\"start_us\":%" PRId64 ",\"end_us\":%" PRId64 ",\"statuses\":{", result->start_us,
           result->end_us);
    for (size_t i = 0; i < GENERATE_STATUSES; i++) {
        if (result->status[i] != 0) {
            printf("%s\"%zu\":%" PRIu64, comma, i, result->status[i]);
            comma = ",";
        }
    }
    printf("}");
    print_setup(setup);
    printf("}\n");
}

static struct template_options template_of(const struct arguments *arguments,
                                           const struct net_target *target, const char *path)
{
    return (struct template_options){
        .kind = arguments->is_raw ? TEMPLATE_PAYLOAD : arguments->kind,
        .host = target->host,
        .base = target->path,
        .path = path,
        .token = arguments->is_raw ? NULL : arguments->token,
        .event_type = arguments->event_type,
        .uid = arguments->uid,
        .receiver = arguments->receiver,
        .endpoint_secret = arguments->endpoint_secret,
        .applications = arguments->applications,
        .endpoints = arguments->all_endpoints,
        .batch = arguments->batch,
        .payload_bytes = arguments->body_bytes,
        .has_idempotency_key = arguments->has_idempotency,
        .has_channel = arguments->has_channels,
    };
}

int main(int argc, char **argv)
{
    static struct generate_result result;
    struct arguments arguments = {.event_type = "job.run.completed",
                                  .applications = 1,
                                  .body_bytes = 600,
                                  .load = {.connections = 64, .stall_s = 30}};
    struct net_target target;
    struct setup setup = {0};
    struct template request;
    char path[1024];

    parse_arguments(argc, argv, &arguments);
    net_raise_descriptor_limit();
    if (!net_target_init(&target, arguments.url)) {
        return 1;
    }
    const struct setup_options setup_options = {.target = &target,
                                                .token = arguments.token,
                                                .app = arguments.app,
                                                .event_type = arguments.event_type,
                                                .receiver = arguments.receiver,
                                                .endpoint_secret = arguments.endpoint_secret,
                                                .endpoints = arguments.endpoints};
    const bool needs_setup = !arguments.is_raw && arguments.uid == NULL;
    if (needs_setup && !setup_init(&setup, &setup_options)) {
        return 1;
    }
    if (needs_setup) {
        snprintf(path, sizeof path, "/api/v1/app/%s/msg%s?with_content=false", setup.app,
                 arguments.batch > 0 ? "/batch" : "");
    }
    const struct template_options template_options =
        template_of(&arguments, &target,
                    arguments.path != NULL ? arguments.path
                    : needs_setup          ? path
                                           : NULL);
    if (!template_init(&request, &template_options)) {
        fprintf(stderr, "ph-load: out of memory\n");
        return 1;
    }
    arguments.load.target = &target;
    arguments.load.request = &request;
    const bool is_run = generate_run(&arguments.load, &result);
    if (is_run) {
        print_result(&result, request.events, &setup);
    }
    template_done(&request);
    setup_done(&setup);
    return is_run && result.accepted == result.issued ? 0 : 1;
}
