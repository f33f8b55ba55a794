#include "engine/optimizer.h"

#include <algorithm>
#include <cmath>
#include <new>

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

double Ema::at(int64_t updates) const {
  return warm_start ? std::min(decay, (1.0 + double(updates)) / (10.0 + double(updates))) : decay;
}

Optimizer::Optimizer(ParamStore& store, const OptimizerOptions& options)
    : store_(store),
      options_(options),
      state_(Tensor::persistent(store.device(), {int64_t(sizeof(kernels::StepState))}, DType::f32)) {
  new (state_.data()) kernels::StepState;
}

void Optimizer::prepare(int64_t step) {
  kernels::StepState& s = state();
  s.step = uint32_t(step);
  s.learning_rate = float(options_.learning_rate.at(step));
  s.ema_decay = float(options_.ema.at(updates_));
  const double t = double(updates_ + 1);
  s.bias_correction1 = float(1 - std::pow(double(options_.adamw.beta1), t));
  s.bias_correction2 = float(1 - std::pow(double(options_.adamw.beta2), t));
  s.skipped = 0;
}

void Optimizer::update() {
  store_.device().launch([&](auto& stream) {
    kernels::gradient_norm(stream, store_.flat_count(), store_.gradients(), &state());
    kernels::adamw_update(stream, store_.flat_count(), options_.adamw, &state(), store_.gradients(),
                          store_.decayed(), store_.master(), store_.moment1(), store_.moment2(),
                          store_.ema());
  });
}

}  // namespace ito::engine
