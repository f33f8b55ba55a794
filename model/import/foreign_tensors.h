#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "engine/io/torch_file.h"

/// The tensors of files that other programs wrote, whatever their container.
namespace ito::model {

/// One tensor, which is read when it is asked for. Its file stays open as long as a copy of this lives.
struct ForeignTensor {
  std::string name;
  std::vector<int64_t> shape;
  /// Gives the numbers as f32 in C order, piece by piece: a tensor is never in memory as a whole. Error: not of real
  /// numbers.
  std::function<void(const io::TakeNumbers&)> read;
};
using ForeignTensors = std::vector<ForeignTensor>;

/// A file of torch.save (engine/io/torch_file.h).
ForeignTensors torch_tensors(const std::filesystem::path& file,
                             io::TorchContent content = io::TorchContent::state_dict);
/// A safetensors file.
ForeignTensors safetensors_tensors(const std::filesystem::path& file);
/// The files that an index ("weight_map": tensor -> file in the index's folder) names. Error: not such an index; a file
/// lacks a tensor, or has others.
ForeignTensors indexed_tensors(const std::filesystem::path& index);

/// The files that an index names. Error: not such an index.
std::vector<std::filesystem::path> files_of_index(const std::filesystem::path& index);

/// Those whose name begins with the prefix, without it.
ForeignTensors below(const ForeignTensors& tensors, const std::string& prefix);

}  // namespace ito::model
