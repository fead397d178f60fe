/* SPDX-License-Identifier: Apache-2.0 */
#include "api/capability.h"

#include "base/compiler.h"

static const char *const names[CAPABILITY_COUNT] = {
    "ViewBase",       "ViewEndpointSecret", "ManageEndpointSecret", "ManageTransformations",
    "CreateAttempts", "ManageEndpoint",
};

unsigned capability_parse(struct slice name)
{
    for (unsigned index = 0; index < CAPABILITY_COUNT; index++) {
        if (slice_equal_text(name, names[index])) {
            return 1u << index;
        }
    }
    return 0;
}

const char *capability_name(size_t index)
{
    PH_ASSERT(index < CAPABILITY_COUNT);
    return names[index];
}

unsigned capability_read_only(unsigned capabilities)
{
    const unsigned reading = CAPABILITY_VIEW_BASE | CAPABILITY_VIEW_ENDPOINT_SECRET;
    return capabilities == 0 ? CAPABILITY_VIEW_BASE : capabilities & reading;
}
