/* SPDX-License-Identifier: Apache-2.0 */
#include "api/auth.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/random.h"
#include "base/siphash.h"
#include "core/jwt.h"
#include "core/scan.h"
#include "store/integration.h"

#define CLAIMS_ARENA_BYTES 32768

/* Claims of one verified token, or what they would be of a key; the slices live in its arena. */
struct auth_entry {
    bool is_key; /* of an integration */
    uint64_t hash;
    struct slice token;
    struct jwt_claims claims;
    int64_t application_id;
    unsigned capabilities; /* of an application token */
    struct arena arena;

    /* Of an application token: whether it was ended, as the store said at that version and time. */
    struct token_facts facts;
    struct token_fate fate;
    uint64_t fate_version;
    int64_t fate_at_us; /* 0 = not asked yet */
};

struct auth_cache {
    uint8_t key[16];
    struct map by_hash;
    struct auth_entry *entries[AUTH_CACHE_MAX]; /* a ring: the next one to be replaced is `next` */
    size_t next;
};

struct auth_cache *auth_cache_new(void)
{
    struct auth_cache *cache = ph_calloc(1, sizeof *cache);
    random_bytes(cache->key, sizeof cache->key);
    map_init(&cache->by_hash);
    return cache;
}

static void free_entry(struct auth_entry *entry)
{
    if (entry != NULL) {
        arena_done(&entry->arena);
        free(entry);
    }
}

void auth_cache_free(struct auth_cache *cache)
{
    if (cache != NULL) {
        for (size_t index = 0; index < AUTH_CACHE_MAX; index++) {
            free_entry(cache->entries[index]);
        }
        map_done(&cache->by_hash);
        free(cache);
    }
}

static enum ph_error invalid_token(struct diag *diag)
{
    return diag_set(diag, PH_UNAUTHORIZED, NULL, "Invalid token");
}

static bool take_bearer(struct slice header, struct slice *ret_token)
{
    static const char scheme[] = "Bearer ";
    if (header.len <= sizeof scheme - 1 ||
        !slice_equal_nocase((struct slice){header.ptr, sizeof scheme - 1},
                            SLICE_LITERAL("Bearer "))) {
        return false;
    }
    *ret_token = slice_trim(
        (struct slice){header.ptr + sizeof scheme - 1, header.len - (sizeof scheme - 1)});
    return ret_token->len > 0 && ret_token->len <= JWT_TEXT_MAX;
}

/* What `sub` and `org` must look like (svix-api spec section 1). */
static enum ph_error judge_subject(const struct auth_context *context, struct auth_entry *entry,
                                   struct diag *diag)
{
    const struct jwt_claims *claims = &entry->claims;
    if (claims->org.ptr == NULL) {
        if (slice_starts_with(claims->sub, "org_")) {
            return PH_OK;
        }
        enum ph_error error = diag_set(diag, PH_BAD_REQUEST, NULL,
                                       "`sub' is not an organisation id and there is no `org'");
        diag_code(diag, "bad_token");
        return error;
    }
    if (!slice_starts_with(claims->org, "org_") || !slice_starts_with(claims->sub, "app_")) {
        enum ph_error error =
            diag_set(diag, PH_BAD_REQUEST, NULL, "`sub' or `org' has a wrong prefix");
        diag_code(diag, "bad token");
        return error;
    }
    if (!id_parse(context->codec, ID_APPLICATION, claims->sub, &entry->application_id)) {
        entry->application_id = AUTH_NO_SUCH_APPLICATION;
    }
    return PH_OK;
}

static unsigned capabilities_of(const struct jwt_claims *claims)
{
    unsigned capabilities = claims->has_capabilities ? 0 : CAPABILITY_ALL;
    for (size_t index = 0; index < claims->capability_count; index++) {
        capabilities |= capability_parse(claims->capabilities[index]);
    }
    return capabilities;
}

/* What the store knows application tokens by. The hash is over what was signed: the signature's
 * text may have other forms. */
static void set_facts(const struct auth_context *context, struct auth_entry *entry)
{
    const struct jwt_claims *claims = &entry->claims;
    struct token_facts facts = {
        .application_id = entry->application_id,
        .session_id = claims->session_id.len > 0 ? claims->session_id : SLICE_NONE,
        .issued_at_ms = claims->iat_ms,
    };
    if (!id_parse(context->codec, ID_TOKEN, claims->jti, &facts.id)) {
        facts.id = 0;
    }
    size_t signed_length = entry->token.len;
    while (entry->token.ptr[signed_length - 1] != '.') {
        signed_length--;
    }
    siphash128(context->codec->key, entry->token.ptr, signed_length, facts.hash);
    entry->facts = facts;
}

static enum ph_error verify(const struct auth_context *context, struct slice token,
                            struct diag *diag, struct auth_entry **ret_entry)
{
    struct auth_entry *entry = ph_calloc(1, sizeof *entry);
    arena_init(&entry->arena, CLAIMS_ARENA_BYTES);
    enum ph_error error = jwt_verify(&context->jwt_key, token, context->now_us / CLOCK_US_PER_S,
                                     &entry->arena, diag, &entry->claims);
    if (error == PH_OK) {
        error = judge_subject(context, entry, diag);
    }
    if (error == PH_OK) {
        char *copy = arena_dup(&entry->arena, token);
        entry->token = (struct slice){copy, token.len};
        error = copy == NULL ? invalid_token(diag) : PH_OK;
    }
    if (error != PH_OK) {
        free_entry(entry);
        return error;
    }
    entry->capabilities = capabilities_of(&entry->claims);
    set_facts(context, entry);
    *ret_entry = entry;
    return PH_OK;
}

/* The flags of a key's integration, as a token would have them. */
static enum ph_error read_flags(struct slice json, struct auth_entry *entry, struct diag *diag)
{
    struct scan_cursor cursor;
    enum scan_type type;
    struct slice value;
    size_t count = 0;
    if (json.ptr == NULL) {
        return PH_OK;
    }
    scan_cursor_init(&cursor, json);
    while (scan_next_element(&cursor, &type, &value)) {
        count++;
    }
    struct slice *flags = arena_calloc(&entry->arena, count, sizeof *flags);
    if (flags == NULL) {
        return diag_set(diag, PH_NO_MEMORY, NULL, "the key has too many feature flags");
    }
    scan_cursor_init(&cursor, json);
    for (size_t index = 0; scan_next_element(&cursor, &type, &value); index++) {
        enum ph_error error = scan_string(value, &entry->arena, diag, &flags[index]);
        if (error != PH_OK) {
            return error;
        }
    }
    entry->claims.feature_flags = flags;
    entry->claims.feature_flag_count = count;
    return PH_OK;
}

/* What the store knows of the key is as good as the fate of a token: until its tokens change. */
static enum ph_error find_key(const struct auth_context *context, struct slice token,
                              struct diag *diag, struct auth_entry *entry)
{
    struct store *store;
    struct integration_holder holder;
    enum ph_error error = context->begin_read(context->reader, diag, &store);
    if (error == PH_OK) {
        error = integration_find_holder(store, token, &entry->arena, diag, &holder);
    }
    if (error == PH_NOT_FOUND) {
        return invalid_token(diag);
    }
    if (error == PH_OK) {
        error = read_flags(holder.feature_flags, entry, diag);
    }
    if (error == PH_OK) {
        entry->is_key = true;
        entry->application_id = holder.application_id;
        entry->claims.org = holder.org;
        entry->capabilities = CAPABILITY_ALL;
        entry->fate = (struct token_fate){.ends_at_us = INT64_MAX};
        entry->fate_version = context->version;
        entry->fate_at_us = context->now_us;
    }
    return error;
}

static enum ph_error verify_key(const struct auth_context *context, struct slice token,
                                struct diag *diag, struct auth_entry **ret_entry)
{
    struct auth_entry *entry = ph_calloc(1, sizeof *entry);
    arena_init(&entry->arena, CLAIMS_ARENA_BYTES);
    char *copy = arena_dup(&entry->arena, token);
    entry->token = (struct slice){copy, token.len};
    enum ph_error error =
        copy == NULL ? invalid_token(diag) : find_key(context, token, diag, entry);
    if (error != PH_OK) {
        free_entry(entry);
        return error;
    }
    *ret_entry = entry;
    return PH_OK;
}

static void forget(struct auth_cache *cache, size_t position)
{
    struct auth_entry *entry = cache->entries[position];
    if (entry != NULL) {
        if (map_get(&cache->by_hash, entry->hash) == entry) {
            (void)map_remove(&cache->by_hash, entry->hash);
        }
        free_entry(entry);
        cache->entries[position] = NULL;
    }
}

/* Whether what the store said about the token or key still counts. */
static bool is_fate_known(const struct auth_context *context, const struct auth_entry *entry)
{
    return entry->fate_at_us != 0 && entry->fate_version == context->version &&
           context->now_us < entry->fate.ends_at_us && context->now_us >= entry->fate_at_us &&
           context->now_us - entry->fate_at_us < AUTH_FATE_US;
}

static bool is_usable(const struct auth_context *context, const struct auth_entry *entry,
                      struct slice token)
{
    int64_t now_s = context->now_us / CLOCK_US_PER_S;
    return entry != NULL && slice_equal(entry->token, token) &&
           (entry->claims.exp_s == 0 || entry->claims.exp_s + JWT_LEEWAY_S >= now_s) &&
           (!entry->is_key || is_fate_known(context, entry));
}

static enum ph_error find_or_verify(const struct auth_context *context, struct slice token,
                                    struct diag *diag, struct auth_entry **ret_entry)
{
    struct auth_cache *cache = context->cache;
    uint64_t hash = siphash64(cache->key, token.ptr, token.len) | 1;
    struct auth_entry *entry = map_get(&cache->by_hash, hash);
    if (is_usable(context, entry, token)) {
        *ret_entry = entry;
        return PH_OK;
    }
    enum ph_error error = slice_starts_with(token, AUTH_KEY_PREFIX)
                              ? verify_key(context, token, diag, &entry)
                              : verify(context, token, diag, &entry);
    if (error != PH_OK) {
        return error;
    }
    forget(cache, cache->next);
    entry->hash = hash;
    cache->entries[cache->next] = entry;
    cache->next = (cache->next + 1) % AUTH_CACHE_MAX;
    (void)map_set(&cache->by_hash, hash, entry);
    *ret_entry = entry;
    return PH_OK;
}

/* Whether the token was ended: by logout, by expire-all, or with its session. */
static enum ph_error check_fate(const struct auth_context *context, struct auth_entry *entry,
                                struct diag *diag)
{
    if (entry->application_id <= 0 || entry->is_key) {
        return PH_OK;
    }
    if (entry->facts.session_id.ptr != NULL &&
        entry->claims.iat_ms < (context->now_us - TOKEN_SESSION_AGE_MAX_US) / 1000) {
        return invalid_token(diag);
    }
    if (!is_fate_known(context, entry) && !entry->fate.has_ended) {
        struct store *store;
        enum ph_error error = context->begin_read(context->reader, diag, &store);
        if (error == PH_OK) {
            error = token_find_fate(store, &entry->facts, context->now_us, diag, &entry->fate);
        }
        if (error != PH_OK) {
            return error;
        }
        entry->fate_version = context->version;
        entry->fate_at_us = context->now_us;
    }
    return entry->fate.has_ended ? invalid_token(diag) : PH_OK;
}

static bool has_all(const struct auth_entry *entry, unsigned capabilities)
{
    return (entry->capabilities & capabilities) == capabilities;
}

static bool has_one(const struct auth_entry *entry, unsigned capabilities)
{
    return (entry->capabilities & capabilities) != 0;
}

/* Whether the token may do an operation of this class. */
static bool may(const struct auth_entry *entry, enum api_auth auth, bool is_read)
{
    const unsigned managing = CAPABILITY_MANAGE_ENDPOINT_SECRET | CAPABILITY_MANAGE_ENDPOINT;
    if (entry->application_id == 0) {
        return auth != API_AUTH_TOKEN;
    }
    switch (auth) {
    case API_AUTH_NONE:
        return true;
    case API_AUTH_TOKEN:
        return !entry->is_key;
    case API_AUTH_ORGANISATION:
        return false;
    case API_AUTH_READ_ALL:
    case API_AUTH_VIEW:
        return has_all(entry, CAPABILITY_VIEW_BASE);
    case API_AUTH_MANAGE:
        return has_all(entry, CAPABILITY_MANAGE_ENDPOINT);
    case API_AUTH_APPLICATION:
        return has_all(entry, is_read ? CAPABILITY_VIEW_BASE : CAPABILITY_MANAGE_ENDPOINT);
    case API_AUTH_VIEW_SECRET:
        return has_one(entry, managing | CAPABILITY_VIEW_ENDPOINT_SECRET);
    case API_AUTH_MANAGE_SECRET:
        return has_one(entry, managing);
    case API_AUTH_TRANSFORM:
        return has_one(entry, CAPABILITY_MANAGE_TRANSFORMATIONS | CAPABILITY_MANAGE_ENDPOINT);
    case API_AUTH_ATTEMPT:
        return has_all(entry, CAPABILITY_CREATE_ATTEMPTS);
    case API_AUTH_EVERYTHING:
        return has_all(entry, CAPABILITY_ALL) && !entry->is_key;
    }
    return false;
}

enum ph_error api_authenticate(const struct auth_context *context, enum api_auth auth, bool is_read,
                               struct slice header, struct arena *arena, struct diag *diag,
                               struct principal *ret_principal)
{
    PH_ASSERT(auth != API_AUTH_NONE);
    struct slice token;
    if (!take_bearer(header, &token)) {
        return invalid_token(diag);
    }
    struct auth_entry *entry;
    enum ph_error error = find_or_verify(context, token, diag, &entry);
    if (error == PH_OK) {
        error = check_fate(context, entry, diag);
    }
    if (error != PH_OK) {
        return error;
    }
    if (!may(entry, auth, is_read)) {
        return diag_set(diag, PH_FORBIDDEN, NULL, "Insufficient access for the given operation.");
    }
    struct slice org = entry->application_id != 0 ? entry->claims.org : entry->claims.sub;
    char *copy = arena_dup(arena, org);
    if (copy == NULL) {
        return diag_set(diag, PH_NO_MEMORY, NULL, "the request is too large");
    }
    *ret_principal = (struct principal){
        .org = {copy, org.len},
        .application_id = entry->application_id,
        .feature_flags = entry->claims.feature_flags,
        .feature_flag_count = entry->claims.feature_flag_count,
        .token_exp_s = entry->claims.exp_s,
    };
    memcpy(ret_principal->token_hash, entry->facts.hash, TOKEN_HASH_BYTES);
    if (entry->is_key) {
        ret_principal->key = entry->token;
    } else if (entry->application_id > 0) {
        ret_principal->token = &entry->facts;
    }
    return PH_OK;
}

/* --- answers that go on ----------------------------------------------------------------------- */

void auth_grant_init(struct auth_grant *grant, const struct principal *principal)
{
    *grant = (struct auth_grant){0};
    if (principal->key.ptr != NULL) {
        grant->may_end = true;
        grant->key = secret_new(principal->key.ptr, principal->key.len);
    } else if (principal->token != NULL) {
        grant->may_end = true;
        grant->token = *principal->token;
        if (grant->token.session_id.ptr != NULL) {
            grant->session_id = slice_dup(grant->token.session_id);
            grant->token.session_id.ptr = grant->session_id;
        }
    }
}

void auth_grant_done(struct auth_grant *grant)
{
    secret_done(&grant->key);
    free(grant->session_id);
}

static enum ph_error ask_store(const struct auth_grant *grant, struct store *store, int64_t now_us,
                               struct diag *diag, struct token_fate *ret_fate)
{
    if (grant->key.length == 0) {
        return token_find_fate(store, &grant->token, now_us, diag, ret_fate);
    }
    ARENA_AUTO struct arena arena;
    arena_init(&arena, CLAIMS_ARENA_BYTES);
    struct integration_holder holder;
    const struct slice key = {(const char *)grant->key.bytes, grant->key.length};
    enum ph_error error = integration_find_holder(store, key, &arena, diag, &holder);
    *ret_fate = (struct token_fate){.has_ended = error == PH_NOT_FOUND, .ends_at_us = INT64_MAX};
    return error == PH_NOT_FOUND ? PH_OK : error;
}

enum ph_error auth_grant_check(struct auth_grant *grant, struct store *store, uint64_t version,
                               int64_t now_us, struct diag *diag, bool *ret_counts)
{
    bool is_known = grant->asked_at_us != 0 && grant->version == version &&
                    now_us < grant->ends_at_us && now_us >= grant->asked_at_us &&
                    now_us - grant->asked_at_us < AUTH_FATE_US;
    *ret_counts = true;
    if (!grant->may_end || is_known) {
        return PH_OK;
    }
    struct token_fate fate;
    enum ph_error error = ask_store(grant, store, now_us, diag, &fate);
    if (error == PH_OK) {
        *ret_counts = !fate.has_ended;
        grant->version = version;
        grant->asked_at_us = now_us;
        grant->ends_at_us = fate.ends_at_us;
    }
    return error;
}
