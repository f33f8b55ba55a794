#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace ito::model {

/// Gives a network's weights: the numbers of tensor `name`, f32, row-major in PyTorch's layout (filters
/// [K,C,R,S]). Error: there is no such tensor, or not of this shape.
using WeightSource =
    std::function<std::vector<float>(const std::string& name, const std::vector<int64_t>& shape)>;

/// The tensors of a file of weights, safetensors or what torch.save wrote (whatever its name says), which
/// stays open as long as a copy of the source lives. Error: the reader's; a tensor that holds NaN or
/// infinity.
WeightSource weights_of_file(const std::filesystem::path& file);

}  // namespace ito::model
