/* SPDX-License-Identifier: Apache-2.0 */
#include "app/wrap_flush.h"

#include "base/clock.h"

#define WORDS_BYTES_MAX 4096

void wrap_flush_init(struct wrap_flush *flush, const struct wrap_server *server,
                     const struct wrap_spool *spool)
{
    *flush = (struct wrap_flush){.server = server, .spool = spool};
    buf_init(&flush->words, WORDS_BYTES_MAX);
    buf_init(&flush->notes, WORDS_BYTES_MAX);
}

void wrap_flush_done(struct wrap_flush *flush)
{
    buf_done(&flush->words);
    buf_done(&flush->notes);
}

static void explain(struct wrap_flush *flush, const char *words)
{
    buf_clear(&flush->words);
    buf_append_text(&flush->words, words);
}

/* One that can never be sent would be in the way each time. */
static void put_aside(struct wrap_flush *flush, const char *name, bool is_rejected,
                      const char *words)
{
    struct diag diag;
    explain(flush, words);
    if (wrap_spool_put_aside(flush->spool, name, is_rejected, &diag) == PH_OK) {
        flush->damaged_count++;
    } else {
        flush->left_count++;
        explain(flush, diag.text);
    }
}

static bool is_passing(enum ph_error error)
{
    return error == PH_IO || error == PH_STORE_FULL;
}

/* Gives whether the next one is to be tried. */
static bool send_run(struct wrap_flush *flush, struct wrap_run *run)
{
    struct diag diag;
    BUF_AUTO struct buf words;
    buf_init(&words, WORDS_BYTES_MAX);
    enum ph_error error = wrap_send_cut_off(run, clock_wall_us(), &diag);
    if (is_passing(error)) {
        flush->left_count++;
        explain(flush, diag.text);
        return true;
    }
    if (error != PH_OK) {
        put_aside(flush, run->name, run->is_rejected, diag.text);
        return true;
    }
    enum wrap_sent sent = wrap_send_run(flush->server, run, &words, &flush->notes);
    if (sent == WRAP_SENT) {
        wrap_run_remove(run);
        flush->sent_count++;
        return true;
    }
    if (sent == WRAP_SENT_DAMAGED) {
        put_aside(flush, run->name, run->is_rejected, buf_text(&words));
        return true;
    }
    explain(flush, buf_text(&words));
    if (sent == WRAP_SENT_REFUSED) {
        if (wrap_run_reject(flush->spool, run, buf_slice(&words), &diag) != PH_OK) {
            explain(flush, diag.text);
        }
        flush->refused_count++;
        return true;
    }
    flush->left_count++;
    flush->is_denied = sent == WRAP_SENT_DENIED;
    return sent == WRAP_SENT_FAILED || sent == WRAP_SENT_BROKEN;
}

static bool try_run(struct wrap_flush *flush, const char *name, bool is_rejected)
{
    struct wrap_run run;
    struct diag diag;
    enum ph_error error = wrap_spool_take(flush->spool, name, is_rejected, &diag, &run);
    if (error == PH_CONFLICT || error == PH_NOT_FOUND) {
        return true;
    }
    if (is_passing(error)) {
        flush->left_count++;
        explain(flush, diag.text);
        return true;
    }
    if (error != PH_OK) {
        put_aside(flush, name, is_rejected, diag.text);
        return true;
    }
    bool goes_on = true;
    if (strcmp(run.url, flush->server->url) != 0 || run.account != flush->server->account) {
        flush->foreign_count++;
    } else {
        goes_on = send_run(flush, &run);
    }
    wrap_run_done(&run);
    return goes_on;
}

bool wrap_flush_runs(struct wrap_flush *flush, bool are_rejected)
{
    struct folder_names names;
    struct diag diag;
    if (wrap_spool_list(flush->spool, are_rejected, &diag, &names) != PH_OK) {
        explain(flush, diag.text);
        return false;
    }
    bool goes_on = true;
    size_t index = 0;
    for (; index < names.count && goes_on; index++) {
        goes_on = try_run(flush, names.items[index], are_rejected);
    }
    flush->left_count += (int64_t)(names.count - index);
    folder_names_done(&names);
    return goes_on;
}
