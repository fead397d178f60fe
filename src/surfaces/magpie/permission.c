/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/magpie/permission.h"

/* Words with spaces between; each list is one row of the specification's tables. */
#define WPS "getcapabilities describeprocess execute"
#define WFS                                                                                        \
    "getcapabilities getfeature describefeaturetype lockfeature transaction getfeaturewithlock"    \
    " createstoredquery dropstoredquery liststoredqueries describestoredqueries"
#define GEOSERVER_WFS WFS " getgmlobject getpropertyvalue"
#define NCWMS "getcapabilities getmap getfeatureinfo getlegendgraphic getmetadata"
#define GEOSERVER_WMS "getcapabilities getmap getfeatureinfo getlegendgraphic describelayer"
#define BROWSE "browse read write"
#define PROCESS "describeprocess execute"
#define GEOSERVER GEOSERVER_WFS " getmap getfeatureinfo getlegendgraphic describelayer " PROCESS

static const char *const names[] = {
    "read",
    "write",
    "access",
    "browse",
    "getcapabilities",
    "getmap",
    "getfeatureinfo",
    "getlegendgraphic",
    "getmetadata",
    "getpropertyvalue",
    "getfeature",
    "getfeaturewithlock",
    "getgmlobject",
    "describefeaturetype",
    "describelayer",
    "describeprocess",
    "execute",
    "lockfeature",
    "transaction",
    "createstoredquery",
    "dropstoredquery",
    "liststoredqueries",
    "describestoredqueries",
};

/* A type of resource within a type of service: what it stands below, what may be given on it. */
struct place {
    const char *service;
    const char *resource; /* "service" is the service itself */
    const char *parents;
    const char *permissions;
};

static const struct place places[] = {
    {"access", "service", "", "access"},
    {"api", "service", "", "read write"},
    {"api", "route", "service route", "read write"},
    {"thredds", "service", "", BROWSE},
    {"thredds", "directory", "service directory", BROWSE},
    {"thredds", "file", "service directory", BROWSE},
    {"wps", "service", "", WPS},
    {"wps", "process", "service", PROCESS},
    {"wfs", "service", "", WFS},
    {"wfs", "layer", "service", "getfeature describefeaturetype lockfeature transaction"},
    {"ncwms", "service", "", NCWMS},
    {"ncwms", "directory", "service directory", NCWMS},
    {"ncwms", "file", "service directory", NCWMS},
    {"geoserverwms", "service", "", GEOSERVER_WMS},
    {"geoserverwms", "workspace", "service", GEOSERVER_WMS},
    {"geoserverwms", "layer", "workspace", GEOSERVER_WMS},
    {"geoserverwfs", "service", "", GEOSERVER_WFS},
    {"geoserverwfs", "workspace", "service", GEOSERVER_WFS},
    {"geoserverwfs", "layer", "workspace", GEOSERVER_WFS},
    {"geoserverwps", "service", "", WPS},
    {"geoserverwps", "workspace", "service", WPS},
    {"geoserverwps", "process", "workspace", PROCESS},
    {"geoserver", "service", "", GEOSERVER " read write"},
    {"geoserver", "workspace", "service route", GEOSERVER},
    {"geoserver", "layer", "workspace",
     GEOSERVER_WFS " getmap getfeatureinfo getlegendgraphic describelayer"},
    {"geoserver", "process", "workspace", PROCESS},
    {"geoserver", "route", "service route", "read write"},
};

static const char *const resource_types[] = {"service",   "directory", "file",   "layer",
                                             "workspace", "route",     "process"};

/* Whether the word is one of the list's. */
static bool has_word(const char *list, struct slice word)
{
    for (const char *at = list; *at != '\0' && word.len > 0;) {
        size_t length = strcspn(at, " ");
        if (length == word.len && memcmp(at, word.ptr, length) == 0) {
            return true;
        }
        at += length + strspn(at + length, " ");
    }
    return false;
}

_Static_assert(PH_ARRAY_LENGTH(names) == MAGPIE_PERMISSION_COUNT, "as in the header");

const char *magpie_permission_at(size_t index)
{
    PH_ASSERT(index < MAGPIE_PERMISSION_COUNT);
    return names[index];
}

const char *magpie_permission_name(struct slice name)
{
    for (size_t index = 0; index < PH_ARRAY_LENGTH(names); index++) {
        if (slice_equal_text(name, names[index])) {
            return names[index];
        }
    }
    return NULL;
}

const char *magpie_access_name(enum magpie_access access)
{
    return access == MAGPIE_DENY ? "deny" : "allow";
}

const char *magpie_scope_name(enum magpie_scope scope)
{
    return scope == MAGPIE_MATCH ? "match" : "recursive";
}

static bool parse_access(struct slice text, enum magpie_access *ret_access)
{
    *ret_access = slice_equal_text(text, "deny") ? MAGPIE_DENY : MAGPIE_ALLOW;
    return *ret_access == MAGPIE_DENY || slice_equal_text(text, "allow");
}

static bool parse_scope(struct slice text, enum magpie_scope *ret_scope)
{
    *ret_scope = slice_equal_text(text, "match") ? MAGPIE_MATCH : MAGPIE_RECURSIVE;
    return *ret_scope == MAGPIE_MATCH || slice_equal_text(text, "recursive");
}

enum ph_error magpie_permission_from(struct slice name, struct slice access, struct slice scope,
                                     const char *field, struct diag *diag,
                                     struct magpie_permission *ret_permission)
{
    struct magpie_permission permission = {.name = magpie_permission_name(name)};
    if (permission.name == NULL) {
        return diag_set(diag, PH_INVALID, field, "\"%.*s\" is no permission",
                        (int)(name.len > 64 ? 64 : name.len), name.len == 0 ? "" : name.ptr);
    }
    if (access.ptr != NULL && !parse_access(access, &permission.access)) {
        return diag_set(diag, PH_INVALID, field, "the access is allow or deny");
    }
    if (scope.ptr != NULL && !parse_scope(scope, &permission.scope)) {
        return diag_set(diag, PH_INVALID, field, "the scope is recursive or match");
    }
    *ret_permission = permission;
    return PH_OK;
}

enum ph_error magpie_permission_parse(struct slice text, const char *field, struct diag *diag,
                                      struct magpie_permission *ret_permission)
{
    struct slice parts[3] = {SLICE_NONE, SLICE_NONE, SLICE_NONE};
    size_t count = 0;
    size_t start = 0;
    for (size_t at = 0; at <= text.len; at++) {
        if (at == text.len || text.ptr[at] == '-') {
            if (count == PH_ARRAY_LENGTH(parts)) {
                return diag_set(diag, PH_INVALID, field,
                                "a permission is name, name-access or name-access-scope");
            }
            parts[count++] = (struct slice){text.ptr + start, at - start};
            start = at + 1;
        }
    }
    enum magpie_scope scope;
    if (count == 2 && parse_scope(parts[1], &scope)) {
        parts[2] = parts[1];
        parts[1] = SLICE_NONE;
    }
    return magpie_permission_from(parts[0], parts[1], parts[2], field, diag, ret_permission);
}

void magpie_permission_append(const struct magpie_permission *permission, struct buf *text)
{
    buf_append_format(text, "%s-%s-%s", permission->name, magpie_access_name(permission->access),
                      magpie_scope_name(permission->scope));
}

static const struct place *find_place(struct slice service_type, struct slice resource_type)
{
    for (size_t index = 0; index < PH_ARRAY_LENGTH(places); index++) {
        if (slice_equal_text(service_type, places[index].service) &&
            slice_equal_text(resource_type, places[index].resource)) {
            return &places[index];
        }
    }
    return NULL;
}

const char *magpie_service_type_at(size_t index)
{
    for (size_t place = 0; place < PH_ARRAY_LENGTH(places); place++) {
        if (strcmp(places[place].resource, "service") == 0 && index-- == 0) {
            return places[place].service;
        }
    }
    return NULL;
}

bool magpie_is_service_type(struct slice service_type)
{
    return find_place(service_type, SLICE_LITERAL("service")) != NULL;
}

bool magpie_is_resource_type(struct slice resource_type)
{
    for (size_t index = 0; index < PH_ARRAY_LENGTH(resource_types); index++) {
        if (slice_equal_text(resource_type, resource_types[index])) {
            return true;
        }
    }
    return false;
}

bool magpie_may_nest(struct slice service_type, struct slice parent, struct slice child)
{
    const struct place *place = find_place(service_type, child);
    return place != NULL && has_word(place->parents, parent);
}

bool magpie_may_permit(struct slice service_type, struct slice resource_type, const char *name)
{
    const struct place *place = find_place(service_type, resource_type);
    return place != NULL && has_word(place->permissions, slice_of(name));
}
