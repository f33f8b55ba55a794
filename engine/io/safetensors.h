#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/io/atomic_file.h"
#include "engine/io/element_type.h"
#include "engine/io/mapped_file.h"
#include "engine/io/to_f32.h"

/// The safetensors format (github.com/huggingface/safetensors): 8 bytes, little-endian: length of the header;
/// the header, JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...,
/// "__metadata__": {...}}; then the tensors' bytes without gaps.
namespace ito::io {

using Metadata = std::map<std::string, std::string>;

/// One tensor of a file. begin and end count from the start of the data, after the header.
struct TensorInfo {
  std::string name;
  ElementType type = ElementType::f32;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;
  uint64_t bytes() const { return end - begin; }
};

/// Reads a file through a memory map: opening reads the header only. The header is checked completely,
/// against the file's true size, before anything is believed. Error: truncated or overlong file, bad JSON,
/// unknown dtype, repeated name, shape that contradicts its range, gaps or overlaps.
class SafetensorsReader {
 public:
  explicit SafetensorsReader(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.path(); }
  const Metadata& metadata() const { return metadata_; }
  /// In the order of their bytes.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  /// Null if there is no such tensor.
  const TensorInfo* find(const std::string& name) const;
  /// Error: no such tensor.
  const TensorInfo& at(const std::string& name) const;

  /// Valid as long as the reader. Not aligned for its type if the file's writer did not care: copy with
  /// memcpy.
  const std::byte* data(const TensorInfo& tensor) const { return data_ + tensor.begin; }
  /// The numbers of one tensor. Error: no such tensor, or stored as another type than T.
  template <class T>
  std::vector<T> values(const std::string& name) const;
  /// The numbers of one tensor as f32 (to_f32.h). Error: no such tensor, or of another type than F16, BF16, F32 or F64.
  std::vector<float> reals(const std::string& name) const;
  /// The same in pieces of so many numbers, in memory that does not grow with the tensor.
  void reals(const std::string& name, const TakeNumbers& take, int64_t piece = kNumbersAPiece) const;

 private:
  void parse_header(uint64_t header_bytes);
  void check_ranges(uint64_t data_bytes);
  const TensorInfo& real_at(const std::string& name) const;
  void copy_values(const std::string& name, ElementType wanted, void* destination) const;

  MappedFile file_;
  const std::byte* data_ = nullptr;
  Metadata metadata_;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string, size_t> index_;
};

template <class T>
std::vector<T> SafetensorsReader::values(const std::string& name) const {
  std::vector<T> result(at(name).bytes() / sizeof(T));
  copy_values(name, element_type_of<T>::value, result.data());
  return result;
}

/// What a tensor will be, before its bytes are given.
struct TensorSpec {
  std::string name;
  ElementType type = ElementType::f32;
  std::vector<int64_t> shape;
};

/// Writes a file whose bytes depend on the arguments alone: tensors in the order given, metadata sorted,
/// header padded with spaces to a multiple of 8. The bytes are streamed, in any pieces, and appear under the
/// name on `finish`. Error: repeated name, bad shape, tensor not aligned to its element size (put wider types
/// first), bytes too few or many.
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::filesystem::path& path, const std::vector<TensorSpec>& tensors,
                    const Metadata& metadata = {});
  void write(const void* data, uint64_t bytes);
  void finish();

 private:
  std::filesystem::path path_;
  AtomicFile file_;
  uint64_t expected_ = 0, written_ = 0;
};

/// A tensor in memory, contiguous.
struct TensorEntry {
  TensorSpec spec;
  const void* data = nullptr;
};

void write_safetensors(const std::filesystem::path& path, const std::vector<TensorEntry>& tensors,
                       const Metadata& metadata = {});

}  // namespace ito::io
