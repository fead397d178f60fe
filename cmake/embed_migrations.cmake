# SPDX-License-Identifier: Apache-2.0
# cmake -DSQL_DIR=... -DOUTPUT=... -P embed_migrations.cmake
# Writes the C file that holds every sql/NNNN_name.sql, in the order of their numbers.
file(GLOB files "${SQL_DIR}/*.sql")
list(SORT files)
set(texts "")
set(rows "")
set(expected 1)
foreach(file IN LISTS files)
  get_filename_component(base "${file}" NAME_WE)
  if(NOT base MATCHES "^([0-9]+)_([a-z0-9_]+)$")
    message(FATAL_ERROR "${file}: a migration is named NNNN_lower_case.sql")
  endif()
  set(digits "${CMAKE_MATCH_1}")
  set(name "${CMAKE_MATCH_2}")
  string(REGEX REPLACE "^0+" "" number "${digits}")
  if(NOT number EQUAL expected)
    message(FATAL_ERROR "${file}: migrations count from 1 without gaps, expected ${expected}")
  endif()
  math(EXPR expected "${expected} + 1")
  file(READ "${file}" hex HEX)
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${hex}")
  string(REGEX REPLACE "('..0a',)" "\\1\n    " bytes "${bytes}")
  string(APPEND texts "static const char text_${number}[] = {\n    ${bytes}'\\0'};\n\n")
  string(APPEND rows "    {${number}, \"${name}\", text_${number}},\n")
endforeach()
math(EXPR count "${expected} - 1")
file(WRITE "${OUTPUT}.new"
"/* SPDX-License-Identifier: Apache-2.0 */
/* Made from sql/ by cmake/embed_migrations.cmake. */
#include \"db/migrations.h\"

#include <stddef.h>

${texts}/* The last row ends the table and is not counted. */
const struct db_migration sql_migrations[] = {
${rows}    {0, NULL, NULL},
};
const size_t sql_migrations_count = ${count};
")
file(RENAME "${OUTPUT}.new" "${OUTPUT}")
