#include "model/import/foreign_model.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/checkpoint.h"
#include "engine/io/atomic_folder.h"
#include "engine/io/json_text.h"
#include "engine/io/safetensors.h"
#include "engine/io/sha256.h"
#include "model/import/scheduler.h"
#include "model/unet/layers.h"
#include "model/unet/network.h"

namespace ito::model {

namespace fs = std::filesystem;

namespace {

/// Extents of 1 at the end mean nothing: a 1x1 convolution [K,C,1,1] is a matrix [K,C].
std::vector<int64_t> without_ones(std::vector<int64_t> shape) {
  while (!shape.empty() && shape.back() == 1) shape.pop_back();
  return shape;
}

/// A parameter's tensor, and which rows of it.
struct Match {
  const ForeignTensor* tensor;
  std::vector<int64_t> rows;  // empty: all
};

/// Counts how often each row of each tensor is taken.
class Uses {
 public:
  explicit Uses(const ForeignModel& model) : model_(model) {
    for (const ForeignTensor& tensor : model.tensors)
      rows_[tensor.name].resize(size_t(std::max<int64_t>(1, tensor.shape.empty() ? 1 : tensor.shape[0])));
  }
  void take(const ForeignPart& part) {
    std::vector<bool>& taken = rows_.at(part.tensor);
    const auto once = [&](size_t row) {
      if (taken[row]) fail(cat(model_.file.string(), ": ", part.tensor, " is used twice"));
      taken[row] = true;
    };
    for (const int64_t row : part.rows) once(size_t(row));
    for (size_t row = 0; part.rows.empty() && row < taken.size(); ++row) once(row);
  }
  /// Error: a tensor, or rows of one, that no parameter takes and that are not meant to be left out.
  void expect_all() const {
    std::vector<std::string> unused;
    for (const auto& [name, taken] : rows_) {
      const auto left_out = model_.left_out.find(name);
      const int64_t meant = left_out == model_.left_out.end() ? 0 : left_out->second;
      if (std::count(taken.begin(), taken.end(), false) != meant) unused.push_back(name);
    }
    if (!unused.empty())
      fail(cat(model_.file.string(), " has ", unused.size(),
               " tensors more than the network of its configuration, ", unused.front(), " for one"));
  }

 private:
  const ForeignModel& model_;
  std::map<std::string, std::vector<bool>> rows_;
};

/// Where each parameter is, in the parameters' order.
std::vector<Match> matched(const ForeignModel& model, const engine::ParamStore& store) {
  const std::string file = model.file.string();
  std::map<std::string, const ForeignTensor*> tensors;
  for (const ForeignTensor& tensor : model.tensors) tensors[tensor.name] = &tensor;
  Uses uses(model);
  std::vector<Match> result;
  for (const engine::ParameterSpec& spec : store.specs()) {
    const ForeignPart part = model.part_of(spec.name);
    const auto found = tensors.find(part.tensor);
    if (found == tensors.end())
      fail(cat(file, " has no ", part.tensor, ", which the network of its configuration has"));
    const std::vector<int64_t>& there = found->second->shape;
    std::vector<int64_t> have = there;
    if (!part.rows.empty() && !there.empty() &&
        *std::max_element(part.rows.begin(), part.rows.end()) < there[0])
      have[0] = int64_t(part.rows.size());
    const std::vector<int64_t> wanted = engine::file_shape(spec);
    if (without_ones(have) != without_ones(wanted))
      fail(cat(file, ": ", part.tensor, " is ", io::shape_text(there),
               ", the network of its configuration has ", io::shape_text(wanted)));
    uses.take(part);
    result.push_back({found->second, part.rows});
  }
  uses.expect_all();
  return result;
}

/// Gives the numbers of a match piece by piece. Its rows ascend, as they do in every file; a reader's pieces may end
/// within a row.
void each_piece(const Match& match, const io::TakeNumbers& take) {
  if (match.rows.empty()) return match.tensor->read(take);
  size_t each = 1, taken = 0, at = 0;  // numbers of a row, rows taken, numbers seen
  for (size_t k = 1; k < match.tensor->shape.size(); ++k) each *= size_t(match.tensor->shape[k]);
  std::vector<float> chosen;
  match.tensor->read([&](std::span<const float> piece) {
    chosen.clear();
    while (!piece.empty()) {
      const std::span<const float> part = piece.first(std::min(each - at % each, piece.size()));
      const bool wanted = taken < match.rows.size() && size_t(match.rows[taken]) == at / each;
      if (wanted) chosen.insert(chosen.end(), part.begin(), part.end());
      at += part.size(), piece = piece.subspan(part.size());
      if (wanted && at % each == 0) ++taken;
    }
    take(chosen);
  });
  if (taken != match.rows.size()) fail(cat("rows of ", match.tensor->name, " are not in ascending order"));
}

void write_weights(const fs::path& to, const ForeignModel& model, const engine::ParamStore& store,
                   const std::function<void()>& before_each) {
  const std::vector<Match> matches = matched(model, store);
  std::vector<io::TensorSpec> specs;
  for (const engine::ParameterSpec& spec : store.specs())
    specs.push_back({spec.name, io::ElementType::f32, engine::file_shape(spec)});
  io::SafetensorsWriter writer(to, specs, {{"format", "pt"}, {"step", "0"}});
  for (size_t i = 0; i < matches.size(); ++i) {
    if (before_each) before_each();
    const Match& match = matches[i];
    size_t before = 0;
    each_piece(match, [&](std::span<const float> piece) {
      std::vector<float> changed;
      if (model.change) {
        changed.assign(piece.begin(), piece.end());
        model.change(specs[i].name, before, changed);
        before += piece.size(), piece = changed;
      }
      for (const float value : piece)
        if (!std::isfinite(value)) fail(cat(model.file.string(), ": ", match.tensor->name, " holds ", value));
      writer.write(piece.data(), piece.size_bytes());
    });
  }
  writer.finish();
}

}  // namespace

void use_null_class(ForeignModel& model, int null_class) {
  const int classes = model.options.network.classes;
  if (null_class < 0 || null_class >= classes)
    fail(classes ? cat("the model has the classes 0 to ", classes - 1, ", of which ", null_class, " is none")
                 : cat("the model has no classes, so that ", null_class, " cannot mean none of them"));
  const ForeignPart part = model.part_of(cat(kClassEmbedding, ".weight"));
  std::vector<float> none;
  for (const ForeignTensor& tensor : model.tensors)
    if (tensor.name == part.tensor)
      each_piece({&tensor, {null_class}},
                 [&](std::span<const float> piece) { none.insert(none.end(), piece.begin(), piece.end()); });
  model.change = [none](const std::string& name, size_t before, std::vector<float>& numbers) {
    const bool table = name == cat(kClassEmbedding, ".weight");
    if (!table && name != "time_embedding.linear_2.bias") return;
    for (size_t i = 0; i < numbers.size(); ++i)
      numbers[i] += (table ? -1 : 1) * none[(before + i) % none.size()];
  };
  model.options.drop_condition = TrainingOptions{}.drop_condition;
  model.notes.push_back(cat("class ", null_class, " means none: guidance leads away from it"));
}

std::string recognised_format(const ForeignTensors& tensors) {
  const std::pair<const char*, const char*> kSigns[] = {
      {"input_blocks.0.0.weight", "adm"},
      {"down.0.block.0.conv1.weight", "ddim"},
      {"down_blocks.0.resnets.0.conv1.weight", "diffusers"}};
  for (const auto& [sign, format] : kSigns)
    for (const ForeignTensor& tensor : tensors)
      if (tensor.name.size() >= std::string_view(sign).size() && tensor.name.ends_with(sign)) return format;
  return "";
}

Imported write_imported(const fs::path& folder, const ForeignModel& model,
                        const std::function<void()>& before_each) {
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
  write_weights(atomic.path() / "unet/diffusion_pytorch_model.safetensors", model, store, before_each);
  nlohmann::json origin = {{"format", model.format},
                           {"file", model.file.filename().string()},
                           {"sha256", io::sha256_of_file(model.file)},
                           {"licence", model.licence},
                           {"notes", model.notes}};
  if (!model.flags.empty()) origin["flags"] = model.flags;
  if (!model.name.empty()) origin["folder"] = model.name;
  for (const fs::path& part : model.parts)
    origin["parts"][part.filename().string()] = io::sha256_of_file(part);
  io::write_file_atomic(atomic.path() / "import.json", io::json_text(origin, 2) + "\n");
  atomic.commit();
  return {store.trainable_count(), int64_t(store.specs().size())};
}

}  // namespace ito::model
