#include "model/metrics/weight_source.h"

#include <cmath>
#include <fstream>
#include <memory>

#include "engine/io/safetensors.h"
#include "engine/io/torch_file.h"
#include "kernels/base/error.h"

namespace ito::model {

namespace {

/// After the length of its header a safetensors file has the header's brace; PyTorch's files have a zero or a
/// part of their magic number there.
bool is_safetensors(const std::filesystem::path& file) {
  constexpr int kPrefix = 9;
  char start[kPrefix] = {};
  std::ifstream(file, std::ios::binary).read(start, kPrefix);
  return start[kPrefix - 1] == '{';
}

std::vector<float> numbers(const io::SafetensorsReader& reader, const std::string& name) {
  return reader.values<float>(name);
}
std::vector<float> numbers(const io::TorchFileReader& reader, const std::string& name) {
  return reader.values(name);
}

template <class Reader>
WeightSource source_of(const std::filesystem::path& file) {
  const auto reader = std::make_shared<const Reader>(file);
  return [reader](const std::string& name, const std::vector<int64_t>& shape) {
    const std::vector<int64_t>& found = reader->at(name).shape;
    if (found != shape)
      fail(cat(reader->path().string(), ": '", name, "' is ", io::shape_text(found), ", expected ",
               io::shape_text(shape), ": these are another network's weights"));
    std::vector<float> values = numbers(*reader, name);
    for (const float v : values)
      if (!std::isfinite(v)) fail(cat(reader->path().string(), ": '", name, "' holds ", v));
    return values;
  };
}

}  // namespace

WeightSource weights_of_file(const std::filesystem::path& file) {
  return is_safetensors(file) ? source_of<io::SafetensorsReader>(file) : source_of<io::TorchFileReader>(file);
}

}  // namespace ito::model
