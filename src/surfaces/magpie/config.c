/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/magpie/config.h"

#include <stdarg.h>
#include <stdio.h>

#include "surfaces/magpie/config_int.h"

#define ARENA_BYTES ((size_t)128 * 1024 * 1024)
#define WORDS_MAX 512

void magpie_config_init(struct magpie_config *config)
{
    *config = (struct magpie_config){0};
    arena_init(&config->arena, ARENA_BYTES);
    config->hooks = ph_calloc(MAGPIE_HOOKS_MAX, sizeof config->hooks[0]);
    config->findings = ph_calloc((size_t)2 * MAGPIE_FINDINGS_MAX, sizeof config->findings[0]);
}

void magpie_config_done(struct magpie_config *config)
{
    free(config->hooks);
    free(config->findings);
    arena_done(&config->arena);
}

/* --- findings --------------------------------------------------------------------------------- */

static struct slice keep(struct magpie_config *config, struct slice text)
{
    const char *copy = text.ptr == NULL ? NULL : arena_dup(&config->arena, text);
    return copy == NULL ? SLICE_NONE : (struct slice){copy, text.len};
}

static void find(struct magpie_config *config, bool is_error, const struct magpie_finding *finding)
{
    size_t *count = is_error ? &config->error_count : &config->warning_count;
    if ((*count)++ < MAGPIE_FINDINGS_MAX) {
        config->findings[config->finding_count++] = (struct magpie_finding){
            .is_error = is_error,
            .file = keep(config, finding->file),
            .line = finding->line,
            .hook = keep(config, finding->hook),
            .text = keep(config, finding->text),
        };
    }
}

void magpie_config_find(struct magpie_config *config, bool is_error, struct slice file, size_t line,
                        const char *format, ...)
{
    char words[WORDS_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    const struct magpie_finding finding = {.file = file, .line = line, .text = slice_of(words)};
    find(config, is_error, &finding);
}

void magpie_reading_find(struct magpie_reading *reading, bool is_error, size_t line,
                         const char *format, ...)
{
    char words[WORDS_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    const struct magpie_finding finding = {
        .file = reading->file, .line = line, .hook = reading->hook, .text = slice_of(words)};
    find(reading->config, is_error, &finding);
}

/* On one line, whatever is in it. */
static void append_line(struct slice text, struct buf *line)
{
    for (size_t index = 0; index < text.len; index++) {
        char byte = text.ptr[index];
        buf_append_byte(line, (unsigned char)byte < 0x20 || byte == 0x7f ? ' ' : byte);
    }
}

void magpie_finding_append(const struct magpie_finding *finding, struct buf *text)
{
    buf_append_text(text, finding->is_error ? "error: " : "warning: ");
    append_line(finding->file, text);
    if (finding->line > 0) {
        buf_append_format(text, ":%zu", finding->line);
    }
    buf_append_text(text, ": ");
    if (finding->hook.ptr != NULL) {
        buf_append_text(text, "hook ");
        append_line(finding->hook, text);
        buf_append_text(text, ": ");
    }
    append_line(finding->text, text);
}

/* --- documents -------------------------------------------------------------------------------- */

static void read_section(struct magpie_reading *reading, struct yaml_node *section)
{
    enum magpie_yaml_type type = magpie_yaml_type_of(section);
    if (type == MAGPIE_YAML_NULL) {
        return;
    }
    if (type != MAGPIE_YAML_SEQUENCE) {
        magpie_reading_find(reading, true, section->line, "`webhooks` must be a list, not %s",
                            magpie_yaml_type_name(type));
        return;
    }
    if (magpie_yaml_expand(&reading->yaml, section) != PH_OK) {
        magpie_reading_find(reading, true, reading->yaml.line, "%s", reading->yaml.diag->text);
        return;
    }
    size_t place = 0;
    YAML_FOR_EACH(entry, section)
    {
        reading->hook = SLICE_NONE;
        magpie_reading_hook(reading, entry->value, ++place);
    }
    reading->hook = SLICE_NONE;
}

static void read_root(struct magpie_reading *reading, struct yaml_node *root)
{
    if (root->kind != YAML_NODE_MAP) {
        magpie_reading_find(reading, true, root->line, "the file must be a mapping, not %s",
                            magpie_yaml_type_name(magpie_yaml_type_of(root)));
        return;
    }
    struct yaml_node *section = magpie_yaml_find(root, "webhooks");
    if (section == NULL) {
        magpie_reading_find(reading, false, 0, "there is no `webhooks`");
        return;
    }
    read_section(reading, section);
}

void magpie_config_add(struct magpie_config *config, struct slice file, struct slice text)
{
    struct diag diag = {.error = PH_OK};
    struct yaml_node *root;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, text.len + YAML_ARENA_BYTES);
    struct magpie_reading reading = {
        .config = config, .file = file, .yaml = {.arena = &arena, .diag = &diag}};
    enum ph_error error = yaml_read(text, &arena, &diag, &reading.yaml.line, &root);
    if (error == PH_OK) {
        error = magpie_yaml_check(&reading.yaml, root);
    }
    if (error != PH_OK) {
        magpie_reading_find(&reading, true, reading.yaml.line, "%s", diag.text);
        return;
    }
    read_root(&reading, root);
}
