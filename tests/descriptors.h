#pragma once

#include <cstddef>
#include <filesystem>
#include <iterator>

namespace ito::tests {

/// How many descriptors this process holds; the one that counts them is always among them.
inline std::ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

}  // namespace ito::tests
