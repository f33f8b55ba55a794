#pragma once

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <filesystem>
#include <string>

#include "tests/helpers.h"

/// What the readers' tests share beside helpers.h.
namespace ito::tests {

inline std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(ITO_SOURCE_DIR) / "tests/fixtures" / name;
}

/// The most memory this process has had resident so far, in bytes.
inline int64_t peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t(usage.ru_maxrss) * 1024;
}

}  // namespace ito::tests
