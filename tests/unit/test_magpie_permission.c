/* SPDX-License-Identifier: Apache-2.0 */
/* Forms of permissions and what they stand on (magpie spec section 9). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "surfaces/magpie/permission.h"

static void assert_reads(const char *text, const char *explicit_form)
{
    struct magpie_permission permission;
    struct diag diag = {0};
    struct buf form;
    buf_init(&form, 256);
    assert_int_equal(magpie_permission_parse(slice_of(text), "permission", &diag, &permission),
                     PH_OK);
    magpie_permission_append(&permission, &form);
    assert_string_equal(buf_text(&form), explicit_form);
    buf_done(&form);
}

static void test_forms(void **state)
{
    (void)state;
    assert_reads("read", "read-allow-recursive");
    assert_reads("read-match", "read-allow-match");
    assert_reads("read-deny", "read-deny-recursive");
    assert_reads("read-allow", "read-allow-recursive");
    assert_reads("read-recursive", "read-allow-recursive");
    assert_reads("getcapabilities-deny-match", "getcapabilities-deny-match");
    static const char *const wrong[] = {
        "",
        "-",
        "reads",
        "Read",
        "read-",
        "read--",
        "read-x",
        "read-allow-x",
        "read-x-match",
        "read-match-allow",
        "read deny",
        "allow-read",
        "read-allow-match-",
        "read-allow-match-deny",
        " read",
    };
    for (size_t index = 0; index < PH_ARRAY_LENGTH(wrong); index++) {
        struct magpie_permission permission;
        struct diag diag = {0};
        assert_int_equal(
            magpie_permission_parse(slice_of(wrong[index]), "permission", &diag, &permission),
            PH_INVALID);
        assert_string_equal(diag.field, "permission");
    }
}

static void test_objects(void **state)
{
    (void)state;
    struct magpie_permission permission;
    struct diag diag = {0};
    assert_int_equal(magpie_permission_from(SLICE_LITERAL("write"), SLICE_LITERAL("deny"),
                                            SLICE_NONE, "p", &diag, &permission),
                     PH_OK);
    assert_true(permission.access == MAGPIE_DENY && permission.scope == MAGPIE_RECURSIVE);
    assert_int_equal(magpie_permission_from(SLICE_LITERAL("write"), SLICE_LITERAL(""), SLICE_NONE,
                                            "p", &diag, &permission),
                     PH_INVALID);
    assert_int_equal(
        magpie_permission_from(SLICE_NONE, SLICE_NONE, SLICE_NONE, "p", &diag, &permission),
        PH_INVALID);
}

static bool nests(const char *service, const char *parent, const char *child)
{
    return magpie_may_nest(slice_of(service), slice_of(parent), slice_of(child));
}

static bool permits(const char *service, const char *resource, const char *name)
{
    return magpie_may_permit(slice_of(service), slice_of(resource), name);
}

static void test_places(void **state)
{
    (void)state;
    assert_true(nests("api", "service", "route") && nests("api", "route", "route"));
    assert_false(nests("api", "service", "file") || nests("access", "service", "route"));
    assert_true(nests("thredds", "directory", "file") && !nests("thredds", "file", "file"));
    assert_true(nests("geoserver", "workspace", "layer") &&
                !nests("geoserver", "service", "layer"));
    assert_false(nests("wps", "process", "process") || nests("nothing", "service", "route"));
    assert_true(permits("api", "service", "write") && !permits("api", "service", "browse"));
    assert_true(permits("geoserverwfs", "layer", "getgmlobject"));
    assert_false(permits("wfs", "layer", "getcapabilities"));
    assert_true(permits("geoserver", "service", "read") && !permits("geoserver", "layer", "read"));
    assert_true(magpie_is_service_type(SLICE_LITERAL("geoserverwps")));
    assert_false(magpie_is_service_type(SLICE_LITERAL("service")));
    assert_true(magpie_is_resource_type(SLICE_LITERAL("process")));
    assert_false(magpie_is_resource_type(SLICE_LITERAL("processes")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
