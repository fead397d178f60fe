/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `send`: one message (command_send.c), or the lines of a file in batches (send_batch.c). What the
 * two share. Main thread.
 */
#ifndef PH_APP_SEND_H
#define PH_APP_SEND_H

#include "app/command.h"
#include "app/remote.h"

#define SEND_TEXT_MAX 65536
#define SEND_PAYLOAD_MAX ((size_t)2 * 1024 * 1024) /* what the API takes */
#define SEND_BATCH_MAX 1000

struct send_arguments {
    const char *url;
    const char *token;
    const char *application;
    const char *type; /* NULL: with a batch each line is a whole message */
    const char *payload;
    const char *file;
    const char *event_id;
    const char *key;
    const char *deliver_at;
    const char *ordering_key;
    const char *keep_days; /* the payload */
    const char *batch;
    struct flag_values channels;
    struct flag_values tags;
    bool is_json;

    int64_t deliver_at_us; /* 0 = at once */
    int64_t kept_days;     /* 0 = not said */
    int64_t batch_size;    /* 0 = one message */
};

/* A message of the flags and this payload, JSON text, into `body`. */
void send_write_message(const struct send_arguments *given, struct slice payload, struct buf *body);
/* "/api/v1/app/ID" and the rest. */
void send_write_path(const struct send_arguments *given, const char *rest, struct buf *path);
/* Sends the lines of the file, or of standard input; gives the exit code. */
int send_batches(const struct send_arguments *given, const struct options *options,
                 struct remote *remote);

#endif
