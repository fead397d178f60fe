/* SPDX-License-Identifier: Apache-2.0 */
#include "app/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <unistd.h>

#define CALL_TIMEOUT_MS 30000L
#define CONNECT_TIMEOUT_MS 10000L
#define SILENCE_S 45L
#define HEADER_MAX 65536

/* An answer while it comes. */
struct answer {
    CURL *curl;
    const struct client_reader *reader; /* NULL = all of it goes to `body` */
    struct buf *body;
    bool is_ended; /* by the reader */
};

static size_t take_bytes(char *bytes, size_t size, size_t count, void *context)
{
    struct answer *answer = context;
    size_t length = size * count;
    long status = 0;
    if (answer->reader != NULL && answer->reader->take != NULL) {
        (void)curl_easy_getinfo(answer->curl, CURLINFO_RESPONSE_CODE, &status);
    }
    if (status != 200) {
        buf_append(answer->body, bytes, length);
        return length;
    }
    const struct client_reader *reader = answer->reader;
    answer->is_ended = !reader->take(reader->context, (struct slice){bytes, length});
    return answer->is_ended ? 0 : length;
}

/* What is being sent: the file and how far it got. */
struct source {
    int fd;
    off_t offset;
};

static size_t give_bytes(char *place, size_t size, size_t count, void *context)
{
    struct source *source = context;
    ssize_t got;
    do {
        got = pread(source->fd, place, size * count, source->offset);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return CURL_READFUNC_ABORT;
    }
    source->offset += got;
    return (size_t)got;
}

/* The request goes out again, on another connection. */
static int seek_bytes(void *context, curl_off_t offset, int origin)
{
    struct source *source = context;
    if (origin != SEEK_SET) {
        return CURL_SEEKFUNC_CANTSEEK;
    }
    source->offset = offset;
    return CURL_SEEKFUNC_OK;
}

static int look_up(void *context, curl_off_t download_total, curl_off_t downloaded,
                   curl_off_t upload_total, curl_off_t uploaded)
{
    (void)download_total;
    (void)downloaded;
    (void)upload_total;
    (void)uploaded;
    struct answer *answer = context;
    answer->is_ended = !answer->reader->goes_on(answer->reader->context);
    return answer->is_ended ? 1 : 0;
}

static struct curl_slist *add_header(struct curl_slist *headers, const char *name,
                                     const char *before, const char *value)
{
    BUF_AUTO struct buf line;
    buf_init(&line, HEADER_MAX);
    buf_append_format(&line, "%s: %s%s%s", name, before, before[0] == '\0' ? "" : " ", value);
    return curl_slist_append(headers, buf_text(&line));
}

static struct curl_slist *make_headers(const struct client_request *request)
{
    struct curl_slist *headers =
        add_header(NULL, "content-type", "",
                   request->content_type == NULL ? "application/json" : request->content_type);
    if (request->token != NULL) {
        headers = add_header(headers, "authorization",
                             request->scheme == NULL ? "Bearer" : request->scheme, request->token);
    }
    if (request->idempotency_key != NULL) {
        headers = add_header(headers, "idempotency-key", "", request->idempotency_key);
    }
    if (request->last_event_id != NULL && request->last_event_id[0] != '\0') {
        headers = add_header(headers, "last-event-id", "", request->last_event_id);
    }
    return headers;
}

static void set_request(CURL *curl, const struct client_request *request,
                        struct curl_slist *headers)
{
    /* The file of trusted certificates, as curl, OpenSSL and Python have it. */
    const char *authorities = secure_getenv("SSL_CERT_FILE");
    (void)curl_easy_setopt(curl, CURLOPT_URL, request->url);
    (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (request->is_local) {
        (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
        /* Its address came from its data directory: nothing else can have that port. */
        (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    } else if (authorities != NULL && authorities[0] != '\0') {
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, authorities);
    }
    if (request->body.ptr != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body.ptr);
    }
}

static void set_upload(CURL *curl, const struct client_upload *upload, struct source *source)
{
    source->fd = upload->fd;
    (void)curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)upload->size_bytes);
    (void)curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_bytes);
    (void)curl_easy_setopt(curl, CURLOPT_READDATA, source);
    (void)curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, seek_bytes);
    (void)curl_easy_setopt(curl, CURLOPT_SEEKDATA, source);
}

static void set_times(struct answer *answer)
{
    CURL *curl = answer->curl;
    if (answer->reader == NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, CALL_TIMEOUT_MS);
        return;
    }
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    /* Not to wait for a name server when it is ended. */
    (void)curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, SILENCE_S);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_up);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFODATA, answer);
    (void)curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
}

static enum ph_error perform(const struct client_request *request, struct answer *answer,
                             struct diag *diag, long *ret_status)
{
    CURL *curl = curl_easy_init();
    PH_ASSERT(curl != NULL);
    answer->curl = curl;
    struct curl_slist *headers = make_headers(request);
    char words[CURL_ERROR_SIZE] = "";
    struct source source = {0};
    set_request(curl, request, headers);
    if (request->upload != NULL) {
        set_upload(curl, request->upload, &source);
    }
    set_times(answer);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, words);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    CURLcode code = curl_easy_perform(curl);
    enum ph_error error = PH_OK;
    long status = 0;
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    /* A server may answer, and close, before it has taken all of a body that it does not want. */
    bool is_answered = code == CURLE_OK || (request->upload != NULL && status >= 400);
    if (is_answered || answer->is_ended) {
        *ret_status = status;
    } else {
        error = diag_set(diag, PH_IO, "url", "no answer: %s",
                         words[0] != '\0' ? words : curl_easy_strerror(code));
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return error;
}

enum ph_error client_call(const struct client_request *request, struct buf *body, struct diag *diag,
                          long *ret_status)
{
    struct answer answer = {.body = body};
    return perform(request, &answer, diag, ret_status);
}

enum ph_error client_follow(const struct client_request *request,
                            const struct client_reader *reader, struct buf *body, struct diag *diag,
                            long *ret_status)
{
    struct answer answer = {.reader = reader, .body = body};
    return perform(request, &answer, diag, ret_status);
}

void client_append_escaped(struct buf *url, const char *text)
{
    char *escaped = curl_easy_escape(NULL, text, 0);
    PH_ASSERT(escaped != NULL);
    buf_append_text(url, escaped);
    curl_free(escaped);
}
