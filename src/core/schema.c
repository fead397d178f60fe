/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiling, in passes: every schema of the document becomes a node; references are resolved, which
 * may find schemas where none was looked for, with references of their own; then no chain of
 * schemas that hold for the same value may be without an end.
 */
#include "core/schema.h"

#include <stdarg.h>

#include "core/schema_int.h"
#include "core/schema_uri.h"

#define ARENA_BYTES ((size_t)64 * 1024 * 1024)
#define WORK_BYTES_MAX ((size_t)256 * 1024 * 1024)
#define POINTER_MAX ((size_t)1024 * 1024)
#define POINTER_SHOWN 110
#define PLACE_DEPTH_MAX (SCAN_DEPTH_MAX + 1)

/* --- errors ----------------------------------------------------------------------------------- */

static bool is_inside(struct slice whole, struct slice part)
{
    return part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len;
}

static void append_key(struct buf *pointer, struct slice key)
{
    buf_append_byte(pointer, '/');
    for (size_t index = 0; index < key.len; index++) {
        char byte = key.ptr[index];
        if (byte == '~' || byte == '/') {
            buf_append_text(pointer, byte == '~' ? "~0" : "~1");
        } else {
            buf_append_byte(pointer, byte);
        }
    }
}

/* The child of `text` that has `at` in it; false when it is `text` itself that is meant. */
static bool descend(struct slice *text, struct slice at, struct buf *pointer)
{
    struct scan_cursor cursor;
    struct scan_member member;
    enum scan_type type = value_type(*text);
    struct slice value;
    scan_cursor_init(&cursor, *text);
    if (type == SCAN_OBJECT) {
        while (scan_next_member(&cursor, &member)) {
            bool is_key = at.ptr >= member.key.ptr - 1 && at.ptr < member.value.ptr;
            if (is_key || is_inside(member.value, at)) {
                append_key(pointer, member.key);
                *text = member.value;
                return !is_key;
            }
        }
    } else if (type == SCAN_ARRAY) {
        for (size_t index = 0; scan_next_element(&cursor, &type, &value); index++) {
            if (is_inside(value, at)) {
                buf_append_format(pointer, "/%zu", index);
                *text = value;
                return true;
            }
        }
    }
    return false;
}

/* The JSON pointer of a place in the document; what is not in it is in the meta-schema. */
static void find_place(const struct compiler *compiler, struct slice at, struct buf *pointer)
{
    struct slice text = compiler->document;
    if (!is_inside(text, at)) {
        buf_append_text(pointer, schema_meta_uri);
        return;
    }
    for (int depth = 0; depth < PLACE_DEPTH_MAX && at.ptr != text.ptr; depth++) {
        if (!descend(&text, at, pointer)) {
            return;
        }
    }
}

void schema_refuse(struct compiler *compiler, struct slice at, const char *format, ...)
{
    if (compiler->error != PH_OK) {
        return;
    }
    char words[200];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    BUF_AUTO struct buf pointer;
    buf_init(&pointer, POINTER_MAX);
    find_place(compiler, at, &pointer);
    int shown = (int)text_cut(buf_slice(&pointer), POINTER_SHOWN);
    compiler->error = diag_set(compiler->diag, PH_INVALID, compiler->field, "`%.*s`: %s",
                               shown > 0 ? shown : 1, shown > 0 ? buf_text(&pointer) : "/", words);
}

static void no_memory(struct compiler *compiler)
{
    if (compiler->error == PH_OK) {
        compiler->error = diag_set(compiler->diag, PH_NO_MEMORY, compiler->field,
                                   "the schema needs more memory than its limit");
    }
}

/* --- pieces ------------------------------------------------------------------------------------
 */

void *schema_alloc(struct compiler *compiler, size_t count, size_t size_bytes)
{
    void *memory = arena_calloc(&compiler->schema->arena, count == 0 ? 1 : count, size_bytes);
    if (memory == NULL) {
        no_memory(compiler);
    }
    return memory;
}

struct slice schema_text(struct compiler *compiler, struct slice value)
{
    struct slice text = SLICE_LITERAL("");
    struct diag diag;
    enum ph_error error = scan_string(value, &compiler->schema->arena, &diag, &text);
    if (error == PH_NO_MEMORY) {
        no_memory(compiler);
    } else if (error != PH_OK) {
        schema_refuse(compiler, value, "%s", diag.text);
    }
    return text;
}

void schema_work(struct compiler *compiler, struct slice text)
{
    compiler->work += text.len;
    if (compiler->work > WORK_BYTES_MAX) {
        schema_refuse(compiler, text, "the schema takes too much work");
    }
}

bool schema_member(struct compiler *compiler, struct slice object, const char *name,
                   struct scan_member *ret_member)
{
    struct scan_cursor cursor;
    struct scan_member member;
    bool is_found = false;
    schema_work(compiler, object);
    scan_cursor_init(&cursor, object);
    while (scan_next_member(&cursor, &member)) {
        if (scan_find(&member, 1, name) != NULL) {
            *ret_member = member;
            is_found = true;
        }
    }
    return is_found;
}

size_t schema_add_resource(struct compiler *compiler, struct slice uri, struct slice text)
{
    for (size_t index = 0; index < compiler->resource_count; index++) {
        if (slice_equal(compiler->resources[index].uri, uri)) {
            return index;
        }
    }
    if (compiler->resource_count == SCHEMA_IDS_MAX) {
        schema_refuse(compiler, text, "more than %d `$id`", SCHEMA_IDS_MAX);
        return 0;
    }
    compiler->resources[compiler->resource_count] = (struct resource){uri, text};
    return compiler->resource_count++;
}

/* --- nodes -------------------------------------------------------------------------------------
 */

/* The resource that an object with this `$id` begins; a plain name (`#name`) begins none. */
static size_t read_id(struct compiler *compiler, struct schema_node *node, struct slice value)
{
    struct slice id = schema_text(compiler, value);
    struct slice fragment;
    BUF_AUTO struct buf uri;
    buf_init(&uri, SCHEMA_URI_MAX);
    if (id.len > 0 && id.ptr[0] == '#') {
        if (compiler->anchor_count == SCHEMA_IDS_MAX) {
            schema_refuse(compiler, value, "more than %d `$id`", SCHEMA_IDS_MAX);
            return node->base;
        }
        compiler->anchors[compiler->anchor_count++] =
            (struct schema_anchor){node->base, {id.ptr + 1, id.len - 1}, node};
        return node->base;
    }
    schema_uri_resolve(compiler->resources[node->base].uri, id, &uri, &fragment);
    char *copy = uri.failed ? NULL : arena_dup(&compiler->schema->arena, buf_slice(&uri));
    if (copy == NULL) {
        schema_refuse(compiler, value, "the `$id` is too long");
        return node->base;
    }
    return schema_add_resource(compiler, (struct slice){copy, uri.len}, node->text);
}

/* Beside a `$ref` nothing counts. */
static void read_object(struct compiler *compiler, struct schema_node *node)
{
    struct scan_member member;
    if (schema_member(compiler, node->text, "$ref", &member) && member.type == SCAN_STRING) {
        node->kind = NODE_REFERENCE;
        node->reference = schema_text(compiler, member.value);
        return;
    }
    if (schema_member(compiler, node->text, "$id", &member) && member.type == SCAN_STRING) {
        node->base = read_id(compiler, node, member.value);
    }
    schema_read_keywords(compiler, node);
}

struct schema_node *schema_compile_node(struct compiler *compiler, enum scan_type type,
                                        struct slice text, size_t base)
{
    struct schema_node *node = map_get(&compiler->nodes, (uintptr_t)text.ptr);
    if (node != NULL || compiler->error != PH_OK) {
        return compiler->error == PH_OK ? node : NULL;
    }
    if (type != SCAN_OBJECT && type != SCAN_TRUE && type != SCAN_FALSE) {
        schema_refuse(compiler, text, "a schema is an object or a boolean");
        return NULL;
    }
    if (compiler->node_count == SCHEMA_NODES_MAX) {
        schema_refuse(compiler, text, "more than %d schemas in one", SCHEMA_NODES_MAX);
        return NULL;
    }
    node = schema_alloc(compiler, 1, sizeof *node);
    if (node == NULL) {
        return NULL;
    }
    node->text = text;
    node->base = base;
    compiler->order[compiler->node_count++] = node;
    (void)map_set(&compiler->nodes, (uintptr_t)text.ptr, node);
    if (type == SCAN_OBJECT) {
        read_object(compiler, node);
    } else {
        node->kind = type == SCAN_TRUE ? NODE_ANYTHING : NODE_NOTHING;
    }
    return compiler->error == PH_OK ? node : NULL;
}

/* --- references ---------------------------------------------------------------------------------
 */

struct indexed_member {
    struct slice name; /* decoded */
    enum scan_type type;
    struct slice value;
};

/* Sorted by name; of members with the same name the last one comes first. */
struct member_index {
    size_t count;
    struct indexed_member members[];
};

static int compare_members(const void *left, const void *right)
{
    const struct indexed_member *a = left;
    const struct indexed_member *b = right;
    int order = slice_compare(a->name, b->name);
    return order != 0 ? order : (a->value.ptr < b->value.ptr) - (a->value.ptr > b->value.ptr);
}

static struct member_index *make_index(struct compiler *compiler, struct slice object)
{
    struct scan_cursor cursor;
    struct scan_member member;
    struct diag diag;
    size_t count = 0;
    scan_cursor_init(&cursor, object);
    while (scan_next_member(&cursor, &member)) {
        count++;
    }
    struct member_index *index =
        arena_alloc(&compiler->scratch, sizeof *index + count * sizeof(struct indexed_member));
    if (index == NULL) {
        no_memory(compiler);
        return NULL;
    }
    index->count = 0;
    scan_cursor_init(&cursor, object);
    while (scan_next_member(&cursor, &member)) {
        struct slice quoted = {member.key.ptr - 1, member.key.len + 2};
        struct indexed_member *entry = &index->members[index->count];
        entry->value = member.value;
        /* What is no text is nothing that a reference could name. */
        if (scan_string(quoted, &compiler->scratch, &diag, &entry->name) == PH_OK) {
            index->count++;
        }
    }
    qsort(index->members, index->count, sizeof index->members[0], compare_members);
    schema_work(compiler, object);
    (void)map_set(&compiler->indexes, (uintptr_t)object.ptr, index);
    return index;
}

static const struct indexed_member *find_member(struct compiler *compiler, struct slice object,
                                                struct slice name)
{
    const struct member_index *index = map_get(&compiler->indexes, (uintptr_t)object.ptr);
    index = index == NULL ? make_index(compiler, object) : index;
    size_t low = 0;
    size_t high = index == NULL ? 0 : index->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_compare(index->members[middle].name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool is_found =
        index != NULL && low < index->count && slice_equal(index->members[low].name, name);
    return is_found ? &index->members[low] : NULL;
}

/* One step of a pointer; `base` follows the `$id`s on the way. False when nothing is there. */
static bool step_down(struct compiler *compiler, struct slice token, struct slice *text,
                      size_t *base)
{
    BUF_AUTO struct buf name;
    struct scan_cursor cursor;
    enum scan_type type = value_type(*text);
    int64_t wanted;
    buf_init(&name, token.len + 1);
    schema_uri_decode(token, true, &name);
    if (type == SCAN_ARRAY) {
        scan_cursor_init(&cursor, *text);
        schema_work(compiler, *text);
        bool is_found = slice_to_int64(buf_slice(&name), &wanted) && wanted >= 0;
        for (int64_t index = 0; is_found && index <= wanted; index++) {
            is_found = scan_next_element(&cursor, &type, text);
        }
        return is_found;
    }
    const struct indexed_member *member =
        type == SCAN_OBJECT ? find_member(compiler, *text, buf_slice(&name)) : NULL;
    if (member == NULL) {
        return false;
    }
    *text = member->value;
    const struct schema_node *node = map_get(&compiler->nodes, (uintptr_t)text->ptr);
    *base = node == NULL ? *base : node->base;
    return true;
}

static struct schema_node *find_pointer(struct compiler *compiler, size_t base,
                                        struct slice fragment)
{
    struct slice text = compiler->resources[base].text;
    struct slice rest =
        fragment.len == 0 ? SLICE_NONE : (struct slice){fragment.ptr + 1, fragment.len - 1};
    struct slice token;
    while (slice_next(&rest, '/', &token)) {
        if (compiler->error != PH_OK || !step_down(compiler, token, &text, &base)) {
            return NULL;
        }
    }
    return schema_compile_node(compiler, value_type(text), text, base);
}

static struct schema_node *find_anchor(const struct compiler *compiler, size_t base,
                                       struct slice name)
{
    for (size_t index = 0; index < compiler->anchor_count; index++) {
        const struct schema_anchor *anchor = &compiler->anchors[index];
        if (anchor->base == base && slice_equal(anchor->name, name)) {
            return anchor->node;
        }
    }
    return NULL;
}

/* The index of a known resource, SIZE_MAX without one. The meta-schema is read when it is wanted.
 */
static size_t find_resource(struct compiler *compiler, struct slice uri)
{
    for (size_t index = 0; index < compiler->resource_count; index++) {
        if (slice_equal(compiler->resources[index].uri, uri)) {
            return index;
        }
    }
    if (slice_equal_text(uri, schema_meta_uri)) {
        struct slice text = slice_of(schema_meta_text);
        size_t index = schema_add_resource(compiler, slice_of(schema_meta_uri), text);
        (void)schema_compile_node(compiler, SCAN_OBJECT, text, index);
        return index;
    }
    return SIZE_MAX;
}

static void resolve_reference(struct compiler *compiler, struct schema_node *node)
{
    struct slice fragment;
    BUF_AUTO struct buf uri;
    buf_init(&uri, SCHEMA_URI_MAX);
    schema_uri_resolve(compiler->resources[node->base].uri, node->reference, &uri, &fragment);
    size_t resource = uri.failed ? SIZE_MAX : find_resource(compiler, buf_slice(&uri));
    struct schema_node *target = NULL;
    if (resource == SIZE_MAX) {
        schema_refuse(compiler, node->text, "the reference leads out of the schema");
        return;
    }
    if (fragment.len == 0 || fragment.ptr[0] == '/') {
        target = find_pointer(compiler, resource, fragment);
    } else {
        target = find_anchor(compiler, resource, fragment);
    }
    if (target == NULL) {
        schema_refuse(compiler, node->text, "the reference leads to nothing in the schema");
    }
    node->target = target;
}

/* --- chains -------------------------------------------------------------------------------------
 */

static unsigned height_of(struct compiler *compiler, struct schema_node *node);

static unsigned larger(unsigned left, unsigned right)
{
    return left > right ? left : right;
}

static unsigned height_of_list(struct compiler *compiler, const struct schema_list *list)
{
    unsigned height = 0;
    for (size_t index = 0; index < list->count; index++) {
        height = larger(height, height_of(compiler, list->nodes[index]));
    }
    return height;
}

/* The schemas that hold for the same value as the node. */
static unsigned height_below(struct compiler *compiler, struct schema_node *node)
{
    unsigned height = height_of(compiler, node->target);
    const struct combination *combination = node->combination;
    if (combination != NULL) {
        height = larger(height, height_of_list(compiler, &combination->all));
        height = larger(height, height_of_list(compiler, &combination->any));
        height = larger(height, height_of_list(compiler, &combination->one));
        height = larger(height, height_of(compiler, combination->none));
        height = larger(height, height_of(compiler, combination->condition));
        height = larger(height, height_of(compiler, combination->consequence));
        height = larger(height, height_of(compiler, combination->otherwise));
    }
    for (size_t index = 0; node->object != NULL && index < node->object->dependency_count;
         index++) {
        height = larger(height, height_of(compiler, node->object->dependencies[index].node));
    }
    return height;
}

static unsigned height_of(struct compiler *compiler, struct schema_node *node)
{
    if (node == NULL || compiler->error != PH_OK) {
        return 0;
    }
    if (node->height != 0) {
        return node->height;
    }
    if (node->is_on_path) {
        schema_refuse(compiler, node->text, "it refers to itself without an end");
        return 0;
    }
    node->is_on_path = true;
    compiler->depth++;
    bool is_too_deep = compiler->depth > SCHEMA_CHAIN_MAX;
    unsigned height = is_too_deep ? 1 : height_below(compiler, node) + 1;
    compiler->depth--;
    node->is_on_path = false;
    if (is_too_deep || height > SCHEMA_CHAIN_MAX) {
        schema_refuse(compiler, node->text, "more than %d schemas hold for one value",
                      SCHEMA_CHAIN_MAX);
    }
    node->height = height;
    return height;
}

/* --- the whole ----------------------------------------------------------------------------------
 */

static void compile(struct compiler *compiler, struct slice text)
{
    struct schema *schema = compiler->schema;
    enum scan_type type;
    char *copy = arena_dup(&schema->arena, text);
    if (copy == NULL) {
        no_memory(compiler);
        return;
    }
    compiler->document = slice_trim((struct slice){copy, text.len});
    if (scan_document(compiler->document, &type, compiler->diag, NULL) != PH_OK) {
        compiler->error = diag_set(compiler->diag, PH_INVALID, compiler->field, "is not JSON");
        return;
    }
    (void)schema_add_resource(compiler, SLICE_LITERAL(""), compiler->document);
    schema->root = schema_compile_node(compiler, type, compiler->document, 0);
    for (size_t index = 0; compiler->error == PH_OK && index < compiler->node_count; index++) {
        if (compiler->order[index]->kind == NODE_REFERENCE) {
            resolve_reference(compiler, compiler->order[index]);
        }
    }
    for (size_t index = 0; compiler->error == PH_OK && index < compiler->node_count; index++) {
        (void)height_of(compiler, compiler->order[index]);
    }
}

enum ph_error schema_compile(struct slice text, const char *field, struct diag *diag,
                             struct schema **ret_schema)
{
    if (text.len > SCHEMA_TEXT_MAX) {
        return diag_set(diag, PH_INVALID, field, "the schema has more than %zu bytes",
                        SCHEMA_TEXT_MAX);
    }
    struct diag own;
    struct schema *schema = ph_calloc(1, sizeof *schema);
    arena_init(&schema->arena, ARENA_BYTES);
    struct compiler compiler = {
        .schema = schema, .field = field, .diag = diag == NULL ? &own : diag};
    arena_init(&compiler.scratch, ARENA_BYTES);
    map_init(&compiler.nodes);
    map_init(&compiler.indexes);
    compiler.resources = ph_calloc(SCHEMA_IDS_MAX, sizeof *compiler.resources);
    compiler.anchors = ph_calloc(SCHEMA_IDS_MAX, sizeof *compiler.anchors);
    compiler.order = ph_calloc(SCHEMA_NODES_MAX, sizeof(struct schema_node *));
    compiler.patterns = schema_pattern_context();
    compile(&compiler, text);
    pcre2_compile_context_free(compiler.patterns);
    map_done(&compiler.nodes);
    map_done(&compiler.indexes);
    arena_done(&compiler.scratch);
    free(compiler.resources);
    free(compiler.anchors);
    free(compiler.order);
    if (compiler.error != PH_OK) {
        schema_free(schema);
        return compiler.error;
    }
    *ret_schema = schema;
    return PH_OK;
}

size_t schema_bytes(const struct schema *schema)
{
    return sizeof *schema + schema->arena.used_bytes + schema->code_bytes;
}

void schema_free(struct schema *schema)
{
    if (schema == NULL) {
        return;
    }
    struct schema_code *next;
    for (struct schema_code *code = schema->codes; code != NULL; code = next) {
        next = code->next;
        pcre2_code_free(code->code);
    }
    arena_done(&schema->arena);
    free(schema);
}
