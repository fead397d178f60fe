/* SPDX-License-Identifier: Apache-2.0 */
#include "api/paging.h"

#include "base/clock.h"

/* --- bounds --------------------------------------------------------------------------------------
 */

void paging_bounds(const struct paging_terms *terms, struct id_page *ret_page)
{
    /* Going back is a scan against the list's order that starts at the iterator. */
    bool is_descending = terms->is_descending != terms->is_backward;
    *ret_page = (struct id_page){
        .lower = 0,
        .upper = INT64_MAX,
        .is_descending = is_descending,
        .is_reversed = terms->is_backward,
        .limit = terms->limit,
    };
    if (terms->iterator != 0) {
        *(is_descending ? &ret_page->upper : &ret_page->lower) = terms->iterator;
    }
}

static int64_t smaller(int64_t left, int64_t right)
{
    return left < right ? left : right;
}

static int64_t larger(int64_t left, int64_t right)
{
    return left > right ? left : right;
}

/* The bound, exclusive, below which nothing is older than `wall_us` by more than the window. */
static int64_t window_below(int64_t wall_us)
{
    int64_t floor = id_floor(wall_us - PAGING_WINDOW_US);
    return floor > 0 ? floor - 1 : 0;
}

void paging_bounds_timed(const struct paging_terms *terms, int64_t now_us, struct id_page *ret_page)
{
    struct paging_terms newest_first = *terms;
    newest_first.is_descending = true;
    paging_bounds(&newest_first, ret_page);
    int64_t latest_us = now_us + PAGING_FUTURE_US;
    if (terms->before_us != 0) {
        latest_us = smaller(latest_us, terms->before_us);
    }
    ret_page->upper = smaller(ret_page->upper, id_floor(latest_us));
    if (terms->after_us != 0) {
        int64_t floor = id_floor(terms->after_us);
        ret_page->lower = larger(ret_page->lower, floor > 0 ? floor - 1 : 0);
    }
    if (terms->is_backward) {
        int64_t end_us = id_time_us(terms->iterator) + PAGING_WINDOW_US;
        ret_page->upper = smaller(ret_page->upper, id_floor(end_us));
    } else if (terms->iterator != 0) {
        int64_t from_us = smaller(id_time_us(terms->iterator), latest_us);
        ret_page->lower = larger(ret_page->lower, window_below(from_us));
    } else if (terms->before_us != 0) {
        ret_page->lower = larger(ret_page->lower, window_below(terms->before_us));
    } else if (terms->after_us != 0) {
        /* What comes first after `after` is asked for. */
        ret_page->upper = smaller(ret_page->upper, id_floor(terms->after_us + PAGING_WINDOW_US));
        ret_page->is_descending = false;
        ret_page->is_reversed = true;
    } else {
        ret_page->lower = larger(ret_page->lower, window_below(now_us));
    }
}

bool paging_parse_iterator(const struct id_codec *codec, enum id_kind kind, struct slice text,
                           struct paging_terms *terms)
{
    bool is_backward = text.len > 0 && text.ptr[0] == '-';
    if (is_backward) {
        text = (struct slice){text.ptr + 1, text.len - 1};
    }
    int64_t id;
    if (!id_parse(codec, kind, text, &id)) {
        return false;
    }
    terms->iterator = id;
    terms->is_backward = is_backward;
    return true;
}

/* --- the query ---------------------------------------------------------------------------------
 */

static enum ph_error bad_query(const char *name, const char *expected, struct diag *diag)
{
    return diag_set(diag, PH_BAD_REQUEST, NULL, "Invalid query parameter `%s`: expected %s", name,
                    expected);
}

enum ph_error query_bool(struct http_request *request, const char *name, bool fallback,
                         struct diag *diag, bool *ret_value)
{
    struct slice text = http_query(request, name, 0);
    if (text.ptr == NULL) {
        *ret_value = fallback;
        return PH_OK;
    }
    if (!slice_equal_text(text, "true") && !slice_equal_text(text, "false")) {
        return bad_query(name, "`true` or `false`", diag);
    }
    *ret_value = slice_equal_text(text, "true");
    return PH_OK;
}

enum ph_error query_int(struct http_request *request, const char *name, int64_t minimum,
                        int64_t maximum, int64_t fallback, struct diag *diag, int64_t *ret_value)
{
    struct slice text = http_query(request, name, 0);
    int64_t value = fallback;
    if (text.ptr != NULL && (!slice_to_int64(text, &value) || value < minimum || value > maximum)) {
        char expected[64];
        (void)snprintf(expected, sizeof expected, "an integer of %lld to %lld", (long long)minimum,
                       (long long)maximum);
        return bad_query(name, expected, diag);
    }
    *ret_value = value;
    return PH_OK;
}

enum ph_error query_time(struct http_request *request, const char *name, struct diag *diag,
                         int64_t *ret_wall_us)
{
    struct slice text = http_query(request, name, 0);
    int64_t wall_us = 0;
    if (text.ptr != NULL && !clock_parse(text, &wall_us)) {
        return bad_query(name, "an RFC 3339 date and time", diag);
    }
    *ret_wall_us = wall_us;
    return PH_OK;
}

/* `name`, `name[]` or `name[0]`. */
static bool is_array_name(struct slice text, const char *name)
{
    size_t length = strlen(name);
    if (!slice_starts_with(text, name)) {
        return false;
    }
    struct slice rest = {text.ptr + length, text.len - length};
    if (rest.len == 0) {
        return true;
    }
    if (rest.len < 2 || rest.ptr[0] != '[' || rest.ptr[rest.len - 1] != ']') {
        return false;
    }
    for (size_t index = 1; index + 1 < rest.len; index++) {
        if (rest.ptr[index] < '0' || rest.ptr[index] > '9') {
            return false;
        }
    }
    return true;
}

enum ph_error query_strings(struct http_request *request, const char *name, size_t max,
                            struct diag *diag, struct slice **ret_values, size_t *ret_count)
{
    struct slice *values = NULL;
    size_t count = 0;
    struct slice key;
    struct slice rest;
    for (size_t index = 0; http_query_at(request, index, &key, &rest); index++) {
        struct slice part;
        while (is_array_name(key, name) && slice_next(&rest, ',', &part)) {
            if (part.len == 0) {
                continue;
            }
            if (values == NULL) {
                values = arena_calloc(http_arena(request), max, sizeof *values);
            }
            if (values == NULL) {
                return diag_set(diag, PH_NO_MEMORY, NULL, "the query needs too much memory");
            }
            if (count == max) {
                char field[64];
                (void)snprintf(field, sizeof field, "query.%s", name);
                return diag_set(diag, PH_INVALID, field, "at most %zu values are allowed", max);
            }
            values[count++] = part;
        }
    }
    *ret_values = values;
    *ret_count = count;
    return PH_OK;
}

enum ph_error paging_read_limit(struct http_request *request, struct diag *diag, size_t *ret_limit)
{
    struct slice text = http_query(request, "limit", 0);
    int64_t limit = PAGING_LIMIT_DEFAULT;
    if (text.ptr != NULL && (!slice_to_int64(text, &limit) || limit < 0)) {
        return bad_query("limit", "a number", diag);
    }
    if (limit > PAGING_LIMIT_MAX) {
        return diag_set(diag, PH_INVALID, "query.limit.limit", "Given limit must not exceed %d",
                        PAGING_LIMIT_MAX);
    }
    if (limit == 0) {
        return diag_set(diag, PH_INVALID, "query.limit.limit", "Given limit must be at least 1");
    }
    *ret_limit = (size_t)limit;
    return PH_OK;
}

static enum ph_error read_iterator(struct http_request *request, const struct id_codec *codec,
                                   enum id_kind kind, struct diag *diag, struct paging_terms *terms)
{
    struct slice text = http_query(request, "iterator", 0);
    /* SDKs send an empty iterator for "from the start" when they are given one. */
    if (text.len > 0 && !paging_parse_iterator(codec, kind, text, terms)) {
        return diag_set(diag, PH_INVALID, "query.iterator",
                        "must be an iterator that a former page gave");
    }
    return PH_OK;
}

enum ph_error paging_read(struct http_request *request, const struct id_codec *codec,
                          enum id_kind kind, bool is_descending, struct diag *diag,
                          struct id_page *ret_page)
{
    struct paging_terms terms = {.is_descending = is_descending};
    enum ph_error error = paging_read_limit(request, diag, &terms.limit);
    if (error == PH_OK) {
        error = read_iterator(request, codec, kind, diag, &terms);
    }
    struct slice order = http_query(request, "order", 0);
    if (error == PH_OK && order.ptr != NULL) {
        terms.is_descending = slice_equal_text(order, "descending");
        if (!terms.is_descending && !slice_equal_text(order, "ascending")) {
            error = bad_query("order", "`ascending` or `descending`", diag);
        }
    }
    if (error == PH_OK) {
        paging_bounds(&terms, ret_page);
    }
    return error;
}

enum ph_error paging_read_timed(struct http_request *request, const struct id_codec *codec,
                                enum id_kind kind, int64_t now_us, struct diag *diag,
                                struct id_page *ret_page)
{
    struct paging_terms terms = {.is_descending = true};
    enum ph_error error = paging_read_limit(request, diag, &terms.limit);
    if (error == PH_OK) {
        error = read_iterator(request, codec, kind, diag, &terms);
    }
    if (error == PH_OK) {
        error = query_time(request, "before", diag, &terms.before_us);
    }
    if (error == PH_OK) {
        error = query_time(request, "after", diag, &terms.after_us);
    }
    if (error == PH_OK) {
        paging_bounds_timed(&terms, now_us, ret_page);
    }
    return error;
}

/* --- the answer --------------------------------------------------------------------------------
 */

/* Swaps two rows that do not overlap. */
static void swap(char *left, char *right, size_t bytes)
{
    for (size_t index = 0; index < bytes; index++) {
        char byte = left[index];
        left[index] = right[index];
        right[index] = byte;
    }
}

void paging_arrange(const struct id_page *page, void *rows, size_t row_bytes, size_t count)
{
    if (!page->is_reversed) {
        return;
    }
    char *bytes = rows;
    for (size_t index = 0; index < count / 2; index++) {
        swap(bytes + index * row_bytes, bytes + (count - 1 - index) * row_bytes, row_bytes);
    }
}

void paging_begin_list(struct json_out *out)
{
    json_out_begin_object(out);
    json_out_key(out, "data");
    json_out_begin_array(out);
}

void paging_end_list(struct json_out *out, struct slice first, struct slice last, bool is_done)
{
    json_out_end_array(out);
    json_out_member_string(out, "iterator", last);
    if (first.ptr != NULL) {
        /* Ids and names need no escaping: letters, digits, `-`, `_` and `.`. */
        json_out_key(out, "prevIterator");
        char quoted[300];
        int length = snprintf(quoted, sizeof quoted, "\"-%.*s\"", SLICE_ARG(first));
        PH_ASSERT(length > 0 && (size_t)length < sizeof quoted);
        json_out_raw(out, (struct slice){quoted, (size_t)length});
    }
    json_out_member_bool(out, "done", is_done);
    json_out_end_object(out);
    json_out_end_document(out);
}

void paging_end_id_list(struct json_out *out, const struct id_codec *codec, enum id_kind kind,
                        int64_t first, int64_t last, bool is_done)
{
    char first_text[ID_TEXT_MAX];
    char last_text[ID_TEXT_MAX];
    struct slice first_slice = SLICE_NONE;
    struct slice last_slice = SLICE_NONE;
    if (first != 0) {
        first_slice = (struct slice){first_text, id_format(codec, kind, first, first_text)};
    }
    if (last != 0) {
        last_slice = (struct slice){last_text, id_format(codec, kind, last, last_text)};
    }
    paging_end_list(out, first_slice, last_slice, is_done);
}
