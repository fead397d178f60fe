/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads and checks the head of a request. libmicrohttpd 0.9.75 lets through what two servers can
 * understand in two ways (measured): a message with Content-Length and Transfer-Encoding, two
 * lengths, two hosts, names that are no tokens. All of it is refused here, before anything acts
 * on the request. RFC 9112 sections 3, 5 and 6.
 */
#include "http/decode.h"
#include "http/server_int.h"

struct head_scan {
    struct http_request *request;
    const char *problem;
    size_t text_bytes;
    unsigned hosts;
    unsigned authorizations;
    unsigned keys;
    unsigned lengths;
    unsigned encodings;
    struct slice encoding;
    struct slice length;
    const char *next_line; /* where the next header line must begin, NULL = not known */
};

#define BIT(character) (UINT64_C(1) << ((character) % 64))
#define LETTERS ((UINT64_C(1) << 26) - 1)

/* RFC 9110 section 5.6.2. */
static bool is_token_byte(unsigned char byte)
{
    static const uint64_t low = BIT('!') | BIT('#') | BIT('$') | BIT('%') | BIT('&') | BIT('\'') |
                                BIT('*') | BIT('+') | BIT('-') | BIT('.') |
                                (UINT64_C(0x3ff) << '0');
    static const uint64_t high = LETTERS << ('A' % 64) | LETTERS << ('a' % 64) | BIT('^') |
                                 BIT('_') | BIT('`') | BIT('|') | BIT('~');
    if (byte < 64) {
        return (low >> byte & 1) != 0;
    }
    return byte < 128 && (high >> (byte - 64) & 1) != 0;
}

static bool is_token(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!is_token_byte((unsigned char)name.ptr[i])) {
            return false;
        }
    }
    return name.len > 0;
}

static bool has_control(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char byte = (unsigned char)value.ptr[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f) {
            return true;
        }
    }
    return false;
}

/* Counts the fields that decide where the message ends, and who asks. By length first: most names
 * differ. */
static void note_known(struct head_scan *scan, struct slice name, struct slice value)
{
    switch (name.len) {
    case 4:
        scan->hosts += slice_equal_nocase(name, SLICE_LITERAL("host")) ? 1 : 0;
        break;
    case 6:
        if (slice_equal_nocase(name, SLICE_LITERAL("origin"))) {
            scan->request->has_origin = true;
        } else if (slice_equal_nocase(name, SLICE_LITERAL("expect"))) {
            scan->request->expects_continue = true;
        }
        break;
    case 13:
        scan->authorizations += slice_equal_nocase(name, SLICE_LITERAL("authorization")) ? 1 : 0;
        break;
    case 15:
        scan->keys += slice_equal_nocase(name, SLICE_LITERAL("idempotency-key")) ? 1 : 0;
        break;
    case 14:
        if (slice_equal_nocase(name, SLICE_LITERAL("content-length"))) {
            scan->lengths++;
            scan->length = value;
        }
        break;
    case 17:
        if (slice_equal_nocase(name, SLICE_LITERAL("transfer-encoding"))) {
            scan->encodings++;
            scan->encoding = value;
        }
        break;
    default:
        break;
    }
}

static bool grow_fields(struct http_request *request)
{
    size_t capacity = request->field_capacity * 2;
    struct http_field *fields = arena_alloc(&request->arena, capacity * sizeof *fields);
    if (fields == NULL) {
        return false;
    }
    memcpy(fields, request->fields, request->field_count * sizeof *fields);
    request->fields = fields;
    request->field_capacity = capacity;
    return true;
}

/*
 * libmicrohttpd 0.9.75 takes a bare LF for the end of a line, cuts a value at a NUL byte without a
 * word, and garbles a folded header (`X: a` continued by ` b` becomes the header `Xb`; all
 * measured). None of it can be seen in the texts it gives us, but in where they stand: it parses
 * in place, each line is followed by the two bytes of CR LF and then by the next line. Later
 * versions parse differently and refuse these by themselves, so there nothing is compared.
 */
bool http_head_layout_is_known(void)
{
    return strncmp(MHD_get_version(), "0.9.75", 6) == 0;
}

static const char bad_lines[] =
    "a header line is folded, has a NUL byte or does not end with CR LF";

static enum MHD_Result on_field(void *context, enum MHD_ValueKind kind, const char *name_bytes,
                                size_t name_length, const char *value_bytes, size_t value_length)
{
    (void)kind;
    struct head_scan *scan = context;
    struct http_request *request = scan->request;
    struct slice name = {name_bytes, name_length};
    struct slice value = slice_trim((struct slice){value_bytes == NULL ? "" : value_bytes,
                                                   value_bytes == NULL ? 0 : value_length});
    if (scan->next_line != NULL && name_bytes != scan->next_line) {
        scan->problem = bad_lines;
    } else if (!is_token(name)) {
        scan->problem = "a header name is not a token";
    } else if (has_control(value)) {
        scan->problem = "a header value has control characters";
    } else if (request->field_count == request->field_capacity && !grow_fields(request)) {
        scan->problem = "too many headers";
    }
    if (scan->problem != NULL) {
        return MHD_NO;
    }
    request->fields[request->field_count++] = (struct http_field){name, value};
    scan->text_bytes += name.len + value.len;
    scan->next_line = scan->next_line == NULL ? NULL : value_bytes + value_length + 2;
    note_known(scan, name, value);
    return MHD_YES;
}

/* Moves the texts into the request's memory: it may outlive the connection, see http_suspend. */
static bool own_fields(struct http_request *request, size_t text_bytes)
{
    char *text = arena_alloc(&request->arena, text_bytes);
    if (text == NULL) {
        return false;
    }
    for (size_t i = 0; i < request->field_count; i++) {
        struct slice *parts[] = {&request->fields[i].name, &request->fields[i].value};
        for (size_t k = 0; k < PH_ARRAY_LENGTH(parts); k++) {
            if (parts[k]->len > 0) {
                memcpy(text, parts[k]->ptr, parts[k]->len);
            }
            parts[k]->ptr = text;
            text += parts[k]->len;
        }
    }
    return true;
}

static const char *check_framing(struct head_scan *scan)
{
    struct http_request *request = scan->request;
    if (scan->hosts > 1) {
        return "more than one Host header";
    }
    if (scan->hosts == 0 && !request->is_http_1_0) {
        return "the Host header is missing";
    }
    if (scan->authorizations > 1 || scan->keys > 1) {
        return "more than one Authorization or Idempotency-Key header";
    }
    if (scan->lengths > 1) {
        return "more than one Content-Length header";
    }
    if (scan->encodings > 0) {
        if (scan->lengths > 0) {
            return "Content-Length together with Transfer-Encoding";
        }
        if (request->is_http_1_0 || scan->encodings > 1 ||
            !slice_equal_nocase(scan->encoding, SLICE_LITERAL("chunked"))) {
            return "a transfer encoding other than chunked";
        }
        request->has_body = true;
    }
    if (scan->lengths == 1) {
        int64_t length = -1;
        /* Digits only: a sign would pass as a number. */
        if (scan->length.len == 0 || scan->length.ptr[0] < '0' || scan->length.ptr[0] > '9' ||
            !slice_to_int64(scan->length, &length)) {
            return "the Content-Length is not a number";
        }
        request->body_expected = (size_t)length;
        request->has_body = length > 0;
    }
    return NULL;
}

/* Whether the empty line that ends the head is where it should be. */
static bool ends_properly(const struct head_scan *scan, const char *method)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(scan->request->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return scan->next_line == NULL || info == NULL ||
           method + info->header_size == scan->next_line + 2;
}

static const char *read_fields(struct http_request *request, const char *method,
                               const char *version)
{
    struct head_scan scan = {.request = request};
    request->fields = request->fields_inline;
    request->field_capacity = HTTP_HEADERS_INLINE;
    if (request->daemon->server->is_head_layout_known) {
        scan.next_line = version + strlen(version) + 2;
    }
    (void)MHD_get_connection_values_n(request->mhd, MHD_HEADER_KIND, on_field, &scan);
    if (scan.problem == NULL && !ends_properly(&scan, method)) {
        scan.problem = bad_lines;
    }
    if (scan.problem == NULL && !own_fields(request, scan.text_bytes)) {
        scan.problem = "the headers are too large";
    }
    if (scan.problem != NULL) {
        request->field_count = 0;
        return scan.problem;
    }
    return check_framing(&scan);
}

/* "GET http://host/path": the absolute form that every server must accept (RFC 9112 3.2.2). */
static struct slice without_authority(struct slice target)
{
    size_t scheme = 0;
    if (target.len >= 7 &&
        slice_equal_nocase((struct slice){target.ptr, 7}, SLICE_LITERAL("http://"))) {
        scheme = 7;
    } else if (target.len >= 8 &&
               slice_equal_nocase((struct slice){target.ptr, 8}, SLICE_LITERAL("https://"))) {
        scheme = 8;
    }
    if (scheme == 0) {
        return target;
    }
    struct slice rest = {target.ptr + scheme, target.len - scheme};
    size_t slash = slice_find(rest, '/');
    if (slash == rest.len) {
        return SLICE_LITERAL("/");
    }
    return (struct slice){rest.ptr + slash, rest.len - slash};
}

static const char *split_path(struct http_request *request)
{
    struct slice rest = {request->path.ptr + 1, request->path.len - 1};
    if (rest.len > 0 && rest.ptr[rest.len - 1] == '/') {
        rest.len--;
    }
    struct slice raw;
    while (rest.len > 0 && slice_next(&rest, '/', &raw)) {
        struct slice text;
        if (!http_decode(raw, false, &request->arena, &text)) {
            return "the path has an escape that is not valid";
        }
        if (request->segment_count == ROUTER_SEGMENTS_MAX) {
            request->segment_count++; /* longer than any route */
            return NULL;
        }
        /* Dot segments are never resolved and never reach a handler: they fit no route. */
        if (slice_equal_text(text, ".") || slice_equal_text(text, "..")) {
            text = SLICE_LITERAL("");
        }
        request->segments[request->segment_count++] = text;
        if (rest.ptr != NULL && rest.len == 0) {
            /* Ended by a second slash: an empty last segment. */
            request->segment_count = ROUTER_SEGMENTS_MAX + 1;
        }
    }
    return NULL;
}

static const char *read_target(struct http_request *request)
{
    for (size_t i = 0; i < request->target.len; i++) {
        unsigned char byte = (unsigned char)request->target.ptr[i];
        if (byte <= 0x20 || byte == 0x7f) {
            return "the request target has spaces or control characters";
        }
    }
    struct slice target = without_authority(request->target);
    if (slice_equal_text(target, "*") && request->method == HTTP_OPTIONS) {
        target = SLICE_LITERAL("/");
    }
    size_t fragment = slice_find(target, '#');
    if (target.len == 0 || target.ptr[0] != '/' || fragment < target.len) {
        return "the request target is not a path";
    }
    size_t mark = slice_find(target, '?');
    request->path = (struct slice){target.ptr, mark};
    request->query_text = SLICE_LITERAL("");
    if (mark < target.len) {
        request->query_text = (struct slice){target.ptr + mark + 1, target.len - mark - 1};
        if (!http_query_parse(request)) {
            return "the query has an escape that is not valid";
        }
    }
    return split_path(request);
}

static enum http_method method_parse(const char *text)
{
    static const char *const names[HTTP_METHOD_COUNT] = {"GET",   "HEAD",   "POST",   "PUT",
                                                         "PATCH", "DELETE", "OPTIONS"};
    for (unsigned i = 0; i < HTTP_METHOD_COUNT; i++) {
        if (strcmp(text, names[i]) == 0) {
            return (enum http_method)i;
        }
    }
    return HTTP_METHOD_COUNT;
}

const char *http_head_read(struct http_request *request, const char *method, const char *version)
{
    request->method = method_parse(method);
    request->is_http_1_0 = strcmp(version, "HTTP/1.0") == 0;
    if (!request->is_http_1_0 && strcmp(version, "HTTP/1.1") != 0) {
        return "the protocol version is not supported";
    }
    /* The texts of the request line follow each other too, each ended by the one space. */
    if (!is_token(slice_of(method)) ||
        (request->daemon->server->is_head_layout_known &&
         (request->raw_target != method + strlen(method) + 1 ||
          request->raw_target + request->target.len + 1 != version))) {
        return "the request line is not valid";
    }
    const char *problem = read_fields(request, method, version);
    return problem != NULL ? problem : read_target(request);
}
