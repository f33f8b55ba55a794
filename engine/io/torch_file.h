#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/io/element_type.h"
#include "engine/io/mapped_file.h"
#include "engine/io/to_f32.h"

/// Files of PyTorch's torch.save: a pickle that describes tensors, and their storages. Until PyTorch 1.6 one after the
/// other, since then in a zip archive; both are read.
namespace ito::io {

struct TorchTensor {
  std::string name;
  ElementType type = ElementType::f32;
  std::vector<int64_t> shape, strides;  // strides and offset count elements of the storage
  int64_t offset = 0;
  std::string_view storage;  // its bytes, in the file

  int64_t size() const;
};

/// What a file may hold. state_dict: a dict of tensors by name. tree: dicts, lists and tuples in each other; tensors
/// are named by their keys and places, joined by "/" ("4/conv_in.weight"), and all else in it is ignored.
enum class TorchContent : uint8_t { state_dict, tree };

/// Opening reads and checks everything but the numbers, and in the zip form their checksums, too. The pickle
/// is not executed, and may only name globals of a fixed list. Any number of threads may read. Error: neither form,
/// truncated or overlong, damaged, a name twice, a pickle that names other globals, tensors beyond
/// their storage, storages beyond the file, big-endian, anything but the content that is asked for.
class TorchFileReader {
 public:
  explicit TorchFileReader(const std::filesystem::path& path,
                           TorchContent content = TorchContent::state_dict);

  const std::filesystem::path& path() const { return file_.path(); }
  /// In the file's order.
  const std::vector<TorchTensor>& tensors() const { return tensors_; }
  /// Null if there is no such tensor.
  const TorchTensor* find(const std::string& name) const;
  /// Error: no such tensor.
  const TorchTensor& at(const std::string& name) const;
  /// The numbers of one tensor in C order, rounded to f32. Error: no such tensor, another number of elements than `to`
  /// has, not of a real type.
  void read(const std::string& name, std::span<float> to) const;
  std::vector<float> values(const std::string& name) const;
  /// The same in pieces of whole rows (indices of the first axis), of about so many numbers each.
  void read(const std::string& name, const TakeNumbers& take, int64_t piece = kNumbersAPiece) const;

 private:
  const TorchTensor& real_at(const std::string& name) const;

  MappedFile file_;
  std::vector<TorchTensor> tensors_;
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace ito::io
