/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions of schemas: PCRE2, told to understand them as ECMA 262 does. */
#include "core/schema_int.h"

#define CODES_BYTES_MAX ((size_t)16 * 1024 * 1024) /* of all expressions of a schema */
#define PARENTHESES_MAX 100                        /* one inside of the other */

/* Digits, letters and spaces of `\d`, `\w`, `\s` are those of ASCII. */
#define OPTIONS                                                                                    \
    (PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX | PCRE2_ALLOW_EMPTY_CLASS |                 \
     PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UCP |                       \
     PCRE2_USE_OFFSET_LIMIT)

pcre2_compile_context *schema_pattern_context(void)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    PH_ASSERT(context != NULL);
    (void)pcre2_set_newline(context, PCRE2_NEWLINE_ANYCRLF);
    (void)pcre2_set_compile_extra_options(context, PCRE2_EXTRA_ALT_BSUX);
    (void)pcre2_set_parens_nest_limit(context, PARENTHESES_MAX);
    (void)pcre2_set_max_pattern_length(context, SCHEMA_PATTERN_MAX);
    return context;
}

static void refuse_pattern(struct compiler *compiler, struct slice value, int number, size_t offset)
{
    PCRE2_UCHAR words[120];
    if (pcre2_get_error_message(number, words, sizeof words) < 0) {
        words[0] = '\0';
    }
    schema_refuse(compiler, value, "is no regular expression: %s at offset %zu",
                  (const char *)words, offset);
}

const pcre2_code *schema_pattern(struct compiler *compiler, struct slice value)
{
    struct slice text = schema_text(compiler, value);
    struct schema_code *link = schema_alloc(compiler, 1, sizeof *link);
    int number;
    size_t offset;
    size_t size = 0;
    if (compiler->error != PH_OK) {
        return NULL;
    }
    /* A verb in front would set options. */
    if (slice_starts_with(text, "(*")) {
        schema_refuse(compiler, value, "is no regular expression: `*` after `(`");
        return NULL;
    }
    link->code = pcre2_compile((PCRE2_SPTR)text.ptr, text.len, OPTIONS, &number, &offset,
                               compiler->patterns);
    if (link->code == NULL) {
        refuse_pattern(compiler, value, number, offset);
        return NULL;
    }
    link->next = compiler->schema->codes;
    compiler->schema->codes = link;
    (void)pcre2_pattern_info(link->code, PCRE2_INFO_SIZE, &size);
    compiler->schema->code_bytes += size;
    if (compiler->schema->code_bytes > CODES_BYTES_MAX) {
        schema_refuse(compiler, value, "the regular expressions take too much memory");
    }
    return link->code;
}
