# The Debian package: `cmake --build build/release --target package` makes revproxyd_<version>-<revision>_<architecture>.deb. Its files
# are those of `cmake --install`, brought by arrange.cmake to where Debian wants them,
# packed by pack.cmake.
set(debian ${CMAKE_CURRENT_LIST_DIR})

# The newest entry of the changelog has the revision of the package.
file(STRINGS ${debian}/changelog entry LIMIT_COUNT 1)
if(NOT entry MATCHES "^revproxyd \\(([^-)]+)-([^-)]+)\\) " OR NOT CMAKE_MATCH_1 STREQUAL PROJECT_VERSION)
  message(FATAL_ERROR "packaging/debian/changelog does not begin with version ${PROJECT_VERSION}: ${entry}")
endif()
set(CPACK_DEBIAN_PACKAGE_RELEASE ${CMAKE_MATCH_2})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME revproxyd)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "revproxyd maintainers <maintainers@revproxyd.example>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "reverse proxy for HTTP/1.1 and HTTP/2")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Terminates TLS, routes, balances and health-checks HTTP traffic, gRPC and
WebSocket included. Messages that are ambiguous are refused, a reload of the
configuration loses no request, and the configuration is checked as a whole
before it is taken up.")
set(CPACK_DEBIAN_PACKAGE_SECTION httpd)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE none)  # pack.cmake compresses
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
# The umask of whoever builds is not the package's.
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

# Libraries are found by dpkg-shlibdeps.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS adduser)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS ca-certificates)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS logrotate)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    ${debian}/postinst ${debian}/prerm ${debian}/postrm ${debian}/conffiles)

set(CPACK_PRE_BUILD_SCRIPTS ${debian}/arrange.cmake)
set(CPACK_POST_BUILD_SCRIPTS ${debian}/pack.cmake)
set(CPACK_REVPROXYD_SOURCES ${PROJECT_SOURCE_DIR})
include(CPack)
