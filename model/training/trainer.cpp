#include "model/training/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/agreement.h"
#include "kernels/base/hash.h"
#include "kernels/base/philox.h"
#include "model/training/augmentation.h"

namespace ito::model {

namespace {

constexpr int64_t kCompareWeightsEvery = 1000;  // steps

std::string mebibytes(size_t bytes) { return cat(bytes >> 20, " MiB"); }

/// Error: the ranks cannot share the batches of a step; advises the nearest equal update that they can share.
void check_ranks(const TrainingOptions& o, int ranks) {
  if (o.accumulate % ranks == 0) return;
  const int64_t images = int64_t(o.batch) * o.accumulate;
  const std::string fact = cat("a step's ", o.accumulate, o.accumulate == 1 ? " batch" : " batches", " of ",
                               o.batch, " images cannot be shared out evenly among ", ranks, " ranks");
  for (int64_t batches = ranks; batches <= images; batches += ranks)
    if (batches >= o.accumulate && images % batches == 0)
      fail_advising(fact, {cat("{batch} ", images / batches, " {accumulate} ", batches,
                               ", which learns from the same images in each step")});
  fail_advising(
      cat(fact, ", nor can its ", images, " images"),
      {cat("a {batch} and {accumulate} whose product is a multiple of ", ranks), "another number of ranks"});
}

}  // namespace

void check_images(const TrainingOptions& o, const ImageSet& images) {
  if (images.count < 1) fail("there are no images to learn from");
  if (images.height != o.network.height || images.width != o.network.width ||
      images.channels != o.network.channels)
    fail(cat("the images are ", images.height, "x", images.width, "x", images.channels,
             ", the network is made for ", o.network.height, "x", o.network.width, "x", o.network.channels));
  if (o.network.condition && images.conditions.size() != size_t(images.count * o.network.condition))
    fail(cat("the network has a condition of ", o.network.condition, " numbers, the images have none"));
  const auto known = [&](int32_t c) { return c >= 0 && c < o.network.classes; };
  if (o.network.classes && (images.classes.size() != size_t(images.count) ||
                            !std::all_of(images.classes.begin(), images.classes.end(), known)))
    fail(cat("the network has ", o.network.classes, " classes, of which each image must have one"));
}

Trainer::Trainer(engine::Device& device, const TrainingOptions& options, const ImageSet& images,
                 engine::Reduction reduction)
    : device_(device),
      options_(options),
      images_(images),
      objective_{make_sde(options.diffusion.sde), options.diffusion.preconditioning,
                 options.diffusion.weighting, options.diffusion.min_snr_gamma},
      store_(device),
      reduction_(reduction),
      batch_(options.batch),
      batches_(options.accumulate / device.ranks().size()),
      captured_(device, [this] { run(); }) {
  check(options);
  check_images(options, images);
  check_ranks(options, device.ranks().size());
  if (!options.attributes.empty()) attributes_ = {options.attributes, images.conditions};
  network_ = std::make_unique<Network>(Scope(store_), options.network);
  if (options.learn_weighting) loss_weight_.emplace(Scope(store_) / "loss_weight");
  if (options.power_ema) store_.keep_power_averages();
  check_weights();
  store_.allocate(engine::ParamStore::Use::training, options.seed, compute_type(options));
  optimizer_.emplace(store_, options.optimizer);
  ema_network_ = std::make_unique<Network>(Scope(store_, engine::Track::ema), options.network);
  BatchInputs::Layout layout{.samples = samples(),
                             .condition = options.network.condition_width(),
                             .augment = options.augment > 0,
                             .pairs = options.objective == ObjectiveKind::consistency};
  inputs_ = std::make_unique<BatchInputs>(device, layout);
  check_memory();
  if (device.backend() == engine::Backend::cpu) return;
  // Images stay on a GPU if they leave room for a step; else they are sent with each step.
  const size_t each = size_t(images.height) * size_t(images.width) * size_t(images.channels);
  const size_t all = size_t(images.count) * each;
  if (all + captured_.peak_bytes() <= device.usable_bytes()) {
    pixels_ = engine::Buffer<uint8_t>(device, all);
    pixels_.write(images.pixels, all);
  } else {
    layout.staged_bytes = int64_t(each);
    inputs_ = std::make_unique<BatchInputs>(device, layout);
  }
}

/// Error, before anything is allocated, if not even the network fits.
void Trainer::check_weights() {
  const size_t there = device_.usable_bytes();
  const size_t needed = store_.bytes_to_allocate(engine::ParamStore::Use::training, compute_type(options_));
  if (needed > there)
    fail_advising(cat("the network's weights, gradients, moments and averages need ", mebibytes(needed),
                      " of memory, and ", mebibytes(there), " are there"),
                  {"a smaller {preset}"});
}

/// Error, before the first step, if it does not fit; advises what would.
void Trainer::check_memory() {
  const size_t needed = captured_.peak_bytes(), there = device_.usable_bytes();
  if (needed <= there) return;
  // Equal parts of the batch, so that together they learn the same.
  const int batches = batches_;
  const auto fits = [&](int parts) {
    batch_ = options_.batch / parts, batches_ = batches * parts;
    return options_.batch % parts == 0 && captured_.measure_peak_bytes() <= there;
  };
  int parts = 2;
  while (parts <= options_.batch && !fits(parts)) ++parts;
  const std::string fact = cat("a step of ", options_.batch, " images needs ", mebibytes(needed),
                               " of memory besides the weights, and ", mebibytes(there), " are there");
  if (parts > options_.batch) fail_advising(fact + ": not even one image fits", {"a smaller {preset}"});
  fail_advising(fact, {cat("{batch} ", options_.batch / parts, " {accumulate} ", options_.accumulate * parts,
                           ", which fits and learns the same")});
}

void Trainer::resume_at(int64_t step, int64_t updates, int64_t bad_steps) {
  step_ = reported_ = step;
  skipped_ = step - updates, bad_steps_ = bad_steps;
  optimizer_->set_updates(updates);
}

/// Which image, which noise level, mirrored or not: all from (seed, step, number of the sample), whatever came before;
/// i: its place among this rank's.
void Trainer::describe_sample(int64_t i, const BatchInputs::Parts& inputs) {
  const uint32_t step = uint32_t(step_), sample = uint32_t(first_sample() + i);
  const uint64_t seed = options_.seed, count = uint64_t(images_.count);
  const uint64_t of_step = uint64_t(options_.batch) * uint64_t(options_.accumulate);
  const uint64_t position = uint64_t(step_) * of_step + sample;
  kernels::SampleRecipe& recipe = inputs.recipes[i];
  recipe.image = permuted_index(seed, uint32_t(position / count), position % count, count);
  recipe.noise_sample = sample;
  recipe.flip = options_.flip ? random_block({seed, Purpose::flip, step, sample}, 0).v[0] & 1 : 0;
  const NoiseLevel level = options_.diffusion.draw(objective_.sde, seed, step, sample);
  if (inputs.lower)
    describe_pair(i, level, inputs);
  else
    describe_point(i, objective_.at(level), double(images_.height) * images_.width * images_.channels,
                   inputs);
  if (const int k = options_.network.condition_width()) {
    images_.write_condition(int64_t(recipe.image), k, inputs.condition + i * k);
    const double u = random_uniform({seed, Purpose::condition_drop, step, sample}, 0);
    inputs.keep[i] = u < options_.drop_condition ? 0.0f : 1.0f;
  }
  if (inputs.maps) describe_augmentation(i, inputs);
}

/// The mean over what a sample's loss is a sum of, batch and accumulated batches, so that learning rate and clipping
/// mean the same at any size.
void Trainer::describe_point(int64_t i, const TrainingPoint& point, double of_sample,
                             const BatchInputs::Parts& inputs) {
  point.write_to(inputs.recipes[i]);
  inputs.c_noise[i] = float(point.c_noise);
  inputs.weight[i] =
      float(point.loss_weight / (of_sample * double(options_.batch) * double(options_.accumulate)));
}

/// A pair of levels for consistency tuning; its loss is a distance, and so by the root of an image's numbers that of
/// a pixel.
void Trainer::describe_pair(int64_t i, const NoiseLevel& upper, const BatchInputs::Parts& inputs) {
  const int stage = consistency_stage(options_.consistency, step_, options_.steps);
  const ConsistencyPoint pair = consistency_point(objective_, options_.consistency, upper,
                                                  lower_level(options_.consistency, stage, upper.sigma));
  describe_point(i, pair.upper, std::sqrt(double(images_.height) * images_.width * images_.channels), inputs);
  inputs.lower[i] = inputs.recipes[i];
  pair.write_lower(inputs.lower[i]);
  inputs.lower_c_noise[i] = float(pair.lower_c_noise);
  inputs.share[i] = float(pair.share), inputs.scale[i] = float(pair.scale);
}

/// What is done to the image besides the mirroring, and the labels of both.
void Trainer::describe_augmentation(int64_t i, const BatchInputs::Parts& inputs) {
  Augmentation a =
      draw_augmentation({options_.seed, Purpose::augmentation, uint32_t(step_), uint32_t(first_sample() + i)},
                        options_.augment);
  a.x_flip = inputs.recipes[i].flip != 0;
  inputs.maps[i] = map_of(a, images_.height, images_.width);
  const auto labels = labels_of(a);
  std::copy(labels.begin(), labels.end(), inputs.labels + i * kAugmentationLabels);
}

void Trainer::stage_pixels(const BatchInputs::Parts& inputs) {
  const size_t bytes = size_t(images_.height) * size_t(images_.width) * size_t(images_.channels);
  const int64_t count = samples();
#pragma omp parallel for num_threads(device_.threads())
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(inputs.pixels + size_t(i) * bytes, images_.pixels + inputs.recipes[i].image * bytes, bytes);
    inputs.recipes[i].image = uint64_t(i);
    if (inputs.lower) inputs.lower[i].image = uint64_t(i);
  }
}

void Trainer::describe_batches(const BatchInputs::Parts& inputs) {
  *inputs.input = optimizer_->input(step_);
  const int64_t count = samples();
#pragma omp parallel for num_threads(device_.threads())
  for (int64_t i = 0; i < count; ++i) describe_sample(i, inputs);
  if (inputs.pixels) stage_pixels(inputs);
}

const uint8_t* Trainer::device_pixels() const {
  if (pixels_.size()) return pixels_.data();
  const uint8_t* staged = inputs_->on_device().pixels;
  return staged ? staged : images_.pixels;
}

DescribedSamples Trainer::described() const {
  const BatchInputs::Parts inputs = inputs_->on_device();
  const int64_t samples = this->samples(), k = options_.network.condition_width();
  DescribedSamples d;
  d.images = {device_pixels(), inputs.recipes, inputs.maps};
  d.c_noise = inputs_->tensor(inputs.c_noise, {samples});
  d.weight = inputs_->tensor(inputs.weight, {samples});
  if (k) d.condition = inputs_->tensor(inputs.condition, {samples, k});
  if (k) d.keep = inputs_->tensor(inputs.keep, {samples});
  if (inputs.labels) d.augment = inputs_->tensor(inputs.labels, {samples, kAugmentationLabels});
  if (inputs.lower) {
    d.lower = inputs.lower;
    d.lower_c_noise = inputs_->tensor(inputs.lower_c_noise, {samples});
    d.share = inputs_->tensor(inputs.share, {samples});
    d.scale = inputs_->tensor(inputs.scale, {samples});
  }
  d.noise_candidates = options_.noise_candidates, d.input_noise = float(options_.input_noise);
  d.seed = options_.seed, d.step = &inputs.input->step;
  return d;
}

BatchLoss Trainer::micro_batch_loss(int micro) {
  const int64_t first = int64_t(micro) * batch_;
  const DropoutSource dropout{options_.network.dropout, options_.seed, uint32_t(first_sample() + first),
                              &inputs_->on_device().input->step};
  return batch_loss(device_, options_, *network_, loss_weight_ ? &*loss_weight_ : nullptr, described(), first,
                    batch_, dropout);
}

/// The gradients of one batch of this rank, and its loss behind them.
void Trainer::run_batch(int micro) {
  store_.zero_gradients();
  const BatchLoss loss = micro_batch_loss(micro);
  device_.copy(store_.loss(), loss.error.data(), sizeof(float));
  device_.tape().backward(loss.learned);
  device_.tape().clear();
}

void Trainer::run() {
  {
    engine::GradientTree tree(store_, batches_);
    for (int micro = 0; micro < batches_; ++micro) {
      run_batch(micro);
      tree.add();
    }
  }
  engine::sum_over_ranks(store_, reduction_);
  device_.copy(&optimizer_->state()->loss, store_.loss(), sizeof(float));
  optimizer_->update(inputs_->on_device().input);
}

/// The reports of the steps before `until` that were not returned yet.
std::vector<StepReport> Trainer::arrived(int64_t until) {
  std::vector<StepReport> reports;
  for (; reported_ < until; ++reported_) {
    kernels::StepState state;
    std::memcpy(&state, inputs_->staging().results(step_ - reported_), sizeof state);
    const bool skipped = state.skipped != 0;
    skipped_ += skipped;
    bad_steps_ = skipped ? bad_steps_ + 1 : 0;
    reports.push_back({reported_, state.loss, state.grad_norm,
                       double(optimizer_->input(reported_).learning_rate), skipped, bad_steps_});
    agree_with_ranks(reports.back());
  }
  return reports;
}

/// Ranks that have made the same update report the same bits; each brings its wish to stop along. Error: they do not.
void Trainer::agree_with_ranks(const StepReport& report) {
  struct Report {
    double loss, grad_norm;
    int64_t wishes_to_stop;
  };
  stops_ |= wishes_to_stop_;
  if (device_.ranks().size() == 1) return;
  const std::vector<Report> all =
      engine::gather_values(device_.ranks(), Report{report.loss, report.grad_norm, wishes_to_stop_});
  for (size_t r = 0; r < all.size(); ++r) {
    stops_ |= all[r].wishes_to_stop != 0;
    if (std::memcmp(&all[r], &all[0], offsetof(Report, wishes_to_stop)) != 0)
      fail(cat("step ", report.step + 1, ": the ranks no longer agree: rank ", r, " has loss ",
               shortest_text(all[r].loss), " and gradient norm ", shortest_text(all[r].grad_norm),
               ", rank 0 ", shortest_text(all[0].loss), " and ", shortest_text(all[0].grad_norm),
               "; is a GPU or its memory faulty? Nothing of this step is saved"));
  }
}

/// Error: the weights of a rank are not rank 0's, which its reports do not show.
void Trainer::compare_weights() {
  if (device_.ranks().size() == 1 || step_ % kCompareWeightsEvery) return;
  constexpr int64_t kPiece = 1 << 20;  // numbers
  std::vector<float> piece(static_cast<size_t>(std::min(kPiece, store_.flat_count())));
  Hash hash;
  for (int64_t i = 0; i < store_.flat_count(); i += kPiece) {
    const size_t bytes = size_t(std::min(kPiece, store_.flat_count() - i)) * sizeof(float);
    device_.download(piece.data(), store_.master() + i, bytes);
    hash.add(piece.data(), bytes);
  }
  const std::vector<uint64_t> all = engine::gather_values(device_.ranks(), hash.value());
  for (size_t r = 1; r < all.size(); ++r)
    if (all[r] != all[0])
      fail(cat("step ", step_, ": the weights of rank ", r, " are not those of rank 0 (sums ", hex(all[r]),
               " and ", hex(all[0]), "); is a GPU or its memory faulty?"));
}

/// A batch in which convolutions are measured; its gradients are not used.
void Trainer::plan_alone() {
  describe_batches(inputs_->open());
  inputs_->upload();
  device_.reserve(captured_.peak_bytes());
  run_batch(0);
  device_.synchronize();
}

std::vector<StepReport> Trainer::advance() {
  if (!plan_is_shared_) device_.share_conv_plan([this] { plan_alone(); });
  plan_is_shared_ = true;
  const BatchInputs::Parts inputs = inputs_->open();
  const int delay = inputs_->staging().delay();
  std::vector<StepReport> reports;
  if (delay) reports = arrived(step_ + 1 - delay);
  describe_batches(inputs);
  inputs_->upload();
  captured_.run();
  inputs_->staging().download(optimizer_->state());
  ++step_;
  if (!delay) reports = arrived(step_);
  compare_weights();
  return reports;
}

std::vector<StepReport> Trainer::finish() {
  device_.synchronize();
  return arrived(step_);
}

StepReport Trainer::step() {
  std::vector<StepReport> reports = advance();
  for (const StepReport& report : finish()) reports.push_back(report);
  return reports.back();
}

MemoryPlan Trainer::plan() { return {captured_.peak_bytes(), device_.persistent_bytes()}; }

}  // namespace ito::model
