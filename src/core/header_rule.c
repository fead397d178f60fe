/* SPDX-License-Identifier: Apache-2.0 */
#include "core/header_rule.h"

/* The original's list, and what would break a delivery: `connection` and `expect` belong to the
 * hop, the three of Standard Webhooks to the signature. */
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
    "expect",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
};

static const char *const forbidden_prefixes[] = {
    "x-amz-", "x-amzn-", "x-google", "x-goog-", "x-gfe", "x-azure-", "x-fd-", "x-svix-", "svix-",
};

static const char *const sensitive_names[] = {
    "x-auth-token",  "x-api-key",          "www-authenticate",
    "authorization", "proxy-authenticate", "proxy-authorization",
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

bool header_rule_is_sensitive(struct slice name)
{
    return is_one_of(name, sensitive_names, PH_ARRAY_LENGTH(sensitive_names));
}
