/* SPDX-License-Identifier: Apache-2.0 */
/* The dbt surface; see surfaces/surface.h and README.md. */
#ifndef PH_SURFACES_DBT_DBT_H
#define PH_SURFACES_DBT_DBT_H

#include "surfaces/surface.h"

extern const struct surface surface_dbt;

#endif
