/* SPDX-License-Identifier: Apache-2.0 */
#include "app/remote.h"

#include "app/command.h"
#include "app/file.h"
#include "base/clock.h"
#include "store/application.h"

#define TEXT_MAX 65536
#define TOKEN_STEP_US (INT64_C(3600) * CLOCK_US_PER_S)
#define TOKEN_US (2 * TOKEN_STEP_US)

void remote_init(struct remote *remote)
{
    remote->is_local = false;
    buf_init(&remote->url, TEXT_MAX);
    buf_init(&remote->token, TEXT_MAX);
}

void remote_done(struct remote *remote)
{
    buf_done(&remote->url);
    buf_done(&remote->token);
}

static enum ph_error find_url(struct remote *remote, const struct options *options, const char *url,
                              struct diag *diag)
{
    buf_clear(&remote->url);
    remote->is_local = url == NULL;
    if (url != NULL) {
        buf_append_text(&remote->url, url);
        return PH_OK;
    }
    PH_AUTO_FREE char *path = data_path(options, "address");
    if (file_read(path, &remote->url, diag) != PH_OK) {
        return diag_set(diag, PH_NOT_FOUND, NULL, "give --url: no server runs on %s",
                        option_text(options, OPTION_DATA));
    }
    return PH_OK;
}

static enum ph_error find_token(struct remote *remote, const struct options *options,
                                const char *token, struct diag *diag)
{
    buf_clear(&remote->token);
    if (token != NULL) {
        buf_append_text(&remote->token, token);
        return PH_OK;
    }
    SECRET_AUTO struct secret secret = SECRET_NONE;
    enum ph_error error = data_jwt_secret(options, diag, &secret);
    if (error == PH_OK) {
        /* The same token for an hour, because an idempotency key belongs to the token that came
         * with it. */
        int64_t now_us = clock_wall_us() / TOKEN_STEP_US * TOKEN_STEP_US;
        token_append(&secret, DEFAULT_ORGANISATION, NULL, now_us, now_us + TOKEN_US,
                     &remote->token);
    }
    return error;
}

enum ph_error remote_find(struct remote *remote, const struct options *options, const char *url,
                          const char *token, struct diag *diag)
{
    url = url == NULL ? secure_getenv("POSTHORN_URL") : url;
    token = token == NULL ? secure_getenv("POSTHORN_TOKEN") : token;
    enum ph_error error = find_url(remote, options, url, diag);
    return error == PH_OK ? find_token(remote, options, token, diag) : error;
}
