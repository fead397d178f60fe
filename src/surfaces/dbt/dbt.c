/* SPDX-License-Identifier: Apache-2.0 */
#include "surfaces/dbt/dbt.h"

const struct surface surface_dbt = {
    .name = "dbt",
};
