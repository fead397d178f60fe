/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only file that knows the jq library (1.6). Its functions take over the references they are
 * given. What it does to be kept in mind: integers beyond 2^53 and numbers beyond 1.8e308 change,
 * `$ENV` is the environment of the process, `$HOME/.jq` would be loaded, modules are looked for in
 * JQ_LIBRARY_PATH, which has to be set.
 */
#include "jq/worker_int.h"

/* Prefix and remarks of the library that say nothing to the person who wrote the program. */
static const char error_prefix[] = "jq: error: ";
static const char shell_remark[] = " (Unix shell quoting issues?)";
static const char place_remark[] = " at <top-level>, line ";

/*
 * Stands before a program that has the word `error`, on its first line. To this library
 * `error(null)` is the same as `empty`, so that a message would be dropped without a word; here it
 * raises a text.
 */
static const char prelude[] =
    "def _posthorn_raise(m): error(m);"
    " def error(m): m as $m | _posthorn_raise(if $m == null then \"it raised null\" else $m end);"
    " def error: error(.); ";

/* Appends as much as fits into JQ_WORDS_MAX, whole characters only. */
static void append_words(struct buf *words, size_t start, struct slice text)
{
    size_t room = JQ_WORDS_MAX - 1 - (words->len - start);
    if (text.len > room) {
        text.len = room;
        while (text.len > 0 && ((unsigned char)text.ptr[text.len] & 0xc0u) == 0x80u) {
            text.len--;
        }
    }
    buf_append_slice(words, text);
}

static struct slice string_slice(jv string)
{
    return (struct slice){jv_string_value(string), (size_t)jv_string_length_bytes(jv_copy(string))};
}

/* Appends a text without each `remark`, or with `better` in its place. */
static void append_replaced(struct buf *words, struct slice text, const char *remark,
                            const char *better)
{
    size_t length = strlen(remark);
    const char *found;
    while (text.len > 0 && (found = memmem(text.ptr, text.len, remark, length)) != NULL) {
        size_t before = (size_t)(found - text.ptr);
        append_words(words, 0, (struct slice){text.ptr, before});
        append_words(words, 0, slice_of(better));
        text = (struct slice){text.ptr + before + length, text.len - before - length};
    }
    append_words(words, 0, text);
}

/*
 * One message of the compiler: "jq: error: foo/0 is not defined at <top-level>, line 1:", a line
 * break and the line of the program. The last one only counts the others.
 */
static void take_compile_error(void *context, jv message)
{
    struct buf *words = context;
    jv text = jq_format_error(message);
    struct slice line = string_slice(text);
    if (slice_starts_with(line, error_prefix)) {
        line = (struct slice){line.ptr + strlen(error_prefix), line.len - strlen(error_prefix)};
        line.len = slice_find(line, '\n');
        if (line.len > 0 && line.ptr[line.len - 1] == ':') {
            line.len--;
        }
        if (words->len > 0) {
            append_words(words, 0, slice_of("; "));
        }
        BUF_AUTO struct buf shorter;
        buf_init(&shorter, JQ_WORDS_MAX);
        append_replaced(&shorter, line, shell_remark, "");
        append_replaced(words, buf_slice(&shorter), place_remark, " at line ");
    }
    jv_free(text);
}

/* `input` finds nothing: it raises "break", on which `inputs` relies. */
static jv give_no_input(jq_state *state, void *context)
{
    (void)state;
    (void)context;
    return jv_invalid();
}

void evaluate_compile(struct compiled *compiled, const char *text, evaluate_memory_out *memory_out)
{
    BUF_AUTO struct buf words;
    buf_init(&words, JQ_WORDS_MAX);
    jq_state *state = jq_init();
    if (state == NULL) {
        (void)snprintf(compiled->words, sizeof compiled->words, "could not start the jq library");
        return;
    }
    /* The library sets it anew with each call, but loses the pointer that belongs to it. */
    jq_set_nomem_handler(state, memory_out, NULL);
    jq_set_error_cb(state, take_compile_error, &words);
    /* jq_init leaves these two as the memory was, and the library would call them. */
    jq_set_input_cb(state, give_no_input, NULL);
    jq_set_debug_cb(state, NULL, NULL);
    /* No modules: the path is empty. Without it the library aborts at an `import`. */
    jq_set_attr(state, jv_string("JQ_LIBRARY_PATH"), jv_array());
    jq_set_attr(state, jv_string("JQ_ORIGIN"), jv_string("/nowhere"));
    jq_set_attr(state, jv_string("PROGRAM_ORIGIN"), jv_string("/nowhere"));
    BUF_AUTO struct buf whole;
    buf_init(&whole, sizeof prelude + JQ_PROGRAM_BYTES_MAX);
    buf_append_text(&whole, strstr(text, "error") != NULL ? prelude : "");
    buf_append_text(&whole, text);
    if (whole.failed) {
        memory_out(NULL);
    }
    if (jq_compile(state, buf_text(&whole)) == 0) {
        jq_teardown(&state);
        (void)snprintf(compiled->words, sizeof compiled->words, "%s",
                       words.len > 0 ? buf_text(&words) : "it does not compile");
        return;
    }
    jq_set_error_cb(state, NULL, NULL);
    compiled->state = state;
}

/* Appends what a program raised: text as it is, other values as JSON. */
static void append_raised(struct buf *text, jv raised)
{
    size_t start = text->len;
    if (jv_get_kind(raised) != JV_KIND_STRING) {
        append_words(text, start, slice_of("it raised "));
        raised = jv_dump_string(raised, 0);
    }
    append_words(text, start, string_slice(raised));
    jv_free(raised);
}

/* What it means that there is no output, or no further one. Takes `end`, which is not valid. */
static enum frame_status judge_end(jq_state *state, jv end, struct buf *text)
{
    if (jq_halted(state)) {
        jv_free(end);
        append_words(text, text->len, slice_of("it called halt, which is not available here"));
        return FRAME_PROGRAM_ERROR;
    }
    if (!jv_invalid_has_msg(jv_copy(end))) {
        jv_free(end);
        return FRAME_NULL;
    }
    append_raised(text, jv_invalid_get_msg(end));
    return FRAME_PROGRAM_ERROR;
}

static enum frame_status run_filter(jq_state *state, struct buf *text)
{
    jv first = jq_next(state);
    jv_kind kind = jv_get_kind(first);
    if (kind == JV_KIND_INVALID) {
        enum frame_status status = judge_end(state, first, text);
        return status == FRAME_NULL ? FRAME_FALSE : status;
    }
    jv_free(first);
    return kind == JV_KIND_FALSE || kind == JV_KIND_NULL ? FRAME_FALSE : FRAME_OK;
}

static enum frame_status run_transform(jq_state *state, size_t output_bytes_max, struct buf *text)
{
    jv first = jq_next(state);
    if (!jv_is_valid(first)) {
        return judge_end(state, first, text);
    }
    jv second = jq_next(state);
    if (jv_is_valid(second)) {
        jv_free(first);
        jv_free(second);
        append_words(text, text->len, slice_of("it gave more than one output"));
        return FRAME_PROGRAM_ERROR;
    }
    enum frame_status status = judge_end(state, second, text);
    if (status != FRAME_NULL || jv_get_kind(first) == JV_KIND_NULL) {
        jv_free(first);
        return status;
    }
    jv output = jv_dump_string(first, 0);
    struct slice json = string_slice(output);
    status = FRAME_OUTPUT;
    if (json.len <= output_bytes_max) {
        buf_append_slice(text, json);
        status = FRAME_OK;
    }
    jv_free(output);
    return status;
}

/* The one value in `input`, or a value that is not valid with a message. */
static jv parse_input(struct slice input)
{
    /* Not jv_parse_sized: it expects a NUL behind the text and quotes it all in its errors. */
    jv_parser *parser = jv_parser_new(0);
    jv_parser_set_buf(parser, input.ptr, (int)input.len, 0);
    jv value = jv_parser_next(parser);
    if (jv_is_valid(value)) {
        jv next = jv_parser_next(parser);
        if (jv_is_valid(next) || jv_invalid_has_msg(jv_copy(next))) {
            jv_free(value);
            value = jv_invalid();
        }
        jv_free(next);
    }
    jv_parser_free(parser);
    return value;
}

enum frame_status evaluate_run(struct compiled *compiled, enum jq_kind kind, struct slice input,
                               size_t output_bytes_max, struct buf *text)
{
    jv value = parse_input(input);
    if (!jv_is_valid(value)) {
        jv_free(value);
        append_words(text, text->len, slice_of("the input is not one JSON value"));
        return FRAME_PROGRAM_ERROR;
    }
    jq_start(compiled->state, value, 0);
    enum frame_status status = kind == JQ_FILTER
                                   ? run_filter(compiled->state, text)
                                   : run_transform(compiled->state, output_bytes_max, text);
    /* Gives back what the evaluation holds, while it still is to blame for it. */
    jq_start(compiled->state, jv_null(), 0);
    return status;
}
