/* SPDX-License-Identifier: Apache-2.0 */
#include "core/verdict.h"

#include "base/compiler.h"

static bool hint_has(struct slice hint, const char *word)
{
    struct slice part;
    while (slice_next(&hint, ',', &part)) {
        if (slice_equal_nocase(slice_trim(part), slice_of(word))) {
            return true;
        }
    }
    return false;
}

static bool counts_for_breaker(const struct verdict_input *input)
{
    if (input->failure == ATTEMPT_ANSWERED) {
        int status = input->status_code;
        return status == 429 || status == 502 || status == 503 || status == 504;
    }
    return input->failure == ATTEMPT_CONNECT || input->failure == ATTEMPT_TIMEOUT;
}

struct verdict_result verdict_of_http(const struct verdict_input *input)
{
    struct verdict_result result = {.verdict = VERDICT_RETRY,
                                    .counts_for_breaker = counts_for_breaker(input)};
    if (input->failure != ATTEMPT_ANSWERED) {
        /* A receiver that was cut off has not spoken: hints of half an answer do not count. */
        return result;
    }
    result.disables_endpoint = hint_has(input->delivery_hint, "disable") ||
                               (input->status_code == 410 && input->disable_on_gone);
    if (input->status_code >= 200 && input->status_code <= 299) {
        result.verdict = VERDICT_SUCCESS;
    } else if (result.disables_endpoint) {
        result.verdict = VERDICT_DISABLE;
    } else if (hint_has(input->delivery_hint, "abort-message")) {
        result.verdict = VERDICT_FAIL;
    }
    return result;
}
