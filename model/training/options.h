#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/optimizer.h"
#include "kernels/base/options.h"
#include "kernels/conv_policy.h"
#include "model/diffusion/consistency.h"
#include "model/diffusion/noise_level.h"
#include "model/diffusion/objective.h"
#include "model/diffusion/sampler_options.h"
#include "model/unet/config.h"

namespace ito::model {

/// What turns a network's output into scores: stored with every checkpoint, needed to sample.
struct DiffusionOptions {
  SdeOptions sde;
  Preconditioning preconditioning;
  Weighting weighting = Weighting::edm;
  double min_snr_gamma = 5;
  NoiseLevelDraw draw;
};

/// Those that say what the network's output means: another value makes its weights those of nothing.
template <FieldsOf<DiffusionOptions> Options, class Visit>
void meaning_fields(Options& o, Visit&& visit) {
  fields(o.sde, visit);
  visit(o.preconditioning.prediction, Field("prediction", "what the network is asked for")
                                          .otherwise("edm; score-scaled for document and tutorial")
                                          .one_of({"edm", "score", "score-scaled", "noise", "x0",
                                                   "v"}));  // consistency: of imported models
  visit(o.preconditioning.condition, Field("noise_condition", "noise level as the network gets it")
                                         .otherwise("log-sigma/4; t for document and tutorial"));
  visit(o.preconditioning.sigma_data, Field("sigma_data", "", above(0).to(1000)));
  visit(o.preconditioning.last_index, Field("last_index", "", from(1).to(1e6)).absent_at(999));
  visit(o.preconditioning.boundary_sigma, Field("boundary_sigma", "", above(0).to(1e6)).absent_at(0.002));
}

template <FieldsOf<DiffusionOptions> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  meaning_fields(o, visit);
  visit(o.weighting,
        Field("weighting", "of the loss over noise levels").otherwise("edm; min-snr for x0, else sigma2"));
  visit(o.min_snr_gamma, Field("min_snr_gamma", "", above(0).to(1e6)));
  visit(o.draw.kind,
        Field("level_draw", "how noise levels are drawn").otherwise("log-normal; uniform without EDM"));
  visit(o.draw.p_mean, Field("p_mean", "log-normal: mean of ln sigma", from(-100).to(100)));
  visit(o.draw.p_std, Field("p_std", "log-normal: deviation of ln sigma", above(0).to(100)));
}

/// The objective that a network of this kind has by default: EDM's for faces; the networks of the specification
/// (docs/model.md) and of the tutorial have their own. The weighting and the draw of levels follow the prediction.
DiffusionOptions default_diffusion(NetworkKind kind);
DiffusionOptions default_diffusion(NetworkKind kind, Prediction prediction);

/// The model whose averaged weights a run began from.
struct Origin {
  std::string run;  // its folder's name
  int64_t step = 0;
  std::string weights;  // SHA-256 of their file

  bool operator==(const Origin&) const = default;
};

template <FieldsOf<Origin> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.run, Field("run"));
  visit(o.step, Field("step", "", from(0).to(engine::kMostSteps)));
  visit(o.weights, Field("weights"));
}
/// In files it is an object, or absent; it has no flag of a run's own options.
template <FieldsOf<std::optional<Origin>> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  if (o) fields(*o, visit);
}

/// In files it is an object, or absent; a training has no flags for it, as it draws by grid_sampler.
template <FieldsOf<std::optional<SamplerOptions>> Options, class Visit>
void fields(Options&, Visit&&) {}

/// What a network computes in.
enum class Precision : uint8_t { f32, bf16 };

/// A training run, completely: with the images, these determine every bit of its checkpoints.
struct TrainingOptions {
  std::string preset = "small";
  std::optional<Origin> from;  // none: random weights, by the seed
  NetworkConfig network;
  DiffusionOptions diffusion;
  ObjectiveKind objective = ObjectiveKind::denoising;
  ConsistencyOptions consistency;             // where the objective is that
  std::optional<SamplerOptions> own_sampler;  // what draws unless another is asked for; none: euler-maruyama
  bool learned_variance =
      false;  // an imported network had learned variances for ancestral steps, which are left out
  engine::OptimizerOptions optimizer;
  int batch = 32;
  int accumulate = 1;
  int64_t steps = 100000;
  uint64_t seed = 0;
  bool flip = true;
  double drop_condition = 0.1;
  int noise_candidates = 1;
  double input_noise = 0;
  bool learn_weighting = false;
  double augment = 0;  // where it is above 0, the network has the labels (NetworkConfig::augment)
  std::vector<std::string>
      attributes;  // the condition's names, in its order; empty: none, or a run from before them
  std::vector<std::string>
      classes;  // the names of the network's classes; empty: it has none, or they have no names
  Precision precision = Precision::f32;
  kernels::Provider conv = kernels::Provider::own;
  std::string crop = "none";
  int64_t save_every = 1000, sample_every = 1000;
  int sample_count = 64, sample_steps = 18;
  int keep = 2;
  double keep_guide = 0;
  bool power_ema = false;
  int64_t validate_every = 0;
  int validate_count = 256;
  int max_bad_steps = 10;
};

/// What images are shown with.
template <FieldsOf<TrainingOptions> Options, class Visit>
void condition_fields(Options& o, Visit&& visit) {
  visit(o.drop_condition,
        Field("drop_condition", "share of images shown without their attributes or class", from(0).to(1)));
  visit(o.attributes, Field("attributes").newer());
  visit(o.classes, Field("classes").newer());
}

/// What is learned.
template <FieldsOf<TrainingOptions> Options, class Visit>
void objective_fields(Options& o, Visit&& visit) {
  visit.object("diffusion", o.diffusion);
  visit(o.objective, Field("objective",
                           "what is learned; consistency: a trained model is tuned to draw in one or two "
                           "evaluations")
                         .absent_at(double(ObjectiveKind::denoising)));
  fields(o.consistency, visit);
}

/// Every option of a run: the one place that an option is added in.
template <FieldsOf<TrainingOptions> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  constexpr auto kSteps = from(1).to(engine::kMostSteps);
  constexpr auto kImages = from(1).to((1 << 20) - 1);
  visit(o.preset, Field("preset"));
  visit.object("from", o.from);
  visit.object("network", o.network);
  visit(o.steps, Field("steps", "updates in all", kSteps).may_change());
  visit(o.batch, Field("batch", "images a batch", kImages));
  visit(o.accumulate, Field("accumulate", "batches whose gradients make one update", kImages));
  visit(o.seed, Field("seed", "of weights, noise and order", kAnySeed));
  visit(o.precision, Field("precision", "what the network computes in"));
  visit(o.conv,
        Field("conv", "convolutions on a GPU (auto: each shape timed once, the choice kept in the run)")
            .otherwise("auto where cuDNN is found, else ours")
            .newer());
  visit(o.save_every, Field("save_every", "steps between checkpoints", kSteps).may_change());
  visit(o.sample_every, Field("sample_every", "steps between sample grids", kSteps).may_change());
  visit(o.sample_count, Field("sample_count", "images of a grid; 0: none", from(0).to(1000000)).may_change());
  visit(o.sample_steps,
        Field("sample_steps", "of a grid: N means 2 N - 1 evaluations an image, by dpm++2m-sde",
              from(1).to(500000))
            .may_change());
  visit(o.keep,
        Field("keep", "newest checkpoints kept, next to the best one", from(1).to(1000000)).may_change());
  visit(o.keep_guide,
        Field("keep_guide",
              "share of the run after which a checkpoint is made that stays, as a guide of sampling "
              "(autoguidance); an eighth suits; 0: none",
              from(0).below(1))
            .may_change()
            .absent_at(0));
  visit(o.power_ema,
        Field("power_ema",
              "two more averages, saved every save_every steps: ./inspect ema makes any other of them")
            .absent_at(0));
  visit(o.validate_every,
        Field("validate_every", "steps between validations; a checkpoint of such a step can be the best",
              from(0).to(engine::kMostSteps))
            .otherwise("0: at each save")
            .may_change()
            .newer());
  visit(o.validate_count,
        Field("validate_count", "images of a validation; 0: none", from(0).to(1000000)).newer());
  visit(o.max_bad_steps,
        Field("max_bad_steps", "stop after so many steps in a row whose loss or gradient is not finite",
              from(1).to(1000000))
            .may_change()
            .newer());
  visit(o.crop, Field("crop"));
  visit(o.flip, Field("flip", "never mirror images").as("--no-flip"));
  condition_fields(o, visit);
  visit(o.noise_candidates,
        Field("noise_candidates",
              "noises an image, of which the nearest is taken; above 1, noise leans towards its image, which "
              "samples do not correct",
              from(1).to(16))
            .absent_at(1));
  visit(
      o.input_noise,
      Field("input_noise", "more noise in the network's input than in its target, as a share of it; 0: none",
            from(0).to(1))
          .absent_at(0));
  visit(o.augment,
        Field("augment",
              "probability of each of EDM's augmentations, of which the network is given labels; 0: none",
              from(0).to(1))
            .absent_at(0));
  visit(o.learn_weighting,
        Field("learn_weighting",
              "learn the loss to be expected at each noise level, and divide by it (EDM2's u): every level "
              "then counts the same, whatever the weighting")
            .absent_at(0));
  objective_fields(o, visit);
  visit.object("own_sampler", o.own_sampler);
  visit(o.learned_variance, Field("learned_variance").absent_at(0));
  visit.object("optimizer", o.optimizer);
}

/// What flags change in the preset's network.
template <FieldsOf<NetworkConfig> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.embedding, Field("embedding", "of the noise level").otherwise("the preset's"));
  visit(o.dropout, Field("dropout", "in residual blocks", from(0).below(1)));
  visit(o.patch, Field("patch", "pixels a side that the network sees as one: 2 takes a quarter of the work",
                       from(1).to(16)));
}

/// The default options of a run with that preset.
TrainingOptions default_options(const std::string& preset);

/// "faces, step 2000"
std::string text_of(const Origin& origin);

/// Error, with what is allowed, unless the options make a run.
void check(const TrainingOptions& options);

/// Sets the number of steps and, with it, the end of the learning rate's decay.
void set_steps(TrainingOptions& options, int64_t steps);

/// The step whose checkpoint is kept as a guide; none without keep_guide.
std::optional<int64_t> guide_step(const TrainingOptions& options);

/// The default options of consistency tuning, in place of those of denoising: how levels are drawn and weighted.
void tune_to_consistency(TrainingOptions& options);

/// Whether the model's denoiser jumps to the image from every level, so that solvers' steps mean nothing to it: tuned
/// to do so, or a consistency model that others trained.
bool jumps(const TrainingOptions& options);

/// What such a model draws with: a sampler that is asked for is completed or refused as the model has it.
SamplerSettings settle(const SamplerOptions& asked, const TrainingOptions& options);

/// How grids and FID during training are drawn: by dpm++2m-sde, which measured best whatever the network predicts, and
/// least of all minds one that has just begun (docs/samplers.md). It takes as many evaluations as Heun's steps would.
/// A model that jumps draws in two.
SamplerSettings grid_sampler(const TrainingOptions& options);
/// All that a grid shows next to each other, grid_sampler's last: of a model that jumps one evaluation and two.
std::vector<SamplerSettings> grid_samplers(const TrainingOptions& options);

/// The type that the network computes in.
engine::DType compute_type(const TrainingOptions& options);

/// All options as JSON with sorted keys, the same bytes for the same options.
std::string to_json(const TrainingOptions& options);
TrainingOptions training_options_from_json(const std::string& text);

/// The options that differ between two runs, as "batch: 32 there, 64 now"; those that may change in a run that goes
/// on are left out, and so are the attributes' names where `there` is from before they were recorded.
std::vector<std::string> differences(const TrainingOptions& there, const TrainingOptions& now);

}  // namespace ito::model

template <>
struct ito::Names<ito::model::Precision> {
  using Precision = model::Precision;
  static constexpr std::string_view kKind = "precision";
  static constexpr Named<Precision> kTable[] = {{"f32", Precision::f32}, {"bf16", Precision::bf16}};
};
