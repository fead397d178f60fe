/* SPDX-License-Identifier: Apache-2.0 */
/* The magpie surface; see surfaces/surface.h and README.md. */
#ifndef PH_SURFACES_MAGPIE_MAGPIE_H
#define PH_SURFACES_MAGPIE_MAGPIE_H

#include "surfaces/surface.h"

extern const struct surface surface_magpie;

#endif
