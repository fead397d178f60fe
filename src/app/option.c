/* SPDX-License-Identifier: Apache-2.0 */
#include "app/option.h"

#include <ctype.h>

#include "app/option_int.h"
#include "base/secret.h"

static const struct option_row rows[] = {
#define X(id, key, type, fallback, minimum, maximum, unit, choices, traits, help)                  \
    {key, OPTION_TYPE_##type, fallback, minimum, maximum, unit, choices, traits, help},
#include "app/option.def"
#undef X
};
_Static_assert(PH_ARRAY_LENGTH(rows) == OPTION_COUNT, "one row per option");

#define VARIABLE_PREFIX "POSTHORN_"
#define NAME_MAX_BYTES 256
#define LIST_TEXT_MAX 65536

/* Variables of the same prefix that belong to subcommands (send, and later dbt) or to the tests. */
static const char *const command_variables[] = {"URL",   "TOKEN", "ACCOUNT",
                                                "SPOOL", "BIN",   "SLOWNESS"};

const struct option_row *option_row(enum option_id id)
{
    PH_ASSERT((unsigned)id < OPTION_COUNT);
    return &rows[id];
}

bool option_find(struct slice key, enum option_id *ret_id)
{
    for (unsigned id = 0; id < OPTION_COUNT; id++) {
        if (slice_equal_text(key, rows[id].key)) {
            *ret_id = (enum option_id)id;
            return true;
        }
    }
    return false;
}

bool option_is_list(enum option_type type)
{
    return type == OPTION_TYPE_SECONDS_LIST || type == OPTION_TYPE_CIDR_LIST ||
           type == OPTION_TYPE_ADDRESS_LIST;
}

const char *option_type_name(enum option_type type)
{
    switch (type) {
    case OPTION_TYPE_TEXT:
        return "text";
    case OPTION_TYPE_STORE:
        return "store address";
    case OPTION_TYPE_URL:
        return "URL";
    case OPTION_TYPE_PROXY:
        return "proxy URL";
    case OPTION_TYPE_INT:
        return "integer";
    case OPTION_TYPE_NUMBER:
        return "number";
    case OPTION_TYPE_BOOL:
        return "true or false";
    case OPTION_TYPE_SECONDS:
        return "seconds";
    case OPTION_TYPE_HOURS:
        return "hours";
    case OPTION_TYPE_DAYS:
        return "days";
    case OPTION_TYPE_SIZE:
        return "size";
    case OPTION_TYPE_SECONDS_LIST:
        return "list of seconds";
    case OPTION_TYPE_CIDR_LIST:
        return "list of CIDR blocks";
    case OPTION_TYPE_ADDRESS_LIST:
        return "list of addresses";
    case OPTION_TYPE_ENUM:
        return "choice";
    }
    PH_ASSERT(false);
    return "";
}

void option_variable_name(const struct option_row *row, struct buf *text)
{
    buf_append_text(text, VARIABLE_PREFIX);
    for (const char *at = row->key; *at != '\0'; at++) {
        buf_append_byte(text, *at == '.' ? '_' : (char)toupper((unsigned char)*at));
    }
}

void option_flag_name(const struct option_row *row, struct buf *text)
{
    buf_append_text(text, "--");
    for (const char *at = row->key; *at != '\0'; at++) {
        buf_append_byte(text, *at == '.' || *at == '_' ? '-' : *at);
    }
}

static void value_done(struct option_value *value)
{
    if (value->text != NULL) {
        secret_wipe(value->text, strlen(value->text));
    }
    free(value->text);
    for (size_t index = 0; index < value->item_count; index++) {
        free(value->items[index]);
    }
    free(value->items);
    *value = (struct option_value){.source = OPTION_FROM_DEFAULT};
}

void options_init(struct options *options)
{
    *options = (struct options){0};
    for (unsigned id = 0; id < OPTION_COUNT; id++) {
        struct diag diag = {0};
        enum ph_error error =
            option_parse(&rows[id], slice_of(rows[id].fallback), &diag, &options->values[id]);
        PH_ASSERT(error == PH_OK); /* the table's own defaults are legal */
    }
}

void options_done(struct options *options)
{
    for (unsigned id = 0; id < OPTION_COUNT; id++) {
        value_done(&options->values[id]);
    }
}

static enum ph_error unknown_key(const char *where, struct slice key, struct diag *diag)
{
    return diag_set(diag, PH_NOT_FOUND, NULL,
                    "%s: unknown option %.*s (`posthorn help options` lists them)", where,
                    SLICE_ARG(key));
}

static enum ph_error bad_value(const char *where, const struct option_row *row, struct slice value,
                               const struct diag *reason, struct diag *diag)
{
    BUF_AUTO struct buf range;
    buf_init(&range, 512);
    option_describe_range(row, &range);
    if ((row->traits & OPTION_SENSITIVE) != 0) {
        value = SLICE_LITERAL("(hidden)");
    }
    const int shown = value.len > 80 ? 80 : (int)value.len;
    return diag_set(diag, PH_INVALID, row->key, "%s: %s: \"%.*s\" %s; allowed: %s", where, row->key,
                    shown, value.ptr == NULL ? "" : value.ptr, reason->text, buf_text(&range));
}

enum ph_error options_set(struct options *options, enum option_source source, const char *where,
                          struct slice key, struct slice value, struct diag *diag)
{
    enum option_id id;
    if (!option_find(key, &id)) {
        return unknown_key(where, key, diag);
    }
    struct option_value parsed = {0};
    struct diag reason = {0};
    if (option_parse(&rows[id], value, &reason, &parsed) != PH_OK) {
        return bad_value(where, &rows[id], value, &reason, diag);
    }
    if (source < options->values[id].source) {
        value_done(&parsed);
        return PH_OK;
    }
    value_done(&options->values[id]);
    options->values[id] = parsed;
    options->values[id].source = source;
    return PH_OK;
}

enum ph_error options_append(struct options *options, enum option_source source, const char *where,
                             struct slice key, struct slice value, struct diag *diag)
{
    enum option_id id;
    if (!option_find(key, &id) || !option_is_list(rows[id].type) ||
        options->values[id].source != source || options->values[id].item_count == 0) {
        return options_set(options, source, where, key, value, diag);
    }
    BUF_AUTO struct buf joined;
    buf_init(&joined, LIST_TEXT_MAX);
    buf_append_text(&joined, options->values[id].text);
    buf_append_byte(&joined, ',');
    buf_append_slice(&joined, value);
    if (joined.failed) {
        return diag_set(diag, PH_INVALID, rows[id].key, "%s: %s: the list is too long", where,
                        rows[id].key);
    }
    return options_set(options, source, where, key, buf_slice(&joined), diag);
}

static bool is_command_variable(struct slice name)
{
    for (size_t index = 0; index < PH_ARRAY_LENGTH(command_variables); index++) {
        if (slice_equal_text(name, command_variables[index])) {
            return true;
        }
    }
    return false;
}

static bool find_variable(struct slice name, enum option_id *ret_id)
{
    for (unsigned id = 0; id < OPTION_COUNT; id++) {
        BUF_AUTO struct buf variable;
        buf_init(&variable, NAME_MAX_BYTES);
        option_variable_name(&rows[id], &variable);
        if (slice_equal(name, buf_slice(&variable))) {
            *ret_id = (enum option_id)id;
            return true;
        }
    }
    return false;
}

enum ph_error options_load_environment(struct options *options, const char *const *environment,
                                       struct buf *ret_unknown, struct diag *diag)
{
    for (const char *const *entry = environment; *entry != NULL; entry++) {
        struct slice whole = slice_of(*entry);
        if (!slice_starts_with(whole, VARIABLE_PREFIX)) {
            continue;
        }
        size_t name_length = slice_find(whole, '=');
        if (name_length == whole.len) {
            continue;
        }
        struct slice name = {whole.ptr, name_length};
        struct slice value = {whole.ptr + name_length + 1, whole.len - name_length - 1};
        struct slice rest = {name.ptr + strlen(VARIABLE_PREFIX),
                             name.len - strlen(VARIABLE_PREFIX)};
        enum option_id id;
        if (find_variable(name, &id)) {
            PH_AUTO_FREE char *where = slice_dup(name);
            enum ph_error error = options_set(options, OPTION_FROM_ENVIRONMENT, where,
                                              slice_of(rows[id].key), value, diag);
            if (error != PH_OK) {
                return error;
            }
        } else if (ret_unknown != NULL && !is_command_variable(rest)) {
            buf_append_text(ret_unknown, ret_unknown->len == 0 ? "" : " ");
            buf_append_slice(ret_unknown, name);
        }
    }
    return PH_OK;
}

enum ph_error options_check(const struct options *options, struct diag *diag)
{
    bool has_cert = option_text(options, OPTION_TLS_CERT_FILE)[0] != '\0';
    bool has_key = option_text(options, OPTION_TLS_KEY_FILE)[0] != '\0';
    if (has_cert != has_key) {
        return diag_set(diag, PH_INVALID, has_cert ? "tls_key_file" : "tls_cert_file",
                        "tls_cert_file and tls_key_file go together: %s is missing",
                        has_cert ? "tls_key_file" : "tls_cert_file");
    }
    if (option_text(options, OPTION_DATA)[0] == '\0') {
        return diag_set(diag, PH_INVALID, "data", "data: the name of a directory is needed");
    }
    size_t count;
    (void)option_list(options, OPTION_LISTEN, &count);
    if (count == 0) {
        return diag_set(diag, PH_INVALID, "listen", "listen: at least one address is needed");
    }
    return PH_OK;
}

const char *option_text(const struct options *options, enum option_id id)
{
    PH_ASSERT((unsigned)id < OPTION_COUNT);
    return options->values[id].text;
}

int64_t option_int(const struct options *options, enum option_id id)
{
    enum option_type type = option_row(id)->type;
    PH_ASSERT(type == OPTION_TYPE_INT || type == OPTION_TYPE_SIZE || type == OPTION_TYPE_ENUM);
    return options->values[id].number;
}

bool option_bool(const struct options *options, enum option_id id)
{
    PH_ASSERT(option_row(id)->type == OPTION_TYPE_BOOL);
    return options->values[id].number != 0;
}

double option_number(const struct options *options, enum option_id id)
{
    PH_ASSERT(option_row(id)->type == OPTION_TYPE_NUMBER);
    return options->values[id].fraction;
}

int64_t option_us(const struct options *options, enum option_id id)
{
    enum option_type type = option_row(id)->type;
    PH_ASSERT(type == OPTION_TYPE_SECONDS || type == OPTION_TYPE_HOURS || type == OPTION_TYPE_DAYS);
    return options->values[id].number;
}

const char *const *option_list(const struct options *options, enum option_id id, size_t *ret_count)
{
    PH_ASSERT(option_is_list(option_row(id)->type));
    *ret_count = options->values[id].item_count;
    return (const char *const *)options->values[id].items;
}

bool option_equal(const struct options *left, const struct options *right, enum option_id id)
{
    const struct option_value *a = &left->values[id];
    const struct option_value *b = &right->values[id];
    enum option_type type = rows[id].type;
    if (type == OPTION_TYPE_TEXT || type == OPTION_TYPE_STORE || type == OPTION_TYPE_URL ||
        type == OPTION_TYPE_PROXY) {
        return strcmp(a->text, b->text) == 0;
    }
    if (type == OPTION_TYPE_NUMBER) {
        return !(a->fraction < b->fraction) && !(a->fraction > b->fraction);
    }
    bool is_equal = a->number == b->number && a->item_count == b->item_count;
    for (size_t index = 0; is_equal && index < a->item_count; index++) {
        is_equal = strcmp(a->items[index], b->items[index]) == 0;
    }
    return is_equal;
}

void option_exchange(struct options *left, struct options *right, enum option_id id)
{
    struct option_value value = left->values[id];
    left->values[id] = right->values[id];
    right->values[id] = value;
}

bool option_is_set(const struct options *options, enum option_id id)
{
    PH_ASSERT((unsigned)id < OPTION_COUNT);
    return options->values[id].source != OPTION_FROM_DEFAULT;
}
