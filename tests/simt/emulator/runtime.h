#pragma once

#include <cstddef>
#include <set>
#include <string>

namespace simt {

/// Shared memory that the emulated device gives a block; tests lower it to reach the paths of smaller cards.
void set_shared_limit(size_t bytes);
inline constexpr size_t kSharedLimit = 227 * 1024;  // compute capability 9.0

/// Names of the kernels that this process has executed, without namespace and template arguments.
const std::set<std::string>& executed_kernels();

}  // namespace simt
