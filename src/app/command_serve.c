/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "app/command.h"
#include "app/demo.h"
#include "app/file.h"
#include "app/process.h"
#include "app/serve.h"

static void block_signals(sigset_t *ret_set)
{
    (void)sigemptyset(ret_set);
    (void)sigaddset(ret_set, SIGTERM);
    (void)sigaddset(ret_set, SIGINT);
    (void)sigaddset(ret_set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, ret_set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

/* Ends the process at the second signal: the first one is being obeyed. */
static void *watch_second_signal(void *argument)
{
    const sigset_t *set = argument;
    int number;
    do {
        if (sigwait(set, &number) != 0) {
            return NULL;
        }
    } while (number == SIGHUP);
    _exit(EXIT_FAILED);
}

struct serve_arguments {
    bool is_demo;
};

static int run_serve(int count, char **arguments);

static const struct flag_row flags[] = {
    {"--demo", FLAG_SWITCH, 0, offsetof(struct serve_arguments, is_demo), NULL,
     "Makes an application, endpoints and a receiver, sends sample events and prints each verified "
     "delivery; without --data in a folder of its own, which is removed at the end."},
};

static const enum option_id shown_options[] = {OPTION_CONFIG, OPTION_DATA, OPTION_LISTEN,
                                               OPTION_STORE};

const struct command command_serve = {
    .name = "serve",
    .run = run_serve,
    .flags = flags,
    .flag_count = PH_ARRAY_LENGTH(flags),
    .options = shown_options,
    .option_count = PH_ARRAY_LENGTH(shown_options),
    .takes_options = true,
    .help = "run the server",
    .details = "It prints `ready URL` when it takes requests. SIGTERM ends it when the attempts in "
               "flight have ended, SIGHUP has it read the configuration again.",
    .examples = "posthorn serve --data /var/lib/posthorn --listen 0.0.0.0:8071\n"
                "posthorn serve --demo",
};

/* Reads the sources anew, as they were given; nothing changes when they have an error. */
static void reload(struct server *server, struct options *running, int count, char **arguments)
{
    struct serve_arguments given = {0};
    struct command_line line;
    if (command_read(&line, &command_serve, count, arguments, &given)) {
        if (given.is_demo) {
            demo_prepare_again(&line.options, option_text(running, OPTION_DATA));
        }
        server_reload(server, running, &line.options);
    }
    command_line_done(&line);
}

static void write_address_file(const struct options *options, const char *url)
{
    PH_AUTO_FREE char *path = data_path(options, "address");
    struct diag diag;
    if (file_write(path, slice_of(url), 0600, false, &diag) != PH_OK) {
        command_complain("%s", diag.text);
    }
}

/* The demo's, when it made one. */
static void remove_folder(const char *folder)
{
    struct diag diag;
    if (folder != NULL && file_remove_folder(folder, &diag) != PH_OK) {
        command_complain("%s", diag.text);
    }
}

static int run_serve(int count, char **arguments)
{
    struct serve_arguments given = {0};
    struct command_line line;
    if (!command_read(&line, &command_serve, count, arguments, &given)) {
        command_line_done(&line);
        return EXIT_USAGE;
    }
    if (!option_bool(&line.options, OPTION_CORE_DUMPS)) {
        (void)process_hide_memory();
    }
    PH_AUTO_FREE char *demo_folder = given.is_demo ? demo_prepare(&line.options) : NULL;
    sigset_t signals;
    block_signals(&signals);
    struct log log;
    enum log_level level = LOG_LEVEL_INFO;
    (void)log_level_parse(slice_of(option_text(&line.options, OPTION_LOG_LEVEL)), &level);
    log_init(&log, STDERR_FILENO, option_int(&line.options, OPTION_LOG_FORMAT) == 1, level);
    struct server *server;
    struct diag diag;
    if (server_start(&line.options, &log, &diag, &server) != PH_OK) {
        command_complain("%s", diag.text);
        remove_folder(demo_folder);
        command_line_done(&line);
        return EXIT_FAILED;
    }
    if (line.unknown_variables.len > 0) {
        log_write(&log, LOG_CONFIG_WARNING,
                  LOG_TEXT("unknown_variables", buf_text(&line.unknown_variables)));
    }
    write_address_file(&line.options, server_url(server));
    (void)printf("ready %s\n", server_url(server));
    (void)fflush(stdout);
    log_write(&log, LOG_SERVER_STARTED, LOG_TEXT("url", server_url(server)));
    struct demo *demo = given.is_demo ? demo_start(&line.options, server_url(server)) : NULL;
    int number;
    while (sigwait(&signals, &number) == 0 && number == SIGHUP) {
        reload(server, &line.options, count, arguments);
    }
    log_write(&log, LOG_SERVER_STOPPING);
    pthread_t watcher;
    if (pthread_create(&watcher, NULL, watch_second_signal, &signals) == 0) {
        (void)pthread_detach(watcher);
    }
    demo_stop(demo);
    server_stop(server);
    PH_AUTO_FREE char *address_path = data_path(&line.options, "address");
    file_remove(address_path);
    remove_folder(demo_folder);
    log_write(&log, LOG_SERVER_STOPPED);
    command_line_done(&line);
    return EXIT_DONE;
}
