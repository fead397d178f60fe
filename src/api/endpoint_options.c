/* SPDX-License-Identifier: Apache-2.0 */
/* The fields of endpoints that only this server has: how a delivery is made, and with which
 * credentials. Secrets are taken and never given back. */
#include "api/endpoint.h"
#include "base/clock.h"
#include "core/header_rule.h"
#include "core/url.h"

#define PROXY_URL_MAX 2048
#define SECRET_TEXT_MAX 8192
#define PEM_TEXT_MAX 65536
#define SIGNATURE_PREFIX_MAX 64
/* Of one endpoint's stored options, for an answer. */
#define OUTPUT_ARENA_BYTES (1u << 20)

/* --- reading ---------------------------------------------------------------------------------- */

/* One of some names. */
static enum input_state read_name(struct input *input, const char *name, const char *field,
                                  const char *choices, bool (*parse)(struct slice, void *),
                                  void *ret_value)
{
    struct slice text;
    enum input_state state = input_string(input, name, INPUT_NULLABLE, field, &text);
    if (state == INPUT_VALUE && input_end(input) == PH_OK && !parse(text, ret_value)) {
        input_refuse(input, field, "must be one of %s", choices);
    }
    return state;
}

static bool parse_method(struct slice text, void *ret_method)
{
    return endpoint_method_parse(text, ret_method);
}

static bool parse_ordering(struct slice text, void *ret_ordering)
{
    return endpoint_ordering_parse(text, ret_ordering);
}

static bool parse_compression(struct slice text, void *ret_is_gzip)
{
    *(bool *)ret_is_gzip = slice_equal_text(text, "gzip");
    return slice_equal_text(text, "gzip") || slice_equal_text(text, "none");
}

static enum input_state read_count(struct input *input, const char *name, const char *field,
                                   int64_t maximum, int64_t *ret_value)
{
    enum input_state state =
        input_int(input, name, INPUT_NULLABLE, INT32_MIN, INT32_MAX, ret_value);
    if (state == INPUT_VALUE && (*ret_value < 1 || *ret_value > maximum)) {
        input_refuse(input, field, "must be from 1 to %lld", (long long)maximum);
    }
    return state;
}

static void read_schedule(struct input *input, struct endpoint_options_input *given)
{
    struct slice array;
    given->retry_schedule = input_raw(input, "retrySchedule", INPUT_NULLABLE, SCAN_ARRAY, &array);
    if (given->retry_schedule != INPUT_VALUE || input_end(input) != PH_OK) {
        return;
    }
    struct retry_schedule schedule = {.jitter = RETRY_JITTER_DEFAULT};
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    scan_cursor_init(&cursor, array);
    for (size_t index = 0; input_end(input) == PH_OK && scan_next_element(&cursor, &type, &value);
         index++) {
        char where[40];
        char number[64];
        (void)snprintf(where, sizeof where, "retry_schedule.[%zu]", index);
        if (type != SCAN_NUMBER || value.len >= sizeof number) {
            input_refuse(input, where, "must be a number of seconds");
            return;
        }
        memcpy(number, value.ptr, value.len);
        number[value.len] = '\0';
        input_note(input, retry_schedule_add(&schedule, strtod(number, NULL),
                                             input_field(input, where), input->diag));
    }
    given->options.has_retry_schedule = true;
    given->options.retry_schedule = schedule;
}

static void read_signature(struct input *input, struct endpoint_options_input *given)
{
    struct input nested;
    given->signature = input_open_nested(input, "signature", INPUT_NULLABLE, &nested);
    if (given->signature != INPUT_VALUE) {
        return;
    }
    struct endpoint_signature *signature = &given->options.signature;
    struct slice scheme;
    struct slice encoding;
    *signature = (struct endpoint_signature){.is_set = true};
    (void)input_string(&nested, "scheme", INPUT_REQUIRED, "scheme", &scheme);
    (void)input_string(&nested, "header", INPUT_OPTIONAL, "header", &signature->header);
    (void)input_string(&nested, "encoding", INPUT_OPTIONAL, "encoding", &encoding);
    (void)input_string(&nested, "prefix", INPUT_OPTIONAL, "prefix", &signature->prefix);
    if (input_end(&nested) == PH_OK) {
        signature->is_hmac = slice_equal_text(scheme, "hmac-sha256");
        signature->is_base64 = slice_equal_text(encoding, "base64");
        if (!signature->is_hmac && !slice_equal_text(scheme, "standard")) {
            input_refuse(&nested, "scheme", "must be one of standard, hmac-sha256");
        } else if (signature->is_hmac && signature->header.ptr == NULL) {
            input_refuse(&nested, "header", "is needed with the scheme hmac-sha256");
        } else if (!signature->is_hmac && (encoding.ptr != NULL || signature->prefix.ptr != NULL)) {
            input_refuse(&nested, encoding.ptr != NULL ? "encoding" : "prefix",
                         "goes with the scheme hmac-sha256 only");
        } else if (encoding.ptr != NULL && !signature->is_base64 &&
                   !slice_equal_text(encoding, "hex")) {
            input_refuse(&nested, "encoding", "must be one of hex, base64");
        } else if (slice_equal_nocase(signature->header, SLICE_LITERAL("host"))) {
            input_refuse(&nested, "header", "Host says where the request goes");
        } else if (signature->prefix.len > SIGNATURE_PREFIX_MAX) {
            input_refuse(&nested, "prefix", "must be at most %d bytes", SIGNATURE_PREFIX_MAX);
        }
    }
    if (signature->header.ptr != NULL && input_end(&nested) == PH_OK) {
        input_note(&nested, header_rule_check_name(signature->header,
                                                   input_field(&nested, "header"), nested.diag));
    }
    if (signature->prefix.ptr != NULL && input_end(&nested) == PH_OK) {
        input_note(&nested, header_rule_check_value(signature->prefix,
                                                    input_field(&nested, "prefix"), nested.diag));
    }
    input_close_nested(input, &nested);
}

static enum input_state read_program(struct input *input, const char *name,
                                     struct slice *ret_program)
{
    enum input_state state = input_string(input, name, INPUT_NULLABLE, name, ret_program);
    if (state == INPUT_VALUE && input_end(input) == PH_OK &&
        (ret_program->len == 0 || ret_program->len > ENDPOINT_PROGRAM_BYTES_MAX)) {
        input_refuse(input, name, "must be 1 to %d bytes", ENDPOINT_PROGRAM_BYTES_MAX);
    }
    return state;
}

/* A text of 1..max bytes. */
static void read_text(struct input *input, const char *name, const char *field, size_t max,
                      bool is_required, struct slice *ret_text)
{
    enum input_need need = is_required ? INPUT_REQUIRED : INPUT_OPTIONAL;
    if (input_string(input, name, need, field, ret_text) == INPUT_VALUE &&
        input_end(input) == PH_OK && (ret_text->len == 0 || ret_text->len > max)) {
        input_refuse(input, field, "must be 1 to %zu bytes", max);
    }
}

/* Scopes stand in a list, or in one text with spaces between (RFC 6749 section 3.3). */
static void read_scopes(struct input *input, struct endpoint_credentials *credentials)
{
    const struct scan_member *member = input_find(input, "scopes");
    if (member == NULL || member->type != SCAN_ARRAY) {
        (void)input_string(input, "scopes", INPUT_OPTIONAL, "scopes", &credentials->scopes);
        return;
    }
    struct slice *scopes;
    size_t count;
    BUF_AUTO struct buf text;
    buf_init(&text, SECRET_TEXT_MAX);
    (void)input_strings(input, "scopes", INPUT_OPTIONAL, "scopes", 64, &scopes, &count);
    for (size_t index = 0; input_end(input) == PH_OK && index < count; index++) {
        buf_append_text(&text, index > 0 ? " " : "");
        buf_append_slice(&text, scopes[index]);
    }
    if (input_end(input) != PH_OK || text.len == 0) {
        return;
    }
    char *copy = text.failed ? NULL : arena_dup(input->arena, buf_slice(&text));
    if (copy == NULL) {
        input_refuse(input, "scopes", "must be at most %d bytes", SECRET_TEXT_MAX);
        return;
    }
    credentials->scopes = (struct slice){copy, text.len};
}

/* Normalised; kept in the arena. */
static void read_url(struct input *input, const char *name, const char *field,
                     struct slice *ret_url)
{
    struct slice text;
    BUF_AUTO struct buf normal;
    buf_init(&normal, PROXY_URL_MAX * 2);
    read_text(input, name, field, PROXY_URL_MAX, true, &text);
    if (input_end(input) != PH_OK) {
        return;
    }
    input_note(input, url_normalise(text, input_field(input, field), input->diag, &normal));
    if (input_end(input) == PH_OK) {
        char *copy = arena_dup(input->arena, buf_slice(&normal));
        if (copy == NULL) {
            input_note(input, api_no_memory(input->diag));
            return;
        }
        *ret_url = (struct slice){copy, normal.len};
    }
}

static void read_auth_members(struct input *input, struct endpoint_credentials *auth)
{
    switch ((int)auth->auth) {
    case ENDPOINT_AUTH_BASIC:
        read_text(input, "username", "username", SECRET_TEXT_MAX, true, &auth->username);
        (void)input_string(input, "password", INPUT_REQUIRED, "password", &auth->password);
        if (input_end(input) == PH_OK && memchr(auth->username.ptr, ':', auth->username.len)) {
            input_refuse(input, "username", "must not have a colon (RFC 7617)");
        }
        if (input_end(input) == PH_OK) {
            input_note(input, header_rule_check_value(auth->username,
                                                      input_field(input, "username"), input->diag));
        }
        if (input_end(input) == PH_OK) {
            input_note(input, header_rule_check_value(auth->password,
                                                      input_field(input, "password"), input->diag));
        }
        return;
    case ENDPOINT_AUTH_BEARER:
        read_text(input, "token", "token", SECRET_TEXT_MAX, true, &auth->token);
        if (input_end(input) == PH_OK) {
            input_note(input, header_rule_check_value(auth->token, input_field(input, "token"),
                                                      input->diag));
        }
        return;
    case ENDPOINT_AUTH_OAUTH2:
        read_url(input, "tokenUrl", "token_url", &auth->token_url);
        read_text(input, "clientId", "client_id", SECRET_TEXT_MAX, true, &auth->client_id);
        read_text(input, "clientSecret", "client_secret", SECRET_TEXT_MAX, true,
                  &auth->client_secret);
        read_scopes(input, auth);
        return;
    case ENDPOINT_AUTH_MTLS:
        read_text(input, "certPem", "cert_pem", PEM_TEXT_MAX, true, &auth->cert_pem);
        read_text(input, "keyPem", "key_pem", PEM_TEXT_MAX, true, &auth->key_pem);
        read_text(input, "caPem", "ca_pem", PEM_TEXT_MAX, false, &auth->ca_pem);
        return;
    default:
        return;
    }
}

static void read_auth(struct input *input, struct endpoint_options_input *given)
{
    struct input nested;
    given->auth = input_open_nested(input, "auth", INPUT_NULLABLE, &nested);
    if (given->auth != INPUT_VALUE) {
        return;
    }
    struct slice type;
    (void)input_string(&nested, "type", INPUT_REQUIRED, "type", &type);
    if (input_end(&nested) == PH_OK) {
        if (!endpoint_auth_parse(type, &given->credentials.auth) ||
            given->credentials.auth == ENDPOINT_AUTH_NONE) {
            input_refuse(&nested, "type", "must be one of basic, bearer, oauth2, mtls");
        } else {
            read_auth_members(&nested, &given->credentials);
        }
    }
    input_close_nested(input, &nested);
}

/* Whether a connection can be made with these certificates and this proxy. */
static void check_policy(struct input *input, const struct endpoint_credentials *credentials)
{
    const struct sink_policy policy = endpoint_credentials_policy(credentials);
    struct diag diag;
    if (input_end(input) == PH_OK && !sink_policy_is_empty(&policy) &&
        sink_policy_check(&policy, &diag) != PH_OK) {
        bool is_proxy = strcmp(diag.field, "proxy") == 0;
        char where[128];
        (void)snprintf(where, sizeof where, "%s%s", is_proxy ? "" : "auth.", diag.field);
        input_refuse(input, where, "%s", diag.text);
    }
}

void endpoint_options_input_read(struct input *input, struct endpoint_options_input *ret_given)
{
    struct endpoint_options_input given = {0};
    struct endpoint_options *options = &given.options;
    int64_t in_flight = 0;
    given.timeout =
        read_count(input, "timeoutMs", "timeout_ms", ENDPOINT_TIMEOUT_MS_MAX, &options->timeout_ms);
    given.max_in_flight =
        read_count(input, "maxInFlight", "max_in_flight", ENDPOINT_IN_FLIGHT_MAX, &in_flight);
    options->max_in_flight = input_end(input) == PH_OK ? (unsigned)in_flight : 0;
    read_schedule(input, &given);
    given.method =
        read_name(input, "method", "method", "POST, PUT, PATCH", parse_method, &options->method);
    given.ordering = read_name(input, "ordering", "ordering", "none, endpoint, key", parse_ordering,
                               &options->ordering);
    given.compression = read_name(input, "compression", "compression", "none, gzip",
                                  parse_compression, &options->is_gzip);
    read_signature(input, &given);
    given.filter = read_program(input, "filter", &options->filter);
    given.transform = read_program(input, "transform", &options->transform);
    read_auth(input, &given);
    given.proxy = input_find(input, "proxy") == NULL              ? INPUT_ABSENT
                  : input_find(input, "proxy")->type == SCAN_NULL ? INPUT_NULL
                                                                  : INPUT_VALUE;
    if (given.proxy == INPUT_VALUE) {
        read_text(input, "proxy", "proxy", PROXY_URL_MAX, true, &given.credentials.proxy);
    }
    check_policy(input, &given.credentials);
    *ret_given = given;
}

/* --- merging ---------------------------------------------------------------------------------- */

/* The texts are written anew; memory of the arena. */
static enum ph_error keep_json(const struct buf *json, struct arena *arena, struct diag *diag,
                               struct slice *ret_text)
{
    char *copy = json->failed ? NULL : arena_dup(arena, buf_slice(json));
    if (copy == NULL) {
        return api_no_memory(diag);
    }
    *ret_text = (struct slice){copy, json->len};
    return PH_OK;
}

static void merge_options(const struct endpoint_options_input *given, int64_t now_us,
                          struct endpoint_options *options)
{
    const struct endpoint_options *from = &given->options;
    if (given->timeout != INPUT_ABSENT) {
        options->timeout_ms = from->timeout_ms;
    }
    if (given->retry_schedule != INPUT_ABSENT) {
        options->has_retry_schedule = from->has_retry_schedule;
        options->retry_schedule = from->retry_schedule;
    }
    if (given->max_in_flight != INPUT_ABSENT) {
        options->max_in_flight = from->max_in_flight;
    }
    if (given->method != INPUT_ABSENT) {
        options->method = from->method;
    }
    if (given->ordering != INPUT_ABSENT) {
        options->ordering = from->ordering;
    }
    if (given->compression != INPUT_ABSENT) {
        options->is_gzip = from->is_gzip;
    }
    if (given->signature != INPUT_ABSENT) {
        options->signature = from->signature;
    }
    if (given->filter != INPUT_ABSENT) {
        options->filter = from->filter;
    }
    if (given->transform != INPUT_ABSENT) {
        options->transform = from->transform;
        options->is_transform_off = false;
        options->transform_updated_us = now_us;
    }
}

/* Puts one kind of credentials in place of the former. */
static void merge_credentials(const struct endpoint_options_input *given,
                              struct endpoint_credentials *credentials)
{
    const struct endpoint_credentials former = *credentials;
    if (given->auth != INPUT_ABSENT) {
        *credentials = given->credentials;
        credentials->proxy = former.proxy;
    }
    if (given->proxy != INPUT_ABSENT) {
        credentials->proxy = given->credentials.proxy;
    }
}

enum ph_error endpoint_options_store(const struct endpoint_options *options, struct arena *arena,
                                     struct diag *diag, struct endpoint_row *row)
{
    row->options = SLICE_NONE;
    if (endpoint_options_are_default(options)) {
        return PH_OK;
    }
    BUF_AUTO struct buf json;
    struct json_out out;
    buf_init(&json, OUTPUT_ARENA_BYTES);
    json_out_init(&out, &json);
    endpoint_options_write(&out, options);
    return keep_json(&json, arena, diag, &row->options);
}

static enum ph_error store_credentials(const struct endpoint_credentials *credentials,
                                       struct arena *arena, struct diag *diag,
                                       struct endpoint_row *row)
{
    row->credentials = SLICE_NONE;
    if (endpoint_credentials_are_none(credentials)) {
        return PH_OK;
    }
    BUF_AUTO struct buf json;
    struct json_out out;
    buf_init(&json, OUTPUT_ARENA_BYTES);
    json_out_init(&out, &json);
    endpoint_credentials_write(&out, credentials);
    return keep_json(&json, arena, diag, &row->credentials);
}

enum ph_error endpoint_options_apply(const struct endpoint_options_input *given, int64_t now_us,
                                     struct arena *arena, struct diag *diag,
                                     struct endpoint_row *row)
{
    struct endpoint_options options;
    struct endpoint_credentials credentials;
    enum ph_error error = endpoint_options_read(row->options, arena, diag, &options);
    if (error == PH_OK) {
        error = endpoint_credentials_read(row->credentials, arena, diag, &credentials);
    }
    if (error != PH_OK) {
        return error;
    }
    merge_options(given, now_us, &options);
    merge_credentials(given, &credentials);
    bool is_in_header =
        credentials.auth != ENDPOINT_AUTH_NONE && credentials.auth != ENDPOINT_AUTH_MTLS;
    if (is_in_header &&
        slice_equal_nocase(options.signature.header, SLICE_LITERAL("authorization"))) {
        return diag_set(diag, PH_INVALID, "body.signature.header",
                        "Authorization is taken by the endpoint's auth");
    }
    error = endpoint_options_store(&options, arena, diag, row);
    return error != PH_OK ? error : store_credentials(&credentials, arena, diag, row);
}

/* --- answers ---------------------------------------------------------------------------------- */

static void write_number(struct json_out *out, const char *key, int64_t number)
{
    if (number == 0) {
        json_out_member_null(out, key);
    } else {
        json_out_member_int(out, key, number);
    }
}

/* What is secret is left out. */
static void write_auth(struct json_out *out, const struct endpoint_credentials *credentials)
{
    json_out_key(out, "auth");
    if (credentials->auth == ENDPOINT_AUTH_NONE) {
        json_out_null(out);
        return;
    }
    json_out_begin_object(out);
    json_out_member_text(out, "type", endpoint_auth_name(credentials->auth));
    switch ((int)credentials->auth) {
    case ENDPOINT_AUTH_BASIC:
        json_out_member_string(out, "username", credentials->username);
        break;
    case ENDPOINT_AUTH_OAUTH2:
        json_out_member_string(out, "tokenUrl", credentials->token_url);
        json_out_member_string(out, "clientId", credentials->client_id);
        json_out_member_string(out, "scopes", credentials->scopes);
        break;
    case ENDPOINT_AUTH_MTLS:
        json_out_member_string(out, "certPem", credentials->cert_pem);
        json_out_member_string(out, "caPem", credentials->ca_pem);
        break;
    default:
        break;
    }
    json_out_end_object(out);
}

/* Scheme, host and port. */
static void append_proxy(struct slice proxy, struct buf *shown)
{
    size_t host = 0;
    for (size_t index = 0; index + 2 < proxy.len && host == 0; index++) {
        host = memcmp(proxy.ptr + index, "://", 3) == 0 ? index + 3 : 0;
    }
    buf_append(shown, proxy.ptr, host);
    const char *at = memrchr(proxy.ptr + host, '@', proxy.len - host);
    size_t skipped = at == NULL ? host : (size_t)(at - proxy.ptr) + 1;
    buf_append(shown, proxy.ptr + skipped, proxy.len - skipped);
}

/* A proxy's URL may have a password in it. */
static void write_proxy(struct json_out *out, struct slice proxy)
{
    if (proxy.ptr == NULL) {
        json_out_member_null(out, "proxy");
        return;
    }
    BUF_AUTO struct buf shown;
    buf_init(&shown, PROXY_URL_MAX * 2);
    append_proxy(proxy, &shown);
    json_out_member_string(out, "proxy", buf_slice(&shown));
}

static void write_schedule(struct json_out *out, const struct endpoint_options *options)
{
    json_out_key(out, "retrySchedule");
    if (!options->has_retry_schedule) {
        json_out_null(out);
        return;
    }
    json_out_begin_array(out);
    for (unsigned index = 0; index < options->retry_schedule.count; index++) {
        json_out_double(out, (double)options->retry_schedule.delays_us[index] / CLOCK_US_PER_S);
    }
    json_out_end_array(out);
}

void endpoint_options_output(struct json_out *out, const struct endpoint_row *row)
{
    ARENA_AUTO struct arena arena;
    arena_init(&arena, OUTPUT_ARENA_BYTES);
    struct endpoint_options options;
    struct endpoint_credentials credentials;
    if (endpoint_options_read(row->options, &arena, NULL, &options) != PH_OK ||
        endpoint_credentials_read(row->credentials, &arena, NULL, &credentials) != PH_OK) {
        return; /* broken: the deliverer says so, and the rest can still be shown and mended */
    }
    write_number(out, "timeoutMs", options.timeout_ms);
    write_schedule(out, &options);
    write_number(out, "maxInFlight", options.max_in_flight);
    json_out_member_text(out, "method", endpoint_method_name(options.method));
    json_out_member_text(out, "ordering", endpoint_ordering_name(options.ordering));
    json_out_member_text(out, "compression", options.is_gzip ? "gzip" : "none");
    json_out_key(out, "signature");
    endpoint_signature_write(out, &options.signature);
    json_out_member_string(out, "filter", options.filter);
    json_out_member_string(out, "transform", options.transform);
    write_auth(out, &credentials);
    write_proxy(out, credentials.proxy);
}
