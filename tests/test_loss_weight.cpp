#include <doctest/doctest.h>

#include <cmath>

#include "engine/checkpoint.h"
#include "engine/io/safetensors.h"
#include "engine/optimizer.h"
#include "model/training/checkpoint.h"
#include "model/training/fine_tuning.h"
#include "model/training/loss_weight.h"
#include "tests/small_run.h"

/// The learned weight of the loss: what it learns, and that it is no part of the model.
namespace ito::model {
namespace {

using namespace tests;
using engine::DType;
using engine::Tensor;

Tensor tensor_of(engine::Device& device, const engine::Shape& shape, const std::vector<float>& values) {
  Tensor tensor = Tensor::persistent(device, shape, DType::f32);
  device.upload(tensor.data(), values.data(), tensor.bytes());
  return tensor;
}

TEST_CASE("u(c) becomes the logarithm of the error at c") {
  engine::Device device({1, engine::Backend::cpu});
  engine::ParamStore store(device);
  const LossWeight u(Scope(store) / "loss_weight");
  store.allocate(engine::ParamStore::Use::training, 1);
  engine::Optimizer optimizer(store, {.adamw = {}, .learning_rate = {.peak = 1e-2, .warmup = 0}, .ema = {}});
  // Errors at c are normal with a deviation of e^c, so that their squares have a mean of e^{2 c}.
  const int n = 64, d = 48;
  std::vector<float> c(n), y(size_t(n) * d), weight(n, 1.0f / (n * d));
  const Tensor target = tensor_of(device, {n, d}, std::vector<float>(y.size()));
  const Tensor weights = tensor_of(device, {n}, weight);
  for (uint32_t step = 0; step < 300; ++step) {
    for (uint32_t i = 0; i < uint32_t(n); ++i) {
      c[i] = float(2 * random_uniform({7, Purpose::noise_level, step, i}, 0) - 1);
      for (uint32_t k = 0; k < uint32_t(d); ++k)
        y[i * size_t(d) + k] =
            std::exp(c[i]) * float(random_normal({7, Purpose::diffusion_noise, step, i}, k));
    }
    const Tensor cs = tensor_of(device, {n}, c), ys = tensor_of(device, {n, d}, y);
    store.zero_gradients();
    device.tape().backward(gaussian_nll(ys, target, weights, u(cs), 1.0 / n));
    device.tape().clear();
    optimizer.step(step);
  }
  const std::vector<float> at{-0.8f, -0.4f, 0, 0.4f, 0.8f};
  engine::NoGrad off(device);
  const std::vector<double> learned = u(tensor_of(device, {5}, at)).to_doubles();
  for (size_t i = 0; i < at.size(); ++i) {
    CAPTURE(at[i]);
    CHECK(std::abs(learned[i] - 2 * double(at[i])) < 0.15);
  }
}

TEST_CASE("the error that is reported has no learned weight") {
  engine::Device device({1, engine::Backend::cpu});
  const std::vector<float> y = {1, -2, 0.5f, 3, 0, 1}, u = {0.7f, -1.2f, 2};
  const Tensor ys = tensor_of(device, {3, 2}, y), zero = tensor_of(device, {3, 2}, std::vector<float>(6)),
               weights = tensor_of(device, {3}, {0.5f, 2, 1}), plain(device, {1}, DType::f32);
  const double total =
      gaussian_nll(ys, zero, weights, tensor_of(device, {3}, u), 0.25, plain).to_doubles()[0];
  const double error[] = {2.5, 18.5, 1};  // weight |y|^2
  double want = 0;
  for (int i = 0; i < 3; ++i) want += std::exp(-double(u[i])) * error[i] + 0.25 * double(u[i]);
  CHECK(std::abs(total - want) < 1e-5 * want);
  CHECK(std::abs(plain.to_doubles()[0] - 22) < 1e-5 * 22);
  CHECK(std::abs(squared_error(ys, zero, weights).to_doubles()[0] - 22) < 1e-5 * 22);
}

TEST_CASE("what only helps to train comes last, and is in no file of weights") {
  engine::Device device({1, engine::Backend::cpu});
  engine::ParamStore store(device);
  const Scope scope(store);
  scope.weight("a", {3}, engine::Init::ones());
  scope.auxiliary().weight("b", {5}, engine::Init::ones());
  CHECK(error_of([&] { scope.weight("c", {2}, engine::Init::ones()); }) ==
        "parameter c is declared after auxiliary ones, which come last");
  CHECK(store.trainable_count() == 3);
  CHECK(store.flat_count() > store.model_count());
  store.allocate(engine::ParamStore::Use::training, 0);
  const TempFolder place;
  engine::save_weights(place / "weights.safetensors", store, engine::Track::ema);
  CHECK(io::SafetensorsReader(place / "weights.safetensors").tensors().size() == 1);
}

TEST_CASE("a run with a learned weight learns it, and leaves an ordinary model to sample and to begin from") {
  SmallRun run;
  run.options.learn_weighting = true;
  const TempFolder place;
  CHECK(run.train(place / "run").finished);
  engine::Device device({1, engine::Backend::cpu});
  const LoadedModel model = load_model(device, place / "run/checkpoints/last");
  CHECK(model.store->find("loss_weight.weight") < 0);
  Trainer again(device, run.options, run.images());
  resume_from(place / "run/checkpoints/last", again);
  const auto weight = [](Trainer& trainer) {
    return trainer.store().read(trainer.store().find("loss_weight.weight"), engine::Track::master);
  };
  const std::vector<float> zeros(weight(again).size());
  CHECK(weight(again) != zeros);
  Trainer tuned(device, run.options, run.images());
  begin_from(model, tuned);
  CHECK(weight(tuned) == zeros);
}

TEST_CASE("a learned weight does not change the first step's loss") {
  SmallRun run;
  engine::Device device({1, engine::Backend::cpu});
  Trainer plain(device, run.options, run.images());
  run.options.learn_weighting = true;
  Trainer weighted(device, run.options, run.images());
  const double first = plain.step().loss, same = weighted.step().loss;
  CHECK(std::abs(first - same) < 1e-6 * first);
  CHECK(plain.step().loss ==
        weighted.step().loss);  // u was 0, and only its own parameters have moved otherwise
  CHECK(plain.step().loss != weighted.step().loss);
}

}  // namespace
}  // namespace ito::model
