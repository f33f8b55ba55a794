# find_package(ito): targets ito::engine (tensors, gradients, optimizer) and ito::data (pictures and their lists).
include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(OpenMP COMPONENTS CXX)
include(${CMAKE_CURRENT_LIST_DIR}/ito-targets.cmake)
