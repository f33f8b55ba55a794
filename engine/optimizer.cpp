#include "engine/optimizer.h"

#include <algorithm>
#include <cmath>

#include "engine/device.h"

namespace ito::engine {

double LearningRate::at(int64_t step) const {
  if (step < warmup) return peak * double(step + 1) / double(warmup);
  if (decay == Decay::constant || total <= warmup) return peak;
  const double progress = std::clamp(double(step - warmup) / double(total - warmup), 0.0, 1.0);
  const double shape =
      decay == Decay::cosine ? 0.5 * (1 + std::cos(3.14159265358979323846 * progress)) : 1 - progress;
  return peak * (final_fraction + (1 - final_fraction) * shape);
}

Optimizer::Optimizer(ParamStore& store, const OptimizerOptions& options)
    : store_(store),
      options_(options),
      state_(store.device(), {kernels::StepState{}}),
      scratch_(store.device(), kernels::kGradientNormScratch) {
  options_.adamw.rectified = options.kind == OptimizerKind::radam;
  if (options.kind == OptimizerKind::muon) find_matrices();
  for (int k = 0; k < kernels::kPowerAverages; ++k)
    power_ema_.gamma[k] = kernels::power_gamma(kernels::kPowerWidths[k]);
}

void Optimizer::find_matrices() {
  std::vector<kernels::MuonMatrix> list;
  for (size_t i = 0; i < store_.specs().size(); ++i) {
    const ParameterSpec& spec = store_.specs()[i];
    if (!spec.is_hidden_matrix()) continue;
    const int64_t rows = spec.shape[0];
    list.push_back({store_.offset(int(i)), int(rows), int(spec.shape.count() / rows), 0});
  }
  if (list.empty()) fail("muon: the network has no matrix in a hidden layer");
  matrices_ = kernels::muon_matrices(list);
  list_ = Buffer<kernels::MuonMatrix>(store_.device(), list);
  matrices_.list = list_.data();
}

kernels::StepInput Optimizer::input(int64_t step) const {
  return {uint32_t(step), float(options_.learning_rate.at(step))};
}

void Optimizer::set_updates(int64_t updates) {
  kernels::StepState state;
  state.updates = uint64_t(updates);
  state_.write(&state, 1);
}

/// The gradient of each hidden matrix becomes its update.
void Optimizer::orthogonalise(float* grad) {
  const auto scratch = [&](int64_t count) { return Tensor(store_.device(), {count}, DType::f32); };
  Tensor x = scratch(store_.flat_count()), squares = scratch(kernels::kMuonSquares * matrices_.gram_count);
  const kernels::MuonBuffers buffers{
      .grad = grad, .m = store_.moment1(), .x = x.out().as<float>(), .squares = squares.out().as<float>()};
  store_.device().launch(
      [&](auto& stream) { kernels::muon(stream, matrices_, options_.adamw.clip, state(), buffers); });
}

void Optimizer::update(const kernels::StepInput* input) {
  const bool muon = options_.kind == OptimizerKind::muon;
  const kernels::AdamWBuffers buffers{.grad = store_.gradients(),
                                      .flags = store_.flags(),
                                      .w = store_.master(),
                                      .m = store_.moment1(),
                                      .v = store_.moment2(),
                                      .ema = store_.ema(),
                                      .half = store_.half(),
                                      .ready = muon ? kernels::kHidden : uint8_t(0)};
  store_.device().launch([&](auto& stream) {
    kernels::gradient_norm(stream, store_.flat_count(), options_.adamw, options_.ema, buffers.grad, state(),
                           scratch_.data());
  });
  if (muon) orthogonalise(store_.gradients());
  store_.device().launch([&](auto& stream) {
    kernels::adamw_update(stream, store_.flat_count(), options_.adamw, input, state(), buffers);
    if (store_.keeps_power_averages())
      kernels::power_ema(stream, store_.flat_count(), power_ema_, state(),
                         {buffers.w, {store_.power_average(0), store_.power_average(1)}});
  });
}

void Optimizer::step(int64_t step) {
  update(Buffer<kernels::StepInput>(store_.device(), {input(step)}).data());
}

}  // namespace ito::engine
