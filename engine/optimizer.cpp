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
      scratch_(store.device(), kernels::kGradientNormScratch) {}

kernels::StepInput Optimizer::input(int64_t step) const {
  return {uint32_t(step), float(options_.learning_rate.at(step))};
}

void Optimizer::set_updates(int64_t updates) {
  kernels::StepState state;
  state.updates = uint64_t(updates);
  state_.write(&state, 1);
}

void Optimizer::update(const kernels::StepInput* input) {
  const kernels::AdamWBuffers buffers{.grad = store_.gradients(),
                                      .decayed = store_.decayed(),
                                      .w = store_.master(),
                                      .m = store_.moment1(),
                                      .v = store_.moment2(),
                                      .ema = store_.ema(),
                                      .half = store_.half()};
  store_.device().launch([&](auto& stream) {
    kernels::gradient_norm(stream, store_.flat_count(), options_.adamw, options_.ema, buffers.grad, state(),
                           scratch_.data());
    kernels::adamw_update(stream, store_.flat_count(), options_.adamw, input, state(), buffers);
  });
}

void Optimizer::step(int64_t step) {
  update(Buffer<kernels::StepInput>(store_.device(), {input(step)}).data());
}

}  // namespace ito::engine
