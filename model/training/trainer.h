#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/buffer.h"
#include "engine/captured_step.h"
#include "engine/gradient_tree.h"
#include "model/training/attribute_rows.h"
#include "model/training/batch_inputs.h"
#include "model/training/batch_loss.h"
#include "model/training/image_set.h"
#include "model/training/options.h"

namespace ito::model {

/// What one step reported.
struct StepReport {
  int64_t step = 0;  // its number
  double loss = 0;   // mean over the batch and pixels of weight * (F - target)^2; no weight that is learned
  double grad_norm = 0;  // before clipping
  double learning_rate = 0;
  bool skipped = false;   // loss or gradient was not finite: nothing was changed
  int64_t bad_steps = 0;  // skipped ones in a row, this one included
};

/// Bytes a run will need, found without running it.
struct MemoryPlan {
  size_t step_bytes = 0;        // activations, gradients on the way, workspaces
  size_t persistent_bytes = 0;  // parameters, moments, EMA, batch descriptions
  size_t total() const { return step_bytes + persistent_bytes; }
};

/// Error unless the images are what the options' network takes.
void check_images(const TrainingOptions&, const ImageSet&);

/// Learns a denoiser: step k is a function of (options, images, k) and the numbers in the store alone, so
/// that a run that goes on from a checkpoint is the run that was never interrupted. The device's ranks share a step's
/// `accumulate` batches: rank r of R takes those from r accumulate / R on, every rank makes the same update, and with
/// Reduction::exact it has the same bits for every R that is a power of two (engine::GradientTree).
class Trainer {
 public:
  /// Error: the options or images are of no use; it does not fit into memory; the ranks do not divide `accumulate`.
  Trainer(engine::Device& device, const TrainingOptions& options, const ImageSet& images,
          engine::Reduction reduction = engine::Reduction::exact);

  /// One update from `accumulate` batches, and what it reported: waits for the device.
  StepReport step();
  /// Starts one update without waiting; on a GPU reports arrive a step or two late. Returns those that have arrived
  /// since the last call, oldest first.
  std::vector<StepReport> advance();
  /// Waits for the reports that are still on their way.
  std::vector<StepReport> finish();
  /// This rank's wish to stop; once the ranks have exchanged it, stops() is true on all of them after the same step.
  void wish_to_stop(bool wish) { wishes_to_stop_ = wish; }
  bool stops() const { return stops_; }
  /// Number of the next step, from 0.
  int64_t step_number() const { return step_; }
  /// Sets the position of a resumed run. The store's numbers are loaded separately.
  void resume_at(int64_t step, int64_t updates, int64_t bad_steps);
  int64_t updates() const { return optimizer_->updates(); }
  /// Of the steps that have reported: those skipped, and the latest skipped ones in a row.
  int64_t skipped() const { return skipped_; }
  int64_t bad_steps() const { return bad_steps_; }

  engine::ParamStore& store() { return store_; }
  /// The network over the moving average of the weights: what is sampled from.
  const Network& ema_network() const { return *ema_network_; }
  const TrainingOptions& options() const { return options_; }
  const Objective& objective() const { return objective_; }
  const ImageSet& images() const { return images_; }
  /// What the images' conditions mean; empty unless the options name the attributes.
  const AttributeRows& attributes() const { return attributes_; }
  MemoryPlan plan();
  /// Before other work on the device between two steps (sampling a grid): the sealed plan is made again
  /// afterwards.
  void pause() { captured_.unseal(); }

 private:
  int64_t samples() const { return int64_t(options_.batch) * options_.accumulate / device_.ranks().size(); }
  int64_t first_sample() const { return samples() * device_.ranks().rank(); }
  void describe_batches(const BatchInputs::Parts&);
  void describe_sample(int64_t i, const BatchInputs::Parts&);
  void describe_point(int64_t i, const TrainingPoint&, double of_sample, const BatchInputs::Parts&);
  void describe_pair(int64_t i, const NoiseLevel& upper, const BatchInputs::Parts&);
  void describe_augmentation(int64_t i, const BatchInputs::Parts&);
  void stage_pixels(const BatchInputs::Parts&);
  const uint8_t* device_pixels() const;
  DescribedSamples described() const;
  void check_weights();
  void check_memory();
  void run_batch(int micro);
  void run();
  void plan_alone();
  BatchLoss micro_batch_loss(int micro);
  std::vector<StepReport> arrived(int64_t until);
  void agree_with_ranks(const StepReport&);
  void compare_weights();

  engine::Device& device_;
  TrainingOptions options_;
  ImageSet images_;
  AttributeRows attributes_;
  Objective objective_;
  engine::ParamStore store_;
  std::unique_ptr<Network> network_, ema_network_;
  std::optional<LossWeight> loss_weight_;
  std::optional<engine::Optimizer> optimizer_;  // of the parameters that the network declares
  int64_t step_ = 0, reported_ = 0;             // the next step; the next report
  int64_t skipped_ = 0, bad_steps_ = 0;
  engine::Reduction reduction_;
  bool wishes_to_stop_ = false, stops_ = false;
  bool plan_is_shared_ = false;  // among ranks

  engine::Buffer<uint8_t> pixels_;  // all images, if they fit on a GPU
  std::unique_ptr<BatchInputs> inputs_;
  int batch_, batches_;  // images at a time; how many times, on this rank
  engine::CapturedStep captured_;
};

}  // namespace ito::model
