/* SPDX-License-Identifier: Apache-2.0 */
#include "app/client.h"

#include <curl/curl.h>

#define CALL_TIMEOUT_MS 30000L

static size_t collect(char *bytes, size_t size, size_t count, void *context)
{
    struct buf *body = context;
    buf_append(body, bytes, size * count);
    return size * count;
}

static struct curl_slist *make_headers(const struct client_request *request)
{
    struct curl_slist *headers = curl_slist_append(NULL, "content-type: application/json");
    BUF_AUTO struct buf line;
    buf_init(&line, 65536);
    if (request->token != NULL) {
        buf_append_format(&line, "authorization: Bearer %s", request->token);
        headers = curl_slist_append(headers, buf_text(&line));
    }
    if (request->idempotency_key != NULL) {
        buf_clear(&line);
        buf_append_format(&line, "idempotency-key: %s", request->idempotency_key);
        headers = curl_slist_append(headers, buf_text(&line));
    }
    return headers;
}

enum ph_error client_call(const struct client_request *request, struct buf *body, struct diag *diag,
                          long *ret_status)
{
    CURL *curl = curl_easy_init();
    PH_ASSERT(curl != NULL);
    struct curl_slist *headers = make_headers(request);
    char words[CURL_ERROR_SIZE] = "";
    (void)curl_easy_setopt(curl, CURLOPT_URL, request->url);
    (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, CALL_TIMEOUT_MS);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, words);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    if (request->is_local) {
        (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
        /* Its address came from its data directory: nothing else can have that port. */
        (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (request->body.ptr != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body.ptr);
    }
    CURLcode code = curl_easy_perform(curl);
    enum ph_error error = PH_OK;
    if (code == CURLE_OK) {
        (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
    } else {
        error = diag_set(diag, PH_IO, "url", "no answer: %s",
                         words[0] != '\0' ? words : curl_easy_strerror(code));
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return error;
}
