#pragma once

#include <cstdint>
#include <string>

#include "engine/buffer.h"
#include "engine/parameters.h"
#include "kernels/adamw.h"
#include "kernels/base/options.h"
#include "kernels/muon.h"
#include "kernels/power_ema.h"

namespace ito::engine {

/// Steps are counted in 32 bits (Philox' counter).
inline constexpr int64_t kMostSteps = UINT32_MAX;

enum class Decay : uint8_t { constant, cosine, linear };

/// Learning rate: linear warm-up from lr/warmup to lr over `warmup` steps, then constant, or a cosine or line
/// from lr down to final_fraction * lr at step `total`.
struct LearningRate {
  Decay decay = Decay::constant;
  double peak = 2e-4;
  int64_t warmup = 500, total = 0;
  double final_fraction = 0;
  double at(int64_t step) const;
};

/// What turns gradients into updates. muon orthogonalises those of hidden layers' matrices (kernels/muon.h); the other
/// parameters are AdamW's. radam is AdamW with a warm-up of its own (kernels/adamw.h: rectify).
enum class OptimizerKind : uint8_t { adamw, muon, radam };

struct OptimizerOptions {
  kernels::AdamWOptions adamw;
  LearningRate learning_rate;
  kernels::EmaOptions ema;
  OptimizerKind kind = OptimizerKind::adamw;
};

template <FieldsOf<OptimizerOptions> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  constexpr auto kFraction = from(0).to(1), kDecayRate = from(0).below(1);
  visit(o.kind, Field("optimizer",
                      "what turns gradients into updates; muon: AdamW, but hidden layers' matrices move by "
                      "orthogonal steps; radam: AdamW, rectified")
                    .absent_at(double(OptimizerKind::adamw)));
  visit(o.learning_rate.peak, Field("lr", "peak learning rate", above(0).to(1e38)));
  visit(o.learning_rate.decay,
        Field("lr_decay", "course of the learning rate after the warm-up").as("--decay"));
  visit(o.learning_rate.final_fraction,
        Field("lr_final_fraction", "share of the peak that is left at the last step of a decay", kFraction)
            .as("--final-lr"));
  visit(o.learning_rate.warmup, Field("warmup", "steps of linear warm-up", from(0).to(kMostSteps)));
  visit(o.adamw.beta1, Field("beta1", "", kDecayRate));
  visit(o.adamw.beta2, Field("beta2", "", kDecayRate));
  visit(o.adamw.eps, Field("adam_eps", "", above(0).to(1)));
  visit(o.adamw.weight_decay, Field("weight_decay", "decoupled, of matrices and filters", from(0).to(1000)));
  visit(o.adamw.clip, Field("clip", "global norm of the gradient; 0: never", from(0).to(1e30)));
  visit(o.ema.decay, Field("ema", "decay of the weights' moving average", kDecayRate));
  visit(o.ema.warm_start, Field("ema_warm_start"));
}

/// AdamW + global-norm clipping + EMA over a store's flat buffers, two launches a step; with muon 20 more, and one for
/// power averages.
class Optimizer {
 public:
  /// The store's parameters have been declared. Error: muon, and they have no matrix in a hidden layer.
  Optimizer(ParamStore& store, const OptimizerOptions& options);

  /// What the host tells step number `step`.
  kernels::StepInput input(int64_t step) const;
  /// Norm, then update, of the gradients in the store; `input` is on the device. Inside the captured step.
  void update(const kernels::StepInput* input);
  /// The same by step number `step`'s own input; for loops that record no step.
  void step(int64_t step);

  /// What the step reports and leaves to the next one; on the device, at a fixed address.
  kernels::StepState* state() { return state_.data(); }
  /// Updates really applied; part of a checkpoint. Waits for the device.
  int64_t updates() const { return int64_t(state_.read()[0].updates); }
  void set_updates(int64_t updates);
  const OptimizerOptions& options() const { return options_; }

 private:
  void find_matrices();
  void orthogonalise(float* grad);

  ParamStore& store_;
  OptimizerOptions options_;
  Buffer<kernels::StepState> state_;
  Buffer<std::byte> scratch_;
  Buffer<kernels::MuonMatrix> list_;
  kernels::MuonMatrices matrices_;  // empty without muon
  kernels::PowerEma power_ema_;     // of the store's power averages, where it keeps any
};

}  // namespace ito::engine

template <>
struct ito::Names<ito::engine::OptimizerKind> {
  using OptimizerKind = engine::OptimizerKind;
  static constexpr std::string_view kKind = "optimizer";
  static constexpr Named<OptimizerKind> kTable[] = {
      {"adamw", OptimizerKind::adamw}, {"muon", OptimizerKind::muon}, {"radam", OptimizerKind::radam}};
};

template <>
struct ito::Names<ito::engine::Decay> {
  using Decay = engine::Decay;
  static constexpr std::string_view kKind = "decay of the learning rate";
  static constexpr Named<Decay> kTable[] = {
      {"constant", Decay::constant}, {"cosine", Decay::cosine}, {"linear", Decay::linear}};
};
