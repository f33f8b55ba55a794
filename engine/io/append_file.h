#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace ito::io {

/// A file that grows by whole records, made where there is none. Each is with the operating system when
/// `append` returns (a kill loses none), though not yet durable. Error: cannot open or write; what was
/// written of a record that did not fit is taken back, so that the file can go on once there is room again.
class AppendFile {
 public:
  explicit AppendFile(const std::filesystem::path& path);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  void append(std::string_view record);

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  int64_t size_ = 0;  // of the whole records
};

}  // namespace ito::io
