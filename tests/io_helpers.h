#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "engine/io/atomic_file.h"
#include "kernels/base/process_memory.h"
#include "tests/error_of.h"

/// What the readers' tests share: putting bytes into a file, and asking what is said about it.
namespace io_test {

inline std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(ITO_SOURCE_DIR) / "tests/fixtures" / name;
}

inline void put(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

using ito::tests::error_of;

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// The most memory this process has had resident so far, in bytes.
inline int64_t peak_memory() { return int64_t(ito::peak_resident_bytes()); }

}  // namespace io_test
