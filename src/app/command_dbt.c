/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `dbt`: runs a dbt command as if it had been started without us, and reports it to a server's dbt
 * surface beside it. dbt starts before anything of the report is done; whatever is wrong with the
 * report, dbt's exit code is ours.
 */
#include <errno.h>
#include <poll.h>
#include <sys/wait.h>

#include "app/command.h"
#include "app/interrupt.h"
#include "app/wrap_flush.h"
#include "app/wrap_process.h"
#include "app/wrap_reporter.h"
#include "app/wrap_token.h"
#include "base/clock.h"
#include "base/random.h"
#include "core/url.h"

#define WORDS_BYTES_MAX 65536
#define MESSAGE_BYTES_MAX 4096
/* What servers take; longer ones are cut. */
#define NAME_BYTES_MAX 1000
#define REASON_BYTES_MAX 2000
#define RUN_ID_BITS 53
#define COMMAND_WORDS_MAX 100000

struct dbt_arguments {
    const char *job;
    const char *name;
    const char *environment;
    const char *project;
    const char *reason;
    const char *account;
    const char *url;
    const char *token_file;
    const char *spool;
    const char *spool_max;
    bool is_flush;
    bool is_dry;

    int64_t spool_bytes;
    char **command; /* with NULL at the end */
};

/* --- the server ----------------------------------------------------------------------------------
 */

struct destination {
    struct buf url; /* without a slash, and without /dbt */
    struct buf token;
    int64_t account;
};

static void destination_init(struct destination *destination)
{
    destination->account = 0;
    buf_init(&destination->url, (size_t)2 * URL_LENGTH_MAX);
    buf_init(&destination->token, WRAP_TOKEN_BYTES_MAX);
}

static void destination_done(struct destination *destination)
{
    buf_done(&destination->url);
    buf_wipe(&destination->token);
}

static enum ph_error take_url(struct destination *destination, const char *given, struct diag *diag)
{
    const char *url = given != NULL ? given : secure_getenv("POSTHORN_URL");
    if (url == NULL || url[0] == '\0') {
        return diag_set(diag, PH_NOT_FOUND, NULL, "give --url or POSTHORN_URL");
    }
    struct url_parts parts;
    struct buf *text = &destination->url;
    const char *where = given != NULL ? "--url" : "POSTHORN_URL";
    struct diag reason = {0};
    if (url_normalise(slice_of(url), where, &reason, text) != PH_OK) {
        return diag_set(diag, PH_INVALID, where, "%s: %s", where, reason.text);
    }
    if (!url_split(buf_slice(text), &parts) || parts.query.ptr != NULL ||
        parts.fragment.ptr != NULL) {
        return diag_set(diag, PH_INVALID, where, "%s: a query or a fragment cannot be used", where);
    }
    static const char *const ends[] = {"/", "/dbt", "/"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(ends); index++) {
        size_t length = strlen(ends[index]);
        if (text->len > length && strcmp(text->data + text->len - length, ends[index]) == 0) {
            text->len -= length;
            text->data[text->len] = '\0';
        }
    }
    return PH_OK;
}

static enum ph_error take_account(struct destination *destination, const char *given,
                                  struct diag *diag)
{
    const char *account = given != NULL ? given : secure_getenv("POSTHORN_ACCOUNT");
    if (account == NULL || account[0] == '\0') {
        return diag_set(diag, PH_NOT_FOUND, NULL, "give --account or POSTHORN_ACCOUNT");
    }
    if (!slice_to_int64(slice_of(account), &destination->account) || destination->account < 1) {
        const char *where = given != NULL ? "--account" : "POSTHORN_ACCOUNT";
        return diag_set(diag, PH_INVALID, where, "%s wants a number from 1, not \"%s\"", where,
                        account);
    }
    return PH_OK;
}

/* Not the token. */
static enum ph_error find_destination(const struct dbt_arguments *given,
                                      struct destination *destination, struct diag *diag)
{
    enum ph_error error = take_url(destination, given->url, diag);
    return error == PH_OK ? take_account(destination, given->account, diag) : error;
}

/* --- who runs what -------------------------------------------------------------------------------
 */

/* A number with the name that is usual, or a name with its number. */
static void name_thing(const char *given, const char *usual, int64_t *ret_id, struct buf *name)
{
    struct slice words;
    wrap_line_read_id(given != NULL ? given : usual, ret_id, &words);
    if (given == NULL || words.ptr == NULL) {
        words = slice_of(usual);
        *ret_id = given == NULL ? wrap_line_id(words) : *ret_id;
    }
    wrap_line_append_cut(words, NAME_BYTES_MAX, name);
}

/* A command is a job of its project. */
static void name_job(const struct dbt_arguments *given, struct wrap_facts *facts)
{
    struct slice words = SLICE_NONE;
    const char *said = given->job != NULL ? given->job : given->name;
    if (said != NULL) {
        wrap_line_read_id(said, &facts->job_id, &words);
    } else {
        BUF_AUTO struct buf whole;
        buf_init(&whole, WORDS_BYTES_MAX);
        buf_append_format(&whole, "%s\n%s", buf_text(&facts->project_name),
                          buf_text(&facts->command));
        facts->job_id = wrap_line_id(buf_slice(&whole));
    }
    if (given->name != NULL) {
        words = slice_of(given->name);
    }
    wrap_line_append_cut(words.len > 0 ? words : buf_slice(&facts->command), NAME_BYTES_MAX,
                         &facts->job_name);
}

static void find_facts(const struct dbt_arguments *given, const struct command_line *line,
                       const struct wrap_project *project, struct wrap_facts *facts)
{
    wrap_line_append_command(line->rest_count, line->rest, &facts->command);
    name_thing(given->project, project->name[0] != '\0' ? project->name : "dbt", &facts->project_id,
               &facts->project_name);
    name_thing(given->environment, project->target, &facts->environment_id,
               &facts->environment_name);
    name_job(given, facts);
    wrap_origin_read(&facts->origin, wrap_origin_variable);
    if (given->reason != NULL) {
        buf_clear(&facts->origin.reason);
        wrap_line_append_cut(slice_of(given->reason), REASON_BYTES_MAX, &facts->origin.reason);
    }
}

/* --- a run ---------------------------------------------------------------------------------------
 */

struct watched_run {
    const struct dbt_arguments *given;
    const struct command_line *line;
    struct wrap_process process;
    struct destination destination;
    struct wrap_project project;
    struct wrap_artifacts artifacts;
    struct wrap_facts facts;
    struct wrap_spool spool;
    struct wrap_reporter reporter;
    struct buf words; /* lines for standard error, when dbt has ended */
};

/* How it ended, and in words. */
static struct wrap_end judge(const struct watched_run *run, const struct wrap_result *result,
                             struct buf *message)
{
    const struct wrap_process *process = &run->process;
    struct wrap_end end = {.status = WRAP_REPORT_ERROR, .finished_at_us = clock_wall_us()};
    if (process->start_error != 0) {
        buf_append_format(message, "%s could not be started: %s", run->line->rest[0],
                          strerrordesc_np(process->start_error));
    } else if (wrap_process_code(process) == 0) {
        end.status = WRAP_REPORT_SUCCESS;
    } else if (process->ending_signal != 0) {
        end.status = WRAP_REPORT_CANCELLED;
        buf_append_format(message, "cancelled by SIG%s", sigabbrev_np(process->ending_signal));
    } else if (WIFSIGNALED(process->status)) {
        const char *name = sigabbrev_np(WTERMSIG(process->status));
        buf_append_format(message, "dbt was killed by SIG%s", name == NULL ? "?" : name);
    } else if (result->failed_count > 0) {
        buf_append_format(message, "%lld of %lld nodes failed: %s", (long long)result->failed_count,
                          (long long)result->node_count, buf_text(&result->failed));
    } else {
        buf_append_text(message, "dbt command failed");
    }
    end.message = buf_slice(message);
    end.log = buf_slice(&result->log);
    return end;
}

static void report_end(struct watched_run *run)
{
    struct wrap_result result;
    BUF_AUTO struct buf message;
    buf_init(&message, MESSAGE_BYTES_MAX);
    wrap_result_init(&result);
    bool has_result = wrap_artifacts_read(&run->artifacts, run->facts.started_at_us, &result);
    if (!has_result) {
        wrap_result_done(&result);
        wrap_result_init(&result);
    }
    struct wrap_end end = judge(run, &result, &message);
    wrap_reporter_wait(&run->reporter);
    if (result.dbt_version.len > 0) {
        buf_clear(&run->facts.dbt_version);
        buf_append_slice(&run->facts.dbt_version, buf_slice(&result.dbt_version));
    }
    wrap_reporter_end(&run->reporter, &run->artifacts, &end, &run->words);
    wrap_result_done(&result);
    if (!wrap_process_linger(&run->process, run->reporter.done_fd,
                             WRAP_REPORTER_WAIT_US + CLOCK_US_PER_S)) {
        wrap_reporter_hurry(&run->reporter);
    }
    wrap_reporter_finish(&run->reporter, &run->words);
}

static bool attend(void *context, int fd, int64_t wait_us)
{
    wrap_process_attend(context, fd, wait_us);
    return true;
}

/* dbt runs meanwhile. */
static bool start_report(struct watched_run *run)
{
    struct diag diag;
    BUF_AUTO struct buf words;
    buf_init(&words, WORDS_BYTES_MAX);
    const struct dbt_arguments *given = run->given;
    const char *path = given->spool != NULL ? given->spool : secure_getenv("POSTHORN_SPOOL");
    const struct wrap_token_wait wait = {attend, &run->process};
    if (wrap_token_read(given->token_file, &wait, &run->destination.token, &diag) != PH_OK ||
        wrap_spool_open(&run->spool, path, given->spool_bytes, &words, &diag) != PH_OK) {
        buf_append_format(&run->words, "the run is not reported: %s\n", diag.text);
        return false;
    }
    if (words.len > 0) {
        buf_append_slice(&run->words, buf_slice(&words));
    }
    find_facts(given, run->line, &run->project, &run->facts);
    run->reporter = (struct wrap_reporter){
        .server = {.url = buf_text(&run->destination.url),
                   .account = run->destination.account,
                   .token = buf_text(&run->destination.token)},
        .spool = &run->spool,
        .project = &run->project,
        .program = run->line->rest[0],
        .facts = &run->facts,
        .run_id = (int64_t)(random_u64() >> (64 - RUN_ID_BITS)) | 1,
    };
    if (wrap_reporter_start(&run->reporter, &diag) != PH_OK) {
        buf_append_format(&run->words, "the run is not reported: %s\n", diag.text);
        wrap_spool_close(&run->spool);
        return false;
    }
    return true;
}

static void tell(const struct buf *words)
{
    struct slice rest = buf_slice(words);
    struct slice line;
    while (slice_next(&rest, '\n', &line)) {
        if (line.len > 0) {
            command_complain("%.*s", SLICE_ARG(line));
        }
    }
}

/* `is_reported`: there is somewhere to report to. Gives dbt's exit code. */
static int watch(struct watched_run *run, bool is_reported)
{
    struct wrap_line said;
    wrap_line_read(&said, run->line->rest_count, run->line->rest);
    wrap_project_find(&run->project, &said);
    wrap_artifacts_note(&run->artifacts, &run->project);
    wrap_facts_init(&run->facts);
    run->facts.started_at_us = clock_wall_us();
    bool is_started = wrap_process_start(&run->process, run->given->command);
    if (!is_started) {
        command_complain("could not run %s: %s", run->line->rest[0],
                         strerrordesc_np(run->process.start_error));
    }
    bool has_report = is_reported && start_report(run);
    if (is_started) {
        wrap_process_wait(&run->process);
    }
    if (has_report) {
        report_end(run);
        wrap_spool_close(&run->spool);
    }
    tell(&run->words);
    int code = wrap_process_code(&run->process);
    wrap_process_done(&run->process);
    wrap_facts_done(&run->facts);
    wrap_artifacts_done(&run->artifacts);
    wrap_project_done(&run->project);
    return code;
}

/* What was given on the line must be right; what the environment lacks keeps no run from running.
 */
static int run_command(const struct dbt_arguments *given, const struct command_line *line)
{
    struct watched_run run = {.given = given, .line = line};
    struct diag diag = {0};
    buf_init(&run.words, WORDS_BYTES_MAX);
    destination_init(&run.destination);
    enum ph_error error = find_destination(given, &run.destination, &diag);
    int code = EXIT_USAGE;
    if (error == PH_INVALID && slice_starts_with(slice_of(diag.field), "--")) {
        command_complain("%s", diag.text);
    } else {
        if (error != PH_OK) {
            buf_append_format(&run.words, "the run is not reported: %s\n", diag.text);
        }
        code = watch(&run, error == PH_OK);
    }
    destination_done(&run.destination);
    buf_done(&run.words);
    return code;
}

/* --- without a run -------------------------------------------------------------------------------
 */

static int print_report(const struct dbt_arguments *given, const struct command_line *line)
{
    struct wrap_line said;
    struct wrap_project project;
    struct wrap_facts facts;
    BUF_AUTO struct buf text;
    buf_init(&text, WRAP_REPORT_BYTES_MAX);
    wrap_line_read(&said, line->rest_count, line->rest);
    wrap_project_find(&project, &said);
    wrap_facts_init(&facts);
    facts.started_at_us = clock_wall_us();
    find_facts(given, line, &project, &facts);
    wrap_origin_ask_git(&facts.origin, project.folder);
    wrap_project_append_version(&project, line->rest[0], &facts.dbt_version);
    wrap_report_compose(&facts, NULL, &text);
    (void)printf("%s\n", buf_text(&text));
    wrap_facts_done(&facts);
    wrap_project_done(&project);
    return EXIT_DONE;
}

static bool is_not_interrupted(void *context)
{
    (void)context;
    return !interrupt_came();
}

static int flush_spool(const struct wrap_server *server, const struct wrap_spool *spool)
{
    struct wrap_flush flush;
    wrap_flush_init(&flush, server, spool);
    bool is_through = wrap_flush_runs(&flush, false) && wrap_flush_runs(&flush, true);
    bool is_done =
        is_through && flush.left_count == 0 && flush.refused_count == 0 && flush.damaged_count == 0;
    (void)printf("sent %lld, refused %lld, left %lld\n", (long long)flush.sent_count,
                 (long long)flush.refused_count, (long long)flush.left_count);
    if (flush.foreign_count > 0) {
        (void)printf("of other servers or accounts: %lld\n", (long long)flush.foreign_count);
    }
    if (flush.damaged_count > 0) {
        (void)printf("damaged, now in %s: %lld\n", spool->damaged_path,
                     (long long)flush.damaged_count);
    }
    if (flush.notes.len > 0) {
        command_complain("not all artifacts were taken: %s", buf_text(&flush.notes));
    }
    if (!is_done) {
        command_complain("%s", flush.words.len > 0 ? buf_text(&flush.words) : "it was interrupted");
    }
    wrap_flush_done(&flush);
    return is_done ? EXIT_DONE : EXIT_FAILED;
}

static bool wait_readable(void *context, int fd, int64_t wait_us)
{
    (void)context;
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    (void)poll(&ready, 1, (int)(wait_us / CLOCK_US_PER_MS + 1));
    return true;
}

static int run_flush(const struct dbt_arguments *given)
{
    struct destination destination;
    struct diag diag = {0};
    struct wrap_spool spool;
    BUF_AUTO struct buf words;
    buf_init(&words, WORDS_BYTES_MAX);
    destination_init(&destination);
    int code = EXIT_FAILED;
    const char *path = given->spool != NULL ? given->spool : secure_getenv("POSTHORN_SPOOL");
    const struct wrap_token_wait wait = {wait_readable, NULL};
    if (find_destination(given, &destination, &diag) != PH_OK ||
        wrap_token_read(given->token_file, &wait, &destination.token, &diag) != PH_OK) {
        command_complain("%s", diag.text);
        code = EXIT_USAGE;
    } else if (wrap_spool_open(&spool, path, given->spool_bytes, &words, &diag) != PH_OK) {
        command_complain("%s", diag.text);
    } else {
        const struct wrap_server server = {
            .url = buf_text(&destination.url),
            .account = destination.account,
            .token = buf_text(&destination.token),
            .goes_on = is_not_interrupted,
        };
        interrupt_catch();
        if (spool.is_temporary) {
            tell(&words);
        } else {
            code = flush_spool(&server, &spool);
        }
        wrap_spool_close(&spool);
    }
    destination_done(&destination);
    return code;
}

/* --- the command ---------------------------------------------------------------------------------
 */

static int run(int count, char **arguments);

static const struct flag_row flags[] = {
    {"--job", FLAG_VALUE, 0, offsetof(struct dbt_arguments, job), "ID|NAME",
     "The job that runs: its number, or a name from which a number is made, the same each time. "
     "Without it each command is a job."},
    {"--name", FLAG_VALUE, 0, offsetof(struct dbt_arguments, name), "NAME",
     "The job's name; else the name given as the job, or the command."},
    {"--environment", FLAG_VALUE, 0, offsetof(struct dbt_arguments, environment), "ID|NAME",
     "The environment; else dbt's target."},
    {"--project", FLAG_VALUE, 0, offsetof(struct dbt_arguments, project), "ID|NAME",
     "The project; else the name in dbt_project.yml."},
    {"--reason", FLAG_VALUE, 0, offsetof(struct dbt_arguments, reason), "TEXT",
     "Why it runs; else the CI system's words, or the host's name."},
    {"--account", FLAG_VALUE, 0, offsetof(struct dbt_arguments, account), "N",
     "The account on the server; else POSTHORN_ACCOUNT."},
    {"--url", FLAG_VALUE, 0, offsetof(struct dbt_arguments, url), "URL",
     "The server's address, without /dbt; else POSTHORN_URL."},
    {"--token-file", FLAG_VALUE, 0, offsetof(struct dbt_arguments, token_file), "FILE",
     "A file with the token; else POSTHORN_TOKEN."},
    {"--spool", FLAG_VALUE, 0, offsetof(struct dbt_arguments, spool), "DIR",
     "Where reports lie while the server is away; else POSTHORN_SPOOL, else posthorn/dbt in "
     "XDG_STATE_HOME or ~/.local/state."},
    {"--spool-max", FLAG_VALUE, 0, offsetof(struct dbt_arguments, spool_max), "SIZE",
     "Its size in bytes, or with KiB MiB GiB, above which the oldest reports are dropped; 1GiB "
     "when "
     "it is not given."},
    {"--dry-run", FLAG_SWITCH, 0, offsetof(struct dbt_arguments, is_dry), NULL,
     "Prints what would be reported at the start, with the ids, and runs nothing."},
    {"--flush", FLAG_SWITCH, 0, offsetof(struct dbt_arguments, is_flush), NULL,
     "Sends what lies in the spool, also what was refused before; without a command."},
};

const struct command command_dbt = {
    .name = "dbt",
    .run = run,
    .arguments = "-- COMMAND…",
    .argument_max = COMMAND_WORDS_MAX,
    .passes_rest = true,
    .flags = flags,
    .flag_count = PH_ARRAY_LENGTH(flags),
    .help = "run a dbt command and report it as dbt Cloud reports its jobs",
    .details =
        "dbt runs as it would alone: input, output, terminal, signals and exit code are its own. "
        "The server learns that it began and how it ended, gets the artifacts of the run, and "
        "tells "
        "its webhooks. A token that may report: `posthorn token create` for the surface dbt with "
        "the permission job_runner.\n"
        "A server that is away neither stops nor delays dbt: reports lie in the spool until the "
        "next run, which sends them first, or until they are flushed. At the end at most 10 "
        "seconds are spent on sending. Only without a server, account or token nothing is "
        "reported.\n"
        "A run that a signal ended is reported as cancelled. Besides dbt's own there are the exit "
        "codes 127, no such program, 126, it cannot be run, and 128 + N, dbt was killed by signal "
        "N.",
    .examples = "posthorn dbt -- dbt build\n"
                "posthorn dbt --job nightly --environment production -- dbt build --select orders\n"
                "posthorn dbt --flush",
};

static bool read_size(struct dbt_arguments *given)
{
    static const struct {
        const char *unit;
        int64_t bytes;
    } units[] = {{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"", 1}};
    struct slice text = slice_of(given->spool_max);
    given->spool_bytes = WRAP_SPOOL_BYTES;
    if (text.ptr == NULL) {
        return true;
    }
    size_t digits = strspn(text.ptr, "0123456789");
    int64_t number = 0;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(units); index++) {
        if (strcmp(text.ptr + digits, units[index].unit) == 0 &&
            slice_to_int64((struct slice){text.ptr, digits}, &number) && number > 0 &&
            number <= INT64_MAX / units[index].bytes) {
            given->spool_bytes = number * units[index].bytes;
            return true;
        }
    }
    command_complain("--spool-max wants a size such as 500MiB, not \"%s\"", text.ptr);
    return false;
}

/* An empty value is as good as none: scripts pass on variables that are not set. */
static void forget_empty(struct dbt_arguments *given)
{
    const char **values[] = {&given->job,     &given->name,       &given->environment,
                             &given->project, &given->reason,     &given->account,
                             &given->url,     &given->token_file, &given->spool};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(values); index++) {
        if (*values[index] != NULL && (*values[index])[0] == '\0') {
            *values[index] = NULL;
        }
    }
}

static int run(int count, char **arguments)
{
    struct dbt_arguments given = {0};
    struct command_line line;
    int code = EXIT_USAGE;
    if (command_read(&line, &command_dbt, count, arguments, &given) && read_size(&given)) {
        forget_empty(&given);
        given.command = arguments + count - (int)line.rest_count;
        if (given.is_flush ? line.rest_count > 0 : line.rest_count == 0) {
            code = command_complain_usage(&command_dbt);
        } else if (given.is_flush) {
            code = run_flush(&given);
        } else {
            code = given.is_dry ? print_report(&given, &line) : run_command(&given, &line);
        }
    }
    command_line_done(&line);
    return code;
}
