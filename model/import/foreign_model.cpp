#include "model/import/foreign_model.h"

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/checkpoint.h"
#include "engine/io/atomic_folder.h"
#include "engine/io/json_text.h"
#include "engine/io/safetensors.h"
#include "engine/io/sha256.h"
#include "model/import/scheduler.h"
#include "model/unet/network.h"

namespace ito::model {

namespace fs = std::filesystem;

namespace {

/// Extents of 1 at the end mean nothing: a 1x1 convolution [K,C,1,1] is a matrix [K,C].
std::vector<int64_t> without_ones(std::vector<int64_t> shape) {
  while (!shape.empty() && shape.back() == 1) shape.pop_back();
  return shape;
}

/// The foreign tensor of each parameter, in the parameters' order.
std::vector<const ForeignTensor*> matched(const ForeignModel& model, const engine::ParamStore& store) {
  const std::string file = model.file.string();
  std::map<std::string, const ForeignTensor*> unused;
  for (const ForeignTensor& tensor : model.tensors) unused[tensor.name] = &tensor;
  std::vector<const ForeignTensor*> result;
  for (const engine::ParameterSpec& spec : store.specs()) {
    const std::string name = model.name_of(spec.name);
    const auto found = unused.find(name);
    if (found == unused.end())
      fail(cat(file, " has no ", name, ", which the network of its configuration has"));
    const std::vector<int64_t> wanted = engine::file_shape(spec);
    if (without_ones(found->second->shape) != without_ones(wanted))
      fail(cat(file, ": ", name, " is ", io::shape_text(found->second->shape),
               ", the network of its configuration has ", io::shape_text(wanted)));
    result.push_back(found->second);
    unused.erase(found);
  }
  if (!unused.empty())
    fail(cat(file, " has ", unused.size(), " tensors more than the network of its configuration, ",
             unused.begin()->first, " for one"));
  return result;
}

void write_weights(const fs::path& to, const ForeignModel& model, const engine::ParamStore& store) {
  const std::vector<const ForeignTensor*> tensors = matched(model, store);
  std::vector<io::TensorSpec> specs;
  for (const engine::ParameterSpec& spec : store.specs())
    specs.push_back({spec.name, io::ElementType::f32, engine::file_shape(spec)});
  io::SafetensorsWriter writer(to, specs, {{"format", "pt"}, {"step", "0"}});
  for (const ForeignTensor* tensor : tensors)
    tensor->read([&](std::span<const float> values) {
      for (const float value : values)
        if (!std::isfinite(value)) fail(cat(model.file.string(), ": ", tensor->name, " holds ", value));
      writer.write(values.data(), values.size_bytes());
    });
  writer.finish();
}

}  // namespace

Imported write_imported(const fs::path& folder, const ForeignModel& model) {
  check(model.options);
  engine::Device device;
  engine::ParamStore store(device);
  const Network network(Scope(store), model.options.network);
  if (folder.has_parent_path()) fs::create_directories(folder.parent_path());
  io::AtomicFolder atomic(folder);
  fs::create_directory(atomic.path() / "unet");
  io::write_file_atomic(atomic.path() / "unet/config.json", to_json(model.options.network));
  io::write_file_atomic(atomic.path() / "options.json", to_json(model.options));
  write_diffusers_files(atomic.path(), model.options);
  write_weights(atomic.path() / "unet/diffusion_pytorch_model.safetensors", model, store);
  const nlohmann::json origin = {{"format", model.format},
                                 {"file", model.file.filename().string()},
                                 {"sha256", io::sha256_of_file(model.file)},
                                 {"notes", model.notes}};
  io::write_file_atomic(atomic.path() / "import.json", io::json_text(origin, 2) + "\n");
  atomic.commit();
  return {store.trainable_count(), int64_t(store.specs().size())};
}

}  // namespace ito::model
