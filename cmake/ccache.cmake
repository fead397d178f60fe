# SPDX-License-Identifier: Apache-2.0
# ccache when it is there; nothing depends on it.
find_program(PH_CCACHE ccache)
if(PH_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER "${PH_CCACHE}")
endif()
mark_as_advanced(PH_CCACHE)
