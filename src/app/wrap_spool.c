/* SPDX-License-Identifier: Apache-2.0 */
#include "app/wrap_spool.h"

#include <sys/stat.h>
#include <unistd.h>

#include "app/file.h"
#include "base/json_out.h"
#include "core/scan.h"

#define PATH_BYTES_MAX 4096
#define TARGET_BYTES_MAX 16384
#define NAMES_MAX 4096
#define ARTIFACTS_MAX 64
#define TARGET_MEMBERS_MAX 8
#define TIME_DIGITS 20
#define NEW_PREFIX ".new-"
#define NEW_TRIES_MAX 100
#define REMOVED_PREFIX ".removed-"

static const char *const file_names[] = {
    [WRAP_FILE_REPORT_1] = "report-1.json", [WRAP_FILE_SENT_1] = "report-1.sent",
    [WRAP_FILE_REPORT_2] = "report-2.json", [WRAP_FILE_SENT_2] = "report-2.sent",
    [WRAP_FILE_COMPLETE] = "complete",      [WRAP_FILE_DONE] = "done",
};

/* What cannot be removed stays, and is found again. */
static void remove_folder(const char *path)
{
    struct diag diag;
    enum ph_error error = file_remove_folder(path, &diag);
    (void)error;
}

/* Out of sight first: half of a run is none. */
static bool remove_run(const char *folder, const char *path, const char *name)
{
    BUF_AUTO struct buf removed;
    struct diag diag;
    buf_init(&removed, PATH_BYTES_MAX);
    buf_append_format(&removed, "%s/" REMOVED_PREFIX "%s", folder, name);
    return file_move(path, buf_text(&removed), false, &diag) == PH_OK &&
           file_remove_folder(buf_text(&removed), &diag) == PH_OK;
}

/* --- the place ---------------------------------------------------------------------------------
 */

/* Freed by the caller; NULL when there is no home. */
static char *usual_path(void)
{
    const char *state = secure_getenv("XDG_STATE_HOME");
    const char *home = secure_getenv("HOME");
    if (state != NULL && state[0] == '/') {
        return file_join(state, "posthorn/dbt");
    }
    return home != NULL && home[0] == '/' ? file_join(home, ".local/state/posthorn/dbt") : NULL;
}

static void name_parts(struct wrap_spool *spool)
{
    spool->rejected_path = file_join(spool->path, "rejected");
    spool->damaged_path = file_join(spool->path, "damaged");
}

static enum ph_error make_place(struct wrap_spool *spool, const char *path, struct diag *diag)
{
    PH_AUTO_FREE char *chosen = path != NULL ? ph_strdup(path) : usual_path();
    if (chosen == NULL) {
        return diag_set(diag, PH_IO, NULL, "there is no HOME");
    }
    enum ph_error error = folder_make(chosen, diag);
    if (error == PH_OK && access(chosen, W_OK | X_OK) != 0) {
        error = diag_set(diag, PH_IO, NULL, "%s cannot be written to", chosen);
    }
    if (error == PH_OK) {
        spool->path = ph_strdup(chosen);
    }
    return error;
}

enum ph_error wrap_spool_open_temporary(struct wrap_spool *spool, const struct diag *reason,
                                        struct buf *words, struct diag *diag)
{
    *spool = (struct wrap_spool){.bytes_max = WRAP_SPOOL_BYTES, .is_temporary = true};
    enum ph_error error = folder_make_temporary(diag, &spool->path);
    if (error == PH_OK) {
        name_parts(spool);
        buf_append_format(words,
                          "no spool, so that reports are lost while the server is away: %s\n",
                          reason->text);
    }
    return error;
}

enum ph_error wrap_spool_open(struct wrap_spool *spool, const char *path, int64_t bytes_max,
                              struct buf *ret_words, struct diag *diag)
{
    *spool = (struct wrap_spool){.bytes_max = bytes_max};
    struct diag reason;
    if (make_place(spool, path, &reason) != PH_OK) {
        return wrap_spool_open_temporary(spool, &reason, ret_words, diag);
    }
    name_parts(spool);
    return PH_OK;
}

void wrap_spool_close(struct wrap_spool *spool)
{
    struct diag diag;
    struct folder_names names;
    if (spool->is_temporary) {
        for (int are_rejected = 0; are_rejected <= 1; are_rejected++) {
            const char *folder = are_rejected != 0 ? spool->rejected_path : spool->path;
            if (folder_list(folder, NAMES_MAX, &diag, &names) == PH_OK) {
                for (size_t index = 0; index < names.count; index++) {
                    PH_AUTO_FREE char *run = file_join(folder, names.items[index]);
                    remove_folder(run);
                }
                folder_names_done(&names);
            }
        }
        remove_folder(spool->rejected_path);
        remove_folder(spool->path);
    }
    free(spool->path);
    free(spool->rejected_path);
    free(spool->damaged_path);
}

/* --- runs --------------------------------------------------------------------------------------
 */

static bool is_run_name(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    size_t more = name[digits] == '-' ? strspn(name + digits + 1, "0123456789") : 0;
    return digits == TIME_DIGITS && more > 0 && name[digits + 1 + more] == '\0';
}

static enum ph_error write_target(const struct wrap_run *run, struct diag *diag)
{
    BUF_AUTO struct buf text;
    buf_init(&text, TARGET_BYTES_MAX);
    struct json_out out;
    json_out_init(&out, &text);
    json_out_begin_object(&out);
    json_out_member_text(&out, "url", run->url);
    json_out_member_int(&out, "account", run->account);
    json_out_member_int(&out, "run", run->run_id);
    json_out_end_object(&out);
    PH_AUTO_FREE char *path = wrap_run_path(run, "target.json");
    return text.failed ? diag_set(diag, PH_TOO_LARGE, NULL, "the server's address is too long")
                       : file_write(path, buf_slice(&text), 0600, false, diag);
}

static enum ph_error write_named(const struct wrap_run *run, enum wrap_file file,
                                 struct slice content, struct diag *diag)
{
    PH_AUTO_FREE char *path = wrap_run_path(run, file_names[file]);
    return file_write(path, content, 0600, false, diag);
}

/* Its folder gets its name when all is in it. */
static enum ph_error fill_new(struct wrap_run *run, const char *final_path, struct slice report,
                              struct diag *diag)
{
    enum ph_error error = write_target(run, diag);
    if (error == PH_OK) {
        error = write_named(run, WRAP_FILE_REPORT_1, report, diag);
    }
    return error == PH_OK ? file_move(run->path, final_path, false, diag) : error;
}

/* A new folder that this process holds: `run->path`, and its lock. Between being made and being
 * locked it looks like what a killed process left, and another one may take it away: then again. */
static enum ph_error make_new(const struct wrap_spool *spool, struct wrap_run *run,
                              struct diag *diag)
{
    enum ph_error error = PH_CONFLICT;
    for (int try = 0; try < NEW_TRIES_MAX && (error == PH_CONFLICT || error == PH_NOT_FOUND);
         try++) {
        char name[64];
        (void)snprintf(name, sizeof name, NEW_PREFIX "%lld-%d", (long long)run->run_id, try);
        free(run->path);
        run->path = file_join(spool->path, name);
        error = folder_make(run->path, diag);
        if (error == PH_OK) {
            error = folder_lock(run->path, true, diag, &run->lock_fd);
        }
    }
    return error;
}

enum ph_error wrap_spool_add(const struct wrap_spool *spool, const struct wrap_start *start,
                             struct diag *diag, struct wrap_run *ret_run)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%0*lld-%lld", TIME_DIGITS, (long long)start->started_at_us,
                   (long long)start->run_id);
    char *final_path = file_join(spool->path, name);
    struct wrap_run run = {
        .name = ph_strdup(name),
        .lock_fd = -1,
        .url = ph_strdup(start->url),
        .account = start->account,
        .run_id = start->run_id,
    };
    enum ph_error error = make_new(spool, &run, diag);
    if (error == PH_OK) {
        error = fill_new(&run, final_path, start->report, diag);
    }
    if (error != PH_OK) {
        remove_folder(run.path);
        free(final_path);
        wrap_run_done(&run);
        return error;
    }
    free(run.path);
    run.path = final_path;
    *ret_run = run;
    return PH_OK;
}

/* What a process left that was killed before its run had a name, or while it removed one. */
static void remove_remains(const char *folder, const char *name)
{
    PH_AUTO_FREE char *path = file_join(folder, name);
    struct diag diag;
    int fd;
    if (slice_starts_with(slice_of(name), REMOVED_PREFIX)) {
        remove_folder(path);
    } else if (slice_starts_with(slice_of(name), NEW_PREFIX) &&
               folder_lock(path, false, &diag, &fd) == PH_OK) {
        remove_folder(path);
        (void)close(fd);
    }
}

enum ph_error wrap_spool_list(const struct wrap_spool *spool, bool are_rejected, struct diag *diag,
                              struct folder_names *ret_names)
{
    const char *folder = are_rejected ? spool->rejected_path : spool->path;
    struct folder_names names;
    enum ph_error error = folder_list(folder, NAMES_MAX, diag, &names);
    if (error != PH_OK) {
        return error;
    }
    size_t kept = 0;
    for (size_t index = 0; index < names.count; index++) {
        char *name = names.items[index];
        if (is_run_name(name)) {
            names.items[kept++] = name;
            continue;
        }
        remove_remains(folder, name);
        free(name);
    }
    names.count = kept;
    *ret_names = names;
    return PH_OK;
}

static enum ph_error read_target(struct wrap_run *run, struct diag *diag)
{
    BUF_AUTO struct buf text;
    ARENA_AUTO struct arena arena;
    buf_init(&text, TARGET_BYTES_MAX);
    arena_init(&arena, TARGET_BYTES_MAX);
    PH_AUTO_FREE char *path = wrap_run_path(run, "target.json");
    struct scan_member members[TARGET_MEMBERS_MAX];
    size_t count;
    struct slice url;
    enum ph_error error = file_read_plain(path, &text, diag);
    if (error != PH_OK) {
        return diag->error == PH_NOT_FOUND
                   ? diag_set(diag, PH_INVALID, NULL, "%s lacks its target", run->path)
                   : error;
    }
    if (scan_object(buf_slice(&text), members, TARGET_MEMBERS_MAX, &count, NULL, NULL) != PH_OK) {
        count = 0;
    }
    const struct scan_member *place = scan_find(members, count, "url");
    const struct scan_member *account = scan_find(members, count, "account");
    const struct scan_member *id = scan_find(members, count, "run");
    bool is_whole = place != NULL && account != NULL && id != NULL &&
                    scan_string(place->value, &arena, NULL, &url) == PH_OK &&
                    scan_int64(account->value, &run->account) &&
                    scan_int64(id->value, &run->run_id);
    if (!is_whole) {
        return diag_set(diag, PH_INVALID, NULL, "%s is damaged", path);
    }
    run->url = slice_dup(url);
    return PH_OK;
}

/* One that has lost its lock gets it again. */
static enum ph_error lock_run(const char *path, struct diag *diag, int *ret_fd)
{
    if (file_exists(path) && !folder_exists(path)) {
        return diag_set(diag, PH_INVALID, NULL, "%s is no folder", path);
    }
    enum ph_error error = folder_lock(path, false, diag, ret_fd);
    return error == PH_NOT_FOUND ? folder_lock(path, true, diag, ret_fd) : error;
}

enum ph_error wrap_spool_take(const struct wrap_spool *spool, const char *name, bool is_rejected,
                              struct diag *diag, struct wrap_run *ret_run)
{
    struct wrap_run run = {
        .path = file_join(is_rejected ? spool->rejected_path : spool->path, name),
        .name = ph_strdup(name),
        .lock_fd = -1,
        .is_rejected = is_rejected,
    };
    enum ph_error error = lock_run(run.path, diag, &run.lock_fd);
    if (error == PH_OK) {
        error = read_target(&run, diag);
    }
    if (error != PH_OK) {
        wrap_run_done(&run);
        return error;
    }
    *ret_run = run;
    return PH_OK;
}

enum ph_error wrap_spool_put_aside(const struct wrap_spool *spool, const char *name,
                                   bool is_rejected, struct diag *diag)
{
    PH_AUTO_FREE char *from = file_join(is_rejected ? spool->rejected_path : spool->path, name);
    PH_AUTO_FREE char *to = file_join(spool->damaged_path, name);
    enum ph_error error = folder_make(spool->damaged_path, diag);
    return error == PH_OK ? file_move(from, to, false, diag) : error;
}

/* --- limits ------------------------------------------------------------------------------------
 */

/* What goes first comes first. */
enum part { PART_DAMAGED, PART_REJECTED, PART_WAITING, PART_COUNT };

struct tally {
    const struct wrap_spool *spool;
    const char *folders[PART_COUNT];
    struct folder_names names[PART_COUNT];
    int64_t bytes;
    size_t count;
};

static void count_all(struct tally *tally)
{
    for (size_t part = 0; part < PART_COUNT; part++) {
        for (size_t index = 0; index < tally->names[part].count; index++) {
            PH_AUTO_FREE char *path =
                file_join(tally->folders[part], tally->names[part].items[index]);
            tally->bytes += folder_bytes(path);
            tally->count++;
        }
    }
}

static void open_tally(struct tally *tally, const struct wrap_spool *spool)
{
    struct diag diag;
    *tally = (struct tally){
        .spool = spool,
        .folders = {spool->damaged_path, spool->rejected_path, spool->path},
    };
    bool is_listed[PART_COUNT] = {
        folder_list(spool->damaged_path, NAMES_MAX, &diag, &tally->names[PART_DAMAGED]) == PH_OK,
        wrap_spool_list(spool, true, &diag, &tally->names[PART_REJECTED]) == PH_OK,
        wrap_spool_list(spool, false, &diag, &tally->names[PART_WAITING]) == PH_OK,
    };
    for (size_t part = 0; part < PART_COUNT; part++) {
        if (!is_listed[part]) {
            tally->names[part] = (struct folder_names){0};
        }
    }
    count_all(tally);
}

static void close_tally(struct tally *tally)
{
    for (size_t part = 0; part < PART_COUNT; part++) {
        folder_names_done(&tally->names[part]);
    }
}

static bool is_above(const struct tally *tally, int64_t needed_bytes)
{
    return tally->bytes + needed_bytes > tally->spool->bytes_max ||
           tally->count > WRAP_SPOOL_RUNS_MAX;
}

static bool remove_damaged(const char *path)
{
    struct diag diag;
    return file_remove_folder(path, &diag) == PH_OK || file_unlink(path, &diag) == PH_OK;
}

/* Damaged ones are nobody's. */
static void drop(struct tally *tally, enum part part, const char *name, struct buf *words)
{
    PH_AUTO_FREE char *path = file_join(tally->folders[part], name);
    struct diag diag;
    int fd = -1;
    if (part == PART_DAMAGED || folder_lock(path, false, &diag, &fd) == PH_OK) {
        int64_t bytes = folder_bytes(path);
        if (part == PART_DAMAGED ? remove_damaged(path)
                                 : remove_run(tally->folders[part], path, name)) {
            tally->bytes -= bytes;
            tally->count--;
            buf_append_format(words, "%s%s", words->len == 0 ? "" : ", ", name);
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

int64_t wrap_spool_trim(const struct wrap_spool *spool, const struct wrap_run *own,
                        int64_t needed_bytes, struct buf *words)
{
    struct tally tally;
    open_tally(&tally, spool);
    for (size_t part = 0; part < PART_COUNT; part++) {
        const struct folder_names *names = &tally.names[part];
        for (size_t index = 0; index < names->count && is_above(&tally, needed_bytes); index++) {
            PH_AUTO_FREE char *path = file_join(tally.folders[part], names->items[index]);
            if (own == NULL || strcmp(path, own->path) != 0) {
                drop(&tally, (enum part)part, names->items[index], words);
            }
        }
    }
    close_tally(&tally);
    return spool->bytes_max > tally.bytes ? spool->bytes_max - tally.bytes : 0;
}

/* --- one run -----------------------------------------------------------------------------------
 */

char *wrap_run_path(const struct wrap_run *run, const char *file)
{
    return file_join(run->path, file);
}

bool wrap_run_has(const struct wrap_run *run, enum wrap_file file)
{
    PH_AUTO_FREE char *path = wrap_run_path(run, file_names[file]);
    return file_exists(path);
}

enum ph_error wrap_run_read(const struct wrap_run *run, enum wrap_file file, struct buf *text,
                            struct diag *diag)
{
    PH_AUTO_FREE char *path = wrap_run_path(run, file_names[file]);
    return file_read_plain(path, text, diag);
}

enum ph_error wrap_run_end(const struct wrap_run *run, struct slice report, struct diag *diag)
{
    return write_named(run, WRAP_FILE_REPORT_2, report, diag);
}

enum ph_error wrap_run_attach(const struct wrap_run *run, const char *name, const char *from,
                              struct diag *diag)
{
    BUF_AUTO struct buf part;
    BUF_AUTO struct buf whole;
    buf_init(&part, PATH_BYTES_MAX);
    buf_init(&whole, PATH_BYTES_MAX);
    buf_append_format(&part, "%s/part.%s", run->path, name);
    buf_append_format(&whole, "%s/" WRAP_ARTIFACT_PREFIX "%s", run->path, name);
    enum ph_error error = file_copy(from, buf_text(&part), 0600, diag);
    if (error == PH_OK) {
        error = file_move(buf_text(&part), buf_text(&whole), false, diag);
    }
    if (error != PH_OK) {
        file_remove(buf_text(&part));
    }
    return error;
}

enum ph_error wrap_run_complete(const struct wrap_run *run, struct diag *diag)
{
    return write_named(run, WRAP_FILE_COMPLETE, SLICE_LITERAL(""), diag);
}

enum ph_error wrap_run_mark_sent(const struct wrap_run *run, enum wrap_file file, struct diag *diag)
{
    static const enum wrap_file after[] = {
        [WRAP_FILE_REPORT_1] = WRAP_FILE_SENT_1,
        [WRAP_FILE_REPORT_2] = WRAP_FILE_SENT_2,
        [WRAP_FILE_COMPLETE] = WRAP_FILE_DONE,
    };
    PH_AUTO_FREE char *from = wrap_run_path(run, file_names[file]);
    PH_AUTO_FREE char *to = wrap_run_path(run, file_names[after[file]]);
    return file_move(from, to, false, diag);
}

enum ph_error wrap_run_artifacts(const struct wrap_run *run, struct diag *diag,
                                 struct folder_names *ret_names)
{
    struct folder_names names;
    enum ph_error error = folder_list(run->path, ARTIFACTS_MAX, diag, &names);
    if (error != PH_OK) {
        return error;
    }
    size_t kept = 0;
    for (size_t index = 0; index < names.count; index++) {
        char *name = names.items[index];
        if (strncmp(name, WRAP_ARTIFACT_PREFIX, strlen(WRAP_ARTIFACT_PREFIX)) == 0) {
            names.items[kept++] = name;
        } else {
            free(name);
        }
    }
    names.count = kept;
    *ret_names = names;
    return PH_OK;
}

enum ph_error wrap_run_reject(const struct wrap_spool *spool, struct wrap_run *run,
                              struct slice reason, struct diag *diag)
{
    PH_AUTO_FREE char *words = wrap_run_path(run, "reason.txt");
    enum ph_error error = file_write(words, reason, 0600, false, diag);
    if (error != PH_OK || run->is_rejected) {
        return error;
    }
    char *path = file_join(spool->rejected_path, run->name);
    error = folder_make(spool->rejected_path, diag);
    if (error == PH_OK) {
        error = file_move(run->path, path, false, diag);
    }
    if (error != PH_OK) {
        free(path);
        return error;
    }
    free(run->path);
    run->path = path;
    run->is_rejected = true;
    return PH_OK;
}

void wrap_run_remove(struct wrap_run *run)
{
    PH_AUTO_FREE char *folder = ph_strdup(run->path);
    *strrchr(folder, '/') = '\0';
    (void)remove_run(folder, run->path, run->name);
}

void wrap_run_done(struct wrap_run *run)
{
    if (run->lock_fd >= 0) {
        (void)close(run->lock_fd);
    }
    free(run->path);
    free(run->name);
    free(run->url);
    *run = (struct wrap_run){.lock_fd = -1};
}
