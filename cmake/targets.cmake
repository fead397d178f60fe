# SPDX-License-Identifier: Apache-2.0
# How libraries and tests are made.

# ph_library(NAME SOURCES file... LINKS library...): one folder of src/ as a static library. What it
# links is what it may include. Without sources yet it is an empty library that others can link.
function(ph_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINKS")
  if(arg_SOURCES)
    add_library(${name} STATIC ${arg_SOURCES})
    target_include_directories(${name} PUBLIC "${CMAKE_SOURCE_DIR}/src")
    target_link_libraries(${name} PUBLIC ${arg_LINKS})
  else()
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE "${CMAKE_SOURCE_DIR}/src")
    target_link_libraries(${name} INTERFACE ${arg_LINKS})
  endif()
endfunction()

# What a sanitizer needs to know when ctest starts a test, and where a test may keep what it made
# for the others.
set(ph_test_environment
    "ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1"
    "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
    "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1"
    "POSTHORN_TEST_KEEP=${CMAKE_BINARY_DIR}/tests")

# ph_test_code(TARGET): what only tests run. With sanitizers clang needs less than half the time
# when it does not optimise, and nobody waits for a test's own loops. gcc's warnings want
# optimisation.
function(ph_test_code target)
  if(PH_SANITIZE AND NOT PH_FUZZ)
    target_compile_options(${target} PRIVATE -O0)
  endif()
endfunction()

# ph_unit_test(NAME [LABEL label] [TIMEOUT seconds] [SOURCES file...] LIBS library...): one cmocka
# executable, NAME.c unless SOURCES says otherwise, registered with ctest.
function(ph_unit_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "LABEL;TIMEOUT" "SOURCES;LIBS")
  if(NOT arg_SOURCES)
    set(arg_SOURCES "${name}.c")
  endif()
  if(NOT arg_LABEL)
    set(arg_LABEL unit)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 600)
  endif()
  set(target "${arg_LABEL}_${name}")
  add_executable(${target} ${arg_SOURCES})
  ph_test_code(${target})
  target_include_directories(${target} PRIVATE "${CMAKE_SOURCE_DIR}/tests")
  target_link_libraries(${target} PRIVATE ${arg_LIBS} PkgConfig::cmocka)
  set_target_properties(${target} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests/${arg_LABEL}" OUTPUT_NAME "${name}")
  add_test(NAME "${arg_LABEL}/${name}" COMMAND ${target}
           WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  set_tests_properties("${arg_LABEL}/${name}" PROPERTIES
    LABELS "${arg_LABEL}" TIMEOUT ${arg_TIMEOUT} ENVIRONMENT "${ph_test_environment}")
endfunction()

# ph_highest_ring(ret_library file...): the library of the highest ring that the files include. A
# test links no more than it uses, so a change in src/api does not rebuild the tests of src/core.
function(ph_highest_ring ret_library)
  set(rings base core jq db store sinks flow http api surfaces app)
  set(highest 0)
  foreach(file IN LISTS ARGN)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
    file(STRINGS "${file}" lines REGEX "^#include \"[a-z]+/")
    foreach(line IN LISTS lines)
      string(REGEX REPLACE "^#include \"([a-z]+)/.*" "\\1" folder "${line}")
      list(FIND rings "${folder}" position)
      if(position GREATER highest)
        set(highest ${position})
      endif()
    endforeach()
  endforeach()
  list(GET rings ${highest} ring)
  set(${ret_library} "ph_${ring}" PARENT_SCOPE)
endfunction()

# ph_test_folder(LABEL TIMEOUT): every test_*.c of the current folder is a test; what other .c files
# it has are shared by them.
function(ph_test_folder label timeout)
  file(GLOB tests CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/test_*.c")
  file(GLOB shared CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.c")
  list(FILTER shared EXCLUDE REGEX "/test_[^/]*\\.c$")
  ph_highest_ring(library ${shared})
  ph_library("ph_${label}_shared" SOURCES ${shared} LINKS ${library} PkgConfig::cmocka)
  if(shared)
    ph_test_code("ph_${label}_shared")
    target_include_directories("ph_${label}_shared" PUBLIC "${CMAKE_SOURCE_DIR}/tests")
  endif()
  foreach(test IN LISTS tests)
    get_filename_component(name "${test}" NAME_WE)
    ph_highest_ring(library "${test}")
    ph_unit_test(${name} LABEL ${label} TIMEOUT ${timeout} LIBS "ph_${label}_shared" ${library})
  endforeach()
endfunction()
