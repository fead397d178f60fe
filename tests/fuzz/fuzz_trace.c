/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken as a traceparent is the same after it was passed on, and after it was stored. */
#include "core/trace.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t span[TRACE_SPAN_BYTES] = {1};
    struct trace trace;
    if (!trace_parse((struct slice){(const char *)data, size}, &trace)) {
        return 0;
    }
    char text[TRACE_PARENT_TEXT_MAX];
    uint8_t bytes[TRACE_BYTES];
    struct trace again;
    trace_format_parent(&trace, span, text);
    PH_ASSERT(trace_parse(slice_of(text), &again));
    trace_to_bytes(&trace, bytes);
    struct trace read = trace_from_bytes((struct slice){(const char *)bytes, sizeof bytes});
    PH_ASSERT(memcmp(again.id, trace.id, sizeof trace.id) == 0);
    PH_ASSERT(memcmp(read.id, trace.id, sizeof trace.id) == 0);
    PH_ASSERT(again.is_sampled == trace.is_sampled && read.is_sampled == trace.is_sampled);
    return 0;
}
