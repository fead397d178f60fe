/* SPDX-License-Identifier: Apache-2.0 */
/* Configured hooks: whatever a file has, it is refused with words, or every hook in it is whole and
 * its request can be made. */
#include "core/scan.h"
#include "fuzz/fuzz.h"
#include "surfaces/magpie/config.h"
#include "surfaces/magpie/format.h"

#define ARENA_BYTES ((size_t)8 * 1024 * 1024)
#define TEXT_BYTES ((size_t)4 * 1024 * 1024)

static size_t kept_of(size_t count)
{
    return count < MAGPIE_FINDINGS_MAX ? count : MAGPIE_FINDINGS_MAX;
}

static void check_findings(const struct magpie_config *config)
{
    PH_ASSERT(config->finding_count ==
              kept_of(config->error_count) + kept_of(config->warning_count));
    for (size_t index = 0; index < config->finding_count; index++) {
        BUF_AUTO struct buf line;
        buf_init(&line, TEXT_BYTES);
        magpie_finding_append(&config->findings[index], &line);
        PH_ASSERT(config->findings[index].text.len > 0);
        PH_ASSERT(slice_find(buf_slice(&line), '\n') == line.len);
    }
}

static void check_hook(const struct magpie_hook *hook)
{
    struct diag diag = {.error = PH_OK};
    struct magpie_parameter items[MAGPIE_PARAMETERS_MAX];
    struct magpie_parameters parameters = magpie_action_sample(hook->action, items);
    const struct magpie_request request = {hook->method, hook->format, hook->payload};
    ARENA_AUTO struct arena arena;
    BUF_AUTO struct buf body;
    arena_init(&arena, ARENA_BYTES);
    buf_init(&body, TEXT_BYTES);
    PH_ASSERT(hook->name.len > 0 && hook->url.len > 0 && hook->key.len > 0);
    PH_ASSERT(hook->method != NULL && hook->format != NULL && hook->line > 0);
    if (hook->payload.ptr != NULL) {
        PH_ASSERT(scan_document(hook->payload, NULL, &diag, NULL) == PH_OK);
    }
    PH_ASSERT(magpie_body_render(&request, &parameters, &arena, &diag, &body) == PH_OK);
    if (hook->format->is_json && body.len > 0) {
        PH_ASSERT(scan_document(buf_slice(&body), NULL, &diag, NULL) == PH_OK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct magpie_config config;
    magpie_config_init(&config);
    magpie_config_add(&config, SLICE_LITERAL("file.yml"), fuzz_text(data, size));
    check_findings(&config);
    for (size_t index = 0; index < config.hook_count; index++) {
        check_hook(&config.hooks[index]);
    }
    magpie_config_done(&config);
    return 0;
}
