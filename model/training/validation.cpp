#include "model/training/validation.h"

#include <algorithm>
#include <cmath>

#include "engine/agreement.h"
#include "kernels/base/math.h"

namespace ito::model {

using engine::DType;
using engine::Tensor;

namespace {

// Seed and step of noise and noise levels: the same for every run, in a step that training never reaches.
constexpr uint64_t kSeed = 0;
constexpr uint32_t kStep = UINT32_MAX;

Tensor on_device(engine::Device& device, const engine::Shape& shape, const std::vector<float>& values) {
  Tensor tensor = Tensor::persistent(device, shape, DType::f32);
  device.upload(tensor.data(), values.data(), tensor.bytes());
  return tensor;
}

/// The lower levels of pairs, which are those of a run's last stage.
struct Pairs {
  std::vector<kernels::SampleRecipe> lower;
  std::vector<float> c_noise, share, scale;

  TrainingPoint add(const TrainingOptions& o, const Objective& objective, const NoiseLevel& upper,
                    kernels::SampleRecipe recipe) {
    const double r = lower_level(o.consistency, o.consistency.stages - 1, upper.sigma);
    const ConsistencyPoint pair = consistency_point(objective, o.consistency, upper, r);
    pair.write_lower(recipe);
    lower.push_back(recipe);
    c_noise.push_back(float(pair.lower_c_noise));
    share.push_back(float(pair.share));
    scale.push_back(float(pair.scale));
    return pair.upper;
  }
};

}  // namespace

Validation::Validation(engine::Device& device, Trainer& trainer, const ImageSet& images)
    : device_(device),
      trainer_(trainer),
      count_(std::min<int64_t>(trainer.options().validate_count, images.count)),
      padded_(align_up(count_, trainer.options().batch)),
      step_(device, std::vector<uint32_t>{kStep}),
      losses_(Tensor::persistent(device, {padded_ / trainer.options().batch}, DType::f32)) {
  check_images(trainer.options(), images);
  describe(images);
}

void Validation::describe(const ImageSet& images) {
  const TrainingOptions& o = trainer_.options();
  const int64_t each = int64_t(images.height) * images.width * images.channels;
  const int64_t k = o.network.condition_width();
  std::vector<uint8_t> pixels(size_t(padded_ * each));
  std::vector<kernels::SampleRecipe> recipes(static_cast<size_t>(padded_));
  std::vector<float> c_noise(recipes.size()), weight(recipes.size()), keep(recipes.size(), 1.0f);
  std::vector<float> condition(size_t(padded_ * k));
  Pairs pairs;
  const bool tunes = o.objective == ObjectiveKind::consistency;
  const double of_image = tunes ? std::sqrt(double(each)) : double(each);
  for (int64_t i = 0; i < padded_; ++i) {
    const int64_t image = i * images.count / count_ % images.count;
    std::copy_n(images.pixels + image * each, each, pixels.begin() + i * each);
    if (k) images.write_condition(image, k, condition.data() + i * k);
    kernels::SampleRecipe& recipe = recipes[size_t(i)];
    recipe.image = uint64_t(i), recipe.noise_sample = uint32_t(i), recipe.flip = 0;
    const Objective& objective = trainer_.objective();
    const NoiseLevel level = o.diffusion.draw(objective.sde, kSeed, kStep, uint32_t(i));
    const TrainingPoint point = tunes ? pairs.add(o, objective, level, recipe) : objective.at(level);
    point.write_to(recipe);
    c_noise[size_t(i)] = float(point.c_noise);
    weight[size_t(i)] = i < count_ ? float(point.loss_weight / (double(count_) * of_image)) : 0.0f;
  }
  pixels_ = engine::Buffer<uint8_t>(device_, pixels);
  recipes_ = engine::Buffer<kernels::SampleRecipe>(device_, recipes);
  samples_.images = {pixels_.data(), recipes_.data()};
  samples_.c_noise = on_device(device_, {padded_}, c_noise);
  samples_.weight = on_device(device_, {padded_}, weight);
  if (k) samples_.condition = on_device(device_, {padded_, k}, condition);
  if (k) samples_.keep = on_device(device_, {padded_}, keep);
  samples_.seed = kSeed, samples_.purpose = Purpose::validation, samples_.step = step_.data();
  if (!tunes) return;
  lower_ = engine::Buffer<kernels::SampleRecipe>(device_, pairs.lower);
  samples_.lower = lower_.data();
  samples_.lower_c_noise = on_device(device_, {padded_}, pairs.c_noise);
  samples_.share = on_device(device_, {padded_}, pairs.share);
  samples_.scale = on_device(device_, {padded_}, pairs.scale);
}

void Validation::measure(int64_t batch) {
  const TrainingOptions& o = trainer_.options();
  const BatchLoss loss = batch_loss(device_, o, trainer_.ema_network(), nullptr, samples_, batch * o.batch,
                                    o.batch, DropoutSource{});
  device_.copy(static_cast<float*>(losses_.data()) + batch, loss.error.data(), sizeof(float));
}

double Validation::loss(const std::function<void()>& before_batch) {
  kernels::Wire& ranks = device_.ranks();
  trainer_.pause();
  device_.reserve(trainer_.plan().step_bytes);  // a forward pass alone takes less
  engine::NoGrad off(device_);
  device_.share_conv_plan([&] { measure(0); });
  std::vector<float> own;
  engine::together(ranks, [&] {
    for (int64_t batch = 0; batch < losses_.count(); ++batch) {
      if (!engine::is_own_chunk(ranks, size_t(batch))) continue;
      before_batch();
      measure(batch);
    }
    const std::vector<double> losses = losses_.to_doubles();
    for (size_t batch = 0; batch < losses.size(); ++batch)
      if (engine::is_own_chunk(ranks, batch)) own.push_back(float(losses[batch]));
  });
  float sum = 0;
  for (const float loss : engine::gather_chunks(ranks, std::move(own), size_t(losses_.count()), 1, 1))
    sum += loss;
  return sum;
}

}  // namespace ito::model
