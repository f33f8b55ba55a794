#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/io/atomic_file.h"
#include "engine/io/inflate.h"
#include "engine/io/mapped_file.h"

/// Zip archives (PKWARE's APPNOTE.TXT 6.3), stored and deflated entries, with zip64: local headers, each with
/// its data behind it, then the central directory, then the end record. The directory is what counts.
namespace ito::io {

struct ZipEntry {
  /// As it is stored, UTF-8 or whatever its writer had, except for '\\', which becomes '/'. Ends with '/' for a folder.
  std::string name;
  uint64_t bytes = 0;
  uint64_t packed_bytes = 0;
  uint32_t checksum = 0;  // CRC-32 of the bytes
  uint16_t method = 0;    // 0 stored, 8 deflated
  /// What of the archive is this entry's, its local header first.
  uint64_t begin = 0, end = 0;
};

/// Reads an archive in place; opening reads the directory only, to its end (copies with more than 65,535
/// entries exist whose counter has wrapped). Any number of threads may read. Error: not a zip (with a hint if it is
/// an HTML page), truncated, in several parts, encrypted, another compression than the two, entries that overlap,
/// that claim more bytes than there are, or that are named "/x", "../x" or like another one.
class ZipReader {
 public:
  explicit ZipReader(const std::filesystem::path& path);
  /// Reads bytes that outlive the reader; errors call them `name`.
  ZipReader(std::string_view bytes, std::string name);
  ZipReader(const ZipReader&) = delete;
  ZipReader& operator=(const ZipReader&) = delete;

  /// The path, or the name given.
  const std::string& name() const { return name_; }
  /// In the directory's order.
  const std::vector<ZipEntry>& entries() const { return entries_; }
  /// Null if there is no such entry.
  const ZipEntry* find(std::string_view name) const;
  /// "ARCHIVE/ENTRY", by which errors name an entry.
  std::string place(const ZipEntry& entry) const;
  /// The entry's bytes, checked against its checksum. Error, the place first: damaged, or more than
  /// `max_bytes`.
  std::vector<uint8_t> read(const ZipEntry& entry, uint64_t max_bytes = uint64_t(1) << 30) const;
  /// The entry's bytes as the archive has them, compressed or not, in place; only their position is checked. Error, the
  /// place first: its header is not the directory's.
  std::string_view packed(const ZipEntry& entry) const;

 private:
  [[noreturn]] void fail_archive(const std::string& what) const;
  void open();
  void check_layout(uint64_t directory);
  std::string_view locate(const ZipEntry& entry) const;

  std::string name_;
  std::unique_ptr<MappedFile> file_;
  std::string_view bytes_;
  std::vector<ZipEntry> entries_;
  std::unordered_map<std::string_view, size_t> index_;
};

/// One entry's bytes, read in order and in pieces of any size, and not kept. The reader and the entry outlive the
/// stream. Error, the place first: damaged, or asked for more than there is. The checksum is compared with the last
/// byte.
class ZipStream {
 public:
  ZipStream(const ZipReader& zip, const ZipEntry& entry);
  uint64_t left() const { return entry_->bytes - done_; }
  void read(void* to, uint64_t bytes);

 private:
  [[noreturn]] void fail_entry(const std::string& what) const;
  void check_end() const;

  const ZipReader* zip_;
  const ZipEntry* entry_;
  std::string_view stored_;
  std::unique_ptr<Inflater> inflater_;  // null for an entry that is not compressed
  uint64_t done_ = 0;
  uint32_t checksum_ = 0;
};

/// Writes an archive whose bytes depend only on what is added (every time is 1980-01-01). Complete under its
/// name on `commit`, or not there at all. zip64 fields are written if a number needs them. Error: a name
/// that a reader would refuse, a repeated name, disk full.
class ZipWriter {
 public:
  enum class Packing { stored, deflated };

  explicit ZipWriter(const std::filesystem::path& path);
  void add(const std::string& name, const void* data, uint64_t bytes, Packing packing = Packing::stored);
  void commit();

 private:
  void write(std::string_view bytes);

  std::filesystem::path path_;
  AtomicFile file_;
  uint64_t written_ = 0;
  std::vector<ZipEntry> entries_;
  std::unordered_set<std::string> names_;
};

}  // namespace ito::io
