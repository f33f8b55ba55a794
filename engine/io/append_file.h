#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "kernels/base/file.h"

namespace ito::io {

/// A file that grows by whole records; it is created if missing. When `append` returns, the operating system has the
/// record (a kill does not lose it), though it is not yet durable. Error: cannot open or write; what was
/// written of a record that did not fit is removed, so that the file can grow further once there is room again.
class AppendFile {
 public:
  explicit AppendFile(const std::filesystem::path& path);
  void append(std::string_view record);

 private:
  std::filesystem::path path_;
  File file_;
  uint64_t size_;  // of the whole records
};

}  // namespace ito::io
