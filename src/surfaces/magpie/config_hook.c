/* SPDX-License-Identifier: Apache-2.0 */
/* The rules for one hook (magpie spec section 2.3), in their order: the first that is broken is an
 * error, and what will hardly be meant is a warning. */
#include <stdio.h>

#include "base/siphash.h"
#include "core/url.h"
#include "surfaces/magpie/config_int.h"

#define KEY_TEXT_MAX 64
#define WORD_SHOWN_MAX 64
#define WORDS_MAX (WORD_SHOWN_MAX + 8)

enum field { FIELD_NAME, FIELD_ACTION, FIELD_METHOD, FIELD_URL, FIELD_FORMAT, FIELD_PAYLOAD };
#define FIELD_COUNT 6
#define FIELD_REQUIRED 4 /* the first ones */

static const char *const field_names[FIELD_COUNT] = {"name", "action", "method",
                                                     "url",  "format", "payload"};

/* One item of the list. */
struct item {
    struct magpie_reading *reading;
    size_t line;
    const struct magpie_yaml_member *fields[FIELD_COUNT]; /* NULL = it has none */
    struct magpie_hook hook;
};

#define REFUSE(item, at, ...) (magpie_reading_find((item)->reading, true, (at), __VA_ARGS__), false)
#define WARN(item, at, ...) magpie_reading_find((item)->reading, false, (at), __VA_ARGS__)

static size_t line_of(const struct item *item, enum field field)
{
    return item->fields[field]->value->line;
}

/* For words about a value. */
static int shown(struct slice text)
{
    return (int)(text.len < WORD_SHOWN_MAX ? text.len : WORD_SHOWN_MAX);
}

static bool keep(struct item *item, struct slice text, struct slice *ret_copy)
{
    const char *copy = arena_dup(&item->reading->config->arena, text);
    if (copy == NULL) {
        return REFUSE(item, item->line, "the hooks are too large in all");
    }
    *ret_copy = (struct slice){copy, text.len};
    return true;
}

/* --- which keys ------------------------------------------------------------------------------- */

static bool set_field(struct item *item, const struct magpie_yaml_member *member)
{
    for (size_t field = 0; field < FIELD_COUNT; field++) {
        if (slice_equal_text(member->key, field_names[field])) {
            item->fields[field] = member;
            return true;
        }
    }
    return false;
}

/* For errors, before anything is known of the hook: its name, or its place in the file. */
static void set_title(struct item *item, size_t place, struct buf *title)
{
    const struct magpie_yaml_member *name = item->fields[FIELD_NAME];
    if (name != NULL && name->value->kind == YAML_NODE_SCALAR && name->value->text.len > 0) {
        item->reading->hook = name->value->text;
        return;
    }
    buf_append_format(title, "#%zu", place);
    item->reading->hook = buf_slice(title);
}

static bool check_keys(struct item *item, const struct magpie_yaml_member *members, size_t count)
{
    for (size_t field = 0; field < FIELD_REQUIRED; field++) {
        if (item->fields[field] == NULL) {
            return REFUSE(item, item->line, "`%s` is missing", field_names[field]);
        }
        if (magpie_yaml_is_falsy(item->fields[field]->value)) {
            return REFUSE(item, line_of(item, (enum field)field), "`%s` is empty",
                          field_names[field]);
        }
    }
    for (size_t index = 0; index < count; index++) {
        struct item unused = {0};
        if (!set_field(&unused, &members[index])) {
            return REFUSE(item, members[index].line,
                          "`%.*s` is no key of a hook; there are name, action, method, url, "
                          "format, payload",
                          shown(members[index].key), members[index].key.ptr);
        }
    }
    return true;
}

/* --- their values ----------------------------------------------------------------------------- */

/* The text of a value that must be one; SLICE_NONE when it is of another type. */
static struct slice text_of(const struct item *item, enum field field)
{
    const struct yaml_node *node = item->fields[field]->value;
    return magpie_yaml_type_of(node) == MAGPIE_YAML_TEXT ? node->text : SLICE_NONE;
}

/* For words about a value: a text in quotes, or what it is instead of one. */
static const char *show_value(const struct item *item, enum field field, char words[WORDS_MAX])
{
    const struct yaml_node *node = item->fields[field]->value;
    struct slice text = text_of(item, field);
    if (text.ptr == NULL) {
        return magpie_yaml_type_name(magpie_yaml_type_of(node));
    }
    (void)snprintf(words, WORDS_MAX, "\"%.*s\"", shown(text), text.ptr);
    return words;
}

/* Normally a text; whatever it is else, it stands as JSON has it. */
static bool read_name(struct item *item)
{
    BUF_AUTO struct buf text;
    struct slice name = text_of(item, FIELD_NAME);
    buf_init(&text, MAGPIE_NAME_BYTES_MAX + 1);
    if (name.ptr == NULL) {
        if (magpie_yaml_write(&item->reading->yaml, item->fields[FIELD_NAME]->value, &text) !=
            PH_OK) {
            return REFUSE(item, item->reading->yaml.line, "%s", item->reading->yaml.diag->text);
        }
        name = buf_slice(&text);
    }
    if (text.failed || name.len > MAGPIE_NAME_BYTES_MAX) {
        return REFUSE(item, line_of(item, FIELD_NAME), "`name` has more than %d bytes",
                      MAGPIE_NAME_BYTES_MAX);
    }
    if (!slice_is_utf8_text(name)) {
        return REFUSE(item, line_of(item, FIELD_NAME), "`name` has a NUL");
    }
    return keep(item, name, &item->hook.name);
}

static bool read_action(struct item *item)
{
    char words[WORDS_MAX];
    if (magpie_action_parse(text_of(item, FIELD_ACTION), &item->hook.action)) {
        return true;
    }
    return REFUSE(item, line_of(item, FIELD_ACTION),
                  "%s is no action; there are create_user, delete_user, "
                  "update_user_status, create_user_permission, delete_user_permission, "
                  "create_group_permission, delete_group_permission",
                  show_value(item, FIELD_ACTION, words));
}

static bool read_method(struct item *item)
{
    char words[WORDS_MAX];
    item->hook.method = magpie_method_find(text_of(item, FIELD_METHOD));
    if (item->hook.method != NULL) {
        return true;
    }
    return REFUSE(item, line_of(item, FIELD_METHOD),
                  "%s is no method; there are GET, HEAD, POST, PUT, PATCH, DELETE",
                  show_value(item, FIELD_METHOD, words));
}

static bool is_scheme_byte(char byte, bool is_first)
{
    bool is_letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
    bool is_other = (byte >= '0' && byte <= '9') || byte == '+' || byte == '-' || byte == '.';
    return is_letter || (is_other && !is_first);
}

/* A scheme and a network location, whatever they are. */
static bool has_shape(struct slice url)
{
    size_t at = 0;
    while (at < url.len && is_scheme_byte(url.ptr[at], at == 0)) {
        at++;
    }
    if (at == 0 || url.len < at + 4 || memcmp(url.ptr + at, "://", 3) != 0) {
        return false;
    }
    return strchr("/?#", url.ptr[at + 3]) == NULL;
}

/* What is left of `$NAME` and `${NAME}` was not there to be replaced. */
static bool has_variable(struct slice url)
{
    for (size_t at = 0; at + 1 < url.len; at++) {
        char next = url.ptr[at + 1];
        if (url.ptr[at] == '$' && (next == '{' || next == '_' || (next >= 'A' && next <= 'Z'))) {
            return true;
        }
    }
    return false;
}

/* The URL itself is in no message: it may have a password, or a token. */
static bool read_url(struct item *item)
{
    struct slice url = text_of(item, FIELD_URL);
    size_t line = line_of(item, FIELD_URL);
    struct diag diag;
    BUF_AUTO struct buf normal;
    buf_init(&normal, (size_t)4 * URL_LENGTH_MAX);
    if (url.ptr == NULL || !slice_is_utf8_text(url) || !has_shape(url)) {
        return REFUSE(item, line, "`url` must have a scheme and a host");
    }
    if (url.len > URL_LENGTH_MAX) {
        return REFUSE(item, line, "`url` has more than %d bytes", URL_LENGTH_MAX);
    }
    if (url_normalise(url, NULL, &diag, &normal) != PH_OK) {
        WARN(item, line, "nothing can be sent to `url`: %s", diag.text);
    }
    if (has_variable(url)) {
        WARN(item, line, "`url` has a variable that is not in the environment");
    }
    if (memmem(url.ptr, url.len, "{{", 2) != NULL) {
        WARN(item, line, "nothing is replaced in `url`: {{ is sent as it stands");
    }
    return keep(item, url, &item->hook.url);
}

/* --- format and payload ----------------------------------------------------------------------- */

static bool read_format(struct item *item)
{
    const struct magpie_yaml_member *field = item->fields[FIELD_FORMAT];
    bool is_known = true;
    item->hook.format = magpie_body_format_find(SLICE_NONE, &is_known);
    if (field == NULL || magpie_yaml_type_of(field->value) == MAGPIE_YAML_NULL) {
        return true;
    }
    struct slice text = text_of(item, FIELD_FORMAT);
    if (text.ptr == NULL) {
        WARN(item, field->value->line, "`format` is no text: JSON is sent");
        return true;
    }
    item->hook.format = magpie_body_format_find(text, &is_known);
    if (!is_known) {
        WARN(item, field->value->line, "\"%.*s\" is no format: JSON is sent", shown(text),
             text.ptr);
    }
    return keep(item, text, &item->hook.format_name);
}

struct naming {
    struct item *item;
    size_t line;
};

static void judge_name(void *context, struct slice name)
{
    struct naming *naming = context;
    if (name.len > 0 && (name.ptr[0] == ' ' || name.ptr[name.len - 1] == ' ')) {
        WARN(naming->item, naming->line,
             "{{%.*s}} is no parameter: there may be no spaces within the braces", shown(name),
             name.ptr);
    } else if (!magpie_template_knows(name)) {
        WARN(naming->item, naming->line, "{{%.*s}} is no parameter: it is sent as it stands",
             shown(name), name.ptr);
    } else if (!magpie_action_has(naming->item->hook.action, name)) {
        WARN(naming->item, naming->line, "{{%.*s}} is no parameter of %s: it is sent as it stands",
             shown(name), name.ptr, magpie_action_name(naming->item->hook.action));
    }
}

/* Only a text can be sent in a format that is not JSON, and what is empty is no body. */
static bool may_be_sent(const struct item *item, const struct yaml_node *payload)
{
    enum magpie_yaml_type type = magpie_yaml_type_of(payload);
    bool is_empty = payload->kind != YAML_NODE_SCALAR && payload->count == 0;
    return item->hook.format->is_json || type == MAGPIE_YAML_TEXT || is_empty;
}

static bool read_payload(struct item *item)
{
    const struct magpie_yaml_member *field = item->fields[FIELD_PAYLOAD];
    struct magpie_yaml *yaml = &item->reading->yaml;
    BUF_AUTO struct buf json;
    buf_init(&json, MAGPIE_PAYLOAD_BYTES_MAX);
    if (field == NULL || magpie_yaml_type_of(field->value) == MAGPIE_YAML_NULL) {
        return true;
    }
    size_t line = field->value->line;
    if (!may_be_sent(item, field->value)) {
        return REFUSE(item, line, "`payload` is %s, and the format %s takes a text only",
                      magpie_yaml_type_name(magpie_yaml_type_of(field->value)),
                      item->hook.format->content_type);
    }
    if (field->value->depth > MAGPIE_PAYLOAD_DEPTH_MAX) {
        return REFUSE(item, line, "`payload` is nested too deeply");
    }
    if (magpie_yaml_write(yaml, field->value, &json) != PH_OK) {
        return REFUSE(item, yaml->line, "`payload`: %s", yaml->diag->text);
    }
    if (json.failed) {
        return REFUSE(item, line, "`payload` has more than %zu bytes", MAGPIE_PAYLOAD_BYTES_MAX);
    }
    struct naming naming = {item, line};
    magpie_template_names(buf_slice(&json), yaml->arena, judge_name, &naming);
    return keep(item, buf_slice(&json), &item->hook.payload);
}

/* --- the hook --------------------------------------------------------------------------------- */

/* Of name and action, and which of several with the same: that stays when everything else of a hook
 * changes, so its deliveries go on being listed. */
static bool set_key(struct item *item)
{
    static const uint8_t hash_keys[2][16] = {{1}, {2}}; /* equal on every start */
    const struct magpie_config *config = item->reading->config;
    char key[KEY_TEXT_MAX];
    size_t same = 0;
    size_t named = 0;
    BUF_AUTO struct buf text;
    buf_init(&text, MAGPIE_NAME_BYTES_MAX + 64);
    for (size_t index = 0; index < config->hook_count; index++) {
        bool is_named = slice_equal(config->hooks[index].name, item->hook.name);
        named += is_named;
        same += is_named && config->hooks[index].action == item->hook.action;
    }
    if (named > 0) {
        WARN(item, line_of(item, FIELD_NAME), "the name is another hook's too");
    }
    buf_append_format(&text, "%s ", magpie_action_name(item->hook.action));
    buf_append_slice(&text, item->hook.name);
    (void)snprintf(key, sizeof key, "hook-%016llx%016llx-%zu",
                   (unsigned long long)siphash64(hash_keys[0], text.data, text.len),
                   (unsigned long long)siphash64(hash_keys[1], text.data, text.len), same + 1);
    return keep(item, slice_of(key), &item->hook.key);
}

static bool read_values(struct item *item)
{
    return read_action(item) && read_method(item) && read_url(item) && read_name(item) &&
           read_format(item) && read_payload(item) && set_key(item);
}

void magpie_reading_hook(struct magpie_reading *reading, const struct yaml_node *node, size_t place)
{
    struct item item = {.reading = reading, .line = node->line};
    struct magpie_config *config = reading->config;
    struct magpie_yaml_member *members;
    size_t count;
    BUF_AUTO struct buf title;
    buf_init(&title, 64);
    if (node->kind == YAML_NODE_MAP) {
        if (magpie_yaml_members(&reading->yaml, node, &members, &count) != PH_OK) {
            magpie_reading_find(reading, true, reading->yaml.line, "%s", reading->yaml.diag->text);
            return;
        }
        for (size_t index = 0; index < count; index++) {
            (void)set_field(&item, &members[index]);
        }
    }
    set_title(&item, place, &title);
    if (node->kind != YAML_NODE_MAP) {
        magpie_reading_find(reading, true, node->line, "a hook must be a mapping, not %s",
                            magpie_yaml_type_name(magpie_yaml_type_of(node)));
        return;
    }
    if (!check_keys(&item, members, count)) {
        return;
    }
    item.hook.file = reading->file;
    item.hook.line = node->line;
    if (!read_values(&item) || !keep(&item, reading->file, &item.hook.file)) {
        return;
    }
    if (config->hook_count == MAGPIE_HOOKS_MAX) {
        magpie_reading_find(reading, true, node->line, "there are more than %d hooks",
                            MAGPIE_HOOKS_MAX);
        return;
    }
    config->hooks[config->hook_count++] = item.hook;
}
