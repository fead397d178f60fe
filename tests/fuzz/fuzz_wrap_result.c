/* SPDX-License-Identifier: Apache-2.0 */
/* run_results.json of whatever wrote it: what is said of it has its limits, and its numbers fit. */
#include "app/wrap_result.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wrap_result result;
    struct diag diag;
    wrap_result_init(&result);
    if (wrap_result_read(&result, fuzz_text(data, size), &diag) == PH_OK) {
        PH_ASSERT(!result.log.failed && !result.failed.failed && !result.dbt_version.failed);
        PH_ASSERT(result.node_count == result.passed_count + result.warned_count +
                                           result.failed_count + result.skipped_count);
        PH_ASSERT(result.failed_count > 0 || result.failed.len == 0);
    }
    wrap_result_done(&result);
    BUF_AUTO struct buf version;
    buf_init(&version, 1024);
    wrap_result_append_version(fuzz_text(data, size), &version);
    PH_ASSERT(!version.failed);
    return 0;
}
