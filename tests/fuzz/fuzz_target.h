#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>
#include <string_view>

#include "kernels/base/error.h"

/// Called by libFuzzer, or by replay.cpp for each file of a corpus. What escapes it ends the program.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size);

/// What the fuzz targets share.
namespace ito::fuzz {

inline std::string_view text_of(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

/// The bytes as a file that is on no disk, for readers that take a path.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : file_(memfd_create("input", MFD_CLOEXEC)) {
    const bool whole = file_ >= 0 && write(file_, bytes.data(), bytes.size()) == ssize_t(bytes.size());
    if (!whole) std::perror("a file in memory"), std::abort();
  }
  ~MemoryFile() { close(file_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(file_); }

 private:
  int file_;
};

/// Ends the program, saying so, where what a reader made contradicts itself.
inline void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

/// Runs read(); Error is the one exception that a reader may throw, and 5 seconds of a processor all it may
/// take: libFuzzer's own limit counts those of other programs, too.
template <class Read>
int only_errors(Read&& read) {
  const std::clock_t begin = std::clock();
  try {
    read();
  } catch (const Error&) {
  }
  expect(std::clock() - begin <= 5 * CLOCKS_PER_SEC, "an input takes at most 5 seconds");
  return 0;
}

}  // namespace ito::fuzz
