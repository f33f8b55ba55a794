#include "apps/app_training.h"

#include <filesystem>
#include <iostream>

#include "apps/app_data.h"
#include "apps/app_main.h"
#include "data/crop.h"
#include "kernels/base/math.h"
#include "kernels/base/names.h"
#include "model/unet/presets.h"

namespace ito::apps {

namespace {

using model::TrainingOptions;

void add_run_flags(CLI::App& app, TrainingFlags& f) {
  app.add_option("data", f.data, "CelebA's folder or zip, or any folder or zip of images")->required();
  app.add_option("--out", f.out,
                 "the run's folder (default: runs/<folder>-<preset>); repeating the command resumes it");
  app.add_option(
      "--preset", f.preset,
      "network: tiny, faces32, faces64, small, celeba64, celeba64-ddim, document, tutorial (default: small)");
  app.add_option("--steps", f.steps, "updates in all (default: 100000)");
  app.add_option("--epochs", f.epochs, "passes over the images instead of --steps");
  app.add_option("--minutes", f.minutes,
                 "or as many steps as fit this time, found by a ten-second probe when the run starts");
  app.add_option("--probe", f.probe,
                 "measure for so many seconds, print images per second, and train nothing");
  app.add_option("--batch", f.batch, "images a batch")->capture_default_str();
  app.add_option("--accumulate", f.accumulate, "batches an update")->capture_default_str();
  app.add_option("--seed", f.seed, "of weights, noise and order")->capture_default_str();
  app.add_option("--save-every", f.save_every, "steps between checkpoints")->capture_default_str();
  app.add_option("--sample-every", f.sample_every, "steps between sample grids")->capture_default_str();
  app.add_option("--sample-count", f.sample_count, "images of a grid; 0: none")->capture_default_str();
  app.add_option("--sample-steps", f.sample_steps, "Heun steps of a grid")->capture_default_str();
  app.add_option("--keep", f.keep, "newest checkpoints kept, beside the best one")->capture_default_str();
  app.add_option(
      "--validate-every", f.validate_every,
      "steps between validations (default: at each save); a checkpoint of such a step can be the best");
  app.add_option("--validate-count", f.validate_count, "images of a validation; 0: none")
      ->capture_default_str();
  app.add_option("--fid-every", f.fid_every,
                 "steps between measurements of FID, which take long; 0: none (needs --inception)")
      ->capture_default_str();
  app.add_option("--fid-count", f.fid_count,
                 "images that a FID is measured on; compare only equal numbers (default: 1000)");
  app.add_option("--inception", f.inception,
                 "weights of the FID network: pt_inception-2015-12-05-6726825d.pth or .safetensors");
  app.add_option("--max-bad-steps", f.max_bad_steps,
                 "stop after so many steps in a row whose loss or gradient is not finite")
      ->capture_default_str();
  app.add_option("--device", f.device, "auto, cpu or cuda")->capture_default_str();
  app.add_option(
         "--conv", f.conv,
         "convolutions on a GPU: ours, cudnn, or auto (each shape timed once, the choice kept in the run)")
      ->capture_default_str();
  app.add_option("--threads", f.threads, "CPU threads; 0: all")->capture_default_str();
  app.add_option("--precision", f.precision, "f32 or bf16")->capture_default_str();
  app.add_flag("--dry-run", f.dry_run, "print parameters, FLOPs, memory and time, and train nothing");
}

void add_data_flags(CLI::App& app, TrainingFlags& f) {
  app.add_option("--size", f.size, "image size, N or HxW (default: the preset's)");
  app.add_option("--crop", f.crop, data::crop_names() + " (default: ddim128 for CelebA, none for a folder)");
  app.add_option("--split", f.split,
                 "train, valid, test or all (default: train for CelebA, all for a folder)");
  app.add_option("--cache", f.cache, "folder of the decoded images")->capture_default_str();
  app.add_flag("--no-flip", f.no_flip, "never mirror images");
  app.add_flag("--attributes", f.attributes, "condition the network on CelebA's 40 attributes");
  app.add_option("--drop-condition", f.drop_condition, "share of images shown without their attributes")
      ->capture_default_str();
}

void add_diffusion_flags(CLI::App& app, TrainingFlags& f) {
  app.add_option("--sde", f.sde, "ve, vp, sub-vp or simple (default: ve; simple for tutorial)");
  app.add_option("--sigma-min", f.sigma_min, "ve")->capture_default_str();
  app.add_option("--sigma-max", f.sigma_max, "ve")->capture_default_str();
  app.add_option("--beta-min", f.beta_min, "vp, sub-vp")->capture_default_str();
  app.add_option("--beta-max", f.beta_max, "vp, sub-vp")->capture_default_str();
  app.add_option("--base", f.base, "simple: dx = base^t dW (default: 25)");
  app.add_option(
      "--prediction", f.prediction,
      "edm, score, score-scaled, noise, x0 or v (default: edm; score-scaled for document and tutorial)");
  app.add_option("--noise-condition", f.noise_condition,
                 "what the network is told: log-sigma/4, log-sigma, t or 999t (default: log-sigma/4; t for "
                 "document and tutorial)");
  app.add_option("--weighting", f.weighting,
                 "none, sigma2, likelihood, edm or min-snr (default: edm; sigma2 without EDM)");
  app.add_option("--level-draw", f.level_draw,
                 "log-normal, uniform or antithetic (default: log-normal; uniform without EDM)");
  app.add_option("--p-mean", f.p_mean, "log-normal: mean of ln sigma")->capture_default_str();
  app.add_option("--p-std", f.p_std, "log-normal: deviation of ln sigma")->capture_default_str();
  app.add_option("--embedding", f.embedding, "fourier or sinusoidal (default: the preset's)");
  app.add_option("--dropout", f.dropout, "in residual blocks")->capture_default_str();
}

void add_optimizer_flags(CLI::App& app, TrainingFlags& f) {
  app.add_option("--lr", f.lr, "peak learning rate")->capture_default_str();
  app.add_option("--warmup", f.warmup, "steps of linear warm-up")->capture_default_str();
  app.add_option("--decay", f.decay, "of the learning rate: constant, cosine or linear")
      ->capture_default_str();
  app.add_option("--final-lr", f.final_lr, "share of --lr left at the last step of a decay")
      ->capture_default_str();
  app.add_option("--weight-decay", f.weight_decay, "decoupled, of matrices and filters")
      ->capture_default_str();
  app.add_option("--clip", f.clip, "global norm of the gradient; 0: never")->capture_default_str();
  app.add_option("--ema", f.ema, "decay of the weights' moving average")->capture_default_str();
}

/// Height and width of --size, else of the preset.
data::ImageSize image_size(const TrainingFlags& f, const model::Preset& preset) {
  return f.size.empty() ? data::ImageSize{preset.network.width, preset.network.height}
                        : data::parse_image_size(f.size);
}

const model::Preset& chosen_preset(const TrainingFlags& f) {
  return model::preset(f.preset.empty() ? "small" : f.preset);
}

/// EDM's objective is the default for faces; the founding text's and the tutorial's networks have their own.
model::DiffusionOptions diffusion_options(const TrainingFlags& f, const model::NetworkConfig& net) {
  model::DiffusionOptions d;
  const bool founding = net.kind != model::NetworkKind::unet;
  d.sde.name = !f.sde.empty() ? f.sde : net.kind == model::NetworkKind::tutorial ? "simple" : "ve";
  d.sde.sigma_min = f.sigma_min, d.sde.sigma_max = f.sigma_max;
  d.sde.beta_min = f.beta_min, d.sde.beta_max = f.beta_max;
  if (f.base > 0) d.sde.base = f.base;
  const std::string prediction = !f.prediction.empty() ? f.prediction : founding ? "score-scaled" : "edm";
  d.preconditioning.prediction = model::parse_prediction(prediction);
  const bool edm = prediction == "edm";
  d.preconditioning.condition = model::parse_noise_condition(!f.noise_condition.empty() ? f.noise_condition
                                                             : founding                 ? "t"
                                                                                        : "log-sigma/4");
  d.weighting = model::parse_weighting(!f.weighting.empty() ? f.weighting : edm ? "edm" : "sigma2");
  d.draw.kind = model::parse_level_draw(!f.level_draw.empty() ? f.level_draw
                                        : edm                 ? "log-normal"
                                                              : "uniform");
  d.draw.p_mean = f.p_mean, d.draw.p_std = f.p_std;
  return d;
}

engine::OptimizerOptions optimizer_options(const TrainingFlags& f, int64_t steps) {
  using Decay = engine::LearningRate::Decay;
  engine::OptimizerOptions o;
  if (f.decay != "constant" && f.decay != "cosine" && f.decay != "linear")
    fail(cat("--decay must be constant, cosine or linear, is '", f.decay, "'"));
  o.learning_rate = {f.decay == "cosine"   ? Decay::cosine
                     : f.decay == "linear" ? Decay::linear
                                           : Decay::constant,
                     f.lr, f.warmup, steps, f.final_lr};
  o.adamw.weight_decay = float(f.weight_decay);
  o.adamw.clip = float(f.clip);
  o.ema.decay = f.ema;
  return o;
}

void check_lengths(const TrainingFlags& f) {
  if (int(f.steps.has_value()) + int(f.epochs.has_value()) + int(f.minutes.has_value()) > 1)
    fail("give one of --steps, --epochs and --minutes");
  if (f.epochs && *f.epochs < 1) fail(cat("--epochs must be at least 1, is ", *f.epochs));
  if (f.minutes && !(*f.minutes > 0)) fail(cat("--minutes must be above 0, is ", *f.minutes));
}

void check_fid(const TrainingFlags& f) {
  if (f.fid_every < 0) fail(cat("--fid-every must be at least 0, is ", f.fid_every));
  if (f.fid_every == 0 && !f.inception.empty()) fail("--inception does nothing without --fid-every N");
  if (f.fid_every == 0 && f.fid_count) fail("--fid-count does nothing without --fid-every N");
}

data::Dataset open_split(const TrainingFlags& f, const TrainingOptions& o, const std::string& split) {
  data::DatasetOptions options;
  options.split = split, options.crop = f.crop;
  options.height = o.network.height, options.width = o.network.width;
  options.cache_dir = f.cache;
  options.threads = f.threads;
  return open_pictures(f.data, options);
}

}  // namespace

void add_flags(CLI::App& app, TrainingFlags& f) {
  add_run_flags(app, f);
  add_data_flags(app, f);
  add_diffusion_flags(app, f);
  add_optimizer_flags(app, f);
}

std::string run_path(const TrainingFlags& f) {
  if (!f.out.empty()) return f.out;
  std::filesystem::path folder = std::filesystem::absolute(f.data).lexically_normal();
  if (folder.filename().empty()) folder = folder.parent_path();
  return "runs/" + folder.filename().string() + "-" + chosen_preset(f).name;
}

TrainingOptions training_options(const TrainingFlags& f) {
  check_lengths(f);
  check_fid(f);
  TrainingOptions o;
  const model::Preset& preset = chosen_preset(f);
  const data::ImageSize size = image_size(f, preset);
  o.preset = preset.name;
  o.network = preset.network;
  o.network.height = size.height, o.network.width = size.width;
  o.network.dropout = float(f.dropout);
  if (!f.embedding.empty()) {
    constexpr Named<model::EmbeddingKind> kinds[] = {{"fourier", model::EmbeddingKind::fourier},
                                                     {"sinusoidal", model::EmbeddingKind::sinusoidal}};
    o.network.embedding = value_of_name("embedding", f.embedding, kinds);
  }
  o.diffusion = diffusion_options(f, o.network);
  o.batch = f.batch, o.accumulate = f.accumulate, o.seed = f.seed, o.flip = !f.no_flip;
  o.steps = f.steps.value_or(100000);
  o.optimizer = optimizer_options(f, o.steps);
  o.drop_condition = f.drop_condition, o.precision = f.precision, o.conv = f.conv;
  o.crop = f.crop.empty() ? o.crop : data::crop_name(data::parse_crop(f.crop));
  o.save_every = f.save_every, o.sample_every = f.sample_every, o.sample_count = f.sample_count;
  o.sample_steps = f.sample_steps, o.keep = f.keep;
  o.validate_every = f.validate_every, o.validate_count = f.validate_count, o.max_bad_steps = f.max_bad_steps;
  check(o);
  return o;
}

data::Dataset open_images(const TrainingFlags& f, const TrainingOptions& o) {
  return open_split(f, o, f.split);
}

std::optional<data::Dataset> open_validation(const TrainingFlags& f, const TrainingOptions& o,
                                             const data::Dataset& images) {
  if (o.validate_count == 0) return {};
  std::string why = cat("the split ", images.split(), " holds CelebA's valid one");
  if (images.kind() != "celeba") why = "a folder has no valid split";
  if (images.kind() == "celeba" && (images.split() == "train" || images.split() == "test")) {
    try {
      return open_split(f, o, "valid");
    } catch (const data::EmptySplit& error) {
      why = error.what();
    }
  }
  std::cout << "note       validation is on images that are learned from: " << why << "\n";
  return {};
}

void complete(TrainingOptions& o, const TrainingFlags& f, const data::Dataset& images) {
  o.crop = images.crop();
  if (f.epochs) {
    const int64_t batch = int64_t(o.batch) * o.accumulate;
    set_steps(o, div_up(*f.epochs * int64_t(images.count()), batch));
  }
  if (f.attributes) {
    if (images.attributes().empty())
      fail("--attributes needs CelebA's list_attr_celeba.txt beside the images");
    o.network.condition = int(images.attribute_names().size());
  }
  check(o);
}

}  // namespace ito::apps
