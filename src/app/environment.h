/* SPDX-License-Identifier: Apache-2.0 */
/* How surfaces read the option table. Main thread. */
#ifndef PH_APP_ENVIRONMENT_H
#define PH_APP_ENVIRONMENT_H

#include "app/option.h"
#include "surfaces/surface.h"

/* The access functions and the options; the rest is the caller's to fill in. */
struct surface_environment environment_of(const struct options *options);

#endif
