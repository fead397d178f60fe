/* SPDX-License-Identifier: Apache-2.0 */
/* Files of this folder that are compiled in, by cmake/embed_files.cmake. */
#ifndef PH_API_EMBEDDED_H
#define PH_API_EMBEDDED_H

#include <stddef.h>

extern const char embedded_schemas[]; /* schemas.json */
extern const size_t embedded_schemas_length;
extern const char embedded_reference_style[]; /* reference.css */
extern const size_t embedded_reference_style_length;

#endif
