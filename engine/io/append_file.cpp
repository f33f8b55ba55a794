#include "engine/io/append_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kernels/base/error.h"

namespace ito::io {

AppendFile::AppendFile(const std::filesystem::path& path) : path_(path) {
  descriptor_ = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail(cat(path.string(), ": cannot open for writing: ", std::strerror(errno)));
  size_ = lseek(descriptor_, 0, SEEK_END);
}

AppendFile::~AppendFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

void AppendFile::append(std::string_view record) {
  for (size_t done = 0; done < record.size();) {
    const ssize_t written = write(descriptor_, record.data() + done, record.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      const int error = errno;
      if (ftruncate(descriptor_, size_) != 0)
        fail(cat(path_.string(), ": ends in half a record after ", std::strerror(error)));
      fail(cat(path_.string(), ": cannot write: ", std::strerror(error)));
    }
    done += size_t(written);
  }
  size_ += int64_t(record.size());
}

}  // namespace ito::io
