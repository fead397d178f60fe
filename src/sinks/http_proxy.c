/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proxies. Whatever goes through one is tunnelled, plain http too: only so can the proxy be told an
 * address while the receiver still gets its name, and only so is the proxy's own answer never taken
 * for the receiver's.
 */
#include "sinks/http_int.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "core/url.h"

enum {
    CREDENTIAL_MAX = 255, /* RFC 1929 */
    ENCODED_MAX = 3 * CREDENTIAL_MAX,
    ADDRESSES_MAX = 32,
};

/* --- what a proxy URL says -------------------------------------------------------------------- */

struct scheme {
    const char *text;
    enum http_proxy_kind kind;
    uint16_t port;
};

static const struct scheme schemes[] = {
    {"http://", HTTP_PROXY_HTTP, 80},
    {"https://", HTTP_PROXY_HTTPS, 443},
    {"socks5h://", HTTP_PROXY_SOCKS5, 1080},
    {"socks5://", HTTP_PROXY_SOCKS5, 1080},
};

static bool starts_with_nocase(struct slice text, const char *start)
{
    size_t length = strlen(start);
    return text.len >= length &&
           slice_equal_nocase((struct slice){text.ptr, length}, (struct slice){start, length});
}

/* NULL when it is none of them. */
static const struct scheme *find_scheme(struct slice url)
{
    for (size_t i = 0; i < PH_ARRAY_LENGTH(schemes); i++) {
        if (starts_with_nocase(url, schemes[i].text)) {
            return &schemes[i];
        }
    }
    return NULL;
}

static bool is_plain_text(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

/* One percent-encoded part of the user info. */
static enum ph_error read_credential(struct slice part, bool is_username, const char *field,
                                     struct diag *diag, struct secret *ret_secret)
{
    struct buf text;
    buf_init(&text, ENCODED_MAX + 1);
    /* In one piece, so that nothing is left behind by a buffer that grows. */
    enum ph_error error = PH_OK;
    if (part.len > ENCODED_MAX || buf_reserve(&text, part.len + 1) == NULL) {
        error = diag_set(diag, PH_INVALID, field, "the user name or password is too long");
        buf_done(&text);
        return error;
    }
    url_append_decoded(part, &text);
    bool has_colon = is_username && memchr(text.data, ':', text.len) != NULL;
    if (text.len > CREDENTIAL_MAX) {
        error = diag_set(diag, PH_INVALID, field, "the user name or password is too long");
    } else if (!is_plain_text(text.data, text.len) || has_colon) {
        error = diag_set(diag, PH_INVALID, field,
                         "the user name or password has a character that cannot be sent");
    } else {
        *ret_secret = secret_new(text.data, text.len);
    }
    secret_wipe(text.data, text.capacity);
    buf_done(&text);
    return error;
}

static enum ph_error read_credentials(struct slice user_info, const char *field, struct diag *diag,
                                      struct http_proxy *proxy)
{
    size_t colon = slice_find(user_info, ':');
    struct slice username = {user_info.ptr, colon};
    struct slice password = SLICE_NONE;
    if (colon < user_info.len) {
        password = (struct slice){user_info.ptr + colon + 1, user_info.len - colon - 1};
    }
    enum ph_error error = read_credential(username, true, field, diag, &proxy->username);
    if (error == PH_OK) {
        error = read_credential(password, false, field, diag, &proxy->password);
    }
    return error;
}

/* "host", "host:port", "[v6]:port". */
static enum ph_error read_host(struct slice text, uint16_t default_port, const char *field,
                               struct diag *diag, struct http_proxy *proxy)
{
    struct buf url BUF_AUTO;
    struct buf normal BUF_AUTO;
    buf_init(&url, URL_LENGTH_MAX);
    buf_init(&normal, URL_LENGTH_MAX);
    /* As any other URL's host is read, so that the guard sees the same. */
    buf_append_text(&url, "http://");
    buf_append_slice(&url, text);
    buf_append_byte(&url, '/');
    if (url.failed) {
        return diag_set(diag, PH_INVALID, field, "the proxy URL is too long");
    }
    enum ph_error error = url_normalise(buf_slice(&url), field, diag, &normal);
    struct url_parts parts;
    if (error != PH_OK) {
        return error;
    }
    if (!url_split(buf_slice(&normal), &parts) || parts.path.len != 1 || parts.query.ptr != NULL ||
        parts.fragment.ptr != NULL || parts.username.ptr != NULL || parts.host.len > 253) {
        return diag_set(diag, PH_INVALID, field, "not the URL of a proxy");
    }
    bool is_v6 = memchr(parts.host.ptr, ':', parts.host.len) != NULL;
    size_t bracket = slice_find(text, ']');
    struct slice rest = text;
    if (bracket < text.len) {
        rest = (struct slice){text.ptr + bracket, text.len - bracket};
    }
    bool has_port = slice_find(rest, ':') + 1 < rest.len;
    char host[256 + 2];
    (void)snprintf(host, sizeof host, "%s%.*s%s", is_v6 ? "[" : "", SLICE_ARG(parts.host),
                   is_v6 ? "]" : "");
    proxy->host = ph_strdup(host);
    proxy->port = has_port ? parts.port : default_port;
    return PH_OK;
}

enum ph_error http_proxy_parse(struct slice url, const char *field, struct diag *diag,
                               struct http_proxy *ret_proxy)
{
    const struct scheme *scheme = find_scheme(url);
    if (scheme == NULL) {
        return diag_set(diag, PH_INVALID, field,
                        "a proxy URL starts with http://, https:// or socks5h://");
    }
    enum ph_error error = PH_OK;
    size_t skipped = strlen(scheme->text);
    struct slice rest = {url.ptr + skipped, url.len - skipped};
    if (rest.len > 0 && rest.ptr[rest.len - 1] == '/') {
        rest.len--;
    }
    struct http_proxy proxy = {.kind = scheme->kind};
    size_t at = slice_find(rest, '@');
    if (at < rest.len) {
        error = read_credentials((struct slice){rest.ptr, at}, field, diag, &proxy);
        rest = (struct slice){rest.ptr + at + 1, rest.len - at - 1};
    }
    if (error == PH_OK) {
        error = read_host(rest, scheme->port, field, diag, &proxy);
    }
    if (error != PH_OK) {
        http_proxy_done(&proxy);
        return error;
    }
    *ret_proxy = proxy;
    return PH_OK;
}

void http_proxy_done(struct http_proxy *proxy)
{
    free(proxy->host);
    secret_done(&proxy->username);
    secret_done(&proxy->password);
    *proxy = (struct http_proxy){0};
}

void http_proxy_copy(const struct http_proxy *proxy, struct http_proxy *ret_copy)
{
    *ret_copy = (struct http_proxy){
        .kind = proxy->kind,
        .host = proxy->host == NULL ? NULL : ph_strdup(proxy->host),
        .port = proxy->port,
        .username = secret_dup(&proxy->username),
        .password = secret_dup(&proxy->password),
    };
}

/* --- options ---------------------------------------------------------------------------------- */

/* Curl wants text; its own copy goes with the handle. */
static void set_secret(CURL *easy, CURLoption option, const struct secret *secret)
{
    char text[CREDENTIAL_MAX + 1];
    PH_ASSERT(secret->length < sizeof text);
    memcpy(text, secret->length > 0 ? (const char *)secret->bytes : "", secret->length);
    text[secret->length] = '\0';
    curl_easy_setopt(easy, option, text);
    secret_wipe(text, sizeof text);
}

void http_proxy_set_options(struct http_transfer *transfer)
{
    CURL *easy = transfer->easy;
    struct http_pool *pool = transfer->pool;
    const struct http_proxy *proxy = &pool->proxy;
    curl_easy_setopt(easy, CURLOPT_PROXY, buf_text(&pool->proxy_url));
    curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
    curl_easy_setopt(easy, CURLOPT_PROXYAUTH, (long)CURLAUTH_BASIC);
    curl_easy_setopt(easy, CURLOPT_SOCKS5_AUTH, (long)CURLAUTH_BASIC);
    curl_easy_setopt(easy, CURLOPT_PROXY_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, http_flood_on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, transfer);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    if (pool->proxy_headers.data != NULL) {
        curl_easy_setopt(easy, CURLOPT_PROXYHEADER, &pool->proxy_headers);
    }
    if (proxy->kind == HTTP_PROXY_SOCKS5 && proxy->username.length + proxy->password.length > 0) {
        set_secret(easy, CURLOPT_PROXYUSERNAME, &proxy->username);
        set_secret(easy, CURLOPT_PROXYPASSWORD, &proxy->password);
    }
}

/* --- addresses of receivers ------------------------------------------------------------------- */

/* "192.0.2.1" or "[2001:db8::1]". */
static bool parse_address(struct slice text, struct sockaddr_storage *ret_address)
{
    char number[INET6_ADDRSTRLEN];
    bool is_v6 = text.len > 2 && text.ptr[0] == '[';
    struct slice inner = is_v6 ? (struct slice){text.ptr + 1, text.len - 2} : text;
    if (inner.len >= sizeof number) {
        return false;
    }
    memcpy(number, inner.ptr, inner.len);
    number[inner.len] = '\0';
    memset(ret_address, 0, sizeof *ret_address);
    if (is_v6) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)ret_address;
        v6->sin6_family = AF_INET6;
        return inet_pton(AF_INET6, number, &v6->sin6_addr) == 1;
    }
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)ret_address;
    v4->sin_family = AF_INET;
    return inet_pton(AF_INET, number, &v4->sin_addr) == 1;
}

/* The place's addresses, separated by commas. */
static struct slice addresses_of(const struct http_place *place)
{
    if (place->is_localhost) {
        return SLICE_LITERAL("127.0.0.1,[::1]");
    }
    return slice_of(place->needs_lookup ? place->answer->text : place->host);
}

static struct slice take_address(struct slice *list)
{
    size_t comma = slice_find(*list, ',');
    struct slice first = {list->ptr, comma};
    size_t skipped = comma < list->len ? comma + 1 : comma;
    *list = (struct slice){list->ptr + skipped, list->len - skipped};
    return first;
}

/* The allowed ones, IPv4 first: a proxy that reaches IPv6 is the rarer one. When there is none the
 * transfer's early failure says why. */
static size_t allowed_addresses(struct http_transfer *transfer,
                                struct slice ret_allowed[ADDRESSES_MAX])
{
    size_t count = 0;
    for (int family = 4; family <= 6; family += 2) {
        struct slice list = addresses_of(transfer->route->place);
        while (list.len > 0 && count < ADDRESSES_MAX) {
            struct slice text = take_address(&list);
            struct sockaddr_storage address;
            const struct sockaddr *generic = (const struct sockaddr *)(const void *)&address;
            const char *rule = "not an address";
            bool is_valid = parse_address(text, &address);
            if (is_valid && (address.ss_family == AF_INET) != (family == 4)) {
                continue;
            }
            if (is_valid && address_check(generic, transfer->sink->allow_subnets, &rule)) {
                ret_allowed[count++] = text;
            } else {
                http_blocked_text(generic, "", rule, transfer->blocked_text,
                                  sizeof transfer->blocked_text);
            }
        }
    }
    if (count == 0) {
        http_result_say_early(transfer, ATTEMPT_BLOCKED, transfer->blocked_text);
    }
    transfer->blocked_text[0] = '\0';
    return count;
}

bool http_proxy_choose_address(struct http_transfer *transfer)
{
    const struct http_place *place = transfer->route->place;
    if (transfer->pool->proxy_resolves && place->needs_lookup) {
        curl_easy_setopt(transfer->easy, CURLOPT_CONNECT_TO, NULL);
        transfer->connect_to_text[0] = '\0';
        return true;
    }
    struct slice allowed[ADDRESSES_MAX];
    size_t count = allowed_addresses(transfer, allowed);
    if (count == 0) {
        return false;
    }
    struct slice chosen = allowed[place->turn % count];
    const char *port = strrchr(place->key, ':');
    (void)snprintf(transfer->connect_to_text, sizeof transfer->connect_to_text, "::%.*s%s",
                   SLICE_ARG(chosen), port);
    transfer->connect_to = (struct curl_slist){.data = transfer->connect_to_text};
    curl_easy_setopt(transfer->easy, CURLOPT_CONNECT_TO, &transfer->connect_to);
    return true;
}

void http_proxy_note_failure(struct http_transfer *transfer)
{
    if (transfer->connect_to_text[0] != '\0' && transfer->header_bytes == 0) {
        transfer->route->place->turn++;
    }
}

bool http_proxy_judge_again(struct http_transfer *transfer)
{
    curl_off_t uploaded = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded);
    if (transfer->pool->proxy_place == NULL || transfer->connect_to_text[0] == '\0' ||
        uploaded > 0 || transfer->header_bytes > 0) {
        return true;
    }
    struct sockaddr_storage address;
    const struct sockaddr *generic = (const struct sockaddr *)(const void *)&address;
    const char *rule = NULL;
    const char *start = transfer->connect_to_text + 2;
    const char *end = strrchr(start, ':');
    struct slice text = {start, (size_t)(end - start)};
    if (parse_address(text, &address) &&
        address_check(generic, transfer->sink->allow_subnets, &rule)) {
        return true;
    }
    char words[160];
    http_blocked_text(generic, "", rule, words, sizeof words);
    http_result_say_early(transfer, ATTEMPT_BLOCKED, words);
    return false;
}

static uint16_t port_of(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        return ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
    }
    return ntohs(((const struct sockaddr_in6 *)(const void *)address)->sin6_port);
}

bool http_proxy_is_trusted(const struct http_pool *pool, const struct sockaddr *address)
{
    if (pool->proxy_place == NULL || !pool->is_operators_proxy ||
        port_of(address) != pool->proxy.port) {
        return false;
    }
    /* Curl connects to nothing else in such a pool; that is not left to curl alone. */
    char given[64];
    http_address_text(address, given, sizeof given);
    *strrchr(given, ':') = '\0';
    struct slice list = addresses_of(pool->proxy_place);
    while (list.len > 0) {
        struct slice text = take_address(&list);
        struct sockaddr_storage known;
        char known_text[64];
        if (parse_address(text, &known)) {
            http_address_text((const struct sockaddr *)(const void *)&known, known_text,
                              sizeof known_text);
            *strrchr(known_text, ':') = '\0';
            if (strcmp(given, known_text) == 0) {
                return true;
            }
        }
    }
    return false;
}
