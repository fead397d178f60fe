# SPDX-License-Identifier: Apache-2.0
# cmake -DHEADER=dir/name.h -DOUTPUT=... "-DFILES=name=path;name=path" -P embed_files.cmake
# Writes a C file with `const char NAME[]` (a NUL behind the last byte) and `size_t NAME_length`
# of each file; HEADER declares them.
set(texts "")
foreach(pair IN LISTS FILES)
  string(REGEX MATCH "^([a-z_]+)=(.+)$" matched "${pair}")
  set(name "${CMAKE_MATCH_1}")
  set(path "${CMAKE_MATCH_2}")
  file(READ "${path}" hex HEX)
  file(SIZE "${path}" length)
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${hex}")
  string(REGEX REPLACE "('..0a',)" "\\1\n    " bytes "${bytes}")
  string(APPEND texts "const char ${name}[] = {\n    ${bytes}'\\0'};\n")
  string(APPEND texts "const size_t ${name}_length = ${length};\n\n")
endforeach()
file(WRITE "${OUTPUT}.new"
"/* SPDX-License-Identifier: Apache-2.0 */
/* Made by cmake/embed_files.cmake. */
#include \"${HEADER}\"

${texts}")
file(RENAME "${OUTPUT}.new" "${OUTPUT}")
