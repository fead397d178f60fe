/* SPDX-License-Identifier: Apache-2.0 */
/* What backup and prune share: asking the watch. */
#ifndef PH_FLOW_CARE_INT_H
#define PH_FLOW_CARE_INT_H

#include "flow/care.h"

PH_NODISCARD static inline enum ph_error care_pause(const struct care_watch *watch, int pause_ms,
                                                    int64_t done, int64_t total, struct diag *diag)
{
    if (watch->goes_on(watch->context, pause_ms, done, total)) {
        return PH_OK;
    }
    return diag_set(diag, PH_SHUTTING_DOWN, NULL, "it was stopped before its end");
}

#endif
