/* SPDX-License-Identifier: Apache-2.0 */
#include "app/wrap_project.h"

#include <jansson.h>
#include <limits.h>
#include <unistd.h>

#include "api/yaml_json.h"
#include "app/file.h"
#include "app/folder.h"
#include "app/wrap_result.h"

#define YAML_BYTES_MAX ((size_t)1024 * 1024)
#define PATH_BYTES_MAX 4096
#define NAME_BYTES_MAX 512
#define PACKAGES_MAX 10000
/* A manifest begins with what it says of itself. */
#define MANIFEST_HEAD_BYTES 65536

/* --- what dbt takes from its environment ------------------------------------------------------ */

/* dbt 1.11 gave its variables new names, and takes both. */
static const char *variable_of(const char *name)
{
    static const char *const prefixes[] = {"DBT_ENGINE_", "DBT_"};
    for (size_t index = 0; index < PH_ARRAY_LENGTH(prefixes); index++) {
        BUF_AUTO struct buf variable;
        buf_init(&variable, NAME_BYTES_MAX);
        buf_append_format(&variable, "%s%s", prefixes[index], name);
        const char *value = secure_getenv(buf_text(&variable));
        if (value != NULL && value[0] != '\0') {
            return value;
        }
    }
    return NULL;
}

static const char *said(const char *on_line, const char *variable)
{
    return on_line != NULL ? on_line : variable_of(variable);
}

/* `path`, from `folder` when it is not absolute; freed by the caller. */
static char *path_from(const char *folder, const char *path)
{
    return path[0] == '/' ? ph_strdup(path) : file_join(folder, path);
}

/* --- YAML --------------------------------------------------------------------------------------
 */

/* The document, as an object; NULL when there is none that can be read, or it is no plain file: a
 * pipe's content would be missing to dbt. Freed by the caller. */
static json_t *read_yaml(const char *folder, const char *name)
{
    PH_AUTO_FREE char *path = path_from(folder, name);
    BUF_AUTO struct buf text;
    buf_init(&text, YAML_BYTES_MAX);
    struct diag diag;
    json_t *value = NULL;
    if (file_read_plain(path, &text, &diag) != PH_OK ||
        yaml_to_json(buf_slice(&text), name, &diag, &value) != PH_OK) {
        return NULL;
    }
    return value;
}

/* A text member that dbt would not have to render first; NULL when there is none. */
static const char *plain_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL || text[0] == '\0' || strstr(text, "{{") != NULL ? NULL : text;
}

/* --- the project -------------------------------------------------------------------------------
 */

static bool has_file(const char *folder, const char *name)
{
    PH_AUTO_FREE char *path = path_from(folder, name);
    return file_exists(path);
}

/* The working folder or the nearest above it that has a project; freed by the caller. */
static char *nearest_project(void)
{
    char here[PATH_MAX];
    if (getcwd(here, sizeof here) == NULL) {
        return ph_strdup(".");
    }
    PH_AUTO_FREE char *folder = ph_strdup(here);
    for (;;) {
        if (has_file(folder, "dbt_project.yml")) {
            return ph_strdup(folder);
        }
        char *slash = strrchr(folder, '/');
        if (slash == NULL || folder[1] == '\0') {
            return ph_strdup(here);
        }
        slash[slash == folder ? 1 : 0] = '\0';
    }
}

/* The folder of profiles.yml; freed by the caller. */
static char *profiles_folder(const struct wrap_line *line)
{
    const char *given = said(line->profiles_dir, "PROFILES_DIR");
    const char *home = secure_getenv("HOME");
    if (given != NULL) {
        return ph_strdup(given);
    }
    return has_file(".", "profiles.yml") || home == NULL ? ph_strdup(".") : path_from(home, ".dbt");
}

/* Of the profile; freed by the caller. */
static char *find_target(const struct wrap_line *line, const char *profile)
{
    const char *target = said(line->target, "TARGET");
    if (target != NULL) {
        return ph_strdup(target);
    }
    PH_AUTO_FREE char *folder = profiles_folder(line);
    json_t *profiles = read_yaml(folder, "profiles.yml");
    if (profile != NULL) {
        target = plain_text(json_object_get(profiles, profile), "target");
    }
    char *found = ph_strdup(target != NULL ? target : "default");
    json_decref(profiles);
    return found;
}

void wrap_project_find(struct wrap_project *project, const struct wrap_line *line)
{
    const char *folder = said(line->project_dir, "PROJECT_DIR");
    project->folder = folder != NULL ? ph_strdup(folder) : nearest_project();
    json_t *file = read_yaml(project->folder, "dbt_project.yml");
    const char *name = plain_text(file, "name");
    const char *profile = said(line->profile, "PROFILE");
    const char *target_path = said(line->target_path, "TARGET_PATH");
    if (target_path == NULL) {
        target_path = plain_text(file, "target-path");
    }
    project->name = ph_strdup(name != NULL ? name : "");
    project->target_folder =
        path_from(project->folder, target_path != NULL ? target_path : "target");
    project->target = find_target(line, profile != NULL ? profile : plain_text(file, "profile"));
    json_decref(file);
}

void wrap_project_done(struct wrap_project *project)
{
    free(project->folder);
    free(project->target_folder);
    free(project->name);
    free(project->target);
}

/* --- dbt's version -----------------------------------------------------------------------------
 */

/* The file that execvp would run; freed by the caller, NULL when there is none. */
static char *find_program(const char *program)
{
    if (strchr(program, '/') != NULL) {
        return ph_strdup(program);
    }
    struct slice rest = slice_of(secure_getenv("PATH"));
    struct slice part;
    while (slice_next(&rest, ':', &part)) {
        PH_AUTO_FREE char *folder = part.len == 0 ? ph_strdup(".") : slice_dup(part);
        char *path = path_from(folder, program);
        if (access(path, X_OK) == 0) {
            return path;
        }
        free(path);
    }
    return NULL;
}

/* The version in the name of a folder such as dbt_core-1.10.3.dist-info. */
static bool append_version_in(const char *packages, struct buf *text)
{
    static const char begin[] = "dbt_core-";
    static const char end[] = ".dist-info";
    struct folder_names names;
    struct diag diag;
    bool is_found = false;
    if (folder_list(packages, PACKAGES_MAX, &diag, &names) != PH_OK) {
        return false;
    }
    for (size_t index = 0; index < names.count && !is_found; index++) {
        struct slice name = slice_of(names.items[index]);
        is_found = slice_starts_with(name, begin) && name.len > strlen(begin) + strlen(end) &&
                   strcmp(name.ptr + name.len - strlen(end), end) == 0;
        if (is_found) {
            buf_append(text, name.ptr + strlen(begin), name.len - strlen(begin) - strlen(end));
        }
    }
    folder_names_done(&names);
    return is_found;
}

/* Python's packages are beside its programs: bin/dbt, lib/python3.11/site-packages/dbt_core-…. */
static bool append_installed(const char *path, struct buf *text)
{
    const char *slash = strrchr(path, '/');
    PH_AUTO_FREE char *folder =
        slash == NULL ? ph_strdup(".") : ph_memdup_text(path, (size_t)(slash - path));
    PH_AUTO_FREE char *library = file_join(folder, "../lib");
    struct folder_names names;
    struct diag diag;
    bool is_found = false;
    if (folder_list(library, PACKAGES_MAX, &diag, &names) != PH_OK) {
        return false;
    }
    for (size_t index = 0; index < names.count && !is_found; index++) {
        if (slice_starts_with(slice_of(names.items[index]), "python3")) {
            PH_AUTO_FREE char *python = file_join(library, names.items[index]);
            PH_AUTO_FREE char *packages = file_join(python, "site-packages");
            is_found = append_version_in(packages, text);
        }
    }
    folder_names_done(&names);
    return is_found;
}

static void append_of_manifest(const struct wrap_project *project, struct buf *text)
{
    PH_AUTO_FREE char *path = path_from(project->target_folder, "manifest.json");
    BUF_AUTO struct buf head;
    buf_init(&head, MANIFEST_HEAD_BYTES);
    struct diag diag;
    if (file_read_head(path, MANIFEST_HEAD_BYTES, &head, &diag) == PH_OK) {
        wrap_result_append_version(buf_slice(&head), text);
    }
}

void wrap_project_append_version(const struct wrap_project *project, const char *program,
                                 struct buf *text)
{
    PH_AUTO_FREE char *path = find_program(program);
    char real[PATH_MAX];
    if (path != NULL && (append_installed(path, text) ||
                         (realpath(path, real) != NULL && append_installed(real, text)))) {
        return;
    }
    append_of_manifest(project, text);
}
