/* SPDX-License-Identifier: Apache-2.0 */
#include <yaml.h>

#include "app/file.h"
#include "app/option.h"

#define FILE_MAX_BYTES ((size_t)1024 * 1024)
#define DEPTH_MAX 8
#define KEY_MAX 256
#define VALUE_MAX 65536

struct reader {
    struct options *options;
    const char *name;
    yaml_parser_t parser;
    yaml_event_t event;
    bool has_event;
    bool seen[OPTION_COUNT];
    struct buf key; /* the path so far, joined with dots */
    struct diag *diag;
};

static void where_text(const struct reader *reader, char ret_where[KEY_MAX])
{
    (void)snprintf(ret_where, KEY_MAX, "%s:%zu", reader->name, reader->event.start_mark.line + 1);
}

static enum ph_error complain(struct reader *reader, const char *what)
{
    char where[KEY_MAX];
    where_text(reader, where);
    return diag_set(reader->diag, PH_INVALID, NULL, "%s: %s", where, what);
}

static enum ph_error next(struct reader *reader)
{
    if (reader->has_event) {
        yaml_event_delete(&reader->event);
        reader->has_event = false;
    }
    if (yaml_parser_parse(&reader->parser, &reader->event) == 0) {
        return diag_set(reader->diag, PH_INVALID, NULL, "%s:%zu: not YAML: %s", reader->name,
                        reader->parser.problem_mark.line + 1,
                        reader->parser.problem == NULL ? "broken" : reader->parser.problem);
    }
    reader->has_event = true;
    if ((int)reader->event.type == YAML_ALIAS_EVENT) {
        return complain(reader, "aliases are not supported");
    }
    return PH_OK;
}

static struct slice scalar(const struct reader *reader)
{
    return (struct slice){(const char *)reader->event.data.scalar.value,
                          reader->event.data.scalar.length};
}

static bool is_null(const struct reader *reader)
{
    struct slice text = scalar(reader);
    return (int)reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (text.len == 0 || slice_equal_text(text, "~") ||
            slice_equal_nocase(text, SLICE_LITERAL("null")));
}

static enum ph_error set(struct reader *reader, struct slice value)
{
    char where[KEY_MAX];
    where_text(reader, where);
    enum option_id id;
    if (option_find(buf_slice(&reader->key), &id)) {
        if (id == OPTION_CONFIG) {
            return complain(reader, "config: a configuration file cannot name another one");
        }
        if (reader->seen[id]) {
            return diag_set(reader->diag, PH_INVALID, NULL, "%s: %s stands twice in the file",
                            where, buf_text(&reader->key));
        }
        reader->seen[id] = true;
    }
    return options_set(reader->options, OPTION_FROM_FILE, where, buf_slice(&reader->key), value,
                       reader->diag);
}

static enum ph_error read_sequence(struct reader *reader)
{
    BUF_AUTO struct buf joined;
    buf_init(&joined, VALUE_MAX);
    enum option_id id;
    if (option_find(buf_slice(&reader->key), &id) && !option_is_list(option_row(id)->type)) {
        return diag_set(reader->diag, PH_INVALID, option_row(id)->key,
                        "%s:%zu: %s takes one value, not a list", reader->name,
                        reader->event.start_mark.line + 1, option_row(id)->key);
    }
    for (bool is_first = true;; is_first = false) {
        enum ph_error error = next(reader);
        if (error != PH_OK) {
            return error;
        }
        if ((int)reader->event.type == YAML_SEQUENCE_END_EVENT) {
            return joined.failed ? complain(reader, "the list is too long")
                                 : set(reader, buf_slice(&joined));
        }
        if ((int)reader->event.type != YAML_SCALAR_EVENT) {
            return complain(reader, "a list holds plain values only");
        }
        if (slice_find(scalar(reader), ',') != scalar(reader).len) {
            return complain(reader, "an entry of a list cannot hold a comma");
        }
        buf_append_text(&joined, is_first ? "" : ",");
        buf_append_slice(&joined, scalar(reader));
    }
}

static enum ph_error read_map(struct reader *reader, unsigned depth);

static enum ph_error read_value(struct reader *reader, unsigned depth)
{
    switch ((int)reader->event.type) {
    case YAML_SCALAR_EVENT:
        return is_null(reader) ? PH_OK : set(reader, scalar(reader));
    case YAML_SEQUENCE_START_EVENT:
        return read_sequence(reader);
    case YAML_MAPPING_START_EVENT:
        if (depth == DEPTH_MAX) {
            return complain(reader, "nested too deeply");
        }
        return read_map(reader, depth + 1);
    default:
        return complain(reader, "unexpected content");
    }
}

/* Reads keys and values up to the map's end. The recursion is bounded by DEPTH_MAX. */
static enum ph_error read_map(struct reader *reader, unsigned depth)
{
    const size_t prefix = reader->key.len;
    for (;;) {
        enum ph_error error = next(reader);
        if (error != PH_OK) {
            return error;
        }
        if ((int)reader->event.type == YAML_MAPPING_END_EVENT) {
            return PH_OK;
        }
        if ((int)reader->event.type != YAML_SCALAR_EVENT) {
            return complain(reader, "a key is plain text");
        }
        buf_append_text(&reader->key, prefix == 0 ? "" : ".");
        buf_append_slice(&reader->key, scalar(reader));
        if (reader->key.failed) {
            return complain(reader, "the key is too long");
        }
        error = next(reader);
        if (error == PH_OK) {
            error = read_value(reader, depth);
        }
        if (error != PH_OK) {
            return error;
        }
        if (reader->key.data != NULL) {
            reader->key.len = prefix;
            reader->key.data[prefix] = '\0';
        }
    }
}

static enum ph_error read_document(struct reader *reader)
{
    enum ph_error error;
    do {
        error = next(reader);
        if (error != PH_OK) {
            return error;
        }
    } while ((int)reader->event.type == YAML_STREAM_START_EVENT ||
             (int)reader->event.type == YAML_DOCUMENT_START_EVENT);
    if ((int)reader->event.type == YAML_STREAM_END_EVENT) {
        return PH_OK; /* an empty file */
    }
    if ((int)reader->event.type == YAML_SCALAR_EVENT && is_null(reader)) {
        return PH_OK;
    }
    if ((int)reader->event.type != YAML_MAPPING_START_EVENT) {
        return complain(reader, "the file must be a map of options");
    }
    error = read_map(reader, 1);
    while (error == PH_OK && (int)reader->event.type != YAML_STREAM_END_EVENT) {
        error = next(reader);
        if (error == PH_OK && (int)reader->event.type == YAML_DOCUMENT_START_EVENT) {
            return complain(reader, "only one document is read");
        }
    }
    return error;
}

enum ph_error options_load_yaml(struct options *options, const char *name, struct slice text,
                                struct diag *diag)
{
    struct reader reader = {.options = options, .name = name, .diag = diag};
    if (yaml_parser_initialize(&reader.parser) == 0) {
        return diag_set(diag, PH_NO_MEMORY, NULL, "%s: no memory", name);
    }
    buf_init(&reader.key, KEY_MAX);
    yaml_parser_set_input_string(
        &reader.parser, (const unsigned char *)(text.ptr == NULL ? "" : text.ptr), text.len);
    enum ph_error error = read_document(&reader);
    if (reader.has_event) {
        yaml_event_delete(&reader.event);
    }
    buf_done(&reader.key);
    yaml_parser_delete(&reader.parser);
    return error;
}

enum ph_error options_load_file(struct options *options, const char *path, struct diag *diag)
{
    BUF_AUTO struct buf text;
    buf_init(&text, FILE_MAX_BYTES);
    enum ph_error error = file_read(path, &text, diag);
    if (error != PH_OK) {
        return error;
    }
    return options_load_yaml(options, path, buf_slice(&text), diag);
}
