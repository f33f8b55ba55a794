#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

namespace ito::io {

/// A whole file, mapped read-only: opening costs nothing and pages are read when touched.
/// The file must not be shortened while it is mapped; our files are replaced by rename, never rewritten.
/// Error: the file is missing, unreadable or not a regular file.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  const std::byte* data() const { return data_; }
  uint64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace ito::io
