# Run by CPack when the package is there: dpkg-deb packs it again, since CPack lets the umask of whoever builds into it.
foreach(package ${CPACK_PACKAGE_FILES})
  file(REMOVE_RECURSE ${package}.d)
  foreach(step "--raw-extract;${package};${package}.d" "--root-owner-group;-Zxz;--build;${package}.d;${package}")
    execute_process(COMMAND dpkg-deb ${step} COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
  endforeach()
  file(REMOVE_RECURSE ${package}.d)
endforeach()
