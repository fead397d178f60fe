/* SPDX-License-Identifier: Apache-2.0 */
#include "app/serve.h"

#include <malloc.h>
#include <unistd.h>

#include "api/api.h"
#include "app/command.h"
#include "app/control.h"
#include "app/environment.h"
#include "base/clock.h"
#include "base/usage.h"
#include "flow/flow.h"
#include "http/server.h"
#include "store/keyring.h"
#include "store/store.h"
#include "surfaces/surface.h"

#define DRAIN_EXTRA_MS 5000
#define SURFACE_LISTENERS_MAX 8
#define SNAPSHOT_ENDPOINTS_MAX 100000

struct server {
    struct log *log;
    struct metrics metrics;
    char *store_address;
    int lock_fd;
    struct secret jwt_secret;
    struct keyring *keyring;
    struct flow *flow;
    struct api *api;
    struct surfaces *surfaces;
    struct http_server *http;
    struct http_server *surface_http[SURFACE_LISTENERS_MAX];
    char *jwt_secret_path;
    struct care_context care;
    struct control *control;
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

/* `ret_subnets` is what ret_settings->allow_subnets points to. */
static enum ph_error read_settings(const struct options *options, struct diag *diag,
                                   struct cidr_set *ret_subnets, struct flow_settings *ret_settings)
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
        .allow_subnets = ret_subnets,
        .egress_proxy = option_text(options, OPTION_EGRESS_PROXY),
        .egress_proxy_resolves = option_bool(options, OPTION_EGRESS_PROXY_RESOLVES),
        .user_agent = "Posthorn/" PH_VERSION,
        .max_in_flight = (unsigned)option_int(options, OPTION_MAX_IN_FLIGHT),
        .deliver_threads = (unsigned)option_int(options, OPTION_DELIVER_THREADS),
        .writer_queue_max = (size_t)option_int(options, OPTION_WRITER_QUEUE_MAX),
        .wal_bytes_max = option_int(options, OPTION_WAL_BYTES_MAX),
        .wal_checkpoint_bytes = option_int(options, OPTION_WAL_CHECKPOINT_BYTES),
        .window_bytes_max = (size_t)option_int(options, OPTION_WINDOW_BYTES_MAX),
        .jq =
            {
                .workers = (unsigned)option_int(options, OPTION_JQ_WORKERS),
                .timeout_us = option_us(options, OPTION_JQ_TIMEOUT),
                .memory_bytes = (size_t)option_int(options, OPTION_JQ_MEMORY),
                .output_bytes_max = (size_t)option_int(options, OPTION_JQ_OUTPUT_MAX),
                .queue_max = (size_t)option_int(options, OPTION_JQ_QUEUE_MAX),
            },
        .snapshot_endpoints_max = SNAPSHOT_ENDPOINTS_MAX,
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
        error = cidr_set_parse(buf_slice(&text), "allow_subnets", diag, ret_subnets);
    }
    if (error == PH_OK) {
        *ret_settings = settings;
    }
    return error;
}

/* Pointers into the options: only for the call that they are made for. */
static void read_http(struct server *server, const struct options *options,
                      struct http_server_options *ret_http)
{
    size_t route_count;
    const struct http_route *routes = surfaces_routes(server->surfaces, &route_count);
    const char *cert = option_text(options, OPTION_TLS_CERT_FILE);
    const char *key = option_text(options, OPTION_TLS_KEY_FILE);
    bool is_tls = cert[0] != '\0';
    size_t proxy_count;
    const char *const *proxies = option_list(options, OPTION_TRUSTED_PROXIES, &proxy_count);
    *ret_http = (struct http_server_options){
        .routes = routes,
        .route_count = route_count,
        .not_found = surfaces_not_found,
        .refuse = surfaces_refuse,
        .threads = (unsigned)option_int(options, OPTION_HTTP_THREADS),
        .connections_max = (unsigned)option_int(options, OPTION_HTTP_CONNECTIONS_MAX),
        .connections_per_address_max =
            (unsigned)option_int(options, OPTION_HTTP_CONNECTIONS_PER_ADDRESS_MAX),
        .streams_max = (unsigned)option_int(options, OPTION_HTTP_STREAMS_MAX),
        .body_bytes_max = (size_t)option_int(options, OPTION_HTTP_BODY_BYTES_MAX),
        .answer_bytes_max = (size_t)option_int(options, OPTION_HTTP_ANSWER_BYTES_MAX),
        .header_timeout_ms = option_us(options, OPTION_HTTP_HEADER_TIMEOUT) / CLOCK_US_PER_MS,
        .body_timeout_ms = option_us(options, OPTION_HTTP_BODY_TIMEOUT) / CLOCK_US_PER_MS,
        .idle_timeout_s =
            (option_us(options, OPTION_HTTP_IDLE_TIMEOUT) + CLOCK_US_PER_S - 1) / CLOCK_US_PER_S,
        .tls_cert_file = is_tls ? cert : NULL,
        .tls_key_file = is_tls ? key : NULL,
        .trusted_proxies = proxies,
        .trusted_proxy_count = proxy_count,
        .thread_start = api_thread_start,
        .thread_stop = api_thread_stop,
        .context = server->api,
        .log = server->log,
        .metrics = &server->metrics,
    };
}

/* "CERT,KEY", or one file for both. The texts point into `buffer`. */
static void split_tls(const char *text, char *buffer, size_t size, struct http_server_options *http)
{
    (void)snprintf(buffer, size, "%s", text);
    char *comma = strchr(buffer, ',');
    if (comma != NULL) {
        *comma = '\0';
    }
    http->tls_cert_file = buffer[0] == '\0' ? NULL : buffer;
    http->tls_key_file = buffer[0] == '\0' ? NULL : comma != NULL ? comma + 1 : buffer;
}

/* The surfaces' own listeners; `is_start` or a reload. */
static enum ph_error serve_surfaces(struct server *server, const struct options *options,
                                    bool is_start, struct diag *diag)
{
    static const struct {
        const char *name;
        enum option_id listen;
        enum option_id tls;
    } rows[] = {
        {"dbt", OPTION_SURFACE_LISTEN_DBT, OPTION_SURFACE_TLS_DBT},
        {"magpie", OPTION_SURFACE_LISTEN_MAGPIE, OPTION_SURFACE_TLS_MAGPIE},
    };
    _Static_assert(PH_ARRAY_LENGTH(rows) <= SURFACE_LISTENERS_MAX, "one listener each");
    enum ph_error error = PH_OK;
    for (size_t index = 0; error == PH_OK && index < PH_ARRAY_LENGTH(rows); index++) {
        struct http_server_options http;
        char files[8192];
        size_t address_count;
        const char *const *addresses = option_list(options, rows[index].listen, &address_count);
        read_http(server, options, &http);
        http.routes =
            surface_own_routes(server->surfaces, surface_find(rows[index].name), &http.route_count);
        http.not_found = surface_find(rows[index].name)->not_found;
        http.refuse = surface_find(rows[index].name)->refuse;
        http.threads = 1;
        split_tls(option_text(options, rows[index].tls), files, sizeof files, &http);
        if (is_start && address_count > 0) {
            error = http_server_start(&http, addresses, address_count, diag,
                                      &server->surface_http[index]);
        } else if (!is_start && server->surface_http[index] != NULL) {
            error = http_server_reload(server->surface_http[index], &http, diag);
        }
    }
    return error;
}

static enum ph_error start_http(struct server *server, const struct options *options,
                                struct diag *diag)
{
    struct http_server_options http;
    read_http(server, options, &http);
    size_t address_count;
    const char *const *addresses = option_list(options, OPTION_LISTEN, &address_count);
    enum ph_error error = http_server_start(&http, addresses, address_count, diag, &server->http);
    if (error == PH_OK) {
        BUF_AUTO struct buf url;
        buf_init(&url, 512);
        buf_append_format(&url, "%s://%s", http.tls_cert_file != NULL ? "https" : "http",
                          http_server_address(server->http, 0));
        server->url = buf_take(&url, NULL);
        const char *public_url = option_text(options, OPTION_PUBLIC_URL);
        api_set_public_url(server->api, public_url[0] != '\0' ? public_url : server->url);
        error = serve_surfaces(server, options, true, diag);
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

/* A server without it works; only commands cannot reach it. */
static void start_control(struct server *server, const struct options *options)
{
    struct diag diag;
    server->jwt_secret_path = data_path(options, "jwt_secret");
    server->care =
        (struct care_context){server->flow, server->jwt_secret_path, server->log, server->surfaces};
    if (control_start(option_text(options, OPTION_DATA), &server->care, &diag, &server->control) !=
        PH_OK) {
        log_write(server->log, LOG_CONFIG_WARNING, LOG_TEXT("error", diag.text));
    }
}

static enum ph_error start_surfaces(struct server *server, const struct options *options,
                                    struct diag *diag)
{
    struct surface_environment environment = environment_of(options);
    environment.api = server->api;
    environment.flow = server->flow;
    environment.log = server->log;
    environment.metrics = &server->metrics;
    return surfaces_start(&environment, diag, &server->surfaces);
}

static enum ph_error start_parts(struct server *server, const struct options *options,
                                 struct diag *diag)
{
    int applied = 0;
    CIDR_SET_AUTO struct cidr_set subnets = {0};
    struct flow_options flow = {
        .store_address = server->store_address, .log = server->log, .metrics = &server->metrics};
    enum ph_error error = data_make(options, diag);
    if (error == PH_OK) {
        error = data_lock(options, diag, &server->lock_fd);
    }
    if (error == PH_OK) {
        error = data_check_restored(options, diag);
    }
    if (error == PH_OK) {
        error = data_jwt_secret(options, diag, &server->jwt_secret);
    }
    if (error == PH_OK) {
        data_warn(options, &server->jwt_secret, server->log);
        error = read_settings(options, diag, &subnets, &flow.settings);
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
    surfaces_register_formats();
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
    error = start_surfaces(server, options, diag);
    if (error != PH_OK) {
        return error;
    }
    start_control(server, options);
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
    usage_describe(&server->metrics, PH_VERSION);
    enum ph_error error = start_parts(server, options, diag);
    if (error != PH_OK) {
        server_stop(server);
        return error;
    }
    (void)malloc_trim(0); /* a megabyte that only starting needed */
    *ret_server = server;
    return PH_OK;
}

void server_stop(struct server *server)
{
    if (server->http != NULL) {
        http_server_stop(server->http, server->drain_ms);
    }
    for (size_t index = 0; index < SURFACE_LISTENERS_MAX; index++) {
        if (server->surface_http[index] != NULL) {
            http_server_stop(server->surface_http[index], server->drain_ms);
        }
    }
    control_stop(server->control);
    api_stop(server->api);
    flow_stop(server->flow, server->drain_ms);
    surfaces_stop(server->surfaces);
    api_free(server->api);
    keyring_free(server->keyring);
    secret_done(&server->jwt_secret);
    if (server->lock_fd >= 0) {
        (void)close(server->lock_fd);
    }
    free(server->store_address);
    free(server->jwt_secret_path);
    free(server->url);
    free(server);
}

const char *server_url(const struct server *server)
{
    return server->url;
}

/* --- reload ----------------------------------------------------------------------------------- */

#define CHANGED_TEXT_MAX 4096

/* TLS is neither switched on nor off while the server runs. */
static bool applies(const struct options *running, const struct options *options, enum option_id id)
{
    if (id == OPTION_TLS_CERT_FILE || id == OPTION_TLS_KEY_FILE) {
        return (option_text(running, id)[0] == '\0') == (option_text(options, id)[0] == '\0');
    }
    return (option_row(id)->traits & OPTION_RELOADABLE) != 0;
}

/* Moves what can change into `running`; both texts get the keys of what differs. */
static void adopt(struct options *running, struct options *options, struct buf *changed,
                  struct buf *waiting)
{
    for (unsigned index = 0; index < OPTION_COUNT; index++) {
        enum option_id id = (enum option_id)index;
        if (option_equal(running, options, id)) {
            continue;
        }
        bool is_applied = applies(running, options, id);
        struct buf *text = is_applied ? changed : waiting;
        buf_append_text(text, text->len == 0 ? "" : " ");
        buf_append_text(text, option_row(id)->key);
        if (is_applied) {
            option_exchange(running, options, id);
        }
    }
}

static void log_failure(const struct server *server, const struct diag *diag)
{
    log_write(server->log, LOG_RELOAD_FAILED, LOG_TEXT("error", diag->text));
}

static void apply(struct server *server, const struct options *options)
{
    CIDR_SET_AUTO struct cidr_set subnets = {0};
    struct flow_settings settings;
    struct diag diag;
    if (read_settings(options, &diag, &subnets, &settings) == PH_OK) {
        flow_reload(server->flow, &settings);
        server->drain_ms = settings.delivery_timeout_ms + DRAIN_EXTRA_MS;
    } else {
        log_failure(server, &diag);
    }
    struct http_server_options http;
    read_http(server, options, &http);
    if (http_server_reload(server->http, &http, &diag) != PH_OK) {
        log_failure(server, &diag);
    }
    if (serve_surfaces(server, options, false, &diag) != PH_OK) {
        log_failure(server, &diag);
    }
    surfaces_reload(server->surfaces, options);
}

void server_reload(struct server *server, struct options *running, struct options *options)
{
    BUF_AUTO struct buf changed;
    BUF_AUTO struct buf waiting;
    buf_init(&changed, CHANGED_TEXT_MAX);
    buf_init(&waiting, CHANGED_TEXT_MAX);
    adopt(running, options, &changed, &waiting);
    enum log_level level;
    if (log_level_parse(slice_of(option_text(running, OPTION_LOG_LEVEL)), &level)) {
        atomic_store(&server->log->level, (int)level);
    }
    apply(server, running);
    log_write(server->log, LOG_SERVER_RELOADED, LOG_TEXT("changed", buf_text(&changed)));
    if (waiting.len > 0) {
        log_write(server->log, LOG_CONFIG_WARNING, LOG_TEXT("needs_restart", buf_text(&waiting)));
    }
}
