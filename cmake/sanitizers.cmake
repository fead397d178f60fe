# SPDX-License-Identifier: Apache-2.0
# Sanitizers stop at the first finding: a report that only scrolls by is no test.
if(PH_SANITIZE)
  add_compile_options("-fsanitize=${PH_SANITIZE}" -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options("-fsanitize=${PH_SANITIZE}")
  add_compile_definitions(PH_SANITIZED=1)
endif()
if(PH_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "PH_FUZZ needs clang: use the preset `fuzz`")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(PH_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()
