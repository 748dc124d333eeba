# Headers, libraries, package configuration for find_package(punctum), and pkg-config.
include(CMakePackageConfigHelpers)
set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/punctum)
install(FILES include/punctum.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS punctum_shared EXPORT punctum-targets)
# A static library links the interface of what it was built with; only its own name is exported.
install(TARGETS punctum_static EXPORT punctum-targets)
install(EXPORT punctum-targets NAMESPACE punctum:: DESTINATION ${config_dir})
set(PUNCTUM_CXX_RUNTIME stdc++)
if(APPLE OR CMAKE_CXX_FLAGS MATCHES "-stdlib=libc\\+\\+")
  set(PUNCTUM_CXX_RUNTIME c++)
endif()
configure_package_config_file(
  cmake/punctum-config.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/punctum-config.cmake INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/punctum-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/punctum-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/punctum-config-version.cmake
        DESTINATION ${config_dir})
# The prefix is found from where the file lies, so an installation may be moved.
file(RELATIVE_PATH PUNCTUM_UP "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" PUNCTUM_UP "${PUNCTUM_UP}")
set(modules punctum)
if(PUNCTUM_CUDA)
  list(APPEND modules punctum_cuda)
endif()
foreach(module IN LISTS modules)
  configure_file(cmake/${module}.pc.in ${CMAKE_CURRENT_BINARY_DIR}/${module}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${module}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
