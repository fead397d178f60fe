/* SPDX-License-Identifier: Apache-2.0 */
/* `magpie check`: the hooks of a file or a folder as a server would take them, and the request of
 * each with made-up values. */
#include "app/command.h"
#include "base/json_out.h"
#include "core/url.h"
#include "surfaces/magpie/config.h"
#include "surfaces/magpie/format.h"

#define TEXT_MAX ((size_t)128 * 1024 * 1024)
#define ARENA_BYTES ((size_t)8 * 1024 * 1024)
#define BODY_BYTES_MAX ((size_t)4 * 1024 * 1024)

struct magpie_arguments {
    bool is_json;
};

/* --- requests --------------------------------------------------------------------------------- */

/* The body with made-up values; false when it cannot be made, with the words in `diag`. */
static bool render(const struct magpie_hook *hook, struct diag *diag, struct buf *body)
{
    struct magpie_parameter items[MAGPIE_PARAMETERS_MAX];
    struct magpie_parameters parameters = magpie_action_sample(hook->action, items);
    const struct magpie_request request = {hook->method, hook->format, hook->payload};
    ARENA_AUTO struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    return magpie_body_render(&request, &parameters, &arena, diag, body) == PH_OK;
}

/* A body that cannot be made is an error like those of the configuration itself. */
static void render_all(struct magpie_config *config)
{
    for (size_t index = 0; index < config->hook_count; index++) {
        const struct magpie_hook *hook = &config->hooks[index];
        struct diag diag = {.error = PH_OK};
        BUF_AUTO struct buf body;
        buf_init(&body, BODY_BYTES_MAX);
        if (!render(hook, &diag, &body)) {
            magpie_config_find(config, true, hook->file, hook->line, "hook %.*s: %s",
                               SLICE_ARG(hook->name), diag.text);
        }
    }
}

/* As it is called, without what is secret in it; what cannot be called has a warning. */
static void show_url(const struct magpie_hook *hook, struct buf *text)
{
    BUF_AUTO struct buf normal;
    buf_init(&normal, (size_t)4 * URL_LENGTH_MAX);
    bool is_url = url_normalise(hook->url, NULL, NULL, &normal) == PH_OK;
    url_redact(is_url ? buf_slice(&normal) : hook->url, text);
}

static void print_hook(const struct magpie_hook *hook)
{
    struct diag diag;
    BUF_AUTO struct buf body;
    BUF_AUTO struct buf url;
    buf_init(&body, BODY_BYTES_MAX);
    buf_init(&url, TEXT_MAX);
    show_url(hook, &url);
    (void)printf("hook %.*s: on %s %s %s %s\n", SLICE_ARG(hook->name),
                 magpie_action_name(hook->action), hook->method, buf_text(&url),
                 hook->format->content_type);
    if (render(hook, &diag, &body)) {
        (void)printf("  %s\n", body.len == 0 ? "(no body)" : buf_text(&body));
    }
}

/* --- text ------------------------------------------------------------------------------------- */

static void print_text(const struct magpie_config *config)
{
    for (size_t index = 0; index < config->finding_count; index++) {
        BUF_AUTO struct buf line;
        buf_init(&line, TEXT_MAX);
        magpie_finding_append(&config->findings[index], &line);
        (void)puts(buf_text(&line));
    }
    if (config->finding_count < config->error_count + config->warning_count) {
        (void)printf("… and %zu more\n",
                     config->error_count + config->warning_count - config->finding_count);
    }
    for (size_t index = 0; config->error_count == 0 && index < config->hook_count; index++) {
        print_hook(&config->hooks[index]);
    }
    (void)printf("hooks: %zu, errors: %zu, warnings: %zu\n", config->hook_count,
                 config->error_count, config->warning_count);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void write_hook(struct json_out *out, const struct magpie_hook *hook)
{
    struct diag diag;
    BUF_AUTO struct buf body;
    BUF_AUTO struct buf url;
    buf_init(&body, BODY_BYTES_MAX);
    buf_init(&url, TEXT_MAX);
    show_url(hook, &url);
    json_out_begin_object(out);
    json_out_member_string(out, "name", hook->name);
    json_out_member_text(out, "action", magpie_action_name(hook->action));
    json_out_member_text(out, "method", hook->method);
    json_out_member_string(out, "url", buf_slice(&url));
    json_out_member_text(out, "contentType", hook->format->content_type);
    if (render(hook, &diag, &body) && body.len > 0) {
        json_out_member_string(out, "body", buf_slice(&body));
    } else {
        json_out_member_null(out, "body");
    }
    json_out_end_object(out);
}

static void write_findings(struct json_out *out, const struct magpie_config *config, bool is_error)
{
    json_out_key(out, is_error ? "errors" : "warnings");
    json_out_begin_array(out);
    for (size_t index = 0; index < config->finding_count; index++) {
        if (config->findings[index].is_error == is_error) {
            BUF_AUTO struct buf line;
            buf_init(&line, TEXT_MAX);
            magpie_finding_append(&config->findings[index], &line);
            json_out_string(out, buf_slice(&line));
        }
    }
    json_out_end_array(out);
}

static void print_json(const struct magpie_config *config)
{
    BUF_AUTO struct buf text;
    struct json_out out;
    buf_init(&text, TEXT_MAX);
    json_out_init(&out, &text);
    json_out_begin_object(&out);
    write_findings(&out, config, true);
    write_findings(&out, config, false);
    json_out_key(&out, "hooks");
    json_out_begin_array(&out);
    for (size_t index = 0; config->error_count == 0 && index < config->hook_count; index++) {
        write_hook(&out, &config->hooks[index]);
    }
    json_out_end_array(&out);
    json_out_end_object(&out);
    json_out_end_document(&out);
    (void)puts(buf_text(&text));
}

/* --- the command ------------------------------------------------------------------------------ */

static int run(int count, char **arguments);

static const struct flag_row flags[] = {
    FLAG_JSON(struct magpie_arguments, "Prints one JSON object with errors, warnings and hooks."),
};

static const enum option_id shown_options[] = {OPTION_MAGPIE_CONFIG_PATH};

const struct command command_magpie = {
    .name = "magpie",
    .run = run,
    .arguments = "check [FILE|DIR]",
    .argument_max = 2,
    .flags = flags,
    .flag_count = PH_ARRAY_LENGTH(flags),
    .options = shown_options,
    .option_count = PH_ARRAY_LENGTH(shown_options),
    .help = "check configured webhooks of the magpie surface",
    .details =
        "Reads the hooks of a file or a directory (else those of magpie.config_path) as the server "
        "would, with the variables of this environment, prints errors and warnings with file, line "
        "and hook, and each hook's request with made-up values. The exit code is 1 when there is "
        "an "
        "error: a server would refuse the whole set. It works without a server and sends nothing.",
    .examples = "posthorn magpie check /etc/posthorn/webhooks.yml",
};

static int check(const struct magpie_arguments *given, const char *path)
{
    struct magpie_config config;
    magpie_config_init(&config);
    magpie_config_load(&config, path);
    if (config.error_count == 0) {
        render_all(&config);
    }
    if (given->is_json) {
        print_json(&config);
    } else {
        print_text(&config);
    }
    int code = config.error_count == 0 ? EXIT_DONE : EXIT_FAILED;
    magpie_config_done(&config);
    return code;
}

static int run(int count, char **arguments)
{
    struct magpie_arguments given = {0};
    struct command_line line;
    int code = EXIT_USAGE;
    if (command_read(&line, &command_magpie, count, arguments, &given)) {
        const char *path = line.rest_count == 2
                               ? line.rest[1]
                               : option_text(&line.options, OPTION_MAGPIE_CONFIG_PATH);
        if (line.rest_count == 0 || strcmp(line.rest[0], "check") != 0 || path[0] == '\0') {
            code = command_complain_usage(&command_magpie);
        } else {
            code = check(&given, path);
        }
    }
    command_line_done(&line);
    return code;
}
