/* SPDX-License-Identifier: Apache-2.0 */
/* Configured hooks: every rule of the magpie specification, section 2, and what is found wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "surfaces/magpie/config.h"

#define HEAD "webhooks:\n"
#define REST "action: create_user, method: POST, url: 'http://h/x'"

static void load(struct magpie_config *config, const char *text)
{
    magpie_config_init(config);
    magpie_config_add(config, SLICE_LITERAL("f.yml"), slice_of(text));
}

/* All findings, a line each. */
static void all_findings(const struct magpie_config *config, struct buf *text)
{
    buf_init(text, 1 << 20);
    for (size_t index = 0; index < config->finding_count; index++) {
        magpie_finding_append(&config->findings[index], text);
        buf_append_byte(text, '\n');
    }
}

static void assert_findings(const char *text, const char *expected)
{
    struct magpie_config config;
    BUF_AUTO struct buf found;
    load(&config, text);
    all_findings(&config, &found);
    assert_string_equal(buf_text(&found), expected);
    magpie_config_done(&config);
}

static void assert_hooks(const char *text, size_t count)
{
    struct magpie_config config;
    BUF_AUTO struct buf found;
    load(&config, text);
    all_findings(&config, &found);
    if (config.error_count > 0 || config.hook_count != count) {
        fail_msg("%zu hooks, %s", config.hook_count, buf_text(&found));
    }
    magpie_config_done(&config);
}

/* One hook with one member changed. */
static void assert_refused(const char *hook, const char *finding)
{
    BUF_AUTO struct buf text;
    BUF_AUTO struct buf expected;
    buf_init(&text, 4096);
    buf_init(&expected, 4096);
    buf_append_format(&text, HEAD "- %s\n", hook);
    buf_append_format(&expected, "error: f.yml:2: %s\n", finding);
    assert_findings(buf_text(&text), buf_text(&expected));
}

/* --- whole files ------------------------------------------------------------------------------ */

/* As deployments of the original have it: one file with all sections, spaces before the colon. */
static void test_the_deployed_style(void **state)
{
    (void)state;
    static const char text[] = "# Explicit definitions for the platform\n"
                               "providers:\n"
                               "  catalog:\n"
                               "    url: http://${MAGPIE_TEST_FQDN}/catalog\n"
                               "    public: true\n"
                               "groups:\n"
                               "  - name: birds\n"
                               "permissions:\n"
                               "  - service: catalog\n"
                               "    1: ignored here\n"
                               "webhooks:\n"
                               "  - name: \"cowbird_create_user\"\n"
                               "    action: create_user\n"
                               "    method: POST\n"
                               "    url : http://${MAGPIE_TEST_FQDN}/cowbird/webhooks/users\n"
                               "    payload:\n"
                               "      event : \"created\"\n"
                               "      user_name : \"{{user.name}}\"\n"
                               "      callback_url : '{{callback_url}}'\n"
                               "  - name: cowbird_create_permission\n"
                               "    action: create_user_permission\n"
                               "    method: POST\n"
                               "    url: http://${MAGPIE_TEST_FQDN}/cowbird/webhooks/permissions\n"
                               "    payload:\n"
                               "      event: created\n"
                               "      service_name: \"{{service.name}}\"\n"
                               "      service_type: \"{{service.type}}\"\n"
                               "      resource_id: \"{{resource.id}}\"\n"
                               "      resource_full_name: |\n"
                               "        {{resource.display_name}}\n"
                               "        of {{service.name}}\n"
                               "      name: \"{{permission.name}}\"\n"
                               "      access: \"{{permission.access}}\"\n"
                               "      scope: \"{{permission.scope}}\"\n"
                               "      user: \"{{user.name}}\"\n"
                               "      group: null\n"
                               "      tags: [a, {b: c}]\n";
    struct magpie_config config;
    BUF_AUTO struct buf found;
    assert_int_equal(setenv("MAGPIE_TEST_FQDN", "birds.example.org", 1), 0);
    load(&config, text);
    all_findings(&config, &found);
    assert_string_equal(buf_text(&found), "");
    assert_int_equal(config.hook_count, 2);
    const struct magpie_hook *first = &config.hooks[0];
    assert_true(slice_equal_text(first->name, "cowbird_create_user"));
    assert_int_equal(first->action, MAGPIE_CREATE_USER);
    assert_string_equal(first->method, "POST");
    assert_true(slice_equal_text(first->url, "http://birds.example.org/cowbird/webhooks/users"));
    assert_null(first->format_name.ptr);
    assert_true(first->format->is_json);
    assert_true(slice_equal_text(first->payload,
                                 "{\"event\":\"created\",\"user_name\":\"{{user.name}}\","
                                 "\"callback_url\":\"{{callback_url}}\"}"));
    assert_int_equal(first->line, 12);
    assert_true(slice_equal_text(first->file, "f.yml"));
    const struct magpie_hook *second = &config.hooks[1];
    assert_int_equal(second->action, MAGPIE_CREATE_USER_PERMISSION);
    struct slice part = second->payload;
    assert_non_null(memmem(part.ptr, part.len, "{{resource.display_name}}\\nof {{service.name}}\\n",
                           strlen("{{resource.display_name}}\\nof {{service.name}}\\n")));
    assert_non_null(memmem(part.ptr, part.len, "\"group\":null,\"tags\":[\"a\",{\"b\":\"c\"}]}",
                           strlen("\"group\":null,\"tags\":[\"a\",{\"b\":\"c\"}]}")));
    magpie_config_done(&config);
}

static void test_json(void **state)
{
    (void)state;
    assert_hooks(
        "{\"webhooks\": [{\"name\": \"a\", \"action\": \"delete_user\", \"method\": \"PUT\",\n"
        "\t\"url\": \"https://h\", \"payload\": {\"x\": [1, true, null]}}]}",
        1);
}

static void test_files_without_hooks(void **state)
{
    (void)state;
    assert_hooks("webhooks: []", 0);
    assert_hooks("webhooks:", 0);
    assert_hooks("users: []\nwebhooks: ~", 0);
    assert_findings("users: []", "warning: f.yml: there is no `webhooks`\n");
    assert_findings("{}", "warning: f.yml: there is no `webhooks`\n");
}

static void test_files_that_are_refused(void **state)
{
    (void)state;
    assert_findings("", "error: f.yml:1: there is no document\n");
    assert_findings("# nothing\n", "error: f.yml:2: there is no document\n");
    assert_findings("x", "error: f.yml:1: the file must be a mapping, not a text\n");
    assert_findings("- x", "error: f.yml:1: the file must be a mapping, not a list\n");
    assert_findings("~", "error: f.yml:1: the file must be a mapping, not null\n");
    assert_findings("webhooks: {a: 1}",
                    "error: f.yml:1: `webhooks` must be a list, not a mapping\n");
    assert_findings("a: b\nwebhooks: x", "error: f.yml:2: `webhooks` must be a list, not a text\n");
    assert_findings("a: 1\n---\nb: 1\n", "error: f.yml:2: only one document is read\n");
    assert_findings("webhooks:\n- name: a\n  payload: {5: 1}\n",
                    "error: f.yml:3: a key must be a text, and this one is an integer; put quotes "
                    "around it\n");
    assert_findings("webhooks:\n- name: 2001-12-14\n",
                    "error: f.yml:2: a date is no value; put quotes around it\n");
    /* In sections that are not ours everything may stand that the reader takes. */
    assert_hooks("users: [{1: 2001-12-14}]\nwebhooks: []", 0);
    assert_findings("users: {{x}}\nwebhooks: []",
                    "error: f.yml:1: a key is a mapping or a list; a text that begins with `{` "
                    "wants quotes\n");
    struct magpie_config config;
    BUF_AUTO struct buf found;
    load(&config, "a: ]");
    all_findings(&config, &found);
    assert_int_equal(config.error_count, 1);
    assert_true(slice_starts_with(buf_slice(&found), "error: f.yml:1: not YAML: "));
    magpie_config_done(&config);
}

/* --- one hook --------------------------------------------------------------------------------- */

static void test_every_value_that_is_good(void **state)
{
    (void)state;
    static const char *const actions[] = {"create_user",
                                          "delete_user",
                                          "update_user_status",
                                          "create_user_permission",
                                          "delete_user_permission",
                                          "create_group_permission",
                                          "delete_group_permission"};
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
    static const char *const urls[] = {"http://is-ok.com",    "https://h/p?q#f", "http://h?x",
                                       "http://[::1]:8080/x", "http://u:p@h/",   "HTTP://H"};
    static const char *const payloads[] = {"null", "''",          "{}",      "[]",  "x",     "5",
                                           "no",   "[1, {a: b}]", "{a: {}}", "1.5", "'{{}}'"};
    BUF_AUTO struct buf text;
    buf_init(&text, 1 << 16);
    buf_append_text(&text, HEAD);
    size_t count = 0;
    for (size_t index = 0; index < PH_ARRAY_LENGTH(actions); index++) {
        buf_append_format(&text, "- {name: n%zu, action: %s, method: POST, url: 'http://h'}\n",
                          ++count, actions[index]);
    }
    for (size_t index = 0; index < PH_ARRAY_LENGTH(methods); index++) {
        buf_append_format(&text,
                          "- {name: n%zu, action: create_user, method: %s, url: 'http://h'}\n",
                          ++count, methods[index]);
    }
    for (size_t index = 0; index < PH_ARRAY_LENGTH(urls); index++) {
        buf_append_format(&text, "- {name: n%zu, action: create_user, method: GET, url: '%s'}\n",
                          ++count, urls[index]);
    }
    for (size_t index = 0; index < PH_ARRAY_LENGTH(payloads); index++) {
        buf_append_format(&text, "- {name: n%zu, " REST ", payload: %s}\n", ++count,
                          payloads[index]);
    }
    assert_findings(buf_text(&text), "");
    assert_hooks(buf_text(&text), count);
}

static void test_which_keys(void **state)
{
    (void)state;
    assert_refused("x", "hook #1: a hook must be a mapping, not a text");
    assert_refused("[a]", "hook #1: a hook must be a mapping, not a list");
    assert_refused("~", "hook #1: a hook must be a mapping, not null");
    assert_refused("{" REST "}", "hook #1: `name` is missing");
    assert_refused("{name: '', " REST "}", "hook #1: `name` is empty");
    assert_refused("{name: 0, " REST "}", "hook 0: `name` is empty");
    assert_refused("{name: a, method: POST, url: 'http://h'}", "hook a: `action` is missing");
    assert_refused("{name: a, action: no, method: POST, url: 'http://h'}",
                   "hook a: `action` is empty");
    assert_refused("{name: a, action: create_user, url: 'http://h'}",
                   "hook a: `method` is missing");
    assert_refused("{name: a, action: create_user, method: ~, url: 'http://h'}",
                   "hook a: `method` is empty");
    assert_refused("{name: a, action: create_user, method: POST}", "hook a: `url` is missing");
    assert_refused("{name: a, action: create_user, method: POST, url: []}",
                   "hook a: `url` is empty");
    assert_refused("{name: a, " REST ", urls: x}",
                   "hook a: `urls` is no key of a hook; there are name, action, method, url, "
                   "format, payload");
    assert_refused("{name: a, " REST ", Payload: x}",
                   "hook a: `Payload` is no key of a hook; there are name, action, method, url, "
                   "format, payload");
    /* What is missing goes before what is too much. */
    assert_refused("{name: a, action: create_user, method: POST, urls: 'http://h'}",
                   "hook a: `url` is missing");
}

static void test_which_values(void **state)
{
    (void)state;
    static const char no_action[] = "is no action; there are create_user, delete_user, "
                                    "update_user_status, create_user_permission, "
                                    "delete_user_permission, create_group_permission, "
                                    "delete_group_permission";
    static const char no_method[] = "is no method; there are GET, HEAD, POST, PUT, PATCH, DELETE";
    static const char *const actions[] = {"Create_user", "create", "magpie.create_user", "5"};
    static const char *const methods[] = {"post", "OPTIONS", "POST ", "Get"};
    static const char *const urls[] = {"failing_url", "http://",  "http:///p", "localhost:8080/x",
                                       "//h/p",       "http:/h",  "://h",      "1http://h",
                                       "http://?x",   "http://#", "5"};
    char hook[256];
    char finding[512];
    for (size_t index = 0; index < PH_ARRAY_LENGTH(actions); index++) {
        (void)snprintf(hook, sizeof hook, "{name: a, action: '%s', method: POST, url: 'http://h'}",
                       actions[index]);
        (void)snprintf(finding, sizeof finding, "hook a: \"%s\" %s", actions[index], no_action);
        assert_refused(hook, finding);
    }
    for (size_t index = 0; index < PH_ARRAY_LENGTH(methods); index++) {
        (void)snprintf(hook, sizeof hook,
                       "{name: a, action: create_user, method: '%s', url: 'http://h'}",
                       methods[index]);
        (void)snprintf(finding, sizeof finding, "hook a: \"%s\" %s", methods[index], no_method);
        assert_refused(hook, finding);
    }
    for (size_t index = 0; index < PH_ARRAY_LENGTH(urls); index++) {
        (void)snprintf(hook, sizeof hook, "{name: a, action: create_user, method: POST, url: '%s'}",
                       urls[index]);
        assert_refused(hook, "hook a: `url` must have a scheme and a host");
    }
    assert_refused("{name: a, action: create_user, method: POST, url: 5}",
                   "hook a: `url` must have a scheme and a host");
    assert_refused("{name: a, action: [create_user], method: POST, url: 'http://h'}",
                   "hook a: a list is no action; there are create_user, delete_user, "
                   "update_user_status, create_user_permission, delete_user_permission, "
                   "create_group_permission, delete_group_permission");
    assert_refused("{name: a, action: create_user, method: 5, url: 'http://h'}",
                   "hook a: an integer is no method; there are GET, HEAD, POST, PUT, PATCH, "
                   "DELETE");
    assert_refused("{name: a, " REST ", payload: .inf}",
                   "hook a: `payload`: JSON has no such number");
    assert_refused("{name: \"a\\0b\", " REST "}", "hook a b: `name` has a NUL");
}

static void test_structures_under_other_formats(void **state)
{
    (void)state;
    static const char *const formats[] = {"html",       "text/html", "text",     "plain",
                                          "text/plain", "xml",       "text/xml", "application/xml"};
    char hook[256];
    char finding[256];
    for (size_t index = 0; index < PH_ARRAY_LENGTH(formats); index++) {
        bool is_known;
        const struct magpie_body_format *format =
            magpie_body_format_find(slice_of(formats[index]), &is_known);
        assert_true(is_known && !format->is_json);
        (void)snprintf(hook, sizeof hook, "{name: a, " REST ", format: %s, payload: {b: c}}",
                       formats[index]);
        (void)snprintf(finding, sizeof finding,
                       "hook a: `payload` is a mapping, and the format %s takes a text only",
                       format->content_type);
        assert_refused(hook, finding);
    }
    assert_refused("{name: a, " REST ", format: text, payload: [b]}",
                   "hook a: `payload` is a list, and the format text/plain takes a text only");
    assert_refused("{name: a, " REST ", format: text, payload: 5}",
                   "hook a: `payload` is an integer, and the format text/plain takes a text only");
    assert_refused("{name: a, " REST ", format: text, payload: yes}",
                   "hook a: `payload` is a boolean, and the format text/plain takes a text only");
    assert_findings(HEAD "- {name: a, " REST ", format: text, payload: 'b'}\n"
                         "- {name: b, " REST ", format: text, payload: ''}\n"
                         "- {name: c, " REST ", format: text, payload: null}\n"
                         "- {name: d, " REST ", format: text, payload: {}}\n"
                         "- {name: e, " REST ", format: text, payload: []}\n"
                         "- {name: f, " REST ", format: text}\n"
                         "- {name: g, " REST ", format: null, payload: {b: c}}\n"
                         "- {name: h, " REST ", format: json, payload: {b: c}}\n"
                         "- {name: i, " REST ", format: application/json, payload: {b: c}}\n",
                    "");
}

static void test_warnings(void **state)
{
    (void)state;
    assert_findings(
        HEAD
        "- {name: a, " REST ", format: yaml, payload: {b: '{{user.nam}} {{ user.name }}'}}\n"
        "- {name: a, " REST ", format: 5, payload: '{{group.name}}{{callback_url}}'}\n"
        "- name: b\n"
        "  action: create_user\n"
        "  method: POST\n"
        "  url: ftp://x/y\n"
        "- {name: a, action: delete_user, method: POST, url: 'https://h:99999/', format: JSON}\n",
        "warning: f.yml:2: hook a: \"yaml\" is no format: JSON is sent\n"
        "warning: f.yml:2: hook a: {{user.nam}} is no parameter: it is sent as it stands\n"
        "warning: f.yml:2: hook a: {{ user.name }} is no parameter: there may be no spaces within "
        "the braces\n"
        "warning: f.yml:3: hook a: `format` is no text: JSON is sent\n"
        "warning: f.yml:3: hook a: {{group.name}} is no parameter of create_user: it is sent as it "
        "stands\n"
        "warning: f.yml:3: hook a: the name is another hook's too\n"
        "warning: f.yml:7: hook b: nothing can be sent to `url`: not a valid url: must start with "
        "http:// or https://\n"
        "warning: f.yml:8: hook a: nothing can be sent to `url`: not a valid url: the port is not "
        "a "
        "number from 1 to 65535\n"
        "warning: f.yml:8: hook a: \"JSON\" is no format: JSON is sent\n"
        "warning: f.yml:8: hook a: the name is another hook's too\n");
}

/* Every bad hook is found, and the good ones beside it count as nothing. */
static void test_all_errors_are_found(void **state)
{
    (void)state;
    assert_findings(HEAD "- {name: a, " REST "}\n"
                         "- {name: b, action: create_user, method: POST}\n"
                         "- 5\n"
                         "- {name: c, " REST ", x: 1}\n",
                    "error: f.yml:3: hook b: `url` is missing\n"
                    "error: f.yml:4: hook #3: a hook must be a mapping, not an integer\n"
                    "error: f.yml:5: hook c: `x` is no key of a hook; there are name, action, "
                    "method, url, format, payload\n");
}

static void test_lines_are_those_of_the_fault(void **state)
{
    (void)state;
    assert_findings(
        "webhooks:\n"
        "- name: a\n"
        "  action: create_user\n"
        "  method: post\n"
        "  url: http://h\n"
        "- name: b\n"
        "  action: create_user\n"
        "  method: POST\n"
        "  url: http://h\n"
        "  header: x\n",
        "error: f.yml:4: hook a: \"post\" is no method; there are GET, HEAD, POST, PUT, "
        "PATCH, DELETE\n"
        "error: f.yml:10: hook b: `header` is no key of a hook; there are name, action, "
        "method, url, format, payload\n");
}

static void test_anchors_and_merges(void **state)
{
    (void)state;
    struct magpie_config config;
    load(&config,
         "base: &base\n"
         "  method: POST\n"
         "  url: http://h/x\n"
         "  payload: &p {user: '{{user.name}}'}\n"
         "webhooks:\n"
         "- <<: *base\n"
         "  name: a\n"
         "  action: create_user\n"
         "- {<<: *base, name: b, action: delete_user, url: 'http://h/y', payload: [*p, *p]}\n");
    assert_int_equal(config.error_count, 0);
    assert_int_equal(config.hook_count, 2);
    assert_true(slice_equal_text(config.hooks[0].url, "http://h/x"));
    assert_true(slice_equal_text(config.hooks[1].url, "http://h/y"));
    assert_true(slice_equal_text(config.hooks[1].payload,
                                 "[{\"user\":\"{{user.name}}\"},{\"user\":\"{{user.name}}\"}]"));
    magpie_config_done(&config);
}

/* The key of a hook stays when anything but its name and action changes. */
static void test_keys_of_hooks(void **state)
{
    (void)state;
    struct magpie_config one;
    struct magpie_config other;
    load(&one, HEAD "- {name: a, " REST "}\n"
                    "- {name: a, " REST "}\n"
                    "- {name: a, action: delete_user, method: POST, url: 'http://h'}\n"
                    "- {name: 'ü b', " REST "}\n");
    load(&other,
         HEAD "- {name: 'ü b', " REST "}\n"
              "- {name: a, action: create_user, method: PUT, url: 'http://i', payload: 5}\n");
    assert_int_equal(one.hook_count, 4);
    assert_int_equal(other.hook_count, 2);
    for (size_t index = 0; index < one.hook_count; index++) {
        for (size_t before = 0; before < index; before++) {
            assert_false(slice_equal(one.hooks[index].key, one.hooks[before].key));
        }
    }
    assert_true(slice_equal(one.hooks[0].key, other.hooks[1].key));
    assert_true(slice_equal(one.hooks[3].key, other.hooks[0].key));
    magpie_config_done(&one);
    magpie_config_done(&other);
}

/* --- limits ----------------------------------------------------------------------------------- */

static void assert_limit(struct buf *text, const char *words)
{
    struct magpie_config config;
    BUF_AUTO struct buf found;
    load(&config, buf_text(text));
    all_findings(&config, &found);
    if (config.error_count != 1 || strstr(buf_text(&found), words) == NULL) {
        fail_msg("\"%s\" has no \"%s\"", buf_text(&found), words);
    }
    magpie_config_done(&config);
}

static void append_times(struct buf *text, const char *what, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        buf_append_text(text, what);
    }
}

static void test_limits(void **state)
{
    (void)state;
    BUF_AUTO struct buf text;
    buf_init(&text, 1 << 22);
    buf_append_text(&text, HEAD "- {" REST ", name: ");
    append_times(&text, "n", MAGPIE_NAME_BYTES_MAX + 1);
    buf_append_text(&text, "}\n");
    assert_limit(&text, "`name` has more than 256 bytes");
    buf_clear(&text);
    buf_append_text(&text, HEAD "- {name: a, action: create_user, method: GET, url: 'http://h/");
    append_times(&text, "x", 2048);
    buf_append_text(&text, "'}\n");
    assert_limit(&text, "`url` has more than 2048 bytes");
    buf_clear(&text);
    buf_append_text(&text, HEAD "- {name: a, " REST ", payload: ");
    append_times(&text, "[", MAGPIE_PAYLOAD_DEPTH_MAX + 1);
    append_times(&text, "]", MAGPIE_PAYLOAD_DEPTH_MAX + 1);
    buf_append_text(&text, "}\n");
    assert_hooks(buf_text(&text), 1);
    buf_clear(&text);
    buf_append_text(&text, HEAD "- {name: a, " REST ", payload: ");
    append_times(&text, "[", MAGPIE_PAYLOAD_DEPTH_MAX + 2);
    append_times(&text, "]", MAGPIE_PAYLOAD_DEPTH_MAX + 2);
    buf_append_text(&text, "}\n");
    assert_limit(&text, "`payload` is nested too deeply");
    buf_clear(&text);
    buf_append_text(&text, HEAD "- {name: a, " REST ", payload: [");
    append_times(&text, "xxxxxxxxxxxxxxxx,", MAGPIE_PAYLOAD_BYTES_MAX / 16);
    buf_append_text(&text, "]}\n");
    assert_limit(&text, "`payload` has more than 65536 bytes");
    buf_clear(&text);
    buf_append_text(&text, HEAD);
    for (int index = 0; index <= MAGPIE_HOOKS_MAX; index++) {
        buf_append_format(&text, "- {name: n%d, " REST "}\n", index);
    }
    assert_limit(&text, "f.yml:1002: hook n1000: there are more than 1000 hooks");
}

/* Many warnings leave room for the error. */
static void test_findings_have_a_limit(void **state)
{
    (void)state;
    struct magpie_config config;
    BUF_AUTO struct buf text;
    buf_init(&text, 1 << 20);
    buf_append_text(&text, HEAD);
    append_times(&text, "- {name: a, " REST ", format: yaml}\n", MAGPIE_FINDINGS_MAX);
    append_times(&text, "- 5\n", MAGPIE_FINDINGS_MAX + 7);
    load(&config, buf_text(&text));
    assert_int_equal(config.finding_count, 2 * MAGPIE_FINDINGS_MAX);
    assert_int_equal(config.error_count, MAGPIE_FINDINGS_MAX + 7);
    assert_int_equal(config.warning_count, 2 * MAGPIE_FINDINGS_MAX - 1);
    assert_true(config.findings[2 * MAGPIE_FINDINGS_MAX - 1].is_error);
    magpie_config_done(&config);
}

/* --- folders ---------------------------------------------------------------------------------- */

struct folder {
    char path[64];
};

static void write_file(const struct folder *folder, const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder->path, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void make_folder(struct folder *folder)
{
    (void)snprintf(folder->path, sizeof folder->path, "/tmp/magpie-config-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
}

static void remove_in(const struct folder *folder, const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder->path, name);
    assert_int_equal(remove(path), 0);
}

static void test_a_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"b.yml", "a.yaml", "c.json",  "d.cfg",
                                        "e.txt", "f.YML",  "noending"};
    struct folder folder;
    char inner[256];
    make_folder(&folder);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(names); index++) {
        char text[256];
        (void)snprintf(text, sizeof text, "{\"webhooks\": [{name: %s, " REST "}]}", names[index]);
        write_file(&folder, names[index], text);
    }
    (void)snprintf(inner, sizeof inner, "%s/aa.yml", folder.path);
    assert_int_equal(mkdir(inner, 0700), 0);
    struct magpie_config config;
    magpie_config_init(&config);
    magpie_config_load(&config, folder.path);
    assert_int_equal(config.finding_count, 0);
    assert_int_equal(config.hook_count, 4);
    assert_true(slice_equal_text(config.hooks[0].name, "a.yaml"));
    assert_true(slice_equal_text(config.hooks[1].name, "b.yml"));
    assert_true(slice_equal_text(config.hooks[2].name, "c.json"));
    assert_true(slice_equal_text(config.hooks[3].name, "d.cfg"));
    char file[256];
    (void)snprintf(file, sizeof file, "%s/a.yaml", folder.path);
    assert_true(slice_equal_text(config.hooks[0].file, file));
    magpie_config_done(&config);
    for (size_t index = 0; index < PH_ARRAY_LENGTH(names); index++) {
        remove_in(&folder, names[index]);
    }
    /* Nothing but a folder in it, then nothing at all. */
    magpie_config_init(&config);
    magpie_config_load(&config, folder.path);
    assert_int_equal(config.finding_count, 0);
    magpie_config_done(&config);
    remove_in(&folder, "aa.yml");
    magpie_config_init(&config);
    magpie_config_load(&config, folder.path);
    assert_int_equal(config.warning_count, 1);
    assert_int_equal(config.error_count, 0);
    magpie_config_done(&config);
    assert_int_equal(rmdir(folder.path), 0);
}

static void test_one_bad_file_of_a_folder(void **state)
{
    (void)state;
    struct folder folder;
    char expected[512];
    make_folder(&folder);
    write_file(&folder, "a.yml", HEAD "- {name: a, " REST "}\n");
    write_file(&folder, "b.yml", HEAD "- {name: a, " REST "}\n- {name: b}\n");
    struct magpie_config config;
    BUF_AUTO struct buf found;
    magpie_config_init(&config);
    magpie_config_load(&config, folder.path);
    all_findings(&config, &found);
    (void)snprintf(expected, sizeof expected,
                   "warning: %s/b.yml:2: hook a: the name is another hook's too\n"
                   "error: %s/b.yml:3: hook b: `action` is missing\n",
                   folder.path, folder.path);
    assert_string_equal(buf_text(&found), expected);
    magpie_config_done(&config);
    remove_in(&folder, "a.yml");
    remove_in(&folder, "b.yml");
    assert_int_equal(rmdir(folder.path), 0);
}

static void test_paths(void **state)
{
    (void)state;
    struct folder folder;
    char path[256];
    make_folder(&folder);
    write_file(&folder, "hooks", HEAD "- {name: a, " REST "}\n");
    struct magpie_config config;
    magpie_config_init(&config);
    (void)snprintf(path, sizeof path, "%s/hooks", folder.path);
    magpie_config_load(&config, path); /* a single file may have any name */
    assert_int_equal(config.hook_count, 1);
    (void)snprintf(path, sizeof path, "%s/nothing", folder.path);
    magpie_config_load(&config, path);
    assert_int_equal(config.error_count, 1);
    BUF_AUTO struct buf found;
    BUF_AUTO struct buf expected;
    buf_init(&expected, 512);
    all_findings(&config, &found);
    buf_append_format(&expected, "error: %s: cannot be read: No such file or directory\n", path);
    assert_string_equal(buf_text(&found), buf_text(&expected));
    magpie_config_done(&config);
    /* Larger than any set of hooks. */
    char *large = calloc(1, MAGPIE_FILE_BYTES_MAX + 2);
    assert_non_null(large);
    memset(large, '#', MAGPIE_FILE_BYTES_MAX + 1);
    write_file(&folder, "hooks", large);
    free(large);
    (void)snprintf(path, sizeof path, "%s/hooks", folder.path);
    magpie_config_init(&config);
    magpie_config_load(&config, path);
    assert_int_equal(config.error_count, 1);
    magpie_config_done(&config);
    remove_in(&folder, "hooks");
    assert_int_equal(rmdir(folder.path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_deployed_style),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_files_without_hooks),
        cmocka_unit_test(test_files_that_are_refused),
        cmocka_unit_test(test_every_value_that_is_good),
        cmocka_unit_test(test_which_keys),
        cmocka_unit_test(test_which_values),
        cmocka_unit_test(test_structures_under_other_formats),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_all_errors_are_found),
        cmocka_unit_test(test_lines_are_those_of_the_fault),
        cmocka_unit_test(test_anchors_and_merges),
        cmocka_unit_test(test_keys_of_hooks),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_findings_have_a_limit),
        cmocka_unit_test(test_a_folder),
        cmocka_unit_test(test_one_bad_file_of_a_folder),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
