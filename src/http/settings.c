/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reload changes, as an immutable snapshot.
 *
 * Concurrency: the server's reference is swapped under `settings_lock`; every other reader holds a
 * reference of its own. Because it does, an address that is still the server's is still the same
 * snapshot, so looking for a newer one is one atomic load.
 */
#include "http/server_int.h"

static void settings_free(struct http_settings *settings)
{
    http_credentials_unref(settings->credentials);
    free(settings->proxies);
    free(settings);
}

/* Without a certificate; NULL when a proxy is no network. */
static struct http_settings *settings_new(const struct http_server_options *options,
                                          struct diag *diag)
{
    PH_ASSERT(options->connections_max > 0);
    PH_ASSERT(options->header_timeout_ms > 0 && options->body_timeout_ms > 0);
    PH_ASSERT(options->idle_timeout_s > 0);
    struct http_settings *settings = ph_calloc(1, sizeof *settings);
    atomic_init(&settings->references, 1);
    settings->connections_max = options->connections_max;
    settings->connections_per_address_max = options->connections_per_address_max;
    settings->streams_max = options->streams_max;
    settings->header_timeout_ms = options->header_timeout_ms;
    settings->body_timeout_ms = options->body_timeout_ms;
    settings->idle_timeout_s = options->idle_timeout_s;
    if (http_networks_parse(options->trusted_proxies, options->trusted_proxy_count, diag,
                            &settings->proxies) != PH_OK) {
        settings_free(settings);
        return NULL;
    }
    settings->proxy_count = options->trusted_proxy_count;
    return settings;
}

static enum ph_error load_credentials(struct http_settings *settings,
                                      const struct http_server_options *options, struct diag *diag)
{
    return options->tls_cert_file == NULL
               ? PH_OK
               : http_credentials_load(options->tls_cert_file, options->tls_key_file, diag,
                                       &settings->credentials);
}

enum ph_error http_settings_new(const struct http_server_options *options, struct diag *diag,
                                struct http_settings **ret_settings)
{
    struct http_settings *settings = settings_new(options, diag);
    if (settings == NULL) {
        return PH_INVALID;
    }
    enum ph_error error = load_credentials(settings, options, diag);
    if (error != PH_OK) {
        settings_free(settings);
        return error;
    }
    *ret_settings = settings;
    return PH_OK;
}

struct http_settings *http_settings_ref(struct http_settings *settings)
{
    (void)atomic_fetch_add_explicit(&settings->references, 1, memory_order_relaxed);
    return settings;
}

void http_settings_unref(struct http_settings *settings)
{
    if (settings != NULL &&
        atomic_fetch_sub_explicit(&settings->references, 1, memory_order_acq_rel) == 1) {
        settings_free(settings);
    }
}

bool http_settings_follow(struct http_server *server, struct http_settings **held)
{
    if (atomic_load_explicit(&server->settings, memory_order_relaxed) == *held) {
        return false;
    }
    PH_ASSERT(pthread_mutex_lock(&server->settings_lock) == 0);
    struct http_settings *current = http_settings_ref(atomic_load(&server->settings));
    PH_ASSERT(pthread_mutex_unlock(&server->settings_lock) == 0);
    http_settings_unref(*held);
    *held = current;
    return true;
}

enum ph_error http_server_reload(struct http_server *server,
                                 const struct http_server_options *options, struct diag *diag)
{
    struct http_settings *settings = settings_new(options, diag);
    if (settings == NULL) {
        return PH_INVALID;
    }
    enum ph_error error = PH_OK;
    if (server->is_tls) {
        error = load_credentials(settings, options, diag);
        if (settings->credentials == NULL) {
            /* Only this thread changes the server's settings, so they stay meanwhile. */
            settings->credentials =
                http_credentials_ref(atomic_load(&server->settings)->credentials);
        }
    }
    PH_ASSERT(pthread_mutex_lock(&server->settings_lock) == 0);
    struct http_settings *former = atomic_exchange(&server->settings, settings);
    PH_ASSERT(pthread_mutex_unlock(&server->settings_lock) == 0);
    http_settings_unref(former);
    http_accept_wake(server);
    return error;
}
