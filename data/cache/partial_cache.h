#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/cache/image_cache.h"
#include "kernels/base/file.h"

namespace ito::data {

/// The outcome of decoding some pictures in a row: how many there were, and which of them could not be read.
struct CacheChunk {
  struct Skipped {
    uint64_t index;  // in the chunk
    std::string reason;
  };
  uint64_t pictures = 0;
  uint64_t hash = 0;  // of the kept images' hashes
  std::vector<Skipped> skipped;
  uint64_t kept() const { return pictures - skipped.size(); }
};

/// A cache file in the making, locked by one process: the lock ends with that process, however it ends. Pixels go to
/// ".<name>.partial", and a line about each chunk, with checksums, to ".<name>.journal". The next process to hold it
/// goes on after the last chunk that both files hold undamaged.
class PartialCache {
 public:
  /// Waits while another process holds it, and calls `waiting` repeatedly; what that throws ends the wait. If the file
  /// system has no locks, warns once and goes on: two processes must not build it then. Error: the journal cannot be
  /// made.
  explicit PartialCache(const std::filesystem::path& target, const std::function<void()>& waiting = {},
                        const std::function<void(const std::string&)>& warn = {});
  /// Leaves only what a later process can go on with.
  ~PartialCache();
  PartialCache(const PartialCache&) = delete;
  PartialCache& operator=(const PartialCache&) = delete;

  /// The chunks that an interrupted build of the same `key` left, after their pixels were checked; what is left of any
  /// other build is removed. `hashes` receives the hash of every image they keep, in order. Call this first.
  std::vector<CacheChunk> resume(uint64_t key, size_t image_bytes, int threads,
                                 std::vector<uint64_t>& hashes);
  /// Error: the disk has fewer free bytes.
  void check_room(uint64_t bytes) const;
  /// Adds chunk.kept() images. Error: the disk is full; what was added before stays.
  void append(const CacheChunk& chunk, const uint8_t* pixels, size_t bytes);
  /// Appends the ending, makes the file durable and puts it in its place.
  void finish(const std::vector<uint8_t>& ending);
  /// Removes what was made: going on would lead to the same error.
  void discard();

 private:
  std::filesystem::path target_, pixels_path_, journal_path_;
  File journal_, pixels_;  // the journal, which has the lock, is closed last
  uint64_t pixel_bytes_ = 0, journal_bytes_ = 0;
  bool worth_keeping_ = false;
};

/// Removes the partial file and journal of `target`, unless a process is at work on them.
void remove_partial(const std::filesystem::path& target);

}  // namespace ito::data
