#include "model/training/trainer.h"

#include "kernels/philox.h"
#include "kernels/pointwise.h"

namespace ito::model {

using engine::DType;
using engine::Tensor;
using kernels::Purpose;

namespace {

void check_images(const TrainingOptions& o, const ImageSet& images) {
  if (images.count < 1) fail("there are no images to learn from");
  if (images.height != o.network.height || images.width != o.network.width ||
      images.channels != o.network.channels)
    fail(cat("the images are ", images.height, "x", images.width, "x", images.channels,
             ", the network is made for ", o.network.height, "x", o.network.width, "x", o.network.channels));
  if (o.network.condition && images.conditions.size() != size_t(images.count * o.network.condition))
    fail(cat("the network has a condition of ", o.network.condition, " numbers, the images have none"));
}

float* floats(Tensor& t) { return static_cast<float*>(t.data()); }

}  // namespace

Trainer::Trainer(engine::Device& device, const TrainingOptions& options, const ImageSet& images)
    : device_(device),
      options_(options),
      images_(images),
      objective_{make_sde(options.diffusion.sde), options.diffusion.preconditioning,
                 options.diffusion.weighting, options.diffusion.min_snr_gamma},
      store_(device),
      optimizer_(store_, options.optimizer),
      recipes_(size_t(options.batch) * size_t(options.accumulate)),
      captured_(device, [this] { run(); }) {
  check(options);
  check_images(options, images);
  network_ = std::make_unique<Network>(Scope(store_), options.network);
  store_.allocate(engine::ParamStore::Use::training, options.seed);
  ema_network_ = std::make_unique<Network>(Scope(store_, engine::Track::ema), options.network);
  const int64_t n = int64_t(recipes_.size()), k = options.network.condition;
  c_noise_ = Tensor::persistent(device, {n}, DType::f32);
  weight_ = Tensor::persistent(device, {n}, DType::f32);
  loss_ = Tensor::persistent(device, {1}, DType::f32);
  if (k) {
    condition_ = Tensor::persistent(device, {n, k}, DType::f32);
    keep_ = Tensor::persistent(device, {n}, DType::f32);
  }
}

void Trainer::resume_at(int64_t step, int64_t updates) {
  step_ = step;
  optimizer_.set_updates(updates);
}

/// Which image, which noise level, mirrored or not: all from (seed, step, i), whatever came before.
void Trainer::describe_sample(int64_t i) {
  const uint32_t step = uint32_t(step_), sample = uint32_t(i);
  const uint64_t seed = options_.seed, count = uint64_t(images_.count);
  const uint64_t position = uint64_t(step_) * recipes_.size() + uint64_t(i);
  kernels::SampleRecipe& recipe = recipes_[size_t(i)];
  recipe.image = kernels::permuted_index(seed, uint32_t(position / count), position % count, count);
  recipe.noise_sample = sample;
  recipe.flip = options_.flip ? kernels::random_block({seed, Purpose::flip, step, sample}, 0).v[0] & 1 : 0;
  const TrainingPoint point = objective_.at(options_.diffusion.draw(objective_.sde, seed, step, sample));
  point.write_to(recipe);
  floats(c_noise_)[i] = float(point.c_noise);
  // The mean over pixels, batch and accumulated batches, so that learning rate and clipping mean the same at
  // any size.
  const double numbers = double(recipes_.size()) * images_.height * images_.width * images_.channels;
  floats(weight_)[i] = float(point.loss_weight / numbers);
  if (const int k = options_.network.condition) {
    std::copy_n(images_.conditions.data() + recipe.image * uint64_t(k), k, floats(condition_) + i * k);
    const double u = kernels::random_uniform({seed, Purpose::condition_drop, step, sample}, 0);
    floats(keep_)[i] = u < options_.drop_condition ? 0.0f : 1.0f;
  }
}

void Trainer::describe_batches() {
#pragma omp parallel for num_threads(device_.threads())
  for (int64_t i = 0; i < int64_t(recipes_.size()); ++i) describe_sample(i);
}

Tensor Trainer::slice(Tensor& all, int micro, int64_t width) {
  if (!all.defined()) return {};
  const int64_t n = options_.batch;
  return all.slice(micro * n * width,
                   width == 1 && all.shape().rank() == 1 ? engine::Shape{n} : engine::Shape{n, width});
}

Tensor Trainer::micro_batch_loss(int micro) {
  const NetworkConfig& net = options_.network;
  const int n = options_.batch;
  const engine::Shape shape{n, net.height, net.width, net.channels};
  const DType compute = options_.precision == "bf16" ? DType::bf16 : DType::f32;
  Tensor input(device_, shape, compute), target(device_, shape, DType::f32);  // [N,H,W,C]
  const kernels::MakeBatchDims dims{n,
                                    net.height,
                                    net.width,
                                    net.channels,
                                    options_.seed,
                                    Purpose::diffusion_noise,
                                    optimizer_.state().step};
  device_.launch([&](auto& s) {
    kernels::make_batch(s, dims, images_.pixels, recipes_.data() + size_t(micro) * size_t(n), input.out(),
                        target.out());
  });
  const DropoutSource dropout{net.dropout, options_.seed, uint32_t(micro * n), &optimizer_.state().step};
  const Tensor f = (*network_)({input, slice(c_noise_, micro, 1), slice(condition_, micro, net.condition),
                                slice(keep_, micro, 1), dropout});                          // [N,H,W,C]
  return squared_error(f, cast(target, kernels::wide(compute)), slice(weight_, micro, 1));  // [1]
}

void Trainer::run() {
  store_.zero_gradients();
  for (int micro = 0; micro < options_.accumulate; ++micro) {
    const Tensor loss = micro_batch_loss(micro);
    const kernels::In before = micro ? loss_.in() : kernels::In{};  // never 0 times an old NaN
    device_.launch([&](auto& s) { kernels::add_scaled(s, 1, 1, loss.in(), 1, before, loss_.out()); });
    device_.tape().backward(loss);
    device_.tape().clear();
  }
  optimizer_.update();
}

StepReport Trainer::step() {
  optimizer_.prepare(step_);
  describe_batches();
  captured_.run();
  optimizer_.finish();
  ++step_;
  const kernels::StepState& state = optimizer_.state();
  return {double(floats(loss_)[0]), state.grad_norm, state.learning_rate, state.skipped != 0};
}

MemoryPlan Trainer::plan() { return {captured_.peak_bytes(), device_.persistent_bytes()}; }

}  // namespace ito::model
