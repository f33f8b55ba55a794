#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/io/npy.h"
#include "engine/io/zip.h"

/// NumPy's .npz files: a zip archive of .npy files, stored (numpy.savez) or deflated (savez_compressed); the
/// array "mu" is the entry "mu.npy".
namespace ito::io {

/// One array of an archive, read in order and in pieces of any size, so that the whole array need not fit in memory.
/// The reader outlives it. Error, the place first: damaged, or asked for more numbers than there are.
class NpzStream {
 public:
  const NpyHeader& header() const { return header_; }
  void read(void* to, uint64_t bytes) { stream_.read(to, bytes); }

 private:
  friend class NpzReader;
  NpzStream(ZipStream stream, const std::string& place);

  ZipStream stream_;
  NpyHeader header_;
};

/// Opening reads the directory only. Error, with the archive's and the array's name: not an .npz, or one that ZipReader
/// or read_npy would refuse.
class NpzReader {
 public:
  explicit NpzReader(const std::filesystem::path& path);

  /// The arrays' names, in the archive's order; other entries are ignored.
  const std::vector<std::string>& names() const { return names_; }
  bool has(const std::string& name) const;
  /// Error: no such array; with the names of those that exist.
  NpzStream open(const std::string& name) const;
  /// A whole array. Error: more than `max_bytes`.
  NpyArray array(const std::string& name, uint64_t max_bytes = uint64_t(1) << 30) const;

 private:
  ZipReader zip_;
  std::vector<std::string> names_;
};

/// Writes an archive that NumPy reads, complete on `commit` or not there at all. Error: a repeated name, a
/// type that .npy does not have, disk full.
class NpzWriter {
 public:
  enum class Packing { stored, deflated };  // numpy.savez, numpy.savez_compressed

  explicit NpzWriter(const std::filesystem::path& path, Packing packing = Packing::stored);
  void add(const std::string& name, ElementType type, const std::vector<int64_t>& shape, const void* data);
  void commit() { zip_.commit(); }

 private:
  std::filesystem::path path_;
  Packing packing_;
  ZipWriter zip_;
};

}  // namespace ito::io
