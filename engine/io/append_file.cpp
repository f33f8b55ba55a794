#include "engine/io/append_file.h"

#include <cstring>

namespace ito::io {

AppendFile::AppendFile(const std::filesystem::path& path)
    : path_(path), file_(path, File::Mode::append), size_(file_.size()) {}

void AppendFile::append(std::string_view record) {
  try {
    file_.write(record.data(), record.size(), "");
  } catch (const FileError& error) {
    try {
      file_.truncate(size_);
    } catch (const FileError&) {
      fail(cat(path_.string(), ": ends in half a record after ", std::strerror(error.code())));
    }
    throw;
  }
  size_ += record.size();
}

}  // namespace ito::io
