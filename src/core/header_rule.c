/* SPDX-License-Identifier: Apache-2.0 */
#include "core/header_rule.h"

/* The original's list, and what would break a delivery: what belongs to the hop or frames the
 * message (RFC 9110 section 7.6.1), the host, which is the URL's, and the three of Standard
 * Webhooks, which are the signature's. */
static const char *const forbidden_names[] = {
    "user-agent",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "age",
    "cache-control",
    "clear-site-data",
    "expires",
    "pragma",
    "warning",
    "content-length",
    "content-type",
    "content-encoding",
    "content-language",
    "content-location",
    "connection",
    "proxy-connection",
    "trailer",
    "http2-settings",
    "expect",
    "host",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
};

static const char *const forbidden_prefixes[] = {
    "x-amz-", "x-amzn-", "x-google", "x-goog-", "x-gfe", "x-azure-", "x-fd-", "x-svix-", "svix-",
};

/* Words of a name, as `-` and `_` part it, that say what its value is. */
static const char *const sensitive_words[] = {
    "auth",     "authorization", "authenticate", "authentication", "apikey",   "token", "jwt",
    "cookie",   "cookie2",       "secret",       "password",       "passwd",   "pass",  "pwd",
    "passcode", "credential",    "credentials",  "session",        "sessionid"};

/* A key at the end of a name is a secret, unless it is one of these. */
static const char *const open_keys[] = {
    "idempotency", "ordering", "order", "partition", "message", "cache", "sort", "public",
};

/* RFC 9110 section 5.6.2: tchar. */
static bool is_token_byte(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') ||
           (byte != '\0' && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

static bool is_one_of(struct slice name, const char *const *list, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        if (slice_equal_nocase(name, slice_of(list[index]))) {
            return true;
        }
    }
    return false;
}

static bool has_forbidden_prefix(struct slice name)
{
    for (size_t index = 0; index < PH_ARRAY_LENGTH(forbidden_prefixes); index++) {
        struct slice prefix = slice_of(forbidden_prefixes[index]);
        if (name.len >= prefix.len &&
            slice_equal_nocase((struct slice){name.ptr, prefix.len}, prefix)) {
            return true;
        }
    }
    return false;
}

enum ph_error header_rule_check_name(struct slice name, const char *field, struct diag *diag)
{
    if (name.len == 0 || name.len > HEADER_NAME_MAX) {
        return diag_set(diag, PH_INVALID, field, "a header name has 1 to %d characters",
                        HEADER_NAME_MAX);
    }
    for (size_t index = 0; index < name.len; index++) {
        if (!is_token_byte(name.ptr[index])) {
            return diag_set(diag, PH_INVALID, field,
                            "a header name has letters, digits and !#$%%&'*+-.^_`|~ only");
        }
    }
    if (is_one_of(name, forbidden_names, PH_ARRAY_LENGTH(forbidden_names)) ||
        has_forbidden_prefix(name)) {
        return diag_set(diag, PH_INVALID, field, "the header `%.*s` cannot be set",
                        SLICE_ARG(name));
    }
    return PH_OK;
}

enum ph_error header_rule_check_value(struct slice value, const char *field, struct diag *diag)
{
    if (value.len > HEADER_VALUE_MAX) {
        return diag_set(diag, PH_INVALID, field, "a header value has at most %d bytes",
                        HEADER_VALUE_MAX);
    }
    for (size_t index = 0; index < value.len; index++) {
        unsigned char byte = (unsigned char)value.ptr[index];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f) {
            return diag_set(diag, PH_INVALID, field,
                            "a header value must not have line breaks or control characters");
        }
    }
    return PH_OK;
}

/* The next word of a name. False at its end. */
static bool next_word(struct slice *rest, struct slice *ret_word)
{
    size_t length = 0;
    if (rest->len == 0) {
        return false;
    }
    while (length < rest->len && rest->ptr[length] != '-' && rest->ptr[length] != '_') {
        length++;
    }
    *ret_word = (struct slice){rest->ptr, length};
    size_t used = length < rest->len ? length + 1 : length;
    *rest = (struct slice){rest->ptr + used, rest->len - used};
    return true;
}

bool header_rule_is_sensitive(struct slice name)
{
    struct slice word = SLICE_NONE;
    struct slice former = SLICE_NONE;
    struct slice rest = name;
    for (; next_word(&rest, &word); former = word) {
        if (is_one_of(word, sensitive_words, PH_ARRAY_LENGTH(sensitive_words))) {
            return true;
        }
        if (rest.len == 0 && slice_equal_nocase(word, slice_of("key"))) {
            return !is_one_of(former, open_keys, PH_ARRAY_LENGTH(open_keys));
        }
    }
    return false;
}
