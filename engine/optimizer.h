#pragma once

#include <cstdint>
#include <string>

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

/// Decay of the weights' moving average: min(decay, (1 + n) / (10 + n)) after n updates, so that it starts
/// quickly.
struct Ema {
  double decay = 0.9999;
  bool warm_start = true;
  double at(int64_t updates) const;
};

struct OptimizerOptions {
  kernels::AdamWOptions adamw;
  LearningRate learning_rate;
  Ema ema;
};

/// AdamW + global-norm clipping + EMA over a store's flat buffers, two launches a step.
class Optimizer {
 public:
  Optimizer(ParamStore& store, const OptimizerOptions& options);

  /// Fills the step's state: called on the host before the step, which reads it on the device.
  void prepare(int64_t step);
  /// Norm, then update, of the gradients in the store. Inside the captured step.
  void update();

  /// Where the step reads its number and reports norm, loss and skipping; at a fixed address.
  kernels::StepState& state() { return *static_cast<kernels::StepState*>(state_.data()); }
  /// Updates really applied; part of a checkpoint. Call finish() after each step to count it.
  int64_t updates() const { return updates_; }
  void set_updates(int64_t updates) { updates_ = updates; }
  void finish() { updates_ += state().skipped ? 0 : 1; }
  const OptimizerOptions& options() const { return options_; }

 private:
  ParamStore& store_;
  OptimizerOptions options_;
  Tensor state_;
  int64_t updates_ = 0;
};

}  // namespace ito::engine
