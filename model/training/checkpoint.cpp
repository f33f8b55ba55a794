#include "model/training/checkpoint.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/checkpoint.h"
#include "engine/io/atomic_folder.h"
#include "engine/io/json_text.h"
#include "engine/io/safetensors.h"
#include "engine/io/sha256.h"
#include "model/import/scheduler.h"
#include "model/training/class_request.h"

namespace ito::model {

namespace fs = std::filesystem;

namespace {

constexpr const char* kWeights = "unet/diffusion_pytorch_model.safetensors";
constexpr const char* kConfig = "unet/config.json";
constexpr const char* kOptions = "options.json";
constexpr const char* kState = "state.safetensors";
constexpr const char* kRecord = "record.json";
constexpr const char* kAttributes = "attributes.safetensors";

/// The names of what may be owed, with the members: what reads and what writes them agree.
template <class Of, class Visit>
void each_owed(Of& owed, const Visit& visit) {
  visit("grid", owed.grid), visit("fid", owed.fid), visit("validation", owed.validation);
}

std::string to_json(const CheckpointRecord& record) {
  nlohmann::json json = {{"scheduled", record.scheduled}};
  if (record.validation_loss) json["validation_loss"] = *record.validation_loss;
  if (record.guide) json["guide"] = true;
  each_owed(record.owed, [&](const char* name, bool owed) {
    if (owed) json["owed"].push_back(name);
  });
  return io::json_text(json, 2) + "\n";
}

int64_t count_of(const engine::Metadata& counts, const char* name, const fs::path& file) {
  const auto it = counts.find(name);
  if (it == counts.end()) fail(cat(file.string(), " lacks its ", name));
  try {
    return std::stoll(it->second);
  } catch (const std::exception&) {
    fail(cat(file.string(), ": ", name, " is not a number: '", it->second, "'"));
  }
}

TrainingOptions read_options(const fs::path& folder) {
  for (const char* file : {kOptions, kConfig, kWeights})
    if (!fs::exists(folder / file))
      fail_advising(cat(folder.string(), " is not a checkpoint: it has no ", file),
                    {"a folder such as runs/NAME/checkpoints/step-..."});
  try {
    return training_options_from_json(io::read_file(folder / kOptions));
  } catch (const Error& e) {
    e.rethrow_at((folder / kOptions).string());
  }
}

/// Checks that both files describe one network, since each could have been changed by hand.
void check_agreement(const fs::path& folder, const NetworkConfig& network) {
  const std::string config = (folder / kConfig).string();
  const auto difference = first_difference(network_config_from_json(io::read_file(config), config), network);
  if (difference)
    fail(cat(config, ": ", difference->key, " is ", difference->first, ", but ", difference->second, " in ",
             (folder / kOptions).string(), ": restore the one that was changed, or use another checkpoint"));
}

/// The rows that belong to the options' attributes; none where these have none.
AttributeRows read_attributes(const fs::path& folder, const TrainingOptions& options) {
  if (options.attributes.empty()) return {};
  const fs::path file = folder / kAttributes;
  if (!fs::exists(file))
    fail(cat(folder.string(), " has no ", kAttributes,
             ", the attributes of the images that it learned from: restore it, or use another checkpoint"));
  AttributeRows rows = AttributeRows::load(file);
  if (rows.names() != options.attributes)
    fail(cat(file.string(), " holds other attributes than ", (folder / kOptions).string(),
             " names: restore the one that was changed, or use another checkpoint"));
  return rows;
}

/// What it takes to sample.
void write_model(const fs::path& folder, const TrainingOptions& options, const AttributeRows& attributes,
                 const std::string& steps, engine::ParamStore& store, engine::Track track,
                 io::ElementType weights = io::ElementType::f32) {
  fs::create_directory(folder / "unet");
  io::write_file_atomic(folder / kConfig, to_json(options.network));
  io::write_file_atomic(folder / kOptions, to_json(options));
  write_diffusers_files(folder, options);
  engine::save_weights(folder / kWeights, store, track, {{"step", steps}}, weights);
  if (!attributes.empty()) attributes.save(folder / kAttributes);
}

}  // namespace

void save_checkpoint(const fs::path& folder, Trainer& trainer, const CheckpointRecord& record) {
  fs::create_directories(folder.parent_path());
  io::AtomicFolder atomic(folder);
  const auto steps = std::to_string(trainer.step_number());
  write_model(atomic.path(), trainer.options(), trainer.attributes(), steps, trainer.store(),
              engine::Track::ema);
  engine::save_state(atomic.path() / kState, trainer.store(),
                     {{"step", steps},
                      {"updates", std::to_string(trainer.updates())},
                      {"gradient_sum", "tree"},
                      {"bad_steps", std::to_string(trainer.bad_steps())}});
  write_record(atomic.path(), record);
  atomic.commit();
}

void save_model(const fs::path& folder, const LoadedModel& model, io::ElementType weights) {
  if (folder.has_parent_path()) fs::create_directories(folder.parent_path());
  io::AtomicFolder atomic(folder);
  write_model(atomic.path(), model.options, model.attributes, std::to_string(model.step), *model.store,
              engine::Track::master, weights);
  atomic.commit();
}

int64_t updates_of(const fs::path& folder) {
  const fs::path file = folder / kState;
  if (!fs::exists(file)) fail(cat(folder.string(), " holds no state of a run"));
  return count_of(io::SafetensorsReader(file).metadata(), "updates", file);
}

bool sums_by_tree(const fs::path& folder) {
  return io::SafetensorsReader(folder / kState).metadata().count("gradient_sum") > 0;
}

std::string hash_of_weights(const fs::path& folder) { return io::sha256_of_file(folder / kWeights); }

CheckpointRecord read_record(const fs::path& folder) {
  CheckpointRecord record;
  if (!fs::exists(folder / kRecord)) return record;
  const auto json = nlohmann::json::parse(io::read_file(folder / kRecord), nullptr, false);
  if (!json.is_object()) fail(cat((folder / kRecord).string(), " is damaged: remove this checkpoint"));
  const auto scheduled = json.find("scheduled"), loss = json.find("validation_loss"),
             owed = json.find("owed"), guide = json.find("guide");
  if ((scheduled != json.end() && !scheduled->is_boolean()) || (loss != json.end() && !loss->is_number()) ||
      (owed != json.end() && !owed->is_array()) || (guide != json.end() && !guide->is_boolean()))
    fail(cat((folder / kRecord).string(), " is damaged: remove this checkpoint"));
  if (scheduled != json.end()) record.scheduled = *scheduled;
  if (loss != json.end()) record.validation_loss = loss->get<double>();
  if (guide != json.end()) record.guide = *guide;
  each_owed(record.owed, [&](const char* name, bool& member) {
    member = owed != json.end() && std::find(owed->begin(), owed->end(), name) != owed->end();
  });
  return record;
}

void write_record(const fs::path& folder, const CheckpointRecord& record) {
  io::write_file_atomic(folder / kRecord, to_json(record));
}

TrainingOptions resume_from(const fs::path& folder, Trainer& trainer) {
  TrainingOptions there = read_options(folder);
  const std::vector<std::string> changed = differences(there, trainer.options());
  if (!changed.empty()) {
    std::string list;
    for (const std::string& change : changed) list += "\n  " + change;
    fail_advising(cat("the run in ", folder.parent_path().parent_path().string(),
                      " was started with other options:", list),
                  {"the same options", "another {out}"});
  }
  const engine::Metadata counts = engine::load_state(folder / kState, trainer.store());
  trainer.resume_at(count_of(counts, "step", folder / kState), count_of(counts, "updates", folder / kState),
                    counts.count("bad_steps") ? count_of(counts, "bad_steps", folder / kState) : 0);
  return there;
}

LoadedModel load_model(engine::Device& device, const fs::path& folder, std::optional<Precision> precision) {
  LoadedModel model;
  model.options = read_options(folder);
  model.options.precision = precision.value_or(model.options.precision);
  check_agreement(folder, model.options.network);
  model.attributes = read_attributes(folder, model.options);
  model.options.network.dropout = 0;
  model.store = std::make_unique<engine::ParamStore>(device);
  model.network = std::make_unique<Network>(Scope(*model.store), model.options.network);
  model.store->allocate(engine::ParamStore::Use::inference, 0, model.compute());
  engine::load_weights(folder / kWeights, *model.store);
  model.step = count_of(io::SafetensorsReader(folder / kWeights).metadata(), "step", folder / kWeights);
  model.sde = make_sde(model.options.diffusion.sde);
  return model;
}

engine::DType LoadedModel::compute() const { return compute_type(options); }

SamplerSettings LoadedModel::settle(const SamplerOptions& asked) const {
  return model::settle(asked, options);
}

Denoiser LoadedModel::denoiser() const {
  return network_denoiser(*network, {options.diffusion.preconditioning, compute()});
}

Denoiser LoadedModel::class_denoiser(std::optional<int> asked, const Guidance& guidance) const {
  if (!options.network.classes) fail("the model was trained without classes, so that none can be asked for");
  return model::class_denoiser(store->device(), *network, {options.diffusion.preconditioning, compute()},
                               {options.network.classes, asked}, guidance);
}

Denoiser LoadedModel::varied_denoiser() const {
  if (options.network.classes) return class_denoiser({}, {});
  return model::varied_denoiser(store->device(), *network, {options.diffusion.preconditioning, compute()},
                                attributes);
}

Denoiser LoadedModel::attribute_denoiser(const AttributeRequest& request, const Guidance& guidance) const {
  return model::attribute_denoiser(store->device(), *network, {options.diffusion.preconditioning, compute()},
                                   request, guidance);
}

AttributeRequest LoadedModel::ask(const std::vector<std::string>& texts) const {
  if (options.network.condition == 0)
    fail("the model was trained without attributes, so that it cannot be asked for any; train one with them");
  if (attributes.empty())
    fail(
        "the checkpoint is from before checkpoints held the attributes of the images that were learned from: "
        "go "
        "on with its training, by the same command and more steps, and use the checkpoint that this writes");
  return {attributes, texts};
}

}  // namespace ito::model
