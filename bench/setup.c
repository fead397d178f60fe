/* SPDX-License-Identifier: Apache-2.0 */
#include "setup.h"

#include "http.h"
#include "inbuf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST_BYTES_MAX = 8192, PATH_BYTES = 512, BODY_BYTES = 2048 };

/* A blocking client on one connection. The answer lies in `in` until the next call. */
struct client {
    const struct setup_options *options;
    int fd;
    struct inbuf in;
    struct http_message answer;
};

static bool send_all(int fd, const char *data, size_t bytes)
{
    while (bytes > 0) {
        const ssize_t sent = send(fd, data, bytes, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        data += sent;
        bytes -= (size_t)sent;
    }
    return true;
}

/* Reads one whole answer into `client->answer`. */
static bool receive_answer(struct client *client)
{
    struct inbuf *in = &client->in;
    for (;;) {
        if (inbuf_receive(in, client->fd) == INBUF_CLOSED) {
            return false;
        }
        const enum http_state state =
            http_parse(in->data + in->start, in->end - in->start, HTTP_RESPONSE, &client->answer);
        if (state != HTTP_MORE) {
            return state == HTTP_DONE;
        }
    }
}

/* One call; the status of the answer, or 0 when there was none. */
static int call(struct client *client, const char *method, const char *path, const char *body)
{
    char request[REQUEST_BYTES_MAX];
    const struct net_target *target = client->options->target;
    const int bytes = snprintf(request, sizeof request,
                               "%s %s%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"
                               "Accept: application/json\r\nContent-Type: application/json\r\n"
                               "Content-Length: %zu\r\n\r\n%s",
                               method, target->path, path, target->host, client->options->token,
                               strlen(body), body);
    if (bytes < 0 || (size_t)bytes >= sizeof request) {
        fprintf(stderr, "ph-load: the token is too long\n");
        return 0;
    }
    if (client->fd < 0) {
        client->fd = net_connect(target);
    }
    inbuf_reset(&client->in);
    if (client->fd < 0 || !send_all(client->fd, request, (size_t)bytes) ||
        !receive_answer(client)) {
        fprintf(stderr, "ph-load: could not call %s %s: %m\n", method, path);
        return 0;
    }
    if (!client->answer.is_keep_alive) {
        close(client->fd);
        client->fd = -1;
    }
    return client->answer.status;
}

/* Like call(), but an answer other than 2xx or `also` is told on stderr and is false. */
static bool must(struct client *client, const char *method, const char *path, const char *body,
                 int also)
{
    const int status = call(client, method, path, body);
    if ((status >= 200 && status < 300) || (also != 0 && status == also)) {
        return true;
    }
    if (status != 0) {
        const struct http_slice text = client->answer.body;
        fprintf(stderr, "ph-load: %s %s answered %d: %.*s\n", method, path, status,
                (int)(text.bytes > 500 ? 500 : text.bytes), text.data == NULL ? "" : text.data);
    }
    return false;
}

/* Takes the string member `name` of the outermost object; false when there is none. Ids and secrets
   hold no escapes, so one with a backslash is refused rather than decoded. */
static bool member(struct http_slice json, const char *name, char *text, size_t text_bytes)
{
    const char *at = json.data;
    const char *end = at == NULL ? NULL : at + json.bytes;
    const size_t name_bytes = strlen(name);
    int depth = 0;
    bool is_ours = false;
    for (; at < end; at++) {
        if (*at == '{' || *at == '[') {
            depth++;
        } else if (*at == '}' || *at == ']') {
            depth--;
        } else if (*at == ',') {
            is_ours = false;
        }
        if (*at != '"') {
            continue;
        }
        const char *start = ++at;
        while (at < end && *at != '"') {
            at += *at == '\\' ? 2 : 1;
        }
        if (at >= end) {
            return false;
        }
        const size_t bytes = (size_t)(at - start);
        if (is_ours) {
            if (bytes >= text_bytes || memchr(start, '\\', bytes) != NULL) {
                return false;
            }
            memcpy(text, start, bytes);
            text[bytes] = '\0';
            return true;
        }
        const bool is_name = at + 1 < end && at[1] == ':';
        is_ours = is_name && depth == 1 && bytes == name_bytes && memcmp(start, name, bytes) == 0;
    }
    return false;
}

static bool make_application(struct client *client, struct setup *setup)
{
    const struct setup_options *options = client->options;
    char body[BODY_BYTES];
    if (options->app != NULL) {
        snprintf(setup->app, sizeof setup->app, "%s", options->app);
    } else if (!must(client, "POST", "/api/v1/app", "{\"name\":\"benchmark\"}", 0) ||
               !member(client->answer.body, "id", setup->app, sizeof setup->app)) {
        return false;
    }
    snprintf(body, sizeof body, "{\"name\":\"%s\",\"description\":\"Benchmark\"}",
             options->event_type);
    return must(client, "POST", "/api/v1/event-type", body, 409);
}

static bool make_endpoint(struct client *client, const struct setup *setup, size_t index,
                          struct setup_endpoint *endpoint)
{
    const struct setup_options *options = client->options;
    char path[PATH_BYTES];
    char body[BODY_BYTES];
    snprintf(endpoint->url, sizeof endpoint->url, "%s/hook/%zu", options->receiver, index);
    snprintf(path, sizeof path, "/api/v1/app/%s/endpoint", setup->app);
    if (options->endpoint_secret != NULL) {
        snprintf(body, sizeof body, "{\"url\":\"%s\",\"secret\":\"%s\"}", endpoint->url,
                 options->endpoint_secret);
    } else {
        snprintf(body, sizeof body, "{\"url\":\"%s\"}", endpoint->url);
    }
    if (!must(client, "POST", path, body, 0) ||
        !member(client->answer.body, "id", endpoint->id, sizeof endpoint->id)) {
        return false;
    }
    snprintf(path, sizeof path, "/api/v1/app/%s/endpoint/%s/secret", setup->app, endpoint->id);
    return must(client, "GET", path, "", 0) &&
           member(client->answer.body, "key", endpoint->secret, sizeof endpoint->secret);
}

bool setup_init(struct setup *setup, const struct setup_options *options)
{
    struct client client = {.options = options, .fd = -1};
    *setup = (struct setup){.endpoints = options->endpoints};
    setup->endpoint = calloc(options->endpoints + 1, sizeof *setup->endpoint);
    bool is_made = setup->endpoint != NULL && make_application(&client, setup);
    for (size_t i = 0; is_made && i < options->endpoints; i++) {
        is_made = make_endpoint(&client, setup, i, &setup->endpoint[i]);
    }
    if (!is_made) {
        fprintf(stderr, "ph-load: could not prepare the server\n");
        setup_done(setup);
    }
    if (client.fd >= 0) {
        close(client.fd);
    }
    inbuf_done(&client.in);
    return is_made;
}

void setup_done(struct setup *setup)
{
    free(setup->endpoint);
    *setup = (struct setup){0};
}
