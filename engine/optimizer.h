#pragma once

#include <cstdint>
#include <string>

#include "engine/buffer.h"
#include "engine/parameters.h"
#include "kernels/adamw.h"

namespace ito::engine {

/// Learning rate: linear warm-up from lr/warmup to lr over `warmup` steps, then constant, or a cosine or line
/// from lr down to final_fraction * lr at step `total`.
struct LearningRate {
  enum class Decay : uint8_t { constant, cosine, linear } decay = Decay::constant;
  double peak = 2e-4;
  int64_t warmup = 0, total = 0;
  double final_fraction = 0;
  double at(int64_t step) const;
};

struct OptimizerOptions {
  kernels::AdamWOptions adamw;
  LearningRate learning_rate;
  kernels::EmaOptions ema;
};

/// AdamW + global-norm clipping + EMA over a store's flat buffers, two launches a step.
class Optimizer {
 public:
  Optimizer(ParamStore& store, const OptimizerOptions& options);

  /// What the host tells step number `step`.
  kernels::StepInput input(int64_t step) const;
  /// Norm, then update, of the gradients in the store; `input` is on the device. Inside the captured step.
  void update(const kernels::StepInput* input);

  /// What the step reports and leaves to the next one; on the device, at a fixed address.
  kernels::StepState* state() { return state_.data(); }
  /// Updates really applied; part of a checkpoint. Waits for the device.
  int64_t updates() const { return int64_t(state_.read()[0].updates); }
  void set_updates(int64_t updates);
  const OptimizerOptions& options() const { return options_; }

 private:
  ParamStore& store_;
  OptimizerOptions options_;
  Buffer<kernels::StepState> state_;
  Buffer<std::byte> scratch_;
};

}  // namespace ito::engine
