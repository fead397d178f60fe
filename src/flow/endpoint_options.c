/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/endpoint_options.h"

#include <stddef.h>

#include "base/clock.h"
#include "core/scan.h"

#define MEMBERS_MAX 32

const struct endpoint_options endpoint_options_default = {0};

/* --- names ------------------------------------------------------------------------------------ */

static const char *const method_names[] = {
    [ENDPOINT_METHOD_POST] = "POST",
    [ENDPOINT_METHOD_PUT] = "PUT",
    [ENDPOINT_METHOD_PATCH] = "PATCH",
};
_Static_assert(PH_ARRAY_LENGTH(method_names) == ENDPOINT_METHOD_COUNT, "one name per method");

static const char *const ordering_names[] = {
    [ENDPOINT_ORDERING_NONE] = "none",
    [ENDPOINT_ORDERING_ENDPOINT] = "endpoint",
    [ENDPOINT_ORDERING_KEY] = "key",
};
_Static_assert(PH_ARRAY_LENGTH(ordering_names) == ENDPOINT_ORDERING_COUNT, "one name each");

static const char *const auth_names[] = {
    [ENDPOINT_AUTH_NONE] = "none",     [ENDPOINT_AUTH_BASIC] = "basic",
    [ENDPOINT_AUTH_BEARER] = "bearer", [ENDPOINT_AUTH_OAUTH2] = "oauth2",
    [ENDPOINT_AUTH_MTLS] = "mtls",
};
_Static_assert(PH_ARRAY_LENGTH(auth_names) == ENDPOINT_AUTH_COUNT, "one name per kind");

static bool find_name(const char *const *names, size_t count, struct slice text, size_t *ret_index)
{
    for (size_t index = 0; index < count; index++) {
        if (slice_equal_text(text, names[index])) {
            *ret_index = index;
            return true;
        }
    }
    return false;
}

const char *endpoint_method_name(enum endpoint_method method)
{
    PH_ASSERT((unsigned)method < ENDPOINT_METHOD_COUNT);
    return method_names[method];
}

const char *endpoint_ordering_name(enum endpoint_ordering ordering)
{
    PH_ASSERT((unsigned)ordering < ENDPOINT_ORDERING_COUNT);
    return ordering_names[ordering];
}

const char *endpoint_auth_name(enum endpoint_auth auth)
{
    PH_ASSERT((unsigned)auth < ENDPOINT_AUTH_COUNT);
    return auth_names[auth];
}

bool endpoint_method_parse(struct slice text, enum endpoint_method *ret_method)
{
    size_t index;
    bool is_known = find_name(method_names, ENDPOINT_METHOD_COUNT, text, &index);
    *ret_method = is_known ? (enum endpoint_method)index : ENDPOINT_METHOD_POST;
    return is_known;
}

bool endpoint_ordering_parse(struct slice text, enum endpoint_ordering *ret_ordering)
{
    size_t index;
    bool is_known = find_name(ordering_names, ENDPOINT_ORDERING_COUNT, text, &index);
    *ret_ordering = is_known ? (enum endpoint_ordering)index : ENDPOINT_ORDERING_NONE;
    return is_known;
}

bool endpoint_auth_parse(struct slice text, enum endpoint_auth *ret_auth)
{
    size_t index;
    bool is_known = find_name(auth_names, ENDPOINT_AUTH_COUNT, text, &index);
    *ret_auth = is_known ? (enum endpoint_auth)index : ENDPOINT_AUTH_NONE;
    return is_known;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* One stored object; the first fault sticks. */
struct reader {
    struct scan_member members[MEMBERS_MAX];
    size_t count;
    struct arena *arena;
    bool is_broken;
};

static void open_reader(struct reader *reader, struct slice json, struct arena *arena)
{
    reader->arena = arena;
    reader->is_broken =
        scan_object(json, reader->members, MEMBERS_MAX, &reader->count, NULL, NULL) != PH_OK;
    reader->count = reader->is_broken ? 0 : reader->count;
}

/* SLICE_NONE when absent or null. */
static struct slice read_text(struct reader *reader, const char *key)
{
    const struct scan_member *member = scan_find(reader->members, reader->count, key);
    struct slice text = SLICE_NONE;
    if (member != NULL && member->type != SCAN_NULL &&
        scan_string(member->value, reader->arena, NULL, &text) != PH_OK) {
        reader->is_broken = true;
        text = SLICE_NONE;
    }
    return text;
}

static int64_t read_int(struct reader *reader, const char *key)
{
    const struct scan_member *member = scan_find(reader->members, reader->count, key);
    int64_t number = 0;
    if (member != NULL && !scan_int64(member->value, &number)) {
        reader->is_broken = true;
    }
    return number;
}

static struct slice read_raw(const struct reader *reader, const char *key)
{
    const struct scan_member *member = scan_find(reader->members, reader->count, key);
    return member == NULL ? SLICE_NONE : member->value;
}

static bool read_flag(const struct reader *reader, const char *key)
{
    return slice_equal_text(read_raw(reader, key), "true");
}

static void read_schedule(struct reader *reader, struct endpoint_options *options)
{
    struct slice json = read_raw(reader, "retrySchedule");
    if (json.ptr == NULL) {
        return;
    }
    struct slice list = {json.ptr + 1, json.len - 2}; /* between the brackets */
    options->has_retry_schedule = true;
    reader->is_broken =
        reader->is_broken ||
        retry_schedule_parse(list, "retrySchedule", NULL, &options->retry_schedule) != PH_OK;
}

static void read_signature(struct reader *parent, struct endpoint_signature *signature)
{
    struct slice json = read_raw(parent, "signature");
    if (json.ptr == NULL) {
        return;
    }
    struct reader reader;
    open_reader(&reader, json, parent->arena);
    *signature = (struct endpoint_signature){
        .is_set = true,
        .is_hmac = slice_equal_text(read_text(&reader, "scheme"), "hmac-sha256"),
        .is_base64 = slice_equal_text(read_text(&reader, "encoding"), "base64"),
        .with_standard = read_flag(&reader, "withStandard"),
        .is_none = read_flag(&reader, "none"),
        .header = read_text(&reader, "header"),
        .prefix = read_text(&reader, "prefix"),
    };
    parent->is_broken = parent->is_broken || reader.is_broken;
}

enum ph_error endpoint_options_read(struct slice json, struct arena *arena, struct diag *diag,
                                    struct endpoint_options *ret_options)
{
    *ret_options = endpoint_options_default;
    if (json.ptr == NULL) {
        return PH_OK;
    }
    struct reader reader;
    open_reader(&reader, json, arena);
    struct endpoint_options options = {
        .timeout_ms = read_int(&reader, "timeoutMs"),
        .max_in_flight = (unsigned)read_int(&reader, "maxInFlight"),
        .is_gzip = read_flag(&reader, "gzip"),
        .filter = read_text(&reader, "filter"),
        .transform = read_text(&reader, "transform"),
        .is_transform_off = read_flag(&reader, "transformOff"),
        .variables = read_raw(&reader, "variables"),
        .transform_updated_us = read_int(&reader, "transformUpdatedAt"),
        .is_steady = read_flag(&reader, "steady"),
        .format = read_text(&reader, "format"),
        .format_config = read_raw(&reader, "formatConfig"),
    };
    struct slice method = read_text(&reader, "method");
    struct slice ordering = read_text(&reader, "ordering");
    reader.is_broken =
        reader.is_broken ||
        (method.ptr != NULL && !endpoint_method_parse(method, &options.method)) ||
        (ordering.ptr != NULL && !endpoint_ordering_parse(ordering, &options.ordering));
    read_schedule(&reader, &options);
    read_signature(&reader, &options.signature);
    if (reader.is_broken) {
        return diag_set(diag, PH_STORE, "store", "the stored options of an endpoint are broken");
    }
    *ret_options = options;
    return PH_OK;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void write_schedule(struct json_out *out, const struct retry_schedule *schedule)
{
    json_out_key(out, "retrySchedule");
    json_out_begin_array(out);
    for (unsigned index = 0; index < schedule->count; index++) {
        json_out_double(out, (double)schedule->delays_us[index] / CLOCK_US_PER_S);
    }
    json_out_end_array(out);
}

void endpoint_signature_write(struct json_out *out, const struct endpoint_signature *signature)
{
    if (!signature->is_set) {
        json_out_null(out);
        return;
    }
    json_out_begin_object(out);
    json_out_member_text(out, "scheme", signature->is_hmac ? "hmac-sha256" : "standard");
    json_out_member_string(out, "header", signature->header);
    if (signature->with_standard) {
        json_out_member_bool(out, "withStandard", true);
    }
    if (signature->is_none) {
        json_out_member_bool(out, "none", true);
    }
    if (signature->is_hmac) {
        json_out_member_text(out, "encoding", signature->is_base64 ? "base64" : "hex");
        json_out_member_string(out, "prefix", signature->prefix);
    }
    json_out_end_object(out);
}

static void write_text(struct json_out *out, const char *key, struct slice text)
{
    if (text.ptr != NULL) {
        json_out_member_string(out, key, text);
    }
}

static void write_int(struct json_out *out, const char *key, int64_t number)
{
    if (number != 0) {
        json_out_member_int(out, key, number);
    }
}

bool endpoint_options_are_default(const struct endpoint_options *options)
{
    return options->timeout_ms == 0 && !options->has_retry_schedule &&
           options->max_in_flight == 0 && options->method == ENDPOINT_METHOD_POST &&
           options->ordering == ENDPOINT_ORDERING_NONE && !options->is_gzip &&
           !options->signature.is_set && options->filter.ptr == NULL &&
           options->transform.ptr == NULL && options->variables.ptr == NULL &&
           !options->is_transform_off && options->transform_updated_us == 0 &&
           !options->is_steady && options->format.ptr == NULL;
}

void endpoint_options_write(struct json_out *out, const struct endpoint_options *options)
{
    json_out_begin_object(out);
    write_int(out, "timeoutMs", options->timeout_ms);
    write_int(out, "maxInFlight", options->max_in_flight);
    if (options->has_retry_schedule) {
        write_schedule(out, &options->retry_schedule);
    }
    if (options->method != ENDPOINT_METHOD_POST) {
        json_out_member_text(out, "method", endpoint_method_name(options->method));
    }
    if (options->ordering != ENDPOINT_ORDERING_NONE) {
        json_out_member_text(out, "ordering", endpoint_ordering_name(options->ordering));
    }
    if (options->is_gzip) {
        json_out_member_bool(out, "gzip", true);
    }
    if (options->signature.is_set) {
        json_out_key(out, "signature");
        endpoint_signature_write(out, &options->signature);
    }
    write_text(out, "filter", options->filter);
    write_text(out, "transform", options->transform);
    if (options->is_transform_off) {
        json_out_member_bool(out, "transformOff", true);
    }
    if (options->variables.ptr != NULL) {
        json_out_member_raw(out, "variables", options->variables);
    }
    write_int(out, "transformUpdatedAt", options->transform_updated_us);
    if (options->is_steady) {
        json_out_member_bool(out, "steady", true);
    }
    write_text(out, "format", options->format);
    if (options->format_config.ptr != NULL) {
        json_out_member_raw(out, "formatConfig", options->format_config);
    }
    json_out_end_object(out);
}

/* --- credentials ------------------------------------------------------------------------------ */

/* The texts of credentials under the names that the API has for them. */
static const struct {
    const char *key;
    size_t offset;
} texts[] = {
    {"username", offsetof(struct endpoint_credentials, username)},
    {"password", offsetof(struct endpoint_credentials, password)},
    {"token", offsetof(struct endpoint_credentials, token)},
    {"tokenUrl", offsetof(struct endpoint_credentials, token_url)},
    {"clientId", offsetof(struct endpoint_credentials, client_id)},
    {"clientSecret", offsetof(struct endpoint_credentials, client_secret)},
    {"scopes", offsetof(struct endpoint_credentials, scopes)},
    {"certPem", offsetof(struct endpoint_credentials, cert_pem)},
    {"keyPem", offsetof(struct endpoint_credentials, key_pem)},
    {"caPem", offsetof(struct endpoint_credentials, ca_pem)},
    {"proxy", offsetof(struct endpoint_credentials, proxy)},
};

bool endpoint_credentials_are_none(const struct endpoint_credentials *credentials)
{
    return credentials->auth == ENDPOINT_AUTH_NONE && credentials->proxy.ptr == NULL;
}

enum ph_error endpoint_credentials_read(struct slice json, struct arena *arena, struct diag *diag,
                                        struct endpoint_credentials *ret_credentials)
{
    *ret_credentials = (struct endpoint_credentials){0};
    if (json.len == 0) {
        return PH_OK;
    }
    struct reader reader;
    open_reader(&reader, json, arena);
    struct endpoint_credentials credentials = {0};
    bool is_known = endpoint_auth_parse(read_text(&reader, "type"), &credentials.auth);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(texts); index++) {
        struct slice text = read_text(&reader, texts[index].key);
        memcpy((char *)&credentials + texts[index].offset, &text, sizeof text);
    }
    if (reader.is_broken || !is_known) {
        return diag_set(diag, PH_STORE, "store",
                        "the stored credentials of an endpoint are broken");
    }
    *ret_credentials = credentials;
    return PH_OK;
}

void endpoint_credentials_write(struct json_out *out,
                                const struct endpoint_credentials *credentials)
{
    json_out_begin_object(out);
    json_out_member_text(out, "type", endpoint_auth_name(credentials->auth));
    for (size_t index = 0; index < PH_ARRAY_LENGTH(texts); index++) {
        struct slice text;
        memcpy(&text, (const char *)credentials + texts[index].offset, sizeof text);
        write_text(out, texts[index].key, text);
    }
    json_out_end_object(out);
}

struct sink_policy endpoint_credentials_policy(const struct endpoint_credentials *credentials)
{
    struct sink_policy policy = {
        .cert_pem = credentials->cert_pem,
        .key_pem = credentials->key_pem,
        .ca_pem = credentials->ca_pem,
        .proxy = credentials->proxy,
    };
    sink_policy_identify(&policy);
    return policy;
}
