/* SPDX-License-Identifier: Apache-2.0 */
#include "core/yaml.h"

#include <yaml.h>

struct anchor {
    struct slice name;
    struct yaml_node *node;
};

struct reader {
    yaml_parser_t parser;
    yaml_event_t event;
    bool has_event;
    struct anchor *anchors;
    size_t anchor_count;
    size_t nodes;
    struct arena *arena;
    struct diag *diag;
    size_t line; /* of the error */
};

static size_t event_line(const struct reader *reader)
{
    return reader->event.start_mark.line + 1;
}

static enum ph_error complain(struct reader *reader, const char *what)
{
    reader->line = event_line(reader);
    return diag_set(reader->diag, PH_INVALID, NULL, "%s", what);
}

static enum ph_error no_memory(struct reader *reader)
{
    reader->line = event_line(reader);
    return diag_set(reader->diag, PH_NO_MEMORY, NULL, "the document is too large");
}

static enum ph_error next(struct reader *reader)
{
    if (reader->has_event) {
        yaml_event_delete(&reader->event);
        reader->has_event = false;
    }
    if (yaml_parser_parse(&reader->parser, &reader->event) == 0) {
        reader->line = reader->parser.problem_mark.line + 1;
        return diag_set(reader->diag, PH_INVALID, NULL, "not YAML: %s",
                        reader->parser.problem == NULL ? "broken" : reader->parser.problem);
    }
    reader->has_event = true;
    return PH_OK;
}

static enum ph_error count_nodes(struct reader *reader, size_t count)
{
    reader->nodes += count;
    return reader->nodes > YAML_NODES_MAX ? complain(reader, "the document is too large") : PH_OK;
}

/* --- anchors and aliases ---------------------------------------------------------------------- */

static enum ph_error keep_anchor(struct reader *reader, struct slice name, struct yaml_node *node)
{
    if (reader->anchor_count == YAML_ANCHORS_MAX) {
        return complain(reader, "too many anchors");
    }
    if (reader->anchors == NULL) {
        reader->anchors = arena_calloc(reader->arena, YAML_ANCHORS_MAX, sizeof *reader->anchors);
        if (reader->anchors == NULL) {
            return no_memory(reader);
        }
    }
    reader->anchors[reader->anchor_count++] = (struct anchor){name, node};
    return PH_OK;
}

static enum ph_error read_alias(struct reader *reader, unsigned depth, struct yaml_node **ret_node)
{
    const char *name = (const char *)reader->event.data.alias.anchor;
    for (size_t index = reader->anchor_count; index > 0; index--) {
        const struct anchor *anchor = &reader->anchors[index - 1];
        if (slice_equal_text(anchor->name, name)) {
            if (depth + anchor->node->depth > YAML_DEPTH_MAX) {
                return complain(reader, "nested too deeply");
            }
            *ret_node = anchor->node;
            return count_nodes(reader, anchor->node->weight);
        }
    }
    return complain(reader, "an alias without an anchor before it");
}

/* --- nodes ------------------------------------------------------------------------------------ */

/* A copy of libyaml's text, SLICE_NONE for NULL and at the arena's cap. */
static struct slice copy(struct reader *reader, const yaml_char_t *text)
{
    struct slice source = slice_of((const char *)text);
    const char *bytes = source.ptr == NULL ? NULL : arena_dup(reader->arena, source);
    return bytes == NULL ? SLICE_NONE : (struct slice){bytes, source.len};
}

static enum ph_error read_node(struct reader *reader, unsigned depth, struct yaml_node **ret_node);

static void add(struct yaml_node *node, struct yaml_entry **last, struct yaml_entry *entry)
{
    if (*last == NULL) {
        node->first = entry;
    } else {
        (*last)->next = entry;
    }
    *last = entry;
    node->count++;
    const struct yaml_node *below[] = {entry->key, entry->value};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(below); index++) {
        if (below[index] != NULL) {
            node->weight += below[index]->weight;
            node->depth =
                below[index]->depth + 1 > node->depth ? below[index]->depth + 1 : node->depth;
        }
    }
}

static enum ph_error read_entries(struct reader *reader, unsigned depth, int end,
                                  struct yaml_node *node)
{
    struct yaml_entry *last = NULL;
    enum ph_error error = next(reader);
    while (error == PH_OK && (int)reader->event.type != end) {
        struct yaml_entry *entry = arena_calloc(reader->arena, 1, sizeof *entry);
        if (entry == NULL) {
            return no_memory(reader);
        }
        if (node->kind == YAML_NODE_MAP) {
            error = read_node(reader, depth, &entry->key);
            if (error == PH_OK) {
                error = next(reader);
            }
        }
        if (error == PH_OK) {
            error = read_node(reader, depth, &entry->value);
        }
        if (error == PH_OK) {
            add(node, &last, entry);
            error = next(reader);
        }
    }
    return error;
}

static enum ph_error read_scalar(struct reader *reader, struct yaml_node *node)
{
    const struct slice text = {(const char *)reader->event.data.scalar.value,
                               reader->event.data.scalar.length};
    node->is_plain = (int)reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->text = (struct slice){arena_dup(reader->arena, text), text.len};
    return node->text.ptr == NULL ? no_memory(reader) : PH_OK;
}

static enum ph_error read_content(struct reader *reader, unsigned depth, const yaml_char_t *tag,
                                  struct yaml_node *node)
{
    node->tag = copy(reader, tag);
    if (tag != NULL && node->tag.ptr == NULL) {
        return no_memory(reader);
    }
    switch (node->kind) {
    case YAML_NODE_SCALAR:
        return read_scalar(reader, node);
    case YAML_NODE_SEQUENCE:
        return read_entries(reader, depth + 1, YAML_SEQUENCE_END_EVENT, node);
    case YAML_NODE_MAP:
        return read_entries(reader, depth + 1, YAML_MAPPING_END_EVENT, node);
    }
    return PH_OK;
}

/* A node that is no alias: its kind, tag and anchor stand at different places of each event. */
static enum ph_error open_node(struct reader *reader, struct yaml_node *node,
                               const yaml_char_t **ret_tag, const yaml_char_t **ret_anchor)
{
    const yaml_event_t *event = &reader->event;
    switch ((int)event->type) {
    case YAML_SCALAR_EVENT:
        node->kind = YAML_NODE_SCALAR;
        *ret_tag = event->data.scalar.tag;
        *ret_anchor = event->data.scalar.anchor;
        return PH_OK;
    case YAML_SEQUENCE_START_EVENT:
        node->kind = YAML_NODE_SEQUENCE;
        *ret_tag = event->data.sequence_start.tag;
        *ret_anchor = event->data.sequence_start.anchor;
        return PH_OK;
    case YAML_MAPPING_START_EVENT:
        node->kind = YAML_NODE_MAP;
        *ret_tag = event->data.mapping_start.tag;
        *ret_anchor = event->data.mapping_start.anchor;
        return PH_OK;
    default:
        return complain(reader, "unexpected content");
    }
}

/* The node that begins with the present event. The recursion is bounded by the depth. */
static enum ph_error read_node(struct reader *reader, unsigned depth, struct yaml_node **ret_node)
{
    if (depth > YAML_DEPTH_MAX) {
        return complain(reader, "nested too deeply");
    }
    if ((int)reader->event.type == YAML_ALIAS_EVENT) {
        return read_alias(reader, depth, ret_node);
    }
    const yaml_char_t *tag = NULL;
    const yaml_char_t *anchor = NULL;
    struct yaml_node *node = arena_calloc(reader->arena, 1, sizeof *node);
    if (node == NULL) {
        return no_memory(reader);
    }
    node->line = event_line(reader);
    node->weight = 1;
    enum ph_error error = open_node(reader, node, &tag, &anchor);
    if (error == PH_OK) {
        error = count_nodes(reader, 1);
    }
    /* The event, and its texts, end with the next one. */
    struct slice name = error == PH_OK ? copy(reader, anchor) : SLICE_NONE;
    if (error == PH_OK && anchor != NULL && name.ptr == NULL) {
        error = no_memory(reader);
    }
    if (error == PH_OK) {
        error = read_content(reader, depth, tag, node);
    }
    if (error == PH_OK && name.ptr != NULL) {
        error = keep_anchor(reader, name, node);
    }
    if (error == PH_OK) {
        *ret_node = node;
    }
    return error;
}

static enum ph_error read_document(struct reader *reader, struct yaml_node **ret_root)
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
        return complain(reader, "there is no document");
    }
    error = read_node(reader, 0, ret_root);
    while (error == PH_OK && (int)reader->event.type != YAML_STREAM_END_EVENT) {
        error = next(reader);
        if (error == PH_OK && (int)reader->event.type == YAML_DOCUMENT_START_EVENT) {
            error = complain(reader, "only one document is read");
        }
    }
    return error;
}

enum ph_error yaml_read(struct slice text, struct arena *arena, struct diag *diag, size_t *ret_line,
                        struct yaml_node **ret_root)
{
    struct reader reader = {.arena = arena, .diag = diag, .line = 1};
    struct yaml_node *root = NULL;
    *ret_line = 1;
    if (yaml_parser_initialize(&reader.parser) == 0) {
        return diag_set(diag, PH_NO_MEMORY, NULL, "no memory for the document");
    }
    yaml_parser_set_input_string(
        &reader.parser, (const unsigned char *)(text.ptr == NULL ? "" : text.ptr), text.len);
    enum ph_error error = read_document(&reader, &root);
    if (reader.has_event) {
        yaml_event_delete(&reader.event);
    }
    yaml_parser_delete(&reader.parser);
    *ret_line = reader.line;
    if (error == PH_OK) {
        *ret_root = root;
    }
    return error;
}

bool yaml_is_merge(const struct yaml_node *key)
{
    return key->kind == YAML_NODE_SCALAR && key->is_plain && key->tag.ptr == NULL &&
           slice_equal_text(key->text, "<<");
}
