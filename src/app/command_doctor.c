/* SPDX-License-Identifier: Apache-2.0 */
/* Says in words what is wrong and what to do. */
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "app/client.h"
#include "app/command.h"
#include "app/file.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "db/care.h"
#include "store/delivery.h"
#include "store/keyring.h"

#define SPACE_LOW_BYTES (UINT64_C(512) << 20)
#define TEXT_MAX 65536
/* While pages are checked the write-ahead log of a running server cannot be used again. */
#define CHECK_MS 2000

struct doctor {
    const struct options *options;
    bool is_full;
    bool is_json;
    unsigned failures;
    int64_t pending; /* deliveries, -1 = not known */
    int64_t late_s;  /* the oldest of them */
    bool is_running; /* a server */
    struct buf text; /* the JSON so far */
    struct json_out out;
};

static void say(struct doctor *doctor, bool is_good, const char *what, const char *advice)
{
    doctor->failures += is_good ? 0 : 1;
    if (!doctor->is_json) {
        (void)printf("%s  %s%s%s\n", is_good ? "ok  " : "FAIL", what, is_good ? "" : ": ",
                     is_good ? "" : advice);
        return;
    }
    json_out_begin_object(&doctor->out);
    json_out_member_text(&doctor->out, "check", what);
    json_out_member_bool(&doctor->out, "ok", is_good);
    json_out_member_string(&doctor->out, "advice", is_good ? SLICE_NONE : slice_of(advice));
    json_out_end_object(&doctor->out);
}

/* What is neither good nor bad. */
static void tell(struct doctor *doctor, const char *words)
{
    if (!doctor->is_json) {
        (void)printf("      %s\n", words);
    }
}

/* False when there is no such directory to look into. */
static bool check_folder(struct doctor *doctor)
{
    const char *path = option_text(doctor->options, OPTION_DATA);
    struct stat status;
    struct statvfs space;
    bool is_there = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
    say(doctor, is_there, "data directory exists", "run `posthorn serve` once, or give --data");
    if (!is_there) {
        return false;
    }
    say(doctor, access(path, W_OK | X_OK) == 0, "data directory is writable",
        "run the server as its owner, or run chown on it");
    say(doctor, (status.st_mode & 0077) == 0, "data directory is private",
        "others can read it; run chmod 700 on it");
    bool has_space =
        statvfs(path, &space) == 0 && (uint64_t)space.f_bavail * space.f_frsize > SPACE_LOW_BYTES;
    say(doctor, has_space, "disk has space",
        "less than 512 MiB are free; publishers get 507 "
        "when it is full");
    PH_AUTO_FREE char *secret = data_path(doctor->options, "jwt_secret");
    if (stat(secret, &status) == 0) {
        say(doctor, (status.st_mode & 0077) == 0, "token secret is private",
            "run chmod 600 on the file jwt_secret");
    }
    return true;
}

/* Nothing is said of a store in plain without a master key. */
static void check_master_key(struct doctor *doctor, struct store *store)
{
    struct diag diag = {0};
    struct keyring *keyring = NULL;
    SECRET_AUTO struct secret master = SECRET_NONE;
    enum ph_error error =
        data_master_key(option_text(doctor->options, OPTION_MASTER_KEY_FILE), &diag, &master);
    if (error == PH_OK) {
        error = keyring_look(store->db, &master, &diag, &keyring);
    }
    if (error != PH_OK || keyring != NULL) {
        say(doctor, error == PH_OK, "master key opens the store", diag.text);
    }
    keyring_free(keyring);
}

static void check_pages(struct doctor *doctor, struct store *store)
{
    struct diag diag;
    enum db_soundness soundness = DB_DAMAGED;
    if (db_quick_check(store->db, doctor->is_full ? 0 : CHECK_MS, &diag, &soundness) != PH_OK) {
        soundness = DB_DAMAGED;
    }
    say(doctor, soundness != DB_DAMAGED,
        soundness == DB_NOT_ALL_CHECKED
            ? "store is whole as far as two seconds went; --full checks all of it"
            : "store is whole",
        "stop the server and run `posthorn restore` with a backup");
}

static void check_store(struct doctor *doctor)
{
    struct diag diag;
    struct store *store;
    PH_AUTO_FREE char *address = data_store_address(doctor->options);
    PH_AUTO_FREE char *path = data_path(doctor->options, "posthorn.db");
    if (data_check_restored(doctor->options, &diag) != PH_OK) {
        say(doctor, false, "store is no half of a restore", diag.text);
        return;
    }
    if (slice_starts_with(slice_of(address), "sqlite:") && access(path, F_OK) != 0) {
        say(doctor, false, "store exists", "run `posthorn serve` or `posthorn migrate` once");
        return;
    }
    if (store_open(address, DB_READ_ONLY, &diag, &store) != PH_OK) {
        say(doctor, false, "store opens", diag.text);
        return;
    }
    say(doctor, true, "store opens", "");
    check_master_key(doctor, store);
    if (db_kind(store->db) == DB_SQLITE) {
        check_pages(doctor, store);
    }
    int64_t pending = 0;
    int64_t oldest_us = 0;
    if (delivery_backlog(store, &diag, &pending, &oldest_us) == PH_OK) {
        int64_t late_s = pending == 0 ? 0 : (clock_wall_us() - oldest_us) / CLOCK_US_PER_S;
        doctor->pending = pending;
        doctor->late_s = late_s > 0 ? late_s : 0;
        BUF_AUTO struct buf words;
        buf_init(&words, TEXT_MAX);
        buf_append_format(&words, "%lld deliveries pending", (long long)pending);
        if (late_s > 0) {
            buf_append_format(&words, ", the oldest due %lld s ago", (long long)late_s);
        }
        tell(doctor, buf_text(&words));
    }
    store_close(store);
}

static void check_server(struct doctor *doctor)
{
    struct diag diag;
    BUF_AUTO struct buf url;
    BUF_AUTO struct buf answer;
    buf_init(&url, TEXT_MAX);
    buf_init(&answer, TEXT_MAX);
    int fd;
    PH_AUTO_FREE char *lock = data_path(doctor->options, "lock");
    if (access(lock, F_OK) != 0) {
        tell(doctor, "no server runs on this data directory");
        return; /* looking must not make the file */
    }
    enum ph_error error = data_lock(doctor->options, &diag, &fd);
    if (error == PH_OK) {
        (void)close(fd);
        tell(doctor, "no server runs on this data directory");
        return;
    }
    PH_AUTO_FREE char *path = data_path(doctor->options, "address");
    if (error != PH_CONFLICT || file_read(path, &url, &diag) != PH_OK) {
        return;
    }
    doctor->is_running = true;
    buf_append_text(&url, "/health/ready");
    const struct client_request request = {
        .method = "GET", .url = buf_text(&url), .is_local = true};
    long status = 0;
    bool answers = client_call(&request, &answer, &diag, &status) == PH_OK && status == 200;
    say(doctor, answers, "server is ready", "it runs and does not answer well; see its log");
}

static void begin_json(struct doctor *doctor)
{
    json_out_init(&doctor->out, &doctor->text);
    json_out_begin_object(&doctor->out);
    json_out_key(&doctor->out, "checks");
    json_out_begin_array(&doctor->out);
}

static void print_json(struct doctor *doctor)
{
    json_out_end_array(&doctor->out);
    json_out_member_bool(&doctor->out, "ok", doctor->failures == 0);
    json_out_member_bool(&doctor->out, "serverRuns", doctor->is_running);
    if (doctor->pending < 0) {
        json_out_member_null(&doctor->out, "pendingDeliveries");
    } else {
        json_out_member_int(&doctor->out, "pendingDeliveries", doctor->pending);
    }
    json_out_member_int(&doctor->out, "oldestDueSeconds", doctor->late_s);
    json_out_end_object(&doctor->out);
    (void)puts(buf_text(&doctor->text));
}

static int run_doctor(int count, char **arguments);

static const struct flag_row flags[] = {
    {"--full", FLAG_SWITCH, 0, offsetof(struct doctor, is_full), NULL,
     "Checks the pages of a SQLite store to the end, not for two seconds; meanwhile the "
     "write-ahead log of a running server grows."},
    FLAG_JSON(struct doctor, "Prints a JSON object with all checks."),
};

static const enum option_id shown_options[] = {OPTION_DATA};

const struct command command_doctor = {
    .name = "doctor",
    .run = run_doctor,
    .flags = flags,
    .flag_count = PH_ARRAY_LENGTH(flags),
    .options = shown_options,
    .option_count = PH_ARRAY_LENGTH(shown_options),
    .help = "say what is wrong and what to do",
    .details = "Looks at the data directory, the store and the server that runs on it. The exit "
               "code is 1 when something is wrong.",
    .examples = "",
};

static int run_doctor(int count, char **arguments)
{
    struct command_line line;
    struct doctor doctor = {.options = &line.options, .pending = -1};
    int code = EXIT_USAGE;
    buf_init(&doctor.text, TEXT_MAX);
    if (command_read(&line, &command_doctor, count, arguments, &doctor)) {
        begin_json(&doctor);
        if (check_folder(&doctor)) {
            check_store(&doctor);
            check_server(&doctor);
        }
        if (doctor.is_json) {
            print_json(&doctor);
        }
        code = doctor.failures == 0 ? EXIT_DONE : EXIT_FAILED;
    }
    buf_done(&doctor.text);
    command_line_done(&line);
    return code;
}
