#pragma once

#include <memory>
#include <vector>

#include "engine/captured_step.h"
#include "engine/device.h"
#include "kernels/make_batch.h"
#include "model/training/image_set.h"
#include "model/training/options.h"
#include "model/unet/network.h"

namespace ito::model {

/// What one step reported.
struct StepReport {
  double loss = 0;       // mean over the batch and pixels of weight * (F - target)^2
  double grad_norm = 0;  // before clipping
  double learning_rate = 0;
  bool skipped = false;  // the gradient was not finite: nothing was changed
};

/// Bytes a run will need, found without running it.
struct MemoryPlan {
  size_t step_bytes = 0;        // activations, gradients on the way, workspaces
  size_t persistent_bytes = 0;  // parameters, moments, EMA, batch descriptions
  size_t total() const { return step_bytes + persistent_bytes; }
};

/// Learns a denoiser: step k is a function of (options, images, k) and the numbers in the store alone, so
/// that a run that goes on from a checkpoint is the run that was never interrupted.
class Trainer {
 public:
  Trainer(engine::Device& device, const TrainingOptions& options, const ImageSet& images);

  /// One update from `accumulate` batches.
  StepReport step();
  /// Number of the next step, from 0.
  int64_t step_number() const { return step_; }
  /// For a resumed run: where it stands. The store's numbers are loaded separately.
  void resume_at(int64_t step, int64_t updates);
  int64_t updates() const { return optimizer_.updates(); }

  engine::ParamStore& store() { return store_; }
  /// The network over the moving average of the weights: what is sampled from.
  const Network& ema_network() const { return *ema_network_; }
  const TrainingOptions& options() const { return options_; }
  MemoryPlan plan();
  /// Before other work on the device between two steps (sampling a grid): the sealed plan is made anew
  /// afterwards.
  void pause() { captured_.unseal(); }

 private:
  void describe_batches();
  void describe_sample(int64_t i);
  void run();
  engine::Tensor micro_batch_loss(int micro);
  engine::Tensor slice(engine::Tensor& all, int micro, int64_t width);

  engine::Device& device_;
  TrainingOptions options_;
  ImageSet images_;
  Objective objective_;
  engine::ParamStore store_;
  std::unique_ptr<Network> network_, ema_network_;
  engine::Optimizer optimizer_;
  int64_t step_ = 0;

  // A step's batches as numbers, written by the host before it runs; at fixed addresses.
  std::vector<kernels::SampleRecipe> recipes_;
  engine::Tensor c_noise_, weight_, condition_, keep_, loss_;
  engine::CapturedStep captured_;
};

}  // namespace ito::model
