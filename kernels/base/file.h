#pragma once

#include <cstdint>
#include <exception>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>

#include "kernels/base/error.h"

namespace ito {

/// What a system call's errno means and, where that helps, what to do.
std::string reason_of(int error);

/// What an exception says, for a user: of std::filesystem's the path and the reason, of others what().
std::string message_of(const std::exception& error);

/// An operation on a file that the system refused, with its errno.
class FileError : public Error {
 public:
  FileError(const std::string& message, std::string location, int code)
      : Error(message, std::move(location)), code_(code) {}
  int code() const { return code_; }

 private:
  int code_;
};

/// An open file or folder, closed with this object; its lock ends then, too. Every failure is a FileError
/// "NAME: cannot ...: REASON; ADVICE", where NAME is its path unless it is called otherwise and `advice` says
/// what to do about it: by default to make room, where that helps. Calls that a signal interrupts are
/// repeated, and none moves more than 1 GiB: Linux moves at most 2 GiB at once.
class File {
 public:
  enum class Mode {
    read,      ///< an existing file or folder
    folder,    ///< an existing folder, whose list of names may be read
    names,     ///< an existing folder, for status_of alone, which needs no right to list it
    fresh,     ///< to be written; must not exist yet
    append,    ///< to be written at its end, whatever is written; made where it is missing (by 0644)
    update,    ///< to be read and written; made where it is missing
    existing,  ///< to be read and written
    lock       ///< as update, but others may only read it (0644)
  };
  /// What try_lock came to; where a file system has no locks, errno says so.
  enum class Lock { ours, taken, impossible };
  struct Status {
    uint64_t bytes;
    int64_t seconds, nanoseconds;  ///< of its last change
  };

  File() = default;
  File(const std::filesystem::path& path, Mode mode, const char* advice = nullptr);
  /// Not open, with errno set, where that fails. `name`: what errors call it, where not by its path.
  static File try_open(const std::filesystem::path& path, Mode mode, const std::filesystem::path& name = {});
  ~File();
  File(File&& other) noexcept { swap(other); }
  File& operator=(File other) noexcept {
    swap(other);
    return *this;
  }

  bool is_open() const { return descriptor_ >= 0; }
  /// For what needs one: mapping.
  int descriptor() const { return descriptor_; }

  /// Locks the file for this object until it is closed. False if another holds the lock; a lock ends with its process.
  Lock try_lock() const;
  /// The same, after waiting for the holder. False, with errno set, where the file system has no locks.
  bool lock() const;
  /// It is still the file of this path; with `follow`, where the path leads if it is a link.
  bool is_at(const std::filesystem::path& path, bool follow = false) const;
  /// What is under a name in this folder, or under a path where this is not open; links are followed.
  std::optional<Status> status_of(const std::string& name) const;

  uint64_t size() const;
  /// The same; Error, too, if it is not a regular file.
  uint64_t regular_size() const;
  /// The bytes from `at` on, up to so many; how many there were before the end.
  uint64_t read_at(uint64_t at, void* to, uint64_t bytes) const;
  /// All of a regular file, as std::string or a vector of bytes. Error: it has more bytes than these.
  template <class Bytes>
  Bytes read_all(uint64_t max_bytes) const {
    const uint64_t size = regular_size();
    if (size > max_bytes) fail(cat(name_.string(), ": has ", size, " bytes, expected at most ", max_bytes));
    Bytes bytes;
    bytes.resize(size);
    bytes.resize(read_at(0, bytes.data(), size));
    return bytes;
  }

  /// All of it, behind what was written before.
  void write(const void* data, uint64_t bytes, const char* advice = nullptr) const;
  void write_at(uint64_t at, const void* data, uint64_t bytes, const char* advice = nullptr) const;
  void truncate(uint64_t bytes, const char* advice = nullptr) const;
  /// Waits until the content, or a folder's list of names, is durable (fsync).
  void sync(const char* advice = nullptr) const;
  /// Lets the disk begin with these bytes, which sync() then need not wait for.
  void begin_sync(uint64_t at, uint64_t bytes) const;

 private:
  [[noreturn]] void fail_with_errno(const char* what, const char* advice) const;
  void swap(File& other) noexcept;

  int descriptor_ = -1;
  std::filesystem::path name_;
};

/// A whole regular file. Error: it cannot be opened or read, or has more than `max_bytes`.
template <class Bytes>
Bytes read_whole(const std::filesystem::path& path, uint64_t max_bytes) {
  return File(path, File::Mode::read).read_all<Bytes>(max_bytes);
}

/// Swaps what is under two paths, in one step. False, with errno set, where it cannot be done.
bool exchange_names(const std::filesystem::path& a, const std::filesystem::path& b);

}  // namespace ito
