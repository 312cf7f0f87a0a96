# What the proxy does most, as counted by tests/bench/profile.py, for the optimizer of clang 19; other compilers do without, since
# the counts belong to control flow as this one sees it. A function that has changed since is compiled like one never counted.
set(REVPROXYD_PROFILE "" CACHE STRING "use: optimize by packaging/profile.proftext; generate: count")
set_property(CACHE REVPROXYD_PROFILE PROPERTY STRINGS "" use generate)

set(REVPROXYD_PROFILE_OPTIONS)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 19
   AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 20)
  # Functions of one file are told apart by its name, not by the directory that the sources happen to be in.
  set(by_name "SHELL:-mllvm -static-func-full-module-prefix=false")
  if(REVPROXYD_PROFILE STREQUAL "use")
    find_program(LLVM_PROFDATA llvm-profdata-19 REQUIRED)
    set(text ${PROJECT_SOURCE_DIR}/packaging/profile.proftext)
    # Its name changes with what it says: objects made by different profiles do not link.
    file(SHA256 ${text} digest)
    string(SUBSTRING ${digest} 0 12 digest)
    set(indexed ${PROJECT_BINARY_DIR}/profile-${digest}.profdata)
    set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${text})
    execute_process(COMMAND ${LLVM_PROFDATA} merge -o ${indexed} ${text} COMMAND_ERROR_IS_FATAL ANY)
    set(REVPROXYD_PROFILE_OPTIONS -fprofile-use=${indexed} ${by_name} -Wno-backend-plugin)
  elseif(REVPROXYD_PROFILE STREQUAL "generate")
    set(REVPROXYD_PROFILE_OPTIONS -fprofile-generate -fprofile-update=atomic ${by_name})
    target_link_options(revproxyd_options INTERFACE -fprofile-generate)
  endif()
elseif(REVPROXYD_PROFILE STREQUAL "use")
  message(STATUS "No profile for this compiler: it is of clang 19")
elseif(REVPROXYD_PROFILE STREQUAL "generate")
  message(FATAL_ERROR "REVPROXYD_PROFILE=generate needs clang 19")
endif()
