/* SPDX-License-Identifier: Apache-2.0 */
#include "app/wrap_send.h"

#include <unistd.h>

#include "app/client.h"
#include "app/file.h"
#include "app/wrap_report.h"
#include "core/scan.h"

#define URL_BYTES_MAX 8192
#define ANSWER_BYTES_MAX ((size_t)1024 * 1024)
#define MEMBERS_MAX 16
#define STRANGE_BYTES_MAX 200

struct sending {
    const struct wrap_server *server;
    const struct wrap_run *run;
    struct buf *words;
    struct buf *notes;
};

/* --- answers -----------------------------------------------------------------------------------
 */

/* "the server answered 400: The request was invalid… {"job_id":"…"}". */
static void describe(long status, struct slice answer, struct buf *words)
{
    ARENA_AUTO struct arena arena;
    arena_init(&arena, ANSWER_BYTES_MAX);
    struct scan_member members[MEMBERS_MAX];
    struct scan_member parts[MEMBERS_MAX];
    size_t count;
    size_t part_count = 0;
    struct slice text;
    buf_append_format(words, "the server answered %ld", status);
    if (scan_object(answer, members, MEMBERS_MAX, &count, NULL, NULL) != PH_OK) {
        return;
    }
    const struct scan_member *envelope = scan_find(members, count, "status");
    const struct scan_member *data = scan_find(members, count, "data");
    if (envelope != NULL && envelope->type == SCAN_OBJECT &&
        scan_object(envelope->value, parts, MEMBERS_MAX, &part_count, NULL, NULL) != PH_OK) {
        part_count = 0;
    }
    const struct scan_member *message = scan_find(parts, part_count, "user_message");
    if (message != NULL && scan_string(message->value, &arena, NULL, &text) == PH_OK) {
        buf_append_format(words, ": %.*s", SLICE_ARG(text));
    }
    if (data != NULL && data->type == SCAN_OBJECT) {
        size_t length = data->value.len < STRANGE_BYTES_MAX ? data->value.len : STRANGE_BYTES_MAX;
        buf_append_format(words, " %.*s", (int)length, data->value.ptr);
    }
}

static enum wrap_sent judge(long status)
{
    switch (status) {
    case 401:
    case 403:
        return WRAP_SENT_DENIED;
    case 408:
    case 425:
    case 429:
    case 502:
    case 503:
    case 504:
    case 507:
        return WRAP_SENT_BUSY;
    default:
        if (status >= 200 && status < 300) {
            return WRAP_SENT;
        }
        return status >= 500 ? WRAP_SENT_FAILED : WRAP_SENT_REFUSED;
    }
}

/* Something else may answer at a wrong address, everything with 200: a sign-in, a web page. */
static bool is_of_surface(struct slice answer)
{
    struct scan_member members[MEMBERS_MAX];
    size_t count;
    return scan_object(answer, members, MEMBERS_MAX, &count, NULL, NULL) == PH_OK &&
           scan_find(members, count, "status") != NULL;
}

/* --- one call -----------------------------------------------------------------------------------
 */

/* "URL/dbt/api/posthorn/accounts/1/runs/2" and the rest. */
static void write_url(const struct sending *sending, const char *before, const char *name,
                      struct buf *url)
{
    buf_append_format(url, "%s/dbt/api/posthorn/accounts/%lld/runs/%lld%s", sending->server->url,
                      (long long)sending->run->account, (long long)sending->run->run_id, before);
    if (name != NULL) {
        client_append_escaped(url, name);
    }
}

/* What `request` lacks is filled in. */
static enum wrap_sent call(const struct sending *sending, struct client_request *request,
                           const char *before, const char *name, long *ret_status)
{
    const struct wrap_server *server = sending->server;
    BUF_AUTO struct buf url;
    BUF_AUTO struct buf answer;
    buf_init(&url, URL_BYTES_MAX);
    buf_init(&answer, ANSWER_BYTES_MAX);
    buf_clear(sending->words);
    *ret_status = 0;
    write_url(sending, before, name, &url);
    request->url = buf_text(&url);
    request->token = server->token;
    request->scheme = "Token";
    if (url.failed) {
        buf_append_text(sending->words, "the server's address is too long");
        return WRAP_SENT_REFUSED;
    }
    const struct client_reader reader = {.goes_on = server->goes_on, .context = server->context};
    struct diag diag;
    if (!server->goes_on(server->context)) {
        return WRAP_SENT_STOPPED;
    }
    if (client_follow(request, &reader, &answer, &diag, ret_status) != PH_OK) {
        buf_append_text(sending->words, diag.text);
        return WRAP_SENT_AWAY;
    }
    if (*ret_status < 200) {
        buf_append_text(sending->words, "no answer in time");
        return WRAP_SENT_STOPPED;
    }
    enum wrap_sent sent = judge(*ret_status);
    if (sent == WRAP_SENT && !is_of_surface(buf_slice(&answer))) {
        buf_append_format(sending->words,
                          "what answered %ld is not Posthorn: is the address right?", *ret_status);
        return WRAP_SENT_REFUSED;
    }
    if (sent != WRAP_SENT) {
        describe(*ret_status, buf_slice(&answer), sending->words);
    }
    return sent;
}

/* --- files ------------------------------------------------------------------------------------
 */

static enum wrap_sent tell_file(const struct sending *sending, const struct diag *diag)
{
    bool may_pass = diag->error == PH_IO || diag->error == PH_STORE_FULL;
    buf_clear(sending->words);
    buf_append_text(sending->words, diag->text);
    return may_pass ? WRAP_SENT_BROKEN : WRAP_SENT_DAMAGED;
}

static void note_artifact(const struct sending *sending, const char *name, const char *words)
{
    buf_append_format(sending->notes, "%s%s: %s", sending->notes->len == 0 ? "" : "; ", name,
                      words);
}

/* --- reports ------------------------------------------------------------------------------------
 */

static enum wrap_sent send_report(const struct sending *sending, enum wrap_file file)
{
    BUF_AUTO struct buf report;
    buf_init(&report, WRAP_REPORT_BYTES_MAX);
    struct diag diag;
    if (!wrap_run_has(sending->run, file)) {
        return WRAP_SENT;
    }
    if (wrap_run_read(sending->run, file, &report, &diag) != PH_OK) {
        return tell_file(sending, &diag);
    }
    struct client_request request = {.method = "PUT", .body = buf_slice(&report)};
    long status;
    enum wrap_sent sent = call(sending, &request, "", NULL, &status);
    /* The server knows more of it already: an answer was lost. */
    if (status == 409 && file == WRAP_FILE_REPORT_1) {
        sent = WRAP_SENT;
    }
    if (sent == WRAP_SENT && wrap_run_mark_sent(sending->run, file, &diag) != PH_OK) {
        return tell_file(sending, &diag);
    }
    return sent;
}

/* --- artifacts ----------------------------------------------------------------------------------
 */

/* The artifact alone is unwanted: too large, or the run has them all. */
static bool is_of_artifact(long status)
{
    return status == 400 || status == 409 || status == 413 || status == 422;
}

static enum wrap_sent send_artifact(const struct sending *sending, const char *file)
{
    const char *name = file + strlen(WRAP_ARTIFACT_PREFIX);
    PH_AUTO_FREE char *path = wrap_run_path(sending->run, file);
    struct diag diag;
    int fd;
    int64_t size_bytes;
    enum ph_error error = file_open(path, &diag, &fd, &size_bytes);
    if (error == PH_INVALID) {
        note_artifact(sending, name, diag.text); /* the run is worth more */
        return WRAP_SENT;
    }
    if (error != PH_OK) {
        return tell_file(sending, &diag);
    }
    size_t length = strlen(name);
    bool is_json = length > 5 && strcmp(name + length - 5, ".json") == 0;
    const struct client_upload upload = {fd, size_bytes};
    struct client_request request = {
        .method = "PUT",
        .content_type = is_json ? "application/json" : "application/octet-stream",
        .upload = &upload,
    };
    long status;
    enum wrap_sent sent = call(sending, &request, "/artifacts/", name, &status);
    (void)close(fd);
    if (sent == WRAP_SENT_REFUSED && is_of_artifact(status)) {
        note_artifact(sending, name, buf_text(sending->words));
        sent = WRAP_SENT;
    }
    if (sent == WRAP_SENT) {
        file_remove(path);
    }
    return sent;
}

static enum wrap_sent send_artifacts(const struct sending *sending)
{
    struct folder_names names;
    struct diag diag;
    enum wrap_sent sent = WRAP_SENT;
    if (wrap_run_artifacts(sending->run, &diag, &names) != PH_OK) {
        return tell_file(sending, &diag);
    }
    for (size_t index = 0; index < names.count && sent == WRAP_SENT; index++) {
        sent = send_artifact(sending, names.items[index]);
    }
    folder_names_done(&names);
    return sent;
}

static enum wrap_sent send_ingested(const struct sending *sending)
{
    struct client_request request = {.method = "POST", .body = SLICE_LITERAL("")};
    struct diag diag;
    long status;
    enum wrap_sent sent = call(sending, &request, "/ingested", NULL, &status);
    if (sent == WRAP_SENT && wrap_run_mark_sent(sending->run, WRAP_FILE_COMPLETE, &diag) != PH_OK) {
        return tell_file(sending, &diag);
    }
    return sent;
}

enum wrap_sent wrap_send_run(const struct wrap_server *server, const struct wrap_run *run,
                             struct buf *words, struct buf *notes)
{
    const struct sending sending = {server, run, words, notes};
    enum wrap_sent sent = send_report(&sending, WRAP_FILE_REPORT_1);
    if (sent == WRAP_SENT) {
        sent = send_report(&sending, WRAP_FILE_REPORT_2);
    }
    if (sent == WRAP_SENT && wrap_run_has(run, WRAP_FILE_COMPLETE)) {
        sent = send_artifacts(&sending);
        if (sent == WRAP_SENT) {
            sent = send_ingested(&sending);
        }
    }
    return sent;
}

enum ph_error wrap_send_cut_off(const struct wrap_run *run, int64_t now_us, struct diag *diag)
{
    bool has_end = wrap_run_has(run, WRAP_FILE_REPORT_2) || wrap_run_has(run, WRAP_FILE_SENT_2);
    if (!has_end) {
        BUF_AUTO struct buf report;
        BUF_AUTO struct buf end;
        buf_init(&report, WRAP_REPORT_BYTES_MAX);
        buf_init(&end, 2 * WRAP_REPORT_BYTES_MAX);
        enum wrap_file first =
            wrap_run_has(run, WRAP_FILE_REPORT_1) ? WRAP_FILE_REPORT_1 : WRAP_FILE_SENT_1;
        enum ph_error error = wrap_run_read(run, first, &report, diag);
        if (error == PH_OK) {
            error = wrap_report_cut_off(buf_slice(&report), now_us, &end, diag);
        }
        if (error == PH_OK) {
            error = wrap_run_end(run, buf_slice(&end), diag);
        }
        if (error != PH_OK) {
            return error;
        }
    }
    bool is_complete = wrap_run_has(run, WRAP_FILE_COMPLETE) || wrap_run_has(run, WRAP_FILE_DONE);
    return is_complete ? PH_OK : wrap_run_complete(run, diag);
}
