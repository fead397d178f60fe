/* SPDX-License-Identifier: Apache-2.0 */
/* What the options say, and the addresses that come of them. */
#include "base/clock.h"
#include "core/url.h"
#include "surfaces/magpie/magpie_int.h"

#define URL_TEXT_MAX ((size_t)4 * URL_LENGTH_MAX)
/* Where the original has services, behind the host. */
#define PUBLIC_SERVICES_PATH "/twitcher/ows/proxy"

/* NULL for an empty text. */
static char *text_of(const struct surface_environment *environment, const char *key)
{
    const char *text = environment->option_text(environment->options, key);
    return text[0] == '\0' ? NULL : ph_strdup(text);
}

/* Paths are put behind it. */
static bool is_base(struct slice address, const char *key)
{
    struct url_parts parts;
    BUF_AUTO struct buf normal;
    buf_init(&normal, URL_TEXT_MAX);
    return url_normalise(address, key, NULL, &normal) == PH_OK &&
           url_split(buf_slice(&normal), &parts) && parts.query.ptr == NULL &&
           parts.fragment.ptr == NULL;
}

/* An address without a slash at its end; `http://` is put before one without a scheme, as the
 * original does. NULL when the option is empty. */
static enum ph_error read_address(const struct surface_environment *environment, const char *key,
                                  struct diag *diag, char **ret_address)
{
    struct slice text = slice_of(environment->option_text(environment->options, key));
    BUF_AUTO struct buf address;
    buf_init(&address, URL_TEXT_MAX);
    if (text.len == 0) {
        *ret_address = NULL;
        return PH_OK;
    }
    /* With another scheme, or half of one, it is refused. */
    bool has_scheme = memmem(text.ptr, text.len, "://", 3) != NULL ||
                      slice_starts_with(text, "http:") || slice_starts_with(text, "https:");
    if (!has_scheme) {
        buf_append_text(&address, "http://");
    }
    while (text.len > 0 && text.ptr[text.len - 1] == '/') {
        text.len--;
    }
    buf_append_slice(&address, text);
    if (address.failed || !is_base(buf_slice(&address), key)) {
        return diag_set(diag, PH_INVALID, key,
                        "%s is no http or https address with a host and without a query", key);
    }
    *ret_address = buf_take(&address, NULL);
    return PH_OK;
}

/* `magpie.attempts` of them; behind the end of `retry_schedule` its last delay again. */
static enum ph_error read_schedule(const struct surface_environment *environment, struct diag *diag,
                                   struct retry_schedule *ret_schedule)
{
    const void *options = environment->options;
    unsigned delays = (unsigned)environment->option_number(options, "magpie.attempts") - 1;
    PH_ASSERT(delays <= RETRY_DELAYS_MAX);
    enum ph_error error =
        retry_schedule_parse(slice_of(environment->option_text(options, "retry_schedule")),
                             "retry_schedule", diag, ret_schedule);
    if (error != PH_OK) {
        return error;
    }
    unsigned given = ret_schedule->count;
    for (unsigned index = given; index < delays; index++) {
        ret_schedule->delays_us[index] = given == 0 ? 0 : ret_schedule->delays_us[given - 1];
    }
    ret_schedule->count = delays;
    return PH_OK;
}

enum ph_error magpie_settings_read(const struct surface_environment *environment, struct diag *diag,
                                   struct magpie_settings *ret_settings)
{
    struct magpie_settings settings = {
        .config_path = text_of(environment, "magpie.config_path"),
        .token_expire_us =
            (int64_t)(environment->option_number(environment->options, "magpie.token_expire") *
                      CLOCK_US_PER_S),
    };
    enum ph_error error = read_address(environment, "magpie.base_url", diag, &settings.base_url);
    if (error == PH_OK) {
        error = read_address(environment, "magpie.public_services_url", diag,
                             &settings.public_services_url);
    }
    if (error == PH_OK) {
        error = read_schedule(environment, diag, &settings.retry_schedule);
    }
    if (error != PH_OK) {
        magpie_settings_done(&settings);
        return error;
    }
    *ret_settings = settings;
    return PH_OK;
}

void magpie_settings_done(struct magpie_settings *settings)
{
    free(settings->config_path);
    free(settings->base_url);
    free(settings->public_services_url);
    *settings = (struct magpie_settings){0};
}

int64_t magpie_token_expire_us(struct magpie *magpie)
{
    (void)pthread_mutex_lock(&magpie->lock);
    int64_t expire_us = magpie->settings.token_expire_us;
    (void)pthread_mutex_unlock(&magpie->lock);
    return expire_us;
}

struct retry_schedule magpie_retry_schedule(struct magpie *magpie)
{
    (void)pthread_mutex_lock(&magpie->lock);
    struct retry_schedule schedule = magpie->settings.retry_schedule;
    (void)pthread_mutex_unlock(&magpie->lock);
    return schedule;
}

void magpie_append_base_url(const struct magpie *magpie, struct buf *text)
{
    if (magpie->settings.base_url != NULL) {
        buf_append_text(text, magpie->settings.base_url);
        return;
    }
    buf_append_text(text, atomic_load(&magpie->api->public_url));
    buf_append_text(text, "/magpie");
}

void magpie_append_public_url(const struct magpie *magpie, struct slice service, struct buf *text)
{
    BUF_AUTO struct buf base;
    BUF_AUTO struct buf normal;
    struct url_parts parts;
    buf_init(&base, URL_TEXT_MAX);
    buf_init(&normal, URL_TEXT_MAX);
    magpie_append_base_url(magpie, &base);
    if (magpie->settings.public_services_url != NULL) {
        buf_append_text(text, magpie->settings.public_services_url);
    } else if (url_normalise(buf_slice(&base), NULL, NULL, &normal) == PH_OK &&
               url_split(buf_slice(&normal), &parts)) {
        bool is_ipv6 = slice_find(parts.host, ':') < parts.host.len;
        buf_append_text(text, is_ipv6 ? "https://[" : "https://");
        buf_append_slice(text, parts.host);
        buf_append_text(text, is_ipv6 ? "]" PUBLIC_SERVICES_PATH : PUBLIC_SERVICES_PATH);
    }
    buf_append_byte(text, '/');
    buf_append_slice(text, service);
}
