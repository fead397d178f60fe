# SPDX-License-Identifier: Apache-2.0
# Warnings of every target, the tests' too. They are errors with the compilers this tree is tested
# with; another compiler may know warnings that nobody here has seen, and only shows them.
set(ph_known_compiler OFF)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_C_COMPILER_VERSION MATCHES "^12\\.")
  set(ph_known_compiler ON)
elseif(CMAKE_C_COMPILER_ID STREQUAL "Clang" AND CMAKE_C_COMPILER_VERSION MATCHES "^14\\.")
  set(ph_known_compiler ON)
endif()
option(PH_WERROR "Treat warnings as errors" ${ph_known_compiler})

add_compile_options(
  -Wall -Wextra -Wformat=2 -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
  -Wcast-qual -Wnull-dereference -Wswitch-enum -Wundef
  -Wold-style-definition -Wpointer-arith -Wwrite-strings -Wdate-time
  -Wimplicit-fallthrough)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wlogical-op -Wduplicated-cond -Wformat-signedness -Wtrampolines)
else()
  add_compile_options(-Wcomma -Wmissing-variable-declarations -Wunreachable-code)
endif()
if(PH_WERROR)
  add_compile_options(-Werror)
endif()
