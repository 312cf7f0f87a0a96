# Run by CPack between installing and packing: moves the files of `cmake --install` to where Debian wants them, adds what only the
# package has, and gives everything the same time, that of SOURCE_DATE_EPOCH or else of the newest entry in the changelog.
set(root ${CPACK_TEMPORARY_INSTALL_DIRECTORY})
set(doc ${root}/usr/share/doc/revproxyd)
set(debian ${CPACK_REVPROXYD_SOURCES}/packaging/debian)

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY OUTPUT_VARIABLE out OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(out "${out}" PARENT_SCOPE)
endfunction()

# place(FILE DIRECTORY NAME): copied, readable by all.
function(place file directory name)
  configure_file(${file} ${directory}/${name} COPYONLY)
  file(CHMOD ${directory}/${name} PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
endfunction()

file(MAKE_DIRECTORY ${root}/lib)
file(RENAME ${root}/usr/lib/systemd ${root}/lib/systemd)
file(REMOVE_RECURSE ${root}/usr/lib)

place(${debian}/revproxyd.yaml ${root}/etc/revproxyd revproxyd.yaml)
place(${CPACK_REVPROXYD_SOURCES}/packaging/revproxyd.logrotate ${root}/etc/logrotate.d revproxyd)
file(REMOVE ${doc}/revproxyd.logrotate)

place(${debian}/copyright ${doc} copyright)
file(REMOVE ${doc}/LICENSE)
place(${debian}/changelog ${doc} changelog.Debian)
place(${CPACK_REVPROXYD_SOURCES}/docs/changelog.md ${doc} changelog)
place(${debian}/lintian-overrides ${root}/usr/share/lintian/overrides revproxyd)
run(gzip -9n ${doc}/changelog.Debian ${doc}/changelog ${root}/usr/share/man/man8/revproxyd.8)

if("$ENV{SOURCE_DATE_EPOCH}" STREQUAL "")
  run(dpkg-parsechangelog -l ${debian}/changelog -S Timestamp)
  set(ENV{SOURCE_DATE_EPOCH} ${out})
endif()
run(find ${root} -type d -exec chmod 0755 {} +)
run(find ${root} -exec touch --no-dereference --date=@$ENV{SOURCE_DATE_EPOCH} {} +)
