/* SPDX-License-Identifier: Apache-2.0 */
#include "app/wrap_reporter.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "app/wrap_flush.h"
#include "base/clock.h"

#define WORDS_BYTES_MAX 8192
/* For older runs, before the own one's turn. */
#define OLDER_US (5 * CLOCK_US_PER_S)
/* Between tries; the short one when dbt has ended. */
#define DELAY_MIN_US (CLOCK_US_PER_S / 2)
#define DELAY_MAX_US (60 * CLOCK_US_PER_S)

/* --- what both threads see -----------------------------------------------------------------------
 */

static bool goes_on(void *context)
{
    struct wrap_reporter *reporter = context;
    int64_t now_us = clock_boot_us();
    (void)pthread_mutex_lock(&reporter->lock);
    bool is_over = reporter->is_hurried || now_us >= reporter->deadline_us ||
                   (reporter->mode == WRAP_SENDING_WHILE_IDLE && reporter->is_ended) ||
                   (reporter->mode == WRAP_SENDING_OLDER && now_us >= reporter->older_until_us);
    (void)pthread_mutex_unlock(&reporter->lock);
    return !is_over;
}

static bool is_ended(struct wrap_reporter *reporter)
{
    (void)pthread_mutex_lock(&reporter->lock);
    bool ended = reporter->is_ended;
    (void)pthread_mutex_unlock(&reporter->lock);
    return ended;
}

/* Until the time has passed, dbt ends, or nothing more is to be sent. */
static void pause_while_running(struct wrap_reporter *reporter, int64_t wait_us)
{
    struct timespec until = clock_deadline(wait_us);
    (void)pthread_mutex_lock(&reporter->lock);
    while (!reporter->is_ended && !reporter->is_hurried &&
           pthread_cond_timedwait(&reporter->changed, &reporter->lock, &until) == 0) {
    }
    (void)pthread_mutex_unlock(&reporter->lock);
}

/* Until the time has passed. False when nothing more is to be sent, or there is no time for it. */
static bool pause_at_end(struct wrap_reporter *reporter, int64_t wait_us)
{
    struct timespec until = clock_deadline(wait_us);
    (void)pthread_mutex_lock(&reporter->lock);
    bool has_time = clock_boot_us() + wait_us < reporter->deadline_us;
    while (has_time && !reporter->is_hurried &&
           pthread_cond_timedwait(&reporter->changed, &reporter->lock, &until) == 0) {
    }
    bool goes_on = has_time && !reporter->is_hurried;
    (void)pthread_mutex_unlock(&reporter->lock);
    return goes_on;
}

/* --- the thread
 * ------------------------------------------------------------------------------------ */

/* A spool that takes nothing, because its disk is full, is as good as none. */
static enum ph_error add_run(struct wrap_reporter *reporter, struct slice report, struct diag *diag)
{
    const struct wrap_start start = {
        .url = reporter->server.url,
        .account = reporter->server.account,
        .run_id = reporter->run_id,
        .started_at_us = reporter->facts->started_at_us,
        .report = report,
    };
    struct diag ignored;
    reporter->own_spool = reporter->spool;
    enum ph_error error = wrap_spool_add(reporter->spool, &start, diag, &reporter->run);
    if (error == PH_OK || reporter->spool->is_temporary ||
        wrap_spool_open_temporary(&reporter->spare_spool, diag, &reporter->notes, &ignored) !=
            PH_OK) {
        return error;
    }
    reporter->own_spool = &reporter->spare_spool;
    return wrap_spool_add(reporter->own_spool, &start, diag, &reporter->run);
}

static void make_run(struct wrap_reporter *reporter)
{
    BUF_AUTO struct buf report;
    buf_init(&report, WRAP_REPORT_BYTES_MAX);
    struct diag diag = {0};
    struct wrap_facts *facts = reporter->facts;
    wrap_origin_ask_git(&facts->origin, reporter->project->folder);
    wrap_project_append_version(reporter->project, reporter->program, &facts->dbt_version);
    wrap_report_compose(facts, NULL, &report);
    reporter->has_run = add_run(reporter, buf_slice(&report), &diag) == PH_OK;
    if (!reporter->has_run) {
        reporter->outcome = WRAP_SENT_STOPPED;
        buf_append_text(&reporter->reason, diag.text);
    }
    (void)pthread_mutex_lock(&reporter->lock);
    reporter->is_ready = true;
    (void)pthread_cond_broadcast(&reporter->changed);
    (void)pthread_mutex_unlock(&reporter->lock);
}

/* Gives whether there is nothing left to try now. */
static bool send_older(struct wrap_reporter *reporter, bool is_idle)
{
    struct wrap_flush flush;
    wrap_flush_init(&flush, &reporter->server, reporter->spool);
    reporter->mode = is_idle ? WRAP_SENDING_WHILE_IDLE : WRAP_SENDING_OLDER;
    bool is_through = wrap_flush_runs(&flush, false) || flush.is_denied;
    reporter->mode = WRAP_SENDING_OWN;
    if (flush.refused_count > 0) {
        buf_append_format(&reporter->notes, "%lld earlier runs were refused and lie in %s: %s\n",
                          (long long)flush.refused_count, reporter->spool->rejected_path,
                          buf_text(&flush.words));
    }
    if (flush.damaged_count > 0) {
        buf_append_format(
            &reporter->notes, "%lld reports of earlier runs are damaged and lie in %s: %s\n",
            (long long)flush.damaged_count, reporter->spool->damaged_path, buf_text(&flush.words));
    }
    wrap_flush_done(&flush);
    return is_through;
}

static void send_own(struct wrap_reporter *reporter)
{
    BUF_AUTO struct buf unwanted;
    buf_init(&unwanted, WORDS_BYTES_MAX);
    reporter->outcome =
        wrap_send_run(&reporter->server, &reporter->run, &reporter->reason, &unwanted);
    if (unwanted.len > 0) {
        buf_append_format(&reporter->notes, "not all artifacts were taken: %s\n",
                          buf_text(&unwanted));
    }
}

static int64_t twice(int64_t delay_us)
{
    return delay_us < DELAY_MAX_US / 2 ? 2 * delay_us : DELAY_MAX_US;
}

/* While dbt runs: older runs, then what is there of the own one. */
static void send_while_running(struct wrap_reporter *reporter)
{
    bool is_through = send_older(reporter, false);
    int64_t delay_us = DELAY_MIN_US;
    send_own(reporter);
    while (!is_ended(reporter)) {
        bool is_away = reporter->outcome == WRAP_SENT_AWAY || reporter->outcome == WRAP_SENT_BUSY ||
                       reporter->outcome == WRAP_SENT_FAILED;
        if (!is_away && !is_through && goes_on(reporter)) {
            is_through = true;
            (void)send_older(reporter, true);
        }
        pause_while_running(reporter, is_away ? delay_us : DELAY_MAX_US);
        if (is_away && !is_ended(reporter) && goes_on(reporter)) {
            /* The server may be back: what is older goes first. */
            is_through = send_older(reporter, true);
            send_own(reporter);
            delay_us = twice(delay_us);
        }
        if (!goes_on(reporter)) {
            return;
        }
    }
}

static bool is_refused(const struct wrap_reporter *reporter)
{
    return reporter->outcome == WRAP_SENT_REFUSED || reporter->outcome == WRAP_SENT_DENIED;
}

/* dbt has ended. A server that is not there keeps nobody waiting; one that is busy is tried again
 * while there is time. */
static void send_end(struct wrap_reporter *reporter)
{
    int64_t delay_us = DELAY_MIN_US;
    if (is_refused(reporter)) {
        return;
    }
    send_own(reporter);
    while ((reporter->outcome == WRAP_SENT_BUSY || reporter->outcome == WRAP_SENT_FAILED) &&
           pause_at_end(reporter, delay_us)) {
        send_own(reporter);
        delay_us = twice(delay_us);
    }
}

static void *work(void *context)
{
    struct wrap_reporter *reporter = context;
    make_run(reporter);
    if (reporter->has_run) {
        send_while_running(reporter);
        send_end(reporter);
    }
    uint64_t one = 1;
    ssize_t put = write(reporter->done_fd, &one, sizeof one);
    PH_ASSERT(put == (ssize_t)sizeof one);
    return NULL;
}

/* --- the main thread
 * ------------------------------------------------------------------------------- */

static void free_reporter(struct wrap_reporter *reporter)
{
    if (reporter->done_fd >= 0) {
        (void)close(reporter->done_fd);
    }
    (void)pthread_cond_destroy(&reporter->changed);
    (void)pthread_mutex_destroy(&reporter->lock);
    buf_done(&reporter->reason);
    buf_done(&reporter->notes);
}

enum ph_error wrap_reporter_start(struct wrap_reporter *reporter, struct diag *diag)
{
    buf_init(&reporter->reason, WORDS_BYTES_MAX);
    buf_init(&reporter->notes, WORDS_BYTES_MAX);
    reporter->server.goes_on = goes_on;
    reporter->server.context = reporter;
    reporter->mode = WRAP_SENDING_OWN;
    reporter->outcome = WRAP_SENT;
    reporter->deadline_us = INT64_MAX;
    reporter->older_until_us = clock_boot_us() + OLDER_US;
    PH_ASSERT(pthread_mutex_init(&reporter->lock, NULL) == 0);
    clock_cond_init(&reporter->changed);
    reporter->done_fd = eventfd(0, EFD_CLOEXEC);
    int code =
        reporter->done_fd < 0 ? errno : pthread_create(&reporter->thread, NULL, work, reporter);
    if (code != 0) {
        free_reporter(reporter);
        return diag_set(diag, PH_IO, NULL, "no thread for it: %s", strerrordesc_np(code));
    }
    return PH_OK;
}

void wrap_reporter_wait(struct wrap_reporter *reporter)
{
    (void)pthread_mutex_lock(&reporter->lock);
    while (!reporter->is_ready) {
        (void)pthread_cond_wait(&reporter->changed, &reporter->lock);
    }
    (void)pthread_mutex_unlock(&reporter->lock);
}

void wrap_reporter_end(struct wrap_reporter *reporter, const struct wrap_artifacts *artifacts,
                       const struct wrap_end *end, struct buf *words)
{
    BUF_AUTO struct buf report;
    buf_init(&report, WRAP_REPORT_BYTES_MAX);
    struct diag diag = {0};
    if (reporter->has_run) {
        wrap_report_compose(reporter->facts, end, &report);
        enum ph_error error = wrap_run_end(&reporter->run, buf_slice(&report), &diag);
        if (error == PH_OK) {
            wrap_artifacts_attach(artifacts, reporter->own_spool, &reporter->run, words);
            error = wrap_run_complete(&reporter->run, &diag);
        }
        reporter->is_whole = error == PH_OK;
        if (!reporter->is_whole) {
            buf_append_format(words, "the end of the run is not reported: %s\n", diag.text);
        }
    }
    (void)pthread_mutex_lock(&reporter->lock);
    reporter->is_ended = true;
    reporter->deadline_us = clock_boot_us() + WRAP_REPORTER_WAIT_US;
    (void)pthread_cond_broadcast(&reporter->changed);
    (void)pthread_mutex_unlock(&reporter->lock);
}

void wrap_reporter_hurry(struct wrap_reporter *reporter)
{
    (void)pthread_mutex_lock(&reporter->lock);
    reporter->is_hurried = true;
    (void)pthread_cond_broadcast(&reporter->changed);
    (void)pthread_mutex_unlock(&reporter->lock);
}

static void tell_outcome(struct wrap_reporter *reporter, struct buf *words)
{
    struct diag diag = {0};
    struct buf *given = &reporter->reason;
    /* A sentence of the server's, which goes on here. */
    if (given->len > 0 && given->data[given->len - 1] == '.') {
        given->data[--given->len] = '\0';
    }
    const char *reason = given->len > 0 ? buf_text(given) : "no answer in time";
    if (!reporter->has_run) {
        buf_append_format(words, "the run is not reported: %s\n", reason);
    } else if (!reporter->is_whole) {
        return; /* and that was told; the next run ends it as one that was cut off */
    } else if (reporter->outcome == WRAP_SENT) {
        wrap_run_remove(&reporter->run);
    } else if (reporter->own_spool->is_temporary) {
        buf_append_format(words, "the report of the run is lost: %s\n", reason);
    } else if (!is_refused(reporter)) {
        buf_append_format(words,
                          "the run is not reported yet: %s. The report is in %s and goes out with "
                          "the next run, or with `posthorn dbt --flush`\n",
                          reason, reporter->own_spool->path);
    } else if (wrap_run_reject(reporter->own_spool, &reporter->run, buf_slice(&reporter->reason),
                               &diag) == PH_OK) {
        buf_append_format(words,
                          "the report of the run was refused: %s. It is in %s; `posthorn dbt "
                          "--flush` tries it again\n",
                          reason, reporter->own_spool->rejected_path);
    } else {
        buf_append_format(words, "the report of the run was refused: %s; %s\n", reason, diag.text);
    }
}

void wrap_reporter_finish(struct wrap_reporter *reporter, struct buf *words)
{
    (void)pthread_join(reporter->thread, NULL);
    buf_append_slice(words, buf_slice(&reporter->notes));
    tell_outcome(reporter, words);
    if (reporter->has_run) {
        wrap_run_done(&reporter->run);
    }
    if (reporter->own_spool == &reporter->spare_spool) {
        wrap_spool_close(&reporter->spare_spool);
    }
    free_reporter(reporter);
}
