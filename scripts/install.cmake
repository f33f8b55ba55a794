# What `cmake --install` and `cpack` take from a build for packages (docs/install.md).
if(NOT ITO_PACKAGE)
  install(CODE "message(FATAL_ERROR \"this build runs on its own processor alone; install from another: \"
                        \"cmake --preset package && cmake --build --preset package && cmake --install build-package\")")
  return()
endif()
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$" OR ITO_CUDA)
  message(FATAL_ERROR "Packages are made for x86-64 and the CPU alone (for GPUs: scripts/gpu_check --pack)")
endif()

# Not a folder that the loader or the linker searches: what finds the libraries knows where they are.
set(LIBRARY_FOLDER lib/${CMAKE_LIBRARY_ARCHITECTURE}/ito)

# The programs, by names that nothing else in a prefix has. Before anything else they look at the processor, by code
# that any x86-64 runs.
set(PROGRAMS train_celeba sample studio evaluate inspect import make_faces)
set(PROGRAM_NAMES ito-train ito-sample ito-studio ito-evaluate ito-inspect ito-import ito-make-faces)
add_library(ito_processor OBJECT apps/processor/check.cpp apps/processor/has_avx2.cpp)
target_include_directories(ito_processor PRIVATE ${CMAKE_SOURCE_DIR})
target_compile_options(ito_processor PRIVATE -march=x86-64)
foreach(program name IN ZIP_LISTS PROGRAMS PROGRAM_NAMES)
  if(TARGET ${program})
    target_link_libraries(${program} PRIVATE ito_processor)
    set_target_properties(${program} PROPERTIES OUTPUT_NAME ${name} INSTALL_RPATH "$ORIGIN/../${LIBRARY_FOLDER}")
    install(TARGETS ${program} RUNTIME DESTINATION bin)
  endif()
endforeach()

# The engine and the readers of data sets. Of libito_kernels.so the loader takes the one in glibc-hwcaps/x86-64-v4 where
# the processor has AVX-512, since glibc 2.33.
ito_kernel_library(ito_kernels_v4 -march=x86-64-v4)
set(V4_FOLDER ${LIBRARY_FOLDER}/glibc-hwcaps/x86-64-v4)
set_target_properties(${ITO_SHARED} PROPERTIES INSTALL_RPATH "$ORIGIN"
                      LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${LIBRARY_FOLDER})
set_target_properties(ito_kernels_v4 PROPERTIES OUTPUT_NAME ito_kernels INSTALL_RPATH "$ORIGIN/../.."
                      LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${V4_FOLDER})
install(TARGETS ito_kernels_v4 LIBRARY DESTINATION ${V4_FOLDER})
list(REMOVE_ITEM ITO_SHARED ito_kernels_v4)
foreach(library ${ITO_SHARED})
  string(REPLACE ito_ "" name ${library})
  set_target_properties(${library} PROPERTIES EXPORT_NAME ${name})
endforeach()
target_compile_features(ito_base PUBLIC cxx_std_20)
install(TARGETS ${ITO_SHARED} EXPORT ito LIBRARY DESTINATION ${LIBRARY_FOLDER} INCLUDES DESTINATION include/ito)

# Their headers, under the paths by which they include each other, and the CMake package.
set(HEADER_FOLDERS kernels kernels/base engine engine/io data data/cache data/celeba_files data/pictures)
foreach(folder ${HEADER_FOLDERS})
  file(GLOB headers CONFIGURE_DEPENDS ${folder}/*.h)
  list(FILTER headers EXCLUDE REGEX "/(cuda_launch|json_text|codecs|commands)\\.h$")  # used by sources alone
  install(FILES ${headers} DESTINATION include/ito/${folder})
endforeach()
include(CMakePackageConfigHelpers)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/ito-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES scripts/ito-config.cmake ${CMAKE_BINARY_DIR}/ito-config-version.cmake DESTINATION lib/cmake/ito)
install(EXPORT ito NAMESPACE ito:: FILE ito-targets.cmake DESTINATION lib/cmake/ito)
install(FILES LICENSE DESTINATION share/doc/ito RENAME copyright)
install(DIRECTORY data/drawn_model DESTINATION share/ito)  # ito-sample draws from it where there is no run
install(FILES docs/install.md DESTINATION share/doc/ito)
install(FILES docs/example/CMakeLists.txt docs/example/classifier.cpp DESTINATION share/doc/ito/example)

# cpack: a .deb that depends on whatever owns the libraries that are linked.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ito)
set(CPACK_PACKAGE_CONTACT "The Ito authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "trains and samples diffusion models of faces, from scratch")
set(CPACK_PACKAGE_DESCRIPTION "ito-train, ito-sample, ito-studio, ito-evaluate, ito-inspect, ito-import and ito-make-faces,
and the engine beneath them as a C++ library (find_package(ito)).")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "g++, cmake")
include(CPack)

if(ITO_TESTS)
  enable_testing()
  add_subdirectory(tests/install)
endif()
