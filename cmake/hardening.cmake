# SPDX-License-Identifier: Apache-2.0
# Flags of every build, and those that harden the shipped one (PH_HARDEN).
add_compile_definitions(_GNU_SOURCE)
# All code ends up in executables, so PIE everywhere and no PIC.
add_compile_options(-fPIE -fno-common -fstack-protector-strong)
add_link_options(-pie)
# Messages name files from the root of the tree. In what is shipped the debug information does not
# know where it was built either, so that two checkouts in different folders give the same bytes; a
# developer's debugger and gcov want the true places. (-ffile-prefix-map is both in one, but would
# give both the same names.)
add_compile_options("-fmacro-prefix-map=${CMAKE_SOURCE_DIR}/=")
if(PH_HARDEN)
  add_compile_options("-fdebug-prefix-map=${CMAKE_SOURCE_DIR}=/usr/src/posthorn")
endif()

if(PH_HARDEN)
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-clash-protection)
  if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
    add_compile_options(-fcf-protection=full)
  endif()
  add_link_options(-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,separate-code)
endif()
add_link_options(-Wl,--as-needed)
