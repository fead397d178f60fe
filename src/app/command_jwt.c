/* SPDX-License-Identifier: Apache-2.0 */
/* `jwt generate` and `token create`: both sign; nothing is stored. */
#include "app/command.h"
#include "base/clock.h"
#include "core/duration.h"
#include "store/application.h"

#define TOKEN_TEXT_MAX 16384
#define DAY_US (INT64_C(86400) * 1000000)
#define ORGANISATION_TOKEN_US (3650 * DAY_US)
#define APPLICATION_TOKEN_US (7 * DAY_US)

static int print_token(const struct options *options, const char *prefix, const char *org,
                       const char *application, int64_t expires_us)
{
    struct diag diag;
    SECRET_AUTO struct secret secret = SECRET_NONE;
    if (data_jwt_secret(options, &diag, &secret) != PH_OK) {
        command_complain("%s", diag.text);
        return EXIT_FAILED;
    }
    BUF_AUTO struct buf text;
    buf_init(&text, TOKEN_TEXT_MAX);
    token_append(&secret, org, application, clock_wall_us(), expires_us, &text);
    (void)printf("%s%s\n", prefix, buf_text(&text));
    return EXIT_DONE;
}

int command_jwt(int count, char **arguments)
{
    struct command_line line;
    int code = EXIT_USAGE;
    if (command_line_read(&line, count, arguments, NULL, 0, 2)) {
        const char *org = line.rest_count > 1 ? line.rest[1] : DEFAULT_ORGANISATION;
        if (line.rest_count < 1 || strcmp(line.rest[0], "generate") != 0) {
            command_complain("usage: posthorn jwt generate [ORG] [--data DIR]");
        } else if (!slice_starts_with(slice_of(org), "org_")) {
            command_complain("an organisation id begins with org_, not \"%s\"", org);
        } else {
            code = print_token(&line.options, "Token (Bearer): ", org, NULL,
                               clock_wall_us() + ORGANISATION_TOKEN_US);
        }
    }
    command_line_done(&line);
    return code;
}

/* The application's id as text; it may be named by uid. */
static bool find_application(const struct options *options, const char *name,
                             char ret_text[ID_TEXT_MAX])
{
    struct diag diag = {0};
    struct store *store = NULL;
    int64_t id;
    PH_AUTO_FREE char *address = data_store_address(options);
    enum ph_error error = store_open(address, DB_READ_ONLY, &diag, &store);
    if (error == PH_OK) {
        error =
            application_resolve(store, slice_of(DEFAULT_ORGANISATION), slice_of(name), &diag, &id);
    }
    if (error == PH_OK) {
        (void)id_format(&store->codec, ID_APPLICATION, id, ret_text);
    } else if (error == PH_NOT_FOUND) {
        command_complain("there is no application %s", name);
    } else {
        command_complain("%s", diag.text);
    }
    store_close(store);
    return error == PH_OK;
}

static int create_token(const struct options *options, const char *application, const char *expires)
{
    int64_t now_us = clock_wall_us();
    int64_t expires_us =
        now_us + (application == NULL ? ORGANISATION_TOKEN_US : APPLICATION_TOKEN_US);
    char id_text[ID_TEXT_MAX];
    if (expires != NULL &&
        duration_parse_expiry(slice_of(expires), now_us, "--expires", NULL, &expires_us) != PH_OK) {
        command_complain("--expires wants 30d, 12h or an RFC 3339 time, not \"%s\"", expires);
        return EXIT_USAGE;
    }
    if (application != NULL && !find_application(options, application, id_text)) {
        return EXIT_FAILED;
    }
    return print_token(options, "", DEFAULT_ORGANISATION, application == NULL ? NULL : id_text,
                       expires_us);
}

int command_token(int count, char **arguments)
{
    const char *surface = "native";
    const char *application = NULL;
    const char *expires = NULL;
    const char *name = NULL;
    const struct command_flag flags[] = {
        {"--surface", &surface, NULL},
        {"--app", &application, NULL},
        {"--expires", &expires, NULL},
        {"--name", &name, NULL},
    };
    struct command_line line;
    int code = EXIT_USAGE;
    if (command_line_read(&line, count, arguments, flags, PH_ARRAY_LENGTH(flags), 1)) {
        const char *verb = line.rest_count == 1 ? line.rest[0] : "";
        if (strcmp(surface, "native") != 0) {
            command_complain("unknown surface \"%s\"; this build has native", surface);
        } else if (strcmp(verb, "create") == 0) {
            code = create_token(&line.options, application, expires);
        } else if (strcmp(verb, "list") == 0 || strcmp(verb, "revoke") == 0) {
            command_complain("native tokens are signed, not stored: there is nothing to %s; the "
                             "API's expire-all ends those of an application, a new jwt_secret "
                             "ends all",
                             verb);
        } else {
            command_complain("usage: posthorn token create --surface native [--app ID] "
                             "[--expires 30d] [--data DIR]");
        }
    }
    command_line_done(&line);
    return code;
}
