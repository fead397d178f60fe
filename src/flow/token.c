/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access tokens of endpoints with OAuth2 client credentials (RFC 6749 section 4.4): one per lane,
 * asked for when the first attempt needs it and kept for as long as its server says. Attempts that
 * need one wait; they are in flight meanwhile. Runs on the deliverer's thread.
 */
#include <ctype.h>

#include "base/clock.h"
#include "core/base64.h"
#include "core/scan.h"
#include "flow/deliver_int.h"

#define REQUEST_TEXT_MAX 65536
#define ANSWER_ARENA_BYTES 65536
#define ANSWER_MEMBERS_MAX 64
/* When the answer does not say how long a token lasts. */
#define LIFETIME_DEFAULT_S 300
#define LIFETIME_MAX_S (24 * 3600)
/* Given up this early, so that none ends on its way. */
#define LIFETIME_MARGIN_S 10

struct token {
    struct sent sent;
    struct lane *lane;
    struct list_node waiting; /* attempts */
    bool is_asked_for;
    bool is_outdated; /* credentials have changed while it was asked for */
    struct buf text;
    int64_t expires_boot_us;
    /* The request. */
    struct endpoint_config *config;
    struct buf authorization;
    struct buf body;
    struct sink_header headers[3];
};

struct slice token_text(const struct lane *lane)
{
    return lane->token == NULL ? SLICE_NONE : buf_slice(&lane->token->text);
}

void token_forget(struct token *token)
{
    if (token != NULL) {
        buf_wipe(&token->text);
        buf_init(&token->text, REQUEST_TEXT_MAX);
        token->expires_boot_us = 0;
        token->is_outdated = token->is_asked_for;
    }
}

static void forget_request(struct token *token)
{
    endpoint_config_unref(token->config);
    token->config = NULL;
    buf_wipe(&token->authorization);
    buf_wipe(&token->body);
}

void token_free(struct token *token)
{
    if (token != NULL) {
        forget_request(token);
        buf_wipe(&token->text);
        free(token);
    }
}

static struct token *token_of(struct lane *lane)
{
    if (lane->token == NULL) {
        struct token *token = ph_calloc(1, sizeof *token);
        token->sent.is_token = true;
        token->lane = lane;
        list_init(&token->waiting);
        buf_init(&token->text, REQUEST_TEXT_MAX);
        lane->token = token;
    }
    return lane->token;
}

/* application/x-www-form-urlencoded. */
static void append_form(struct buf *text, struct slice value)
{
    for (size_t index = 0; index < value.len; index++) {
        unsigned char byte = (unsigned char)value.ptr[index];
        if (isalnum(byte) || strchr("-._~", byte) != NULL) {
            buf_append_byte(text, (char)byte);
        } else {
            buf_append_format(text, "%%%02X", byte);
        }
    }
}

/* Client id and secret as RFC 6749 section 2.3.1 has them. */
static void append_client(const struct endpoint_credentials *credentials, struct buf *text)
{
    struct buf pair;
    buf_init(&pair, REQUEST_TEXT_MAX);
    append_form(&pair, credentials->client_id);
    buf_append_byte(&pair, ':');
    append_form(&pair, credentials->client_secret);
    buf_append_text(text, "Basic ");
    base64_append(text, pair.data, pair.len);
    buf_wipe(&pair);
}

static enum ph_error ask(struct deliverer *deliverer, struct token *token, struct diag *diag)
{
    token->config = endpoint_config_ref(token->lane->config);
    const struct endpoint_config *config = token->config;
    buf_init(&token->authorization, REQUEST_TEXT_MAX);
    buf_init(&token->body, REQUEST_TEXT_MAX);
    append_client(config->credentials, &token->authorization);
    buf_append_text(&token->body, "grant_type=client_credentials");
    if (config->credentials->scopes.ptr != NULL) {
        buf_append_text(&token->body, "&scope=");
        append_form(&token->body, config->credentials->scopes);
    }
    token->headers[0] = (struct sink_header){SLICE_LITERAL("Content-Type"),
                                             SLICE_LITERAL("application/x-www-form-urlencoded")};
    token->headers[1] =
        (struct sink_header){SLICE_LITERAL("Accept"), SLICE_LITERAL("application/json")};
    token->headers[2] =
        (struct sink_header){SLICE_LITERAL("Authorization"), buf_slice(&token->authorization)};
    const struct sink_request request = {
        .url = config->token_url,
        .method = "POST",
        .headers = token->headers,
        .header_count = PH_ARRAY_LENGTH(token->headers),
        .body = buf_slice(&token->body),
        .timeout_ms = deliverer->settings->delivery_timeout_ms,
        .policy = config->policy,
        .user = &token->sent,
    };
    token->is_asked_for = true;
    token->is_outdated = false;
    enum ph_error error = sink_http_send(deliverer->sink, &request, diag);
    if (error != PH_OK) {
        token->is_asked_for = false;
        forget_request(token);
    }
    return error;
}

bool token_is_ready(struct deliverer *deliverer, struct item *item)
{
    const struct endpoint_credentials *credentials = item->config->credentials;
    if (credentials == NULL || credentials->auth != ENDPOINT_AUTH_OAUTH2) {
        return true;
    }
    struct token *token = token_of(item->lane);
    if (token->expires_boot_us > clock_boot_us()) {
        return true;
    }
    list_append(&token->waiting, &item->attempt->in_token);
    struct diag diag;
    if (!token->is_asked_for && ask(deliverer, token, &diag) != PH_OK) {
        list_remove(&item->attempt->in_token);
        attempt_fail_unsent(deliverer, item, diag.text);
    }
    return false;
}

/* access_token and expires_in of the answer (RFC 6749 section 5.1). */
static bool read_answer(struct token *token, struct slice body)
{
    ARENA_AUTO struct arena arena;
    arena_init(&arena, ANSWER_ARENA_BYTES);
    struct scan_member members[ANSWER_MEMBERS_MAX];
    size_t count;
    struct slice text;
    if (scan_object(body, members, ANSWER_MEMBERS_MAX, &count, NULL, NULL) != PH_OK) {
        return false;
    }
    const struct scan_member *access = scan_find(members, count, "access_token");
    if (access == NULL || scan_string(access->value, &arena, NULL, &text) != PH_OK ||
        text.len == 0) {
        return false;
    }
    for (size_t index = 0; index < text.len; index++) {
        if (text.ptr[index] <= ' ' || text.ptr[index] == 0x7f) {
            return false; /* it becomes a header's value */
        }
    }
    int64_t lifetime_s = LIFETIME_DEFAULT_S;
    const struct scan_member *expires = scan_find(members, count, "expires_in");
    if (expires != NULL && (!scan_int64(expires->value, &lifetime_s) || lifetime_s < 0)) {
        lifetime_s = LIFETIME_DEFAULT_S;
    }
    lifetime_s = lifetime_s > LIFETIME_MAX_S ? LIFETIME_MAX_S : lifetime_s;
    int64_t margin_s = lifetime_s > 2 * LIFETIME_MARGIN_S ? LIFETIME_MARGIN_S : lifetime_s / 2;
    token_forget(token);
    buf_append_slice(&token->text, text);
    token->expires_boot_us = clock_boot_us() + (lifetime_s - margin_s) * CLOCK_US_PER_S;
    return !token->text.failed;
}

/* Why there is no token, in the words of an attempt's record. */
static void describe(const struct sink_result *result, char *text, size_t size)
{
    if (result->failure != ATTEMPT_ANSWERED) {
        (void)snprintf(text, size, "no access token from the token URL: %.*s",
                       (int)result->error_text.len, result->error_text.ptr);
    } else if (result->status_code != 200) {
        (void)snprintf(text, size, "no access token: the token URL answered %d",
                       result->status_code);
    } else {
        (void)snprintf(text, size, "no access token: the token URL's answer has none in it");
    }
}

void token_result(struct deliverer *deliverer, struct sent *sent, const struct sink_result *result)
{
    struct token *token = PH_CONTAINER_OF(sent, struct token, sent);
    char words[512] = "";
    bool is_cancelled = result->failure == ATTEMPT_CANCELLED;
    bool is_outdated = token->is_outdated;
    token->is_asked_for = false;
    bool is_good = !is_outdated && result->failure == ATTEMPT_ANSWERED &&
                   result->status_code == 200 && read_answer(token, result->body);
    if (!is_good && !is_cancelled) {
        describe(result, words, sizeof words);
    }
    forget_request(token);
    struct list_node waiting;
    list_init(&waiting);
    list_splice(&waiting, &token->waiting);
    struct list_node *node;
    while ((node = list_take_first(&waiting)) != NULL) {
        struct item *item = LIST_ELEMENT(node, struct attempt, in_token)->item;
        if (is_good) {
            attempt_send(deliverer, item);
        } else if (is_cancelled || is_outdated) {
            attempt_put_off(deliverer, item);
        } else {
            attempt_fail_unsent(deliverer, item, words);
        }
    }
}
