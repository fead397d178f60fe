/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `token`: those of the native API are signed here (command_jwt.c); those of a surface are rows of
 * the store, made and ended by whoever has it (care.h). What a surface's tokens are about is said
 * by flags of its own, which it gets as one JSON object.
 */
#include "app/care.h"
#include "app/command.h"
#include "base/clock.h"
#include "core/duration.h"
#include "core/scan.h"
#include "surfaces/surface.h"

#define FLAGS_MAX 32 /* of all surfaces, each name once */
#define HELP_MAX 1024

struct token_arguments {
    const char *surface;
    const char *application;
    const char *expires;
    const char *name;
    bool is_json;
    int64_t expires_at_us; /* 0 = not given */
    /* Of the surfaces' flags, by their place among them; a switch has its own array. */
    struct flag_values lists[FLAGS_MAX];
    bool switches[FLAGS_MAX];
};

/* --- flags of the surfaces -------------------------------------------------------------------- */

/* Every flag that a surface knows, once. Made when it is first asked for, and never changed. */
static struct {
    bool is_made;
    struct flag_row rows[FLAGS_MAX];
    char help[FLAGS_MAX][HELP_MAX];
    size_t count;
} of_surfaces;

static size_t place_of(const char *name)
{
    size_t place = 0;
    while (place < of_surfaces.count && strcmp(of_surfaces.rows[place].name, name) != 0) {
        place++;
    }
    return place;
}

static void add_flag(const struct surface *surface, const struct surface_token_flag *flag)
{
    bool is_switch = flag->kind == SURFACE_FLAG_SWITCH;
    size_t place = place_of(flag->flag);
    PH_ASSERT(place < FLAGS_MAX);
    char *help = of_surfaces.help[place];
    if (place == of_surfaces.count) {
        of_surfaces.rows[of_surfaces.count++] = (struct flag_row){
            .name = flag->flag,
            .kind = is_switch ? FLAG_SWITCH : FLAG_LIST,
            .traits = FLAG_ONCE,
            .offset = is_switch ? offsetof(struct token_arguments, switches) + place * sizeof(bool)
                                : offsetof(struct token_arguments, lists) +
                                      place * sizeof(struct flag_values),
            .value = flag->value,
            .help = help,
        };
    }
    PH_ASSERT((of_surfaces.rows[place].kind == FLAG_SWITCH) == is_switch);
    if (flag->kind == SURFACE_FLAG_LIST) {
        of_surfaces.rows[place].traits = 0;
    }
    size_t length = strlen(help);
    (void)snprintf(help + length, HELP_MAX - length, "%sFor %s%s: %s", length == 0 ? "" : " ",
                   surface->name, flag->is_required ? ", required" : "", flag->help);
}

static const struct flag_row *surface_flags(size_t *ret_count)
{
    size_t count;
    const struct surface *const *table = surface_table(&count);
    for (size_t index = 0; !of_surfaces.is_made && index < count; index++) {
        for (size_t flag = 0; flag < table[index]->token_flag_count; flag++) {
            add_flag(table[index], &table[index]->token_flags[flag]);
        }
    }
    of_surfaces.is_made = true;
    *ret_count = of_surfaces.count;
    return of_surfaces.rows;
}

static const struct flag_values *list_of(const struct token_arguments *command, const char *name)
{
    static const struct flag_values none = {0};
    size_t place = place_of(name);
    return place < of_surfaces.count ? &command->lists[place] : &none;
}

static bool is_switched(const struct token_arguments *command, const char *name)
{
    size_t place = place_of(name);
    return place < of_surfaces.count && command->switches[place];
}

static bool was_given(const struct token_arguments *command, const char *name)
{
    return is_switched(command, name) || list_of(command, name)->count > 0;
}

/* --- the arguments of a surface --------------------------------------------------------------- */

static bool is_flag_of(const struct surface *surface, const char *name)
{
    for (size_t index = 0; surface != NULL && index < surface->token_flag_count; index++) {
        if (strcmp(surface->token_flags[index].flag, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Flags of other surfaces are no flags here. */
static bool check_flags(const struct token_arguments *command, const struct surface *surface)
{
    size_t count;
    const struct flag_row *rows = surface_flags(&count);
    for (size_t index = 0; index < count; index++) {
        const char *name = rows[index].name;
        if (was_given(command, name) && !is_flag_of(surface, name)) {
            command_complain("%s is no flag for tokens of the surface %s", name, command->surface);
            return false;
        }
    }
    return true;
}

static bool write_argument(const struct token_arguments *command,
                           const struct surface_token_flag *flag, struct json_out *out)
{
    const struct flag_values *list = list_of(command, flag->flag);
    if (flag->is_required && list->count == 0) {
        command_complain("tokens of the surface %s want %s", command->surface, flag->flag);
        return false;
    }
    for (size_t index = 0; index < list->count; index++) {
        if (!slice_is_utf8_text(slice_of(list->items[index]))) {
            command_complain("the value of %s must be UTF-8", flag->flag);
            return false;
        }
    }
    if (flag->kind == SURFACE_FLAG_SWITCH && is_switched(command, flag->flag)) {
        json_out_member_bool(out, flag->member, true);
    } else if (flag->kind == SURFACE_FLAG_TEXT && list->count > 0) {
        json_out_member_text(out, flag->member, list->items[list->count - 1]);
    } else if (flag->kind == SURFACE_FLAG_LIST && list->count > 0) {
        json_out_key(out, flag->member);
        json_out_begin_array(out);
        for (size_t index = 0; index < list->count; index++) {
            json_out_string(out, slice_of(list->items[index]));
        }
        json_out_end_array(out);
    }
    return true;
}

static bool write_arguments(const struct token_arguments *command, const struct surface *surface,
                            struct buf *text)
{
    struct json_out out;
    struct diag diag;
    json_out_init(&out, text);
    json_out_begin_object(&out);
    bool is_good = check_flags(command, surface);
    for (size_t index = 0; is_good && index < surface->token_flag_count; index++) {
        is_good = write_argument(command, &surface->token_flags[index], &out);
    }
    json_out_end_object(&out);
    json_out_end_document(&out);
    if (is_good && text->failed) {
        command_complain("the flags are longer than allowed");
        return false;
    }
    if (is_good && surface->check_token != NULL &&
        surface->check_token(buf_slice(text), &diag) != PH_OK) {
        command_complain("%s", diag.text);
        return false;
    }
    return is_good;
}

/* --- verbs ------------------------------------------------------------------------------------ */

static struct slice result_text(struct slice object, const char *name, struct arena *arena)
{
    struct scan_cursor cursor;
    struct scan_member member;
    struct slice text = SLICE_NONE;
    scan_cursor_init(&cursor, object);
    while (scan_next_member(&cursor, &member)) {
        if (slice_equal_text(member.key, name)) {
            if (member.type != SCAN_STRING) {
                text = member.type == SCAN_NULL ? SLICE_NONE : member.value;
            } else if (scan_string(member.value, arena, NULL, &text) != PH_OK) {
                text = SLICE_NONE;
            }
        }
    }
    return text;
}

/* Prints one member of the result. */
static int perform_and_print(const struct options *options, const struct care_request *request,
                             const char *member, bool is_json)
{
    struct diag diag;
    struct buf result;
    ARENA_AUTO struct arena arena;
    arena_init(&arena, CARE_RESULT_BYTES_MAX);
    buf_init(&result, CARE_RESULT_BYTES_MAX);
    enum ph_error error = care_perform(options, request, &diag, &result);
    if (error != PH_OK) {
        command_complain("%s", diag.text);
    } else if (is_json) {
        (void)puts(buf_text(&result));
    } else {
        (void)printf("%.*s\n", SLICE_ARG(result_text(buf_slice(&result), member, &arena)));
    }
    buf_wipe(&result);
    return error == PH_OK ? EXIT_DONE : EXIT_FAILED;
}

static int create(const struct token_arguments *command, const struct options *options,
                  const struct surface *surface)
{
    BUF_AUTO struct buf text;
    buf_init(&text, CARE_REQUEST_BYTES_MAX / 4);
    if (!write_arguments(command, surface, &text)) {
        return EXIT_USAGE;
    }
    if (command->name != NULL && !slice_is_utf8_text(slice_of(command->name))) {
        command_complain("the value of --name must be UTF-8");
        return EXIT_USAGE;
    }
    struct care_request request = {
        .kind = CARE_TOKEN_CREATE,
        .surface = ph_strdup(surface->name),
        .arguments = ph_strdup(buf_text(&text)),
        .name = command->name == NULL ? NULL : ph_strdup(command->name),
        .expires_at_us = command->expires_at_us,
    };
    int code = perform_and_print(options, &request, "token", command->is_json);
    care_request_done(&request);
    return code;
}

static void print_cell(struct slice text, const char *otherwise, const char *end)
{
    if (text.ptr == NULL) {
        text = slice_of(otherwise);
    }
    for (size_t index = 0; index < text.len; index++) { /* one line and one cell each */
        (void)putchar((unsigned char)text.ptr[index] < ' ' ? ' ' : text.ptr[index]);
    }
    (void)fputs(end, stdout);
}

static void print_row(struct slice row, struct arena *arena)
{
    print_cell(result_text(row, "id", arena), "-", "\t");
    print_cell(result_text(row, "name", arena), "-", "\t");
    print_cell(result_text(row, "subject", arena), "-", "\t");
    print_cell(result_text(row, "createdAt", arena), "-", "\t");
    struct slice revoked = result_text(row, "revokedAt", arena);
    print_cell(revoked.ptr != NULL ? SLICE_LITERAL("revoked")
                                   : result_text(row, "expiresAt", arena),
               "never", "\t");
    print_cell(result_text(row, "grants", arena), "-", "\n");
}

static int list(const struct token_arguments *command, const struct options *options,
                const struct surface *surface)
{
    struct care_request request = {.kind = CARE_TOKEN_LIST, .surface = ph_strdup(surface->name)};
    struct diag diag;
    enum ph_error error;
    do {
        BUF_AUTO struct buf result;
        ARENA_AUTO struct arena arena;
        buf_init(&result, CARE_RESULT_BYTES_MAX);
        arena_init(&arena, CARE_RESULT_BYTES_MAX);
        error = care_perform(options, &request, &diag, &result);
        free(request.after);
        request.after = NULL;
        if (error == PH_OK) {
            struct scan_cursor cursor;
            enum scan_type type;
            struct slice row;
            scan_cursor_init(&cursor, result_text(buf_slice(&result), "tokens", &arena));
            while (scan_next_element(&cursor, &type, &row)) {
                if (command->is_json) {
                    print_cell(row, "", "\n");
                } else {
                    print_row(row, &arena);
                }
            }
            struct slice after = result_text(buf_slice(&result), "after", &arena);
            request.after = after.ptr == NULL ? NULL : slice_dup(after);
        }
    } while (error == PH_OK && request.after != NULL);
    if (error != PH_OK) {
        command_complain("%s", diag.text);
    }
    care_request_done(&request);
    return error == PH_OK ? EXIT_DONE : EXIT_FAILED;
}

static int revoke(const struct token_arguments *command, const struct options *options,
                  const struct surface *surface, const char *name)
{
    if (!slice_is_utf8_text(slice_of(name))) {
        command_complain("the name must be UTF-8");
        return EXIT_USAGE;
    }
    struct care_request request = {
        .kind = CARE_TOKEN_REVOKE, .surface = ph_strdup(surface->name), .name = ph_strdup(name)};
    int code = perform_and_print(options, &request, "id", command->is_json);
    care_request_done(&request);
    return code;
}

static int run_native(const struct token_arguments *command, const struct options *options,
                      const char *verb)
{
    if (!check_flags(command, NULL)) {
        return EXIT_USAGE;
    }
    if (strcmp(verb, "create") == 0) {
        return token_create_native(options, command->application, command->expires_at_us,
                                   command->is_json);
    }
    command_complain("native tokens are signed, not stored: there is nothing to %s; the "
                     "API's expire-all ends those of an application, a new jwt_secret "
                     "ends all",
                     verb);
    return EXIT_USAGE;
}

static void complain_surface(const char *name)
{
    size_t count;
    const struct surface *const *table = surface_table(&count);
    BUF_AUTO struct buf names;
    buf_init(&names, 1024);
    for (size_t index = 0; index < count; index++) {
        buf_append_format(&names, ", %s", table[index]->name);
    }
    command_complain("unknown surface \"%s\"; there are native%s", name, buf_text(&names));
}

static int run(int count, char **arguments);

static const struct flag_row flags[] = {
    {"--surface", FLAG_VALUE, 0, offsetof(struct token_arguments, surface), "NAME",
     "Whose API it is for: a surface, or native, when nothing is said."},
    {"--app", FLAG_VALUE, 0, offsetof(struct token_arguments, application), "ID",
     "For native: a token that reaches this application only (id or uid), valid for 7 days; "
     "without "
     "it the organisation's, valid for ten years."},
    {"--expires", FLAG_VALUE, 0, offsetof(struct token_arguments, expires), "TIME",
     "Another end: 30d, 12h or an RFC 3339 time."},
    {"--name", FLAG_VALUE, 0, offsetof(struct token_arguments, name), "NAME",
     "A name to list and to revoke it by; native tokens have none."},
    FLAG_JSON(struct token_arguments, "Prints JSON objects, for list one per line."),
};

static const enum option_id shown_options[] = {OPTION_DATA};

const struct command command_token = {
    .name = "token",
    .run = run,
    .arguments = "create|list|revoke [ID]",
    .argument_max = 2,
    .flags = flags,
    .flag_count = PH_ARRAY_LENGTH(flags),
    .more_flags = surface_flags,
    .options = shown_options,
    .option_count = PH_ARRAY_LENGTH(shown_options),
    .help = "make, list and revoke tokens",
    .details =
        "create prints the token alone. Native tokens are signed and not stored, so there is "
        "nothing "
        "to list or revoke. Those of a surface are made by the running server, or by this command "
        "when there is none. list prints id, name, whom it stands for, when it was made, when it "
        "ends and what it may do; revoke takes an id or a name.",
    .examples = "T=$(posthorn token create --data /var/lib/posthorn)\n"
                "posthorn token create --app acme --expires 12h --data /var/lib/posthorn",
};

static int run_verb(const struct token_arguments *command, const struct command_line *line)
{
    const char *verb = line->rest_count > 0 ? line->rest[0] : "";
    bool is_revoke = strcmp(verb, "revoke") == 0;
    bool is_verb = is_revoke || strcmp(verb, "create") == 0 || strcmp(verb, "list") == 0;
    bool is_native = strcmp(command->surface, "native") == 0;
    const struct surface *surface = surface_find(command->surface);
    if (!is_native && surface == NULL) {
        complain_surface(command->surface);
        return EXIT_USAGE;
    }
    if (!is_verb || (line->rest_count == 2) != (is_revoke && !is_native)) {
        return command_complain_usage(&command_token);
    }
    if (is_native) {
        return run_native(command, &line->options, verb);
    }
    if (command->application != NULL) {
        command_complain("--app is for native tokens");
        return EXIT_USAGE;
    }
    return is_revoke                     ? revoke(command, &line->options, surface, line->rest[1])
           : strcmp(verb, "create") == 0 ? create(command, &line->options, surface)
                                         : list(command, &line->options, surface);
}

static int run(int count, char **arguments)
{
    struct token_arguments given = {.surface = "native"};
    struct command_line line;
    int code = EXIT_USAGE;
    if (command_read(&line, &command_token, count, arguments, &given)) {
        if (given.expires != NULL &&
            duration_parse_expiry(slice_of(given.expires), clock_wall_us(), "--expires", NULL,
                                  &given.expires_at_us) != PH_OK) {
            command_complain("--expires wants 30d, 12h or an RFC 3339 time, not \"%s\"",
                             given.expires);
        } else {
            code = run_verb(&given, &line);
        }
    }
    command_line_done(&line);
    return code;
}
