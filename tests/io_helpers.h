#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "kernels/base/process_memory.h"
#include "tests/helpers.h"

/// What the readers' tests share besides helpers.h.
namespace ito::tests {

inline std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(ITO_SOURCE_DIR) / "tests/fixtures" / name;
}

/// The most memory this process has had resident so far, in bytes.
inline int64_t peak_memory() { return int64_t(ito::peak_resident_bytes()); }

}  // namespace ito::tests
