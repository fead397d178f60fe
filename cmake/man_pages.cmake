# SPDX-License-Identifier: Apache-2.0
# cmake -DPROGRAM=… -DFOLDER=… -P man_pages.cmake: writes the man pages into a folder of their own.
execute_process(COMMAND "${PROGRAM}" help --names OUTPUT_VARIABLE names COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[a-z-]+" names "${names}")
file(REMOVE_RECURSE "${FOLDER}")
file(MAKE_DIRECTORY "${FOLDER}")
execute_process(COMMAND "${PROGRAM}" help --man
  OUTPUT_FILE "${FOLDER}/posthorn.1" COMMAND_ERROR_IS_FATAL ANY)
foreach(name IN LISTS names)
  execute_process(COMMAND "${PROGRAM}" help --man "${name}"
    OUTPUT_FILE "${FOLDER}/posthorn-${name}.1" COMMAND_ERROR_IS_FATAL ANY)
endforeach()
file(TOUCH "${FOLDER}/stamp")
