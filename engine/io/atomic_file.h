#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>

#include "engine/io/temporary.h"

namespace ito::io {

/// A file that appears under its name complete or not at all. `write` streams into a temporary sibling;
/// `commit` makes it durable and renames it into place, over an older file of that name. Without `commit`,
/// nothing is left. Error: cannot create, disk full, cannot rename; always with the file's name.
class AtomicFile {
 public:
  /// If a folder gets very many files, leftovers are better kept here, and cleaned once for all of them.
  explicit AtomicFile(const std::filesystem::path& path, Leftovers leftovers = Leftovers::clean);
  void write(const void* data, uint64_t bytes);
  /// Not `durable`: does not wait for the disk. Readers still find the whole file, but it may be lost if the machine
  /// fails.
  void commit(bool durable = true);

 private:
  std::filesystem::path path_;
  Temporary temporary_;
};

void write_file_atomic(const std::filesystem::path& path, std::string_view bytes);

/// A symbolic link that points to `target` (relative to the link's own folder) or keeps pointing to what it
/// did before, durably. One writer at a time. Error: something other than a link is there; cannot write.
void write_link_atomic(const std::filesystem::path& link, const std::filesystem::path& target);

/// A whole (small) file as text. Error: missing or unreadable, or larger than `max_bytes`.
std::string read_file(const std::filesystem::path& path, uint64_t max_bytes = 64 << 20);

}  // namespace ito::io
