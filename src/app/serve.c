/* SPDX-License-Identifier: Apache-2.0 */
#include "app/serve.h"

#include <unistd.h>

#include "api/api.h"
#include "app/command.h"
#include "base/clock.h"
#include "flow/flow.h"
#include "http/server.h"
#include "store/keyring.h"
#include "store/store.h"

#define DRAIN_EXTRA_MS 5000

struct server {
    struct log *log;
    struct metrics metrics;
    char *store_address;
    int lock_fd;
    struct cidr_set allow_subnets;
    struct secret jwt_secret;
    struct keyring *keyring;
    struct flow *flow;
    struct api *api;
    struct http_server *http;
    int64_t drain_ms;
    char *url;
};

static void join_list(const struct options *options, enum option_id id, struct buf *text)
{
    size_t count;
    const char *const *items = option_list(options, id, &count);
    for (size_t index = 0; index < count; index++) {
        buf_append_text(text, index > 0 ? "," : "");
        buf_append_text(text, items[index]);
    }
}

static enum ph_error read_settings(struct server *server, const struct options *options,
                                   struct diag *diag, struct flow_settings *ret_settings)
{
    BUF_AUTO struct buf text;
    buf_init(&text, 65536);
    join_list(options, OPTION_RETRY_SCHEDULE, &text);
    struct flow_settings settings = {
        .retry_after_cap_us = option_us(options, OPTION_RETRY_AFTER_CAP),
        .delivery_timeout_ms = option_us(options, OPTION_DELIVERY_TIMEOUT) / CLOCK_US_PER_MS,
        .disable_after_us = option_us(options, OPTION_ENDPOINT_FAILURE_DISABLE_AFTER),
        .disable_on_gone = option_bool(options, OPTION_DISABLE_ON_GONE),
        .endpoint_https_only = option_bool(options, OPTION_ENDPOINT_HTTPS_ONLY),
        .default_signature_type = option_int(options, OPTION_DEFAULT_SIGNATURE_TYPE) == 0
                                      ? SIGNATURE_HMAC_SHA256
                                      : SIGNATURE_ED25519,
        .signature_headers = (enum signature_headers)option_int(options, OPTION_SIGNATURE_HEADERS),
        .allow_subnets = &server->allow_subnets,
        .user_agent = "Posthorn/" PH_VERSION,
        .max_in_flight = (unsigned)option_int(options, OPTION_MAX_IN_FLIGHT),
        .deliver_threads = (unsigned)option_int(options, OPTION_DELIVER_THREADS),
        .writer_queue_max = (size_t)option_int(options, OPTION_WRITER_QUEUE_MAX),
        .wal_bytes_max = option_int(options, OPTION_WAL_BYTES_MAX),
        .window_bytes_max = (size_t)option_int(options, OPTION_WINDOW_BYTES_MAX),
        .retention_us = option_us(options, OPTION_RETENTION_DAYS),
        .payload_retention_us = option_us(options, OPTION_PAYLOAD_RETENTION_DAYS),
    };
    const char *ca_file = option_text(options, OPTION_TLS_CA_FILE);
    settings.ca_file = ca_file[0] == '\0' ? NULL : ca_file;
    enum ph_error error =
        retry_schedule_parse(buf_slice(&text), "retry_schedule", diag, &settings.retry_schedule);
    int64_t longest_us = retry_longest_us(&settings.retry_schedule);
    settings.breaker = (struct breaker_settings){
        .min_attempts = option_int(options, OPTION_BREAKER_MIN_ATTEMPTS),
        .failure_ratio = option_number(options, OPTION_BREAKER_FAILURE_RATIO),
        .window_us = option_us(options, OPTION_BREAKER_WINDOW),
        .open_us = option_us(options, OPTION_BREAKER_OPEN),
        .open_max_us =
            longest_us > 0 && longest_us < BREAKER_OPEN_MAX_US ? longest_us : BREAKER_OPEN_MAX_US,
    };
    settings.retry_schedule.jitter = option_number(options, OPTION_RETRY_JITTER);
    if (error == PH_OK) {
        buf_clear(&text);
        join_list(options, OPTION_ALLOW_SUBNETS, &text);
        error = cidr_set_parse(buf_slice(&text), "allow_subnets", diag, &server->allow_subnets);
    }
    if (error == PH_OK) {
        *ret_settings = settings;
    }
    return error;
}

static enum ph_error start_http(struct server *server, const struct options *options,
                                struct diag *diag)
{
    size_t route_count;
    const struct http_route *routes = api_routes(&route_count);
    const char *cert = option_text(options, OPTION_TLS_CERT_FILE);
    const char *key = option_text(options, OPTION_TLS_KEY_FILE);
    bool is_tls = cert[0] != '\0';
    const struct http_server_options http = {
        .routes = routes,
        .route_count = route_count,
        .threads = (unsigned)option_int(options, OPTION_HTTP_THREADS),
        .connections_max = (unsigned)option_int(options, OPTION_HTTP_CONNECTIONS_MAX),
        .connections_per_address_max =
            (unsigned)option_int(options, OPTION_HTTP_CONNECTIONS_PER_ADDRESS_MAX),
        .answer_bytes_max = (size_t)option_int(options, OPTION_HTTP_ANSWER_BYTES_MAX),
        .header_timeout_ms = option_us(options, OPTION_HTTP_HEADER_TIMEOUT) / CLOCK_US_PER_MS,
        .body_timeout_ms = option_us(options, OPTION_HTTP_BODY_TIMEOUT) / CLOCK_US_PER_MS,
        .idle_timeout_s =
            (option_us(options, OPTION_HTTP_IDLE_TIMEOUT) + CLOCK_US_PER_S - 1) / CLOCK_US_PER_S,
        .tls_cert_file = is_tls ? cert : NULL,
        .tls_key_file = is_tls ? key : NULL,
        .thread_start = api_thread_start,
        .thread_stop = api_thread_stop,
        .context = server->api,
        .log = server->log,
        .metrics = &server->metrics,
    };
    size_t address_count;
    const char *const *addresses = option_list(options, OPTION_LISTEN, &address_count);
    enum ph_error error = http_server_start(&http, addresses, address_count, diag, &server->http);
    if (error == PH_OK) {
        BUF_AUTO struct buf url;
        buf_init(&url, 512);
        buf_append_format(&url, "%s://%s", is_tls ? "https" : "http",
                          http_server_address(server->http, 0));
        server->url = buf_take(&url, NULL);
    }
    return error;
}

/* The store's keys, before anything is served. */
static enum ph_error open_keyring(struct server *server, const struct options *options,
                                  struct diag *diag)
{
    SECRET_AUTO struct secret master = SECRET_NONE;
    enum ph_error error =
        data_master_key(option_text(options, OPTION_MASTER_KEY_FILE), diag, &master);
    if (error == PH_OK) {
        error =
            keyring_open(server->store_address, &master, clock_wall_us(), diag, &server->keyring);
    }
    return error;
}

static enum ph_error start_parts(struct server *server, const struct options *options,
                                 struct diag *diag)
{
    int applied = 0;
    struct flow_options flow = {
        .store_address = server->store_address, .log = server->log, .metrics = &server->metrics};
    enum ph_error error = data_make(options, diag);
    if (error == PH_OK) {
        error = data_lock(options, diag, &server->lock_fd);
    }
    if (error == PH_OK) {
        error = data_jwt_secret(options, diag, &server->jwt_secret);
    }
    if (error == PH_OK) {
        data_warn(options, &server->jwt_secret, server->log);
        error = read_settings(server, options, diag, &flow.settings);
    }
    if (error == PH_OK) {
        error = store_migrate(server->store_address, diag, &applied);
    }
    if (error == PH_OK && applied > 0) {
        log_write(server->log, LOG_STORE_MIGRATED, LOG_INT("migrations", applied));
    }
    if (error == PH_OK) {
        error = open_keyring(server, options, diag);
    }
    flow.keyring = server->keyring;
    if (error == PH_OK) {
        error = flow_start(&flow, diag, &server->flow);
    }
    if (error != PH_OK) {
        return error;
    }
    server->drain_ms = flow.settings.delivery_timeout_ms + DRAIN_EXTRA_MS;
    const struct api_options api = {
        .flow = server->flow,
        .store_address = server->store_address,
        .keyring = server->keyring,
        .jwt_secret = server->jwt_secret,
        .log = server->log,
        .metrics = &server->metrics,
    };
    server->api = api_new(&api);
    return start_http(server, options, diag);
}

enum ph_error server_start(const struct options *options, struct log *log, struct diag *diag,
                           struct server **ret_server)
{
    struct server *server = ph_calloc(1, sizeof *server);
    server->log = log;
    server->lock_fd = -1;
    server->store_address = data_store_address(options);
    metrics_init(&server->metrics);
    enum ph_error error = start_parts(server, options, diag);
    if (error != PH_OK) {
        server_stop(server);
        return error;
    }
    *ret_server = server;
    return PH_OK;
}

void server_stop(struct server *server)
{
    if (server->http != NULL) {
        http_server_stop(server->http, server->drain_ms);
    }
    flow_stop(server->flow, server->drain_ms);
    api_free(server->api);
    keyring_free(server->keyring);
    secret_done(&server->jwt_secret);
    cidr_set_done(&server->allow_subnets);
    if (server->lock_fd >= 0) {
        (void)close(server->lock_fd);
    }
    free(server->store_address);
    free(server->url);
    free(server);
}

const char *server_url(const struct server *server)
{
    return server->url;
}

void server_reload(struct server *server, const struct options *options)
{
    enum log_level level;
    if (log_level_parse(slice_of(option_text(options, OPTION_LOG_LEVEL)), &level)) {
        atomic_store(&server->log->level, (int)level);
    }
    log_write(server->log, LOG_SERVER_RELOADED);
}
