/* SPDX-License-Identifier: Apache-2.0 */
#include "app/command.h"
#include "base/metrics.h"

struct command {
    const char *name;
    int (*run)(int count, char **arguments);
    const char *usage; /* NULL: not for people, in no list */
    const char *help;
    const char *details; /* for `help NAME` and the man page; "" = nothing more to say */
};

static const struct command commands[] = {
    {"serve", command_serve,
     "serve [--config FILE] [--data DIR] [--listen ADDR:PORT] [--set KEY=VALUE]… [--demo]",
     "run the server",
     "It prints `ready URL` when it takes requests. --demo makes an application, endpoints and a "
     "receiver, sends sample events and prints each verified delivery; without --data it works in "
     "a folder of its own and removes it at the end. SIGTERM ends it when the attempts in flight "
     "have ended."},
    {"jwt", command_jwt, "jwt generate [ORG] [--data DIR]", "print an organisation's token",
     "As the Svix server prints it: `Token (Bearer): ` and the token. `token create` prints the "
     "token alone. The data directory is made when it is missing."},
    {"token", command_token,
     "token create|list|revoke --surface native|dbt|magpie [ID or NAME] [--app ID] [--name NAME] "
     "[--expires 30d] [--data DIR]",
     "print a token",
     "Native, without --app the organisation's, valid for ten years; with --app (id or uid) one "
     "that reaches that application only, valid for 7 days. --expires: 30d, 12h or an RFC 3339 "
     "time. Tokens of a surface take its flags: for dbt --account N --permission SET (repeatable) "
     "[--account-name NAME] [--plan team|enterprise] [--kind service|personal]. The running server "
     "makes them, or this command when there is none. list prints id, name, whom it stands for, "
     "when it was made, when it ends and what it may do (--json: one object per line); revoke "
     "takes an id or a name."},
    {"send", command_send,
     "send --app ID --type TYPE [--payload JSON | --file FILE] [--event-id ID] "
     "[--idempotency-key KEY] [--url URL] [--token TOKEN] [--data DIR] [--json]",
     "send one message and print its id",
     "The payload may come from standard input. Url and token are those of the server that runs on "
     "--data when they are not given (nor POSTHORN_URL, POSTHORN_TOKEN). --json prints the whole "
     "answer."},
    {"tail", command_tail,
     "tail [--app ID] [--event-type TYPE[,…]] [--endpoint ID] [--since ID] [--count N] "
     "[--with-content] [--json] [--url URL] [--token TOKEN] [--data DIR]",
     "follow an application's messages and attempts",
     "One line for each, as soon as it is on disk: time, message or attempt, event type, message, "
     "endpoint, outcome, status and duration. It begins now, or behind the message or attempt that "
     "--since names, and connects again by itself where it was; SIGINT ends it. --app may be left "
     "out when there is only one, or with an application's token. --json prints what the API says "
     "of each, --with-content with payloads and responses. Url and token as for send."},
    {"replay", command_replay,
     "replay --app ID --endpoint ID --since TIME [--until TIME] [--failed | --missing | --all] "
     "[--rate N] [--follow | --detach] [--json] | --task ID | --cancel ID [--url URL] "
     "[--token TOKEN] [--data DIR]",
     "send messages to an endpoint again",
     "--failed, the default, makes one attempt for each message that failed and never succeeded, "
     "at "
     "most 10 000; --missing sends what the endpoint never got and would get now; --all sends "
     "everything again. TIME is an age such as 2h or an RFC 3339 time. The server does it in the "
     "background and heeds the endpoint's limits; --rate makes it slower (messages per second). "
     "The "
     "command follows it to its end; SIGINT ends the command only. --detach prints the task's id "
     "instead, --task follows one that is under way, --cancel ends one. --json prints the task as "
     "the API tells it. Exit code 1 when the task failed or was cancelled. Url and token as for "
     "send."},
    {"listen", command_listen,
     "listen [--listen ADDR:PORT] [--secret whsec_…[,…]] [--status N] [--count N] [--json]",
     "receive webhooks, verify and print them",
     "Every POST is answered with --status (204). --count ends it after so many, with exit code 1 "
     "when a signature did not fit. --json prints one JSON object per line. A server delivers to "
     "private addresses only with allow_subnets."},
    {"verify", command_verify,
     "verify --secret S --id I --timestamp T --signature SIG [--file BODY] [--tolerance SECONDS] "
     "[--ignore-time]",
     "verify one webhook's signature",
     "The body comes from --file or standard input, byte for byte as it was received. Prints "
     "`valid`, or why not with exit code 1. The timestamp may be 300 seconds off, or --tolerance."},
    {"doctor", command_doctor, "doctor [--full] [--data DIR]", "say what is wrong and what to do",
     "Looks at the data directory, the store and the server that runs on it. Exit code 1 when "
     "something is wrong. The pages of a SQLite store are checked for two seconds, with --full to "
     "the end; meanwhile the write-ahead log of a running server grows."},
    {"backup", command_backup, "backup FILE [--force] [--data DIR]",
     "copy the SQLite store to one file, while the server runs or not",
     "The running server makes the copy, with its rights, in small steps that let ingest go on; "
     "without a server this command does. Every message acknowledged before is in it, and the file "
     "jwt_secret of the data directory; a master key is not. Until it is whole and synced it is in "
     "FILE.partial. --force replaces an existing FILE. For PostgreSQL use pg_dump."},
    {"restore", command_restore, "restore FILE [--force] [--data DIR]",
     "check a backup and put it in place of the store",
     "Refused while a server runs, when the file is damaged or of a newer version, and when there "
     "is a store or another jwt_secret; --force moves those into a folder replaced-TIME. What was "
     "pending at the time of the backup is sent again. For PostgreSQL use pg_restore."},
    {"prune", command_prune, "prune [--older-than 30d] [--dry-run] [--data DIR]",
     "delete old messages and make the store smaller",
     "Messages older than the age (retention_days of the server when it is not given) go with "
     "their payloads, deliveries and attempts, in small steps, by the running server or else by "
     "this command; those with pending deliveries stay. --dry-run only counts. A SQLite file "
     "shrinks by the free pages; PostgreSQL's autovacuum does its part by itself."},
    {"key", command_key, "key check | rotate --new-key-file FILE | clean [--data DIR]",
     "look over sealed secrets, change the master key, remove old copies",
     "They take the key in use from master_key_file. check opens every secret. rotate wraps "
     "the data keys with the key in FILE, which must be master_key_file from then on. clean writes "
     "the store anew, so that secrets that were stored before there was a master key are gone from "
     "its free space. No server may run on the data directory for rotate and clean."},
    {"migrate", command_migrate, "migrate [--data DIR]", "bring the store's schema up to date",
     "`serve` does that itself."},
    {"version", command_version, "version", "print the version", ""},
    {"jq-worker", command_jq_worker, NULL, NULL, NULL},
};

static void print_help(FILE *file)
{
    (void)fputs("posthorn takes events, keeps them safe, and delivers them as webhooks.\n\n", file);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(commands); index++) {
        if (commands[index].usage != NULL) {
            (void)fprintf(file, "  posthorn %s\n        %s\n", commands[index].usage,
                          commands[index].help);
        }
    }
    (void)fputs("\n`posthorn help COMMAND` says more of one, `posthorn help options` lists the "
                "options for --set,\nthe environment and the configuration file.\n",
                file);
}

static void write_man(struct buf *text)
{
    buf_append_text(text, ".TH POSTHORN 1 \"\" \"posthorn " PH_VERSION "\"\n"
                          ".SH NAME\nposthorn \\- takes events, keeps them safe, and delivers "
                          "them as webhooks\n.SH COMMANDS\n");
    for (size_t index = 0; index < PH_ARRAY_LENGTH(commands); index++) {
        if (commands[index].usage == NULL) {
            continue;
        }
        buf_append_text(text, ".TP\n.B posthorn ");
        option_append_troff(text, commands[index].usage);
        buf_append_text(text, "\n");
        option_append_troff(text, commands[index].help);
        buf_append_text(text, ". ");
        option_append_troff(text, commands[index].details);
        buf_append_text(text, "\n");
    }
    buf_append_text(
        text, ".SH EXIT STATUS\n0: done. 1: it did not work. 2: wrong usage.\n"
              ".SH SIGNALS\nSIGTERM and SIGINT end the server after the attempts in "
              "flight; a second one ends it at once. SIGHUP reads the configuration "
              "again: keys that can change while running take effect, the log names "
              "those that need a restart.\n.SH OPTIONS\nLater sources win: defaults, the YAML file "
              "(\\-\\-config FILE), the environment, flags.\n");
    option_write_man(text);
}

static const struct command *find_command(const char *name)
{
    for (size_t index = 0; index < PH_ARRAY_LENGTH(commands); index++) {
        if (strcmp(name, commands[index].name) == 0) {
            return &commands[index];
        }
    }
    return NULL;
}

static int help(int count, char **arguments)
{
    BUF_AUTO struct buf text;
    buf_init(&text, 1024 * 1024);
    if (count == 0) {
        print_help(stdout);
        return EXIT_DONE;
    }
    if (count > 1) {
        command_complain("the argument \"%s\" is one too many; see `posthorn help`", arguments[1]);
        return EXIT_USAGE;
    }
    if (strcmp(arguments[0], "options") == 0) {
        option_write_help(&text);
    } else if (strcmp(arguments[0], "--options-markdown") == 0) {
        option_write_markdown(&text);
    } else if (strcmp(arguments[0], "--metrics-markdown") == 0) {
        metrics_write_markdown(&text);
    } else if (strcmp(arguments[0], "--man") == 0) {
        write_man(&text);
    } else if (find_command(arguments[0]) != NULL && find_command(arguments[0])->usage != NULL) {
        const struct command *command = find_command(arguments[0]);
        BUF_AUTO struct buf words;
        buf_init(&words, 4096);
        buf_append_format(&words, "%s. %s", command->help, command->details);
        buf_append_format(&text, "posthorn %s\n\n", command->usage);
        option_append_wrapped(&text, buf_text(&words));
    } else {
        command_complain("no help for \"%s\"", arguments[0]);
        return EXIT_USAGE;
    }
    (void)fputs(buf_text(&text), stdout);
    return EXIT_DONE;
}

int command_version(int count, char **arguments)
{
    (void)arguments;
    if (count != 0) {
        command_complain("usage: posthorn version");
        return EXIT_USAGE;
    }
    (void)puts("posthorn " PH_VERSION);
    return EXIT_DONE;
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0) {
        return help(argc - 2, argv + 2);
    }
    const struct command *command =
        find_command(strcmp(argv[1], "--version") == 0 ? "version" : argv[1]);
    if (command != NULL && argc == 3 && strcmp(argv[2], "--help") == 0) {
        return help(1, argv + 1);
    }
    if (command != NULL) {
        return command->run(argc - 2, argv + 2);
    }
    command_complain("unknown command \"%s\"; see `posthorn help`", argv[1]);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    int code = run(argc, argv);
    /* What could not be written was not said. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_DONE) {
        command_complain("could not write to standard output");
        return EXIT_FAILED;
    }
    return code;
}
