#include "model/training/options.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "kernels/cuda_library.h"
#include "model/json_value.h"

namespace ito::model {

using nlohmann::json;

namespace {

const char* name_of(engine::LearningRate::Decay decay) {
  using Decay = engine::LearningRate::Decay;
  return decay == Decay::constant ? "constant" : decay == Decay::cosine ? "cosine" : "linear";
}

engine::LearningRate::Decay parse_decay(const std::string& name) {
  using Decay = engine::LearningRate::Decay;
  for (Decay decay : {Decay::constant, Decay::cosine, Decay::linear})
    if (name == name_of(decay)) return decay;
  fail(cat("unknown decay of the learning rate '", name, "': constant, cosine or linear"));
}

json diffusion_to_json(const DiffusionOptions& d) {
  return {{"sde", d.sde.name},
          {"sigma_min", d.sde.sigma_min},
          {"sigma_max", d.sde.sigma_max},
          {"beta_min", d.sde.beta_min},
          {"beta_max", d.sde.beta_max},
          {"base", d.sde.base},
          {"prediction", name_of(d.preconditioning.prediction)},
          {"noise_condition", name_of(d.preconditioning.condition)},
          {"sigma_data", d.preconditioning.sigma_data},
          {"weighting", name_of(d.weighting)},
          {"min_snr_gamma", d.min_snr_gamma},
          {"level_draw", name_of(d.draw.kind)},
          {"p_mean", d.draw.p_mean},
          {"p_std", d.draw.p_std}};
}

DiffusionOptions diffusion_from_json(const json& j) {
  DiffusionOptions d;
  take(j, "sde", d.sde.name);
  take(j, "sigma_min", d.sde.sigma_min), take(j, "sigma_max", d.sde.sigma_max);
  take(j, "beta_min", d.sde.beta_min), take(j, "beta_max", d.sde.beta_max), take(j, "base", d.sde.base);
  d.preconditioning.prediction = parse_prediction(j.at("prediction").get<std::string>());
  d.preconditioning.condition = parse_noise_condition(j.at("noise_condition").get<std::string>());
  take(j, "sigma_data", d.preconditioning.sigma_data);
  d.weighting = parse_weighting(j.at("weighting").get<std::string>());
  take(j, "min_snr_gamma", d.min_snr_gamma);
  d.draw.kind = parse_level_draw(j.at("level_draw").get<std::string>());
  take(j, "p_mean", d.draw.p_mean), take(j, "p_std", d.draw.p_std);
  make_sde(d.sde);  // checks the numbers
  return d;
}

json optimizer_to_json(const engine::OptimizerOptions& o) {
  return {{"lr", o.learning_rate.peak},
          {"lr_decay", name_of(o.learning_rate.decay)},
          {"lr_final_fraction", o.learning_rate.final_fraction},
          {"warmup", o.learning_rate.warmup},
          {"beta1", o.adamw.beta1},
          {"beta2", o.adamw.beta2},
          {"adam_eps", o.adamw.eps},
          {"weight_decay", o.adamw.weight_decay},
          {"clip", o.adamw.clip},
          {"ema", o.ema.decay},
          {"ema_warm_start", o.ema.warm_start}};
}

engine::OptimizerOptions optimizer_from_json(const json& j) {
  engine::OptimizerOptions o;
  take(j, "lr", o.learning_rate.peak);
  o.learning_rate.decay = parse_decay(j.at("lr_decay"));
  take(j, "lr_final_fraction", o.learning_rate.final_fraction);
  take(j, "warmup", o.learning_rate.warmup);
  take(j, "beta1", o.adamw.beta1), take(j, "beta2", o.adamw.beta2), take(j, "adam_eps", o.adamw.eps);
  take(j, "weight_decay", o.adamw.weight_decay), take(j, "clip", o.adamw.clip);
  take(j, "ema", o.ema.decay), take(j, "ema_warm_start", o.ema.warm_start);
  return o;
}

json as_json(const TrainingOptions& o) {
  return {{"preset", o.preset},
          {"network", json::parse(to_json(o.network))},
          {"diffusion", diffusion_to_json(o.diffusion)},
          {"optimizer", optimizer_to_json(o.optimizer)},
          {"batch", o.batch},
          {"accumulate", o.accumulate},
          {"steps", o.steps},
          {"seed", o.seed},
          {"flip", o.flip},
          {"drop_condition", o.drop_condition},
          {"precision", o.precision},
          {"conv", o.conv},
          {"crop", o.crop},
          {"save_every", o.save_every},
          {"sample_every", o.sample_every},
          {"sample_count", o.sample_count},
          {"sample_steps", o.sample_steps},
          {"keep", o.keep},
          {"validate_every", o.validate_every},
          {"validate_count", o.validate_count},
          {"max_bad_steps", o.max_bad_steps}};
}

/// Refuses what is nested without end: dump() calls itself for each level.
json parse_shallow(const std::string& text) {
  return json::parse(text, [](int depth, json::parse_event_t, json&) {
    if (depth > 8) fail("a run's options.json is not as expected: it is nested too deeply");
    return true;
  });
}

constexpr int64_t kMostGridPixels = 90'000'000;  // of a picture that can still be written

const std::set<std::string> kMayChange = {"steps",        "save_every", "sample_every",   "sample_count",
                                          "sample_steps", "keep",       "validate_every", "max_bad_steps"};

/// A grid that cannot be drawn is found out before the first step.
void check_grid(const TrainingOptions& o) {
  const int64_t most = kMostGridPixels / ((int64_t(o.network.height) + 2) * (o.network.width + 2));
  if (o.sample_count < 0 || o.sample_count > most)
    fail(cat("--sample-count must be in 0..", most, " at this size, is ", o.sample_count));
  if (o.sample_count > 0 && o.sample_steps < 1)
    fail(cat("--sample-steps must be at least 1, is ", o.sample_steps));
}

}  // namespace

void check(const TrainingOptions& o) {
  check(o.network);
  make_sde(o.diffusion.sde);
  if (o.batch < 1) fail(cat("--batch must be at least 1, is ", o.batch));
  if (o.accumulate < 1) fail(cat("--accumulate must be at least 1, is ", o.accumulate));
  if (int64_t(o.batch) * o.accumulate >= (1 << 20)) fail("--batch times --accumulate must be below 1048576");
  if (o.steps < 1) fail(cat("--steps must be at least 1, is ", o.steps));
  if (o.steps > UINT32_MAX) fail(cat("--steps must be below 4294967296, is ", o.steps));
  if (o.save_every < 1 || o.sample_every < 1) fail("--save-every and --sample-every must be at least 1");
  check_grid(o);
  if (!(o.optimizer.learning_rate.peak > 0 && std::isfinite(float(o.optimizer.learning_rate.peak))))
    fail(cat("--lr must be positive and finite, is ", o.optimizer.learning_rate.peak));
  if (o.optimizer.learning_rate.warmup < 0)
    fail(cat("--warmup must not be negative, is ", o.optimizer.learning_rate.warmup));
  if (!(o.optimizer.ema.decay >= 0 && o.optimizer.ema.decay < 1))
    fail(cat("--ema must be in [0, 1), is ", o.optimizer.ema.decay));
  if (o.precision != "f32" && o.precision != "bf16")
    fail(cat("--precision must be f32 or bf16, is '", o.precision, "'"));
  kernels::parse_conv_choice(o.conv);
  if (o.keep < 1) fail(cat("--keep must be at least 1, is ", o.keep));
  if (o.validate_every < 0 || o.validate_count < 0)
    fail("--validate-every and --validate-count must not be negative");
  if (o.max_bad_steps < 1) fail(cat("--max-bad-steps must be at least 1, is ", o.max_bad_steps));
}

engine::DType compute_type(const TrainingOptions& options) {
  return options.precision == "bf16" ? engine::DType::bf16 : engine::DType::f32;
}

void set_steps(TrainingOptions& options, int64_t steps) {
  options.steps = steps;
  options.optimizer.learning_rate.total = steps;
}

std::string to_json(const TrainingOptions& options) { return as_json(options).dump(2) + "\n"; }

TrainingOptions training_options_from_json(const std::string& text) {
  try {
    const json j = parse_shallow(text);
    TrainingOptions o;
    take(j, "preset", o.preset);
    o.network = network_config_from_json(j.at("network").dump());
    o.diffusion = diffusion_from_json(j.at("diffusion"));
    o.optimizer = optimizer_from_json(j.at("optimizer"));
    take(j, "batch", o.batch), take(j, "accumulate", o.accumulate), take(j, "steps", o.steps);
    take(j, "seed", o.seed), take(j, "flip", o.flip), take(j, "drop_condition", o.drop_condition);
    take(j, "precision", o.precision), take(j, "crop", o.crop);
    take_if_there(j, "conv", o.conv);  // runs from before there was a choice had ours
    take(j, "save_every", o.save_every), take(j, "sample_every", o.sample_every);
    take(j, "sample_count", o.sample_count), take(j, "sample_steps", o.sample_steps);
    take(j, "keep", o.keep);
    // Runs from before these existed.
    take_if_there(j, "validate_every", o.validate_every);
    take_if_there(j, "validate_count", o.validate_count);
    take_if_there(j, "max_bad_steps", o.max_bad_steps);
    set_steps(o, o.steps);
    return o;
  } catch (const json::exception& e) {
    fail(cat("a run's options.json is not as expected: ", e.what()));
  }
}

std::vector<std::string> differences(const TrainingOptions& there, const TrainingOptions& now) {
  const json a = as_json(there).flatten(), b = as_json(now).flatten();
  std::vector<std::string> result;
  for (const auto& [path, value] : b.items()) {
    std::string name = path.substr(1);
    if (kMayChange.count(name) || (a.contains(path) && a.at(path) == value)) continue;
    name = name.substr(name.rfind('/') == std::string::npos ? 0 : name.rfind('/') + 1);
    result.push_back(
        cat(name, ": ", a.contains(path) ? a.at(path).dump() : "absent", " there, ", value.dump(), " now"));
  }
  return result;
}

}  // namespace ito::model
