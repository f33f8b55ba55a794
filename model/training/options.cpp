#include "model/training/options.h"

#include <cmath>
#include <map>
#include <set>

#include "engine/io/json_text.h"
#include "kernels/batch_sample.h"
#include "model/option_json.h"
#include "model/unet/presets.h"

namespace ito::model {

using nlohmann::json;

// A network is written as diffusers writes it, and not as a list of fields.
template <>
void WriteJson::object(const char* name, const NetworkConfig& network) const {
  json[name] = nlohmann::json::parse(to_json(network));
}
template <>
void ReadJson::object(const char* name, NetworkConfig& network) const {
  if (!json.contains(name)) fail(cat(name, " is missing"));
  network = network_config_from_json(io::json_text(json.at(name)), name);
}

// What a run began from is absent where it began from nothing, and so is a sampler of the model's own, as in all older
// files.
template <>
void WriteJson::object(const char* name, const std::optional<Origin>& origin) const {
  if (origin) json[name] = json_of(*origin);
}
template <>
void ReadJson::object(const char* name, std::optional<Origin>& origin) const {
  origin.reset();
  if (json.contains(name)) read_json(json.at(name), origin.emplace());
}
template <>
void WriteJson::object(const char* name, const std::optional<SamplerOptions>& sampler) const {
  if (sampler) json[name] = json_of(*sampler);
}
template <>
void ReadJson::object(const char* name, std::optional<SamplerOptions>& sampler) const {
  sampler.reset();
  if (json.contains(name)) read_json(json.at(name), sampler.emplace());
}

namespace {

/// Calls visit(path, value) for everything that is not an object, such as ("diffusion/sde", "ve").
template <class Visit>
void each_value(const json& object, const std::string& path, const Visit& visit) {
  for (const auto& [name, value] : object.items()) {
    if (value.is_object())
      each_value(value, path + name + "/", visit);
    else
      visit(path + name, value);
  }
}

/// Collects the names of the fields that a run may change when it goes on.
struct ChangingFields {
  std::set<std::string>& names;

  template <class T>
  void operator()(const T&, const Field& field) const {
    if (field.changes) names.insert(field.name);
  }
  template <class Options>
  void object(const char*, const Options&) const {}
};

}  // namespace

DiffusionOptions default_diffusion(NetworkKind kind) {
  return default_diffusion(kind, kind == NetworkKind::unet ? Prediction::edm : Prediction::score_scaled);
}

DiffusionOptions default_diffusion(NetworkKind kind, Prediction prediction) {
  const bool edm = prediction == Prediction::edm;
  DiffusionOptions d;
  if (kind == NetworkKind::tutorial) d.sde.kind = SdeKind::simple;
  d.preconditioning.prediction = prediction;
  if (kind != NetworkKind::unet) d.preconditioning.condition = NoiseCondition::time;
  // sigma2 asks so little of x_0 where there is much noise that a network learns textures and no faces
  // (docs/samplers.md).
  d.weighting = edm ? Weighting::edm : prediction == Prediction::x0 ? Weighting::min_snr : Weighting::sigma2;
  d.draw.kind = edm ? LevelDraw::log_normal : LevelDraw::uniform;
  return d;
}

TrainingOptions default_options(const std::string& name) {
  TrainingOptions o;
  o.preset = name;
  o.network = preset(name).network;
  o.diffusion = default_diffusion(o.network.kind);
  return o;
}

std::string text_of(const Origin& origin) { return cat(origin.run, ", step ", origin.step); }

namespace {

/// What goes with consistency tuning.
void check_tuning(const TrainingOptions& o) {
  if (!o.from)
    fail_advising("the objective consistency tunes a trained model, and none is named",
                  {"{from} with its run"});
  if (o.learn_weighting)
    fail_advising("the objective consistency has a loss without a learned weight", {"no {learn_weighting}"});
  if (o.input_noise > 0)
    fail_advising("the objective consistency compares two inputs of the same noise, without more of it",
                  {"no {input_noise}"});
}

}  // namespace

void check(const TrainingOptions& o) {
  check(o.network);
  fields(o, CheckRanges{});
  make_sde(o.diffusion.sde);
  if (!o.attributes.empty() && int64_t(o.attributes.size()) != o.network.condition)
    fail(cat("the network has a condition of ", o.network.condition, " numbers, and attributes names ",
             o.attributes.size()));
  if (!o.classes.empty() && int64_t(o.classes.size()) != o.network.classes)
    fail(cat("the network has ", o.network.classes, " classes, and classes names ", o.classes.size()));
  if ((o.augment > 0) != o.network.augment)
    fail(cat("augment is ", o.augment, ", and the network was made ", o.network.augment ? "with" : "without",
             " labels of augmented images"));
  if (o.objective == ObjectiveKind::consistency) check_tuning(o);
  constexpr int64_t kMostSamples = 1 << 20;
  static_assert(kMostSamples * kernels::kMostNoiseCandidates <= UINT32_MAX,
                "every noise candidate of a step has a stream");
  if (const int64_t images = int64_t(o.batch) * o.accumulate; images >= kMostSamples)
    fail_advising(cat("batch times accumulate must be below 1048576, is ", images),
                  {"a smaller {batch}", "a smaller {accumulate}"});
}

std::optional<int64_t> guide_step(const TrainingOptions& o) {
  if (o.keep_guide == 0) return {};
  return std::max(int64_t(1), int64_t(std::llround(o.keep_guide * double(o.steps))));
}

void tune_to_consistency(TrainingOptions& o) {
  o.objective = ObjectiveKind::consistency;
  o.diffusion.weighting = Weighting::edm;
  o.diffusion.draw = {LevelDraw::log_normal, -1.1, 2.0};
}

/// The level of the first jump of a model that is tuned here: forty times the deviation of its images, so that nothing
/// is left of them, and low enough that training in minutes has been there (docs/real-time.md).
constexpr double kFirstJump = 20;

bool jumps(const TrainingOptions& o) {
  return o.objective == ObjectiveKind::consistency ||
         o.diffusion.preconditioning.prediction == Prediction::consistency;
}

SamplerSettings settle(const SamplerOptions& asked, const TrainingOptions& o) {
  const Preconditioning& p = o.diffusion.preconditioning;
  if (jumps(o)) {
    SamplerOptions wanted = asked;
    if (o.own_sampler && !wanted.clip) wanted.clip = o.own_sampler->clip;
    if (!asked.clip && wanted.clip == "image") wanted.clip = "static";  // that one is of DDIM's steps
    const bool asks_how_often = asked.fast || asked.best || asked.steps || asked.evaluations || asked.levels;
    // Others' consistency models were published with the number of steps that they are good at.
    const bool imported = o.objective != ObjectiveKind::consistency;
    if (o.own_sampler && imported && !asks_how_often) wanted.steps = o.own_sampler->steps;
    SamplerSettings settings = settle(of_jumps(wanted), p.prediction);
    if (!imported) settings.first = kFirstJump;
    if (p.prediction == Prediction::consistency) settings.boundary = p.boundary_sigma;
    return settings;
  }
  const SamplerOptions wanted = with_own(asked, o.own_sampler);
  if (wanted.sampler == SamplerKind::consistency)
    fail_advising(
        "the sampler consistency is for models that jump to the image from every level, and this one was not "
        "tuned to (docs/real-time.md)",
        {"another {sampler}", "{objective} consistency with {from}, which tunes it"});
  if (o.learned_variance && wanted.sampler == SamplerKind::ancestral && !wanted.variance)
    fail_advising(
        "the network's authors draw by ancestral steps with variances that it learned, and an import leaves "
        "these out",
        {"{sampler} ddim",
         "{variance} small or large, for variances of the noise levels, with {grid} linspace"});
  return settle(wanted, p.prediction);
}

SamplerSettings grid_sampler(const TrainingOptions& options) {
  if (jumps(options)) return settle({.steps = 2}, options);
  return settle({.sampler = SamplerKind::dpmpp_2m_sde, .evaluations = 2 * options.sample_steps - 1},
                options.diffusion.preconditioning.prediction);
}

std::vector<SamplerSettings> grid_samplers(const TrainingOptions& options) {
  if (!jumps(options)) return {grid_sampler(options)};
  return {settle({.steps = 1}, options), grid_sampler(options)};
}

engine::DType compute_type(const TrainingOptions& options) {
  return options.precision == Precision::bf16 ? engine::DType::bf16 : engine::DType::f32;
}

void set_steps(TrainingOptions& options, int64_t steps) {
  options.steps = steps;
  options.optimizer.learning_rate.total = steps;
}

std::string to_json(const TrainingOptions& options) { return io::json_text(json_of(options), 2) + "\n"; }

TrainingOptions training_options_from_json(const std::string& text) {
  try {
    const json parsed =
        parse_shallow(text, "a run's options.json is not as expected: it is nested too deeply");
    TrainingOptions o;
    read_json(parsed, o);
    make_sde(o.diffusion.sde);  // checks its numbers against each other
    set_steps(o, o.steps);
    return o;
  } catch (const json::exception& e) {
    fail(cat("a run's options.json is not as expected: ", e.what()));
  }
}

std::vector<std::string> differences(const TrainingOptions& there, const TrainingOptions& now) {
  std::set<std::string> may_change;
  fields(now, ChangingFields{may_change});
  // A run from before the names has all of its set's attributes, so that their number says it all.
  if (there.attributes.empty() && there.network.condition == now.network.condition)
    may_change.insert("attributes");
  std::map<std::string, std::pair<json, json>> values;  // there and now; null where there is none
  each_value(json_of(there, true), "",
             [&](const std::string& path, const json& v) { values[path].first = v; });
  each_value(json_of(now, true), "",
             [&](const std::string& path, const json& v) { values[path].second = v; });
  const auto text = [](const json& value) {
    return value.is_null() ? std::string("absent") : io::json_text(value);
  };
  std::vector<std::string> result;
  for (const auto& [path, value] : values)
    if (!may_change.count(path) && text(value.first) != text(value.second))  // as they are in files
      result.push_back(cat(path.substr(path.rfind('/') + 1), ": ", text(value.first), " there, ",
                           text(value.second), " now"));
  return result;
}

}  // namespace ito::model
