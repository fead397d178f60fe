/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/magpie/magpie.h"

const struct surface surface_magpie = {
    .name = "magpie",
};
