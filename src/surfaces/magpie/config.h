/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configured hooks (magpie spec section 2): read from a file or a folder, checked, and either
 * all of them good or none to be used. Every fault is found and told with file, line and hook.
 * Immutable once it is loaded; any thread.
 */
#ifndef PH_SURFACES_MAGPIE_CONFIG_H
#define PH_SURFACES_MAGPIE_CONFIG_H

#include "base/arena.h"
#include "surfaces/magpie/event.h"

#define MAGPIE_HOOKS_MAX 1000
#define MAGPIE_FILES_MAX 1000
#define MAGPIE_FILE_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define MAGPIE_FINDINGS_MAX 200 /* errors that are kept, and as many warnings */
#define MAGPIE_NAME_BYTES_MAX 256
#define MAGPIE_PAYLOAD_BYTES_MAX ((size_t)64 * 1024) /* of a hook's payload as JSON */
#define MAGPIE_PAYLOAD_DEPTH_MAX 64

/* What a body is (section 5.2). Static. */
struct magpie_body_format {
    const char *content_type;
    bool is_json;
};

struct magpie_hook {
    struct slice key; /* the endpoint's uid: stays when anything but name and action changes */
    struct slice name;
    enum magpie_action action;
    const char *method;       /* static */
    struct slice url;         /* as it was given, with its variables */
    struct slice format_name; /* as it was given, SLICE_NONE = null */
    const struct magpie_body_format *format;
    struct slice payload; /* JSON, SLICE_NONE = null */
    struct slice file;
    size_t line;
};

struct magpie_finding {
    bool is_error; /* else a warning */
    struct slice file;
    size_t line;       /* 0 = of the whole file */
    struct slice hook; /* its name, SLICE_NONE = of none */
    struct slice text;
};

struct magpie_config {
    struct arena arena;
    struct magpie_hook *hooks; /* in order */
    size_t hook_count;
    struct magpie_finding *findings;
    size_t finding_count;
    size_t error_count; /* these go on being counted when no more are kept */
    size_t warning_count;
};

void magpie_config_init(struct magpie_config *config);
void magpie_config_done(struct magpie_config *config);

/* Adds what a file or a folder has. What is wrong, a path that is not there too, is in the
 * findings. */
void magpie_config_load(struct magpie_config *config, const char *path);
/* Adds the hooks of one document; `file` is its name in findings. */
void magpie_config_add(struct magpie_config *config, struct slice file, struct slice text);

/* The method of a name in capitals, static; NULL when there is none. */
const char *magpie_method_find(struct slice name);
/* The format of a word (SLICE_NONE: of none); *ret_is_known is false for those that mean JSON
 * because nothing else fits. */
const struct magpie_body_format *magpie_body_format_find(struct slice name, bool *ret_is_known);

/* "error: FILE:LINE: hook NAME: words", without line breaks. */
void magpie_finding_append(const struct magpie_finding *finding, struct buf *text);
PH_PRINTF(5, 6)
void magpie_config_find(struct magpie_config *config, bool is_error, struct slice file, size_t line,
                        const char *format, ...);

#endif
