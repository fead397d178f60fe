# SPDX-License-Identifier: Apache-2.0
# Every test is a program of its own, and GNU ld takes a quarter of a build's processor time to link
# them: mold when it is there, else lld, for all but what is shipped. Nothing depends on it.
include(CheckLinkerFlag)
if(NOT PH_HARDEN)
  check_linker_flag(C -fuse-ld=mold PH_MOLD)
  if(PH_MOLD)
    add_link_options(-fuse-ld=mold)
  else()
    check_linker_flag(C -fuse-ld=lld PH_LLD)
    if(PH_LLD)
      add_link_options(-fuse-ld=lld)
    endif()
  endif()
endif()
