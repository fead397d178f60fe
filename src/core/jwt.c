/* SPDX-License-Identifier: Apache-2.0 */
#include "core/jwt.h"

#include <jansson.h>

#include "base/json_out.h"
#include "base/secret.h"
#include "core/base64.h"
#include "core/signature.h"

#define MAC_BYTES_MAX 64
#define CLAIM_LENGTH_MAX 1024
/* Times beyond this (the year 5138) are not meant seriously and would overflow sums. */
#define SECONDS_MAX 1e11

struct algorithm_row {
    const char *name;
    unsigned hash_bits;
};

static const struct algorithm_row algorithms[] = {
    [JWT_HS256] = {"HS256", 256},
    [JWT_HS384] = {"HS384", 384},
    [JWT_HS512] = {"HS512", 512},
};

static void append_texts(struct json_out *out, const char *name, const struct slice *texts,
                         size_t count)
{
    json_out_key(out, name);
    json_out_begin_array(out);
    for (size_t index = 0; index < count; index++) {
        json_out_string(out, texts[index]);
    }
    json_out_end_array(out);
}

static void append_claims(const struct jwt_claims *claims, struct buf *json)
{
    struct json_out out;
    json_out_init(&out, json);
    json_out_begin_object(&out);
    if (claims->iat_ms % 1000 != 0) {
        json_out_key(&out, "iat");
        json_out_double(&out, (double)claims->iat_ms / 1000.0);
    } else if (claims->iat_ms != 0) {
        json_out_member_int(&out, "iat", claims->iat_ms / 1000);
    }
    if (claims->exp_s != 0) {
        json_out_member_int(&out, "exp", claims->exp_s);
    }
    if (claims->nbf_s != 0) {
        json_out_member_int(&out, "nbf", claims->nbf_s);
    }
    const struct {
        const char *name;
        struct slice value;
    } texts[] = {{"iss", claims->iss},
                 {"sub", claims->sub},
                 {"org", claims->org},
                 {"jti", claims->jti},
                 {"session_id", claims->session_id}};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(texts); index++) {
        if (texts[index].value.ptr != NULL) {
            json_out_member_string(&out, texts[index].name, texts[index].value);
        }
    }
    if (claims->has_feature_flags) {
        append_texts(&out, "feature_flags", claims->feature_flags, claims->feature_flag_count);
    }
    if (claims->has_capabilities) {
        append_texts(&out, "capabilities", claims->capabilities, claims->capability_count);
    }
    json_out_end_object(&out);
    json_out_end_document(&out);
}

static const struct algorithm_row *row_of(const struct jwt_key *key)
{
    PH_ASSERT((unsigned)key->algorithm < PH_ARRAY_LENGTH(algorithms));
    return &algorithms[key->algorithm];
}

void jwt_sign(const struct jwt_key *key, const struct jwt_claims *claims, struct buf *text)
{
    const struct algorithm_row *row = row_of(key);
    char header[64];
    int header_length =
        snprintf(header, sizeof header, "{\"alg\":\"%s\",\"typ\":\"JWT\"}", row->name);
    PH_ASSERT(header_length > 0 && (size_t)header_length < sizeof header);
    BUF_AUTO struct buf token;
    BUF_AUTO struct buf json;
    buf_init(&token, JWT_TEXT_MAX);
    buf_init(&json, JWT_TEXT_MAX);
    append_claims(claims, &json);
    base64url_append(&token, header, (size_t)header_length);
    buf_append_byte(&token, '.');
    base64url_append(&token, buf_text(&json), json.len);
    uint8_t mac[MAC_BYTES_MAX];
    signature_hmac(row->hash_bits, key->secret, buf_slice(&token), mac);
    buf_append_byte(&token, '.');
    base64url_append(&token, mac, row->hash_bits / 8);
    if (json.failed || token.failed) {
        /* A token that the other side would refuse is no token. */
        text->failed = true;
        return;
    }
    buf_append_slice(text, buf_slice(&token));
}

static enum ph_error refuse(struct diag *diag)
{
    return diag_set(diag, PH_UNAUTHORIZED, NULL, "Invalid token");
}

/* Decodes one part and parses it as an object; NULL when it is none. The caller drops it. */
static json_t *load_part(struct slice part)
{
    uint8_t *bytes = ph_malloc(JWT_TEXT_MAX);
    size_t length;
    json_t *object = NULL;
    if (base64url_decode(part, bytes, JWT_TEXT_MAX, &length)) {
        object = json_loadb((const char *)bytes, length, JSON_REJECT_DUPLICATES, NULL);
    }
    free(bytes);
    if (object != NULL && !json_is_object(object)) {
        json_decref(object);
        object = NULL;
    }
    return object;
}

/* Whether the header names the key's algorithm and has no critical extensions. A token does not
 * choose its algorithm. */
static bool is_header_good(struct slice part, const char *algorithm)
{
    json_t *header = load_part(part);
    const char *name = json_string_value(json_object_get(header, "alg"));
    bool is_good =
        name != NULL && strcmp(name, algorithm) == 0 && json_object_get(header, "crit") == NULL;
    json_decref(header);
    return is_good;
}

static bool is_signed(const struct algorithm_row *row, struct slice secret, struct slice content,
                      struct slice encoded)
{
    uint8_t expected[MAC_BYTES_MAX];
    uint8_t given[MAC_BYTES_MAX];
    size_t length;
    if (!base64url_decode(encoded, given, sizeof given, &length) || length != row->hash_bits / 8) {
        return false;
    }
    signature_hmac(row->hash_bits, secret, content, expected);
    return secret_equal(expected, given, length);
}

/* A time claim in milliseconds; 0 when absent. False when it is not a sensible number. */
static bool read_time(const json_t *object, const char *name, int64_t *ret_ms)
{
    const json_t *value = json_object_get(object, name);
    *ret_ms = 0;
    if (value == NULL || json_is_null(value)) {
        return true;
    }
    if (!json_is_number(value)) {
        return false;
    }
    double seconds = json_number_value(value);
    /* Below a second it would round to 0, which means absent: a token without an end. */
    if (!(seconds >= 1 && seconds < SECONDS_MAX)) {
        return false;
    }
    *ret_ms = (int64_t)(seconds * 1000.0 + 0.5);
    return true;
}

/* A text claim; SLICE_NONE when absent. PH_UNAUTHORIZED when it is something else. */
static enum ph_error read_text(const json_t *value, struct arena *arena, struct slice *ret_text)
{
    *ret_text = SLICE_NONE;
    if (value == NULL || json_is_null(value)) {
        return PH_OK;
    }
    size_t length = json_string_length(value);
    if (!json_is_string(value) || length > CLAIM_LENGTH_MAX) {
        return PH_UNAUTHORIZED;
    }
    const char *copy = arena_dup(arena, (struct slice){json_string_value(value), length});
    if (copy == NULL) {
        return PH_NO_MEMORY;
    }
    *ret_text = (struct slice){copy, length};
    return PH_OK;
}

/* A claim that is an array of texts; *ret_is_given says whether it is there. */
static enum ph_error read_texts(const json_t *array, struct arena *arena, bool *ret_is_given,
                                struct slice **ret_texts, size_t *ret_count)
{
    if (array == NULL || json_is_null(array)) {
        return PH_OK;
    }
    if (!json_is_array(array)) {
        return PH_UNAUTHORIZED;
    }
    size_t count = json_array_size(array);
    struct slice *texts = arena_calloc(arena, count, sizeof *texts);
    if (texts == NULL) {
        return PH_NO_MEMORY;
    }
    for (size_t index = 0; index < count; index++) {
        enum ph_error error = read_text(json_array_get(array, index), arena, &texts[index]);
        if (error != PH_OK) {
            return error;
        }
    }
    *ret_is_given = true;
    *ret_texts = texts;
    *ret_count = count;
    return PH_OK;
}

static enum ph_error read_claims(const json_t *object, int64_t now_s, struct arena *arena,
                                 struct jwt_claims *ret_claims)
{
    int64_t exp_ms;
    int64_t nbf_ms;
    struct jwt_claims claims = {.iat_ms = 0};
    if (!read_time(object, "exp", &exp_ms) || !read_time(object, "nbf", &nbf_ms) ||
        !read_time(object, "iat", &claims.iat_ms)) {
        return PH_UNAUTHORIZED;
    }
    int64_t earliest_ms = (now_s - JWT_LEEWAY_S) * 1000;
    int64_t latest_ms = (now_s + JWT_LEEWAY_S) * 1000;
    if ((exp_ms != 0 && exp_ms < earliest_ms) || nbf_ms > latest_ms || claims.iat_ms > latest_ms) {
        return PH_UNAUTHORIZED;
    }
    claims.exp_s = exp_ms / 1000;
    claims.nbf_s = nbf_ms / 1000;
    struct slice *const texts[] = {&claims.iss, &claims.sub, &claims.org, &claims.jti,
                                   &claims.session_id};
    static const char *const names[] = {"iss", "sub", "org", "jti", "session_id"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(names); index++) {
        enum ph_error error = read_text(json_object_get(object, names[index]), arena, texts[index]);
        if (error != PH_OK) {
            return error;
        }
    }
    enum ph_error error =
        read_texts(json_object_get(object, "feature_flags"), arena, &claims.has_feature_flags,
                   &claims.feature_flags, &claims.feature_flag_count);
    if (error == PH_OK) {
        error = read_texts(json_object_get(object, "capabilities"), arena, &claims.has_capabilities,
                           &claims.capabilities, &claims.capability_count);
    }
    if (error == PH_OK) {
        *ret_claims = claims;
    }
    return error;
}

enum ph_error jwt_verify(const struct jwt_key *key, struct slice text, int64_t now_s,
                         struct arena *arena, struct diag *diag, struct jwt_claims *ret_claims)
{
    struct slice secret = key->secret;
    const struct algorithm_row *row = row_of(key);
    if (text.len > 0 && text.len == secret.len && secret_equal(text.ptr, secret.ptr, text.len)) {
        return diag_set(diag, PH_UNAUTHORIZED, NULL,
                        "Invalid token: this is the signing secret (jwt_secret) itself; make a "
                        "token with it and send that");
    }
    struct slice rest = text;
    struct slice parts[3];
    if (text.len == 0 || text.len > JWT_TEXT_MAX || !slice_next(&rest, '.', &parts[0]) ||
        !slice_next(&rest, '.', &parts[1]) || !slice_next(&rest, '.', &parts[2]) ||
        rest.ptr != NULL) {
        return refuse(diag);
    }
    struct slice content = {text.ptr, parts[0].len + 1 + parts[1].len};
    if (!is_header_good(parts[0], row->name) || !is_signed(row, secret, content, parts[2])) {
        return refuse(diag);
    }
    json_t *object = load_part(parts[1]);
    if (object == NULL) {
        return refuse(diag);
    }
    struct jwt_claims claims;
    enum ph_error error = read_claims(object, now_s, arena, &claims);
    json_decref(object);
    if (error == PH_NO_MEMORY) {
        return diag_set(diag, error, NULL, "the token is larger than the limit");
    }
    if (error != PH_OK) {
        return refuse(diag);
    }
    if (claims.sub.ptr == NULL) {
        return diag_set(diag, PH_UNAUTHORIZED, NULL, "Invalid token (missing `sub`).");
    }
    *ret_claims = claims;
    return PH_OK;
}
