#include "model/import/foreign_tensors.h"

#include <map>
#include <memory>
#include <set>

#include "engine/io/atomic_file.h"
#include "engine/io/safetensors.h"
#include "model/json_value.h"

namespace ito::model {

namespace fs = std::filesystem;

ForeignTensors torch_tensors(const fs::path& file, io::TorchContent content) {
  const auto reader = std::make_shared<const io::TorchFileReader>(file, content);
  ForeignTensors tensors;
  for (const io::TorchTensor& tensor : reader->tensors())
    tensors.push_back({tensor.name, tensor.shape, [reader, name = tensor.name](const io::TakeNumbers& take) {
                         reader->read(name, take);
                       }});
  return tensors;
}

ForeignTensors safetensors_tensors(const fs::path& file) {
  const auto reader = std::make_shared<const io::SafetensorsReader>(file);
  ForeignTensors tensors;
  for (const io::TensorInfo& tensor : reader->tensors())
    tensors.push_back({tensor.name, tensor.shape, [reader, name = tensor.name](const io::TakeNumbers& take) {
                         reader->reals(name, take);
                       }});
  return tensors;
}

namespace {

/// The tensors of each file that an index names.
std::map<std::string, std::set<std::string>> read_index(const fs::path& index) {
  std::map<std::string, std::set<std::string>> wanted;
  try {
    const auto json = parse_shallow(io::read_file(index), "it is nested too deeply");
    for (const auto& [name, file] : json.at("weight_map").items())
      wanted[file.get<std::string>()].insert(name);
  } catch (const nlohmann::json::exception& e) {
    fail(cat(index.string(), " is no index of weights: ", e.what()));
  } catch (const Error& e) {
    e.rethrow_at(index.string());
  }
  for (const auto& [file, names] : wanted)
    if (fs::path(file).filename() != file)
      fail(cat(index.string(), ": '", file, "' is not a file next to it"));
  return wanted;
}

}  // namespace

std::vector<fs::path> files_of_index(const fs::path& index) {
  std::vector<fs::path> files;
  for (const auto& [file, names] : read_index(index)) files.push_back(index.parent_path() / file);
  return files;
}

ForeignTensors indexed_tensors(const fs::path& index) {
  ForeignTensors all;
  for (const auto& [file, names] : read_index(index)) {
    const fs::path path = index.parent_path() / file;
    const ForeignTensors tensors =
        path.extension() == ".safetensors" ? safetensors_tensors(path) : torch_tensors(path);
    std::set<std::string> missing = names;
    for (const ForeignTensor& tensor : tensors) {
      if (missing.erase(tensor.name) == 0)
        fail(cat(path.string(), " has ", tensor.name, ", which ", index.string(), " does not name for it"));
      all.push_back(tensor);
    }
    if (!missing.empty()) fail(cat(path.string(), " lacks ", *missing.begin(), "; download it again"));
  }
  return all;
}

ForeignTensors below(const ForeignTensors& tensors, const std::string& prefix) {
  ForeignTensors found;
  for (ForeignTensor tensor : tensors) {
    if (tensor.name.rfind(prefix, 0) != 0) continue;
    tensor.name.erase(0, prefix.size());
    found.push_back(std::move(tensor));
  }
  return found;
}

}  // namespace ito::model
