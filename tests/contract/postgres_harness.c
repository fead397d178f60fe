/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three processes: the test, the supervisor, the server. The supervisor is the server's parent and
 * holds one end of a pipe whose other end only the test has: end of file tells that the test is
 * over, by whatever way, and the supervisor ends the server and removes the folder. It has a
 * session of its own, so that a signal to the test's process group does not reach it.
 */
#include "contract/postgres_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"

#define PATH_BYTES 512
#define READY_TIMEOUT_MS 60000
#define PLACE_BYTES_MIN (UINT64_C(2) << 30)

struct postgres_harness {
    char folder[64];
    char binaries[256];
    pid_t supervisor;
    int life;  /* held open by the test; the supervisor waits for its end */
    int ready; /* one byte when the server accepts connections */
};

static void say(const char *what)
{
    (void)fprintf(stderr, "PostgreSQL for the contract tests: %s\n", what);
}

static int remove_entry(const char *path, PH_UNUSED const struct stat *status, PH_UNUSED int type,
                        PH_UNUSED struct FTW *place)
{
    return remove(path);
}

/* The newest of Debian's versions. */
static bool find_binaries(char *ret_path, size_t capacity)
{
    glob_t found;
    bool is_found = glob("/usr/lib/postgresql/1[3-9]/bin/initdb", 0, NULL, &found) == 0;
    if (is_found) {
        const char *path = found.gl_pathv[found.gl_pathc - 1];
        (void)snprintf(ret_path, capacity, "%.*s", (int)(strlen(path) - strlen("/initdb")), path);
        globfree(&found);
    }
    return is_found;
}

/* Memory, when there is plenty of it: each test makes a database, which is hundreds of files. */
static const char *find_place(void)
{
    struct statvfs space;
    bool is_roomy = access("/dev/shm", W_OK | X_OK) == 0 && statvfs("/dev/shm", &space) == 0 &&
                    (uint64_t)space.f_bavail * space.f_frsize >= PLACE_BYTES_MIN;
    return is_roomy ? "/dev/shm" : "/tmp";
}

/* PostgreSQL refuses to run as root. */
static const struct passwd *find_user(void)
{
    const struct passwd *user = getpwnam("postgres");
    return user != NULL ? user : getpwnam("nobody");
}

/* In a child of the supervisor: becomes the program, output to the log. Does not return. */
PH_NORETURN static void become(const struct postgres_harness *harness, char *const *arguments)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/log", harness->folder);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    int nothing = open("/dev/null", O_RDONLY);
    (void)dup2(nothing, STDIN_FILENO);
    (void)dup2(log, STDOUT_FILENO);
    (void)dup2(log, STDERR_FILENO);
    if (geteuid() == 0) {
        const struct passwd *user = find_user();
        if (user == NULL || setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 ||
            setuid(user->pw_uid) != 0) {
            _exit(126);
        }
    }
    /* SIGQUIT is the server's "immediate" shutdown; only for the case of a killed supervisor. */
    (void)prctl(PR_SET_PDEATHSIG, SIGQUIT);
    if (chdir(harness->folder) != 0) {
        _exit(126);
    }
    (void)snprintf(path, sizeof path, "%s/%s", harness->binaries, arguments[0]);
    execv(path, arguments);
    _exit(127);
}

static bool run_initdb(const struct postgres_harness *harness)
{
    char data[PATH_BYTES];
    (void)snprintf(data, sizeof data, "%s/server/data", harness->folder);
    char name[] = "initdb";
    char no_sync[] = "--no-sync";
    char encoding[] = "--encoding=UTF8";
    char locale[] = "--locale=C";
    char trust[] = "--auth=trust";
    char user[] = "--username=posthorn";
    char option[] = "-D";
    char *arguments[] = {name, no_sync, encoding, locale, trust, user, option, data, NULL};
    pid_t child = fork();
    if (child == 0) {
        become(harness, arguments);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

/* Runs `cp`, keeping owners and modes. */
static bool copy_folder(const char *from, const char *to)
{
    pid_t child = fork();
    if (child == 0) {
        (void)execlp("cp", "cp", "-a", "--reflink=auto", from, to, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

/* The name of the kept cluster of this version, false when none is to be kept. */
static bool name_kept(const struct postgres_harness *harness, char *ret_path, size_t capacity)
{
    const char *folder = getenv("POSTHORN_TEST_KEEP");
    if (folder == NULL) {
        return false;
    }
    const char *version = harness->binaries + strlen("/usr/lib/postgresql/");
    int length = snprintf(ret_path, capacity, "%s/cluster-%.2s", folder, version);
    return length > 0 && (size_t)length < capacity;
}

/* Every program needs a new cluster and initdb takes half a second of processor time, so that the
 * first one leaves a copy for the others. It gets its name when it is whole; of two at the same
 * time one is thrown away. */
static void keep_cluster(const char *data, const char *kept)
{
    char half[PATH_BYTES];
    (void)snprintf(half, sizeof half, "%.480s.%ld", kept, (long)getpid());
    if (!copy_folder(data, half) || rename(half, kept) != 0) {
        (void)nftw(half, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    }
}

static bool make_cluster(const struct postgres_harness *harness)
{
    char data[PATH_BYTES];
    char kept[PATH_BYTES];
    (void)snprintf(data, sizeof data, "%s/server/data", harness->folder);
    bool is_kept = name_kept(harness, kept, sizeof kept);
    if (is_kept && access(kept, F_OK) == 0) {
        return copy_folder(kept, data);
    }
    if (!run_initdb(harness)) {
        return false;
    }
    if (is_kept) {
        keep_cluster(data, kept);
    }
    return true;
}

static pid_t start_server(const struct postgres_harness *harness)
{
    char data[PATH_BYTES];
    char sockets[PATH_BYTES];
    (void)snprintf(data, sizeof data, "--data-directory=%s/server/data", harness->folder);
    (void)snprintf(sockets, sizeof sockets, "--unix-socket-directories=%s/server", harness->folder);
    char name[] = "postgres";
    char file[PATH_BYTES];
    (void)snprintf(file, sizeof file, "--config-file=%s/server/data/postgresql.conf",
                   harness->folder);
    char hba[PATH_BYTES];
    char ident[PATH_BYTES];
    (void)snprintf(hba, sizeof hba, "--hba-file=%s/server/data/pg_hba.conf", harness->folder);
    (void)snprintf(ident, sizeof ident, "--ident-file=%s/server/data/pg_ident.conf",
                   harness->folder);
    char no_tcp[] = "--listen-addresses=";
    char no_sync[] = "--fsync=off";
    char no_full_pages[] = "--full-page-writes=off";
    char no_vacuum[] = "--autovacuum=off";
    char memory[] = "--shared-buffers=32MB";
    char timeout[] = "--deadlock-timeout=100ms";
    char *arguments[] = {name,    data,          sockets,   file,   hba,     ident, no_tcp,
                         no_sync, no_full_pages, no_vacuum, memory, timeout, NULL};
    pid_t child = fork();
    if (child == 0) {
        become(harness, arguments);
    }
    return child;
}

static bool log_has(const char *path, const char *words)
{
    char text[16384];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) {
        (void)close(fd);
    }
    if (length < 0) {
        return false;
    }
    text[length] = '\0';
    return strstr(text, words) != NULL;
}

static void show_log(const char *path)
{
    char text[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length;
    while (fd >= 0 && (length = read(fd, text, sizeof text)) > 0) {
        (void)fwrite(text, 1, (size_t)length, stderr);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* Waits for the server's words in its log. */
static bool await_ready(const struct postgres_harness *harness, pid_t server)
{
    char log[PATH_BYTES];
    (void)snprintf(log, sizeof log, "%s/log", harness->folder);
    int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch < 0 || inotify_add_watch(watch, log, IN_MODIFY) < 0) {
        return false;
    }
    bool is_ready = false;
    bool is_over = false;
    while (!is_ready && !is_over) {
        is_ready = log_has(log, "database system is ready to accept connections");
        struct pollfd changed = {.fd = watch, .events = POLLIN};
        if (!is_ready) {
            is_over =
                waitpid(server, NULL, WNOHANG) != 0 || poll(&changed, 1, READY_TIMEOUT_MS) == 0;
            char events[4096];
            ssize_t ignored = read(watch, events, sizeof events);
            (void)ignored;
        }
    }
    (void)close(watch);
    return is_ready;
}

/* Prepares the folder, in which only `server` belongs to the server's user; the log is there to be
 * watched before the server writes to it. */
static bool make_folders(const struct postgres_harness *harness)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/log", harness->folder);
    int log = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (log < 0 || close(log) != 0) {
        return false;
    }
    (void)snprintf(path, sizeof path, "%s/server", harness->folder);
    if (chmod(harness->folder, 0711) != 0 || mkdir(path, 0700) != 0) {
        return false;
    }
    if (geteuid() != 0) {
        return true;
    }
    const struct passwd *user = find_user();
    return user != NULL && chown(path, user->pw_uid, user->pw_gid) == 0;
}

PH_NORETURN static void supervise(const struct postgres_harness *harness, int life, int ready)
{
    (void)setsid();
    char log[PATH_BYTES];
    (void)snprintf(log, sizeof log, "%s/log", harness->folder);
    pid_t server = -1;
    if (!make_folders(harness) || !make_cluster(harness)) {
        say("making a cluster failed");
        show_log(log);
    } else {
        server = start_server(harness);
        if (server > 0 && await_ready(harness, server)) {
            ssize_t ignored = write(ready, "", 1);
            (void)ignored;
        } else {
            say("the server did not start");
            show_log(log);
        }
    }
    (void)close(ready);
    char byte;
    while (read(life, &byte, 1) < 0 && errno == EINTR) {
    }
    if (server > 0) {
        (void)kill(server, SIGQUIT);
        (void)waitpid(server, NULL, 0);
    }
    (void)nftw(harness->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    _exit(0);
}

struct postgres_harness *postgres_harness_start(void)
{
    struct postgres_harness *harness = ph_calloc(1, sizeof *harness);
    (void)snprintf(harness->folder, sizeof harness->folder, "%s/posthorn-contract-XXXXXX",
                   find_place());
    int life[2] = {-1, -1};
    int ready[2] = {-1, -1};
    if (!find_binaries(harness->binaries, sizeof harness->binaries)) {
        say("no /usr/lib/postgresql/*/bin/initdb: install Debian's package postgresql-15");
        free(harness);
        return NULL;
    }
    if (mkdtemp(harness->folder) == NULL || pipe2(life, O_CLOEXEC) != 0 ||
        pipe2(ready, O_CLOEXEC) != 0) {
        say(strerror(errno));
        free(harness);
        return NULL;
    }
    harness->supervisor = fork();
    if (harness->supervisor == 0) {
        (void)close(life[1]);
        (void)close(ready[0]);
        supervise(harness, life[0], ready[1]);
    }
    (void)close(life[0]);
    (void)close(ready[1]);
    harness->life = life[1];
    harness->ready = ready[0];
    char byte;
    if (harness->supervisor < 0 || read(harness->ready, &byte, 1) != 1) {
        postgres_harness_stop(harness);
        return NULL;
    }
    return harness;
}

void postgres_harness_stop(struct postgres_harness *harness)
{
    if (harness == NULL) {
        return;
    }
    (void)close(harness->life);
    (void)close(harness->ready);
    if (harness->supervisor > 0) {
        (void)waitpid(harness->supervisor, NULL, 0);
    }
    free(harness);
}

const char *postgres_harness_folder(const struct postgres_harness *harness)
{
    return harness->folder;
}

void postgres_harness_url(const struct postgres_harness *harness, const char *database,
                          char *ret_url, size_t capacity)
{
    int length = snprintf(ret_url, capacity, "postgres:///%s?user=posthorn&host=%s/server",
                          database, harness->folder);
    PH_ASSERT(length > 0 && (size_t)length < capacity);
}
