#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "engine/captured_step.h"
#include "engine/staging.h"
#include "kernels/rk45.h"
#include "model/diffusion/sampler_batch.h"

namespace ito::model {

/// The probability flow with an error control of each image's own (kernels/rk45.h), for the samplers whose steps are
/// not known beforehand. A step is one captured step of the device: six evaluations, seven launches besides. The host
/// learns what became of it a step or two later, while the device is at the next, and stops when every image is there.
class AdaptiveFlow {
 public:
  /// The batch must outlive it.
  AdaptiveFlow(SamplerBatch&, const FlowPlan&);
  AdaptiveFlow(const AdaptiveFlow&) = delete;  // its steps hold its address
  AdaptiveFlow& operator=(const AdaptiveFlow&) = delete;

  /// From the batch's states[0] and inputs to its images, there as well. `advanced` is called after steps with the part
  /// of the way, in ln sigma, that the slowest image has gone. Error: steps that become endlessly short.
  Tensor run(const std::function<void(double part)>& advanced);

  /// Of the networks, an image, on average over the first images of the last run: those that its own steps took. It
  /// also waits for the slowest image of its chunk.
  double evaluations(size_t images) const;
  /// Where an image of the last run became NaN, if one did: its sigma.
  std::optional<double> failed_at() const;

 private:
  kernels::Rk45Operands operands(const Evaluation&);
  kernels::Rk45Level level(double sigma) const;
  void begin();
  void first_slope();
  void step();
  bool look(const std::function<void(double part)>& advanced) const;
  double slowest() const;

  SamplerBatch& batch_;
  FlowPlan plan_;
  kernels::Rk45Dims dims_;
  engine::Buffer<kernels::Rk45Level> table_, levels_;  // of the flow; [N,7], of each image's step
  engine::Buffer<kernels::Rk45State> states_;          // [N]
  Tensor slopes_;                                      // [7N,H,W,C]
  std::vector<kernels::Rk45Level> host_table_;
  engine::Staging reports_;
  engine::CapturedStep first_slope_, step_;
  std::vector<kernels::Rk45State> latest_;  // [N], as the host knows them
};

}  // namespace ito::model
