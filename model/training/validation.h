#pragma once

#include <functional>

#include "engine/buffer.h"
#include "model/training/batch_loss.h"
#include "model/training/trainer.h"

namespace ito::model {

/// The loss of the EMA weights on images, noise levels and noise that never change: one number by which a
/// run's checkpoints can be compared. It is training's own loss, unmirrored, without dropout and with all
/// conditions shown; it depends on the weights, the images and validate_count alone. Where pairs of levels are tuned to
/// agree it is theirs as the last stage has them, and compares no checkpoints.
class Validation {
 public:
  /// Validates on validate_count of `images`, evenly spread, or on all if there are fewer; copies them to the device.
  Validation(engine::Device&, Trainer&, const ImageSet& images);
  /// The mean over images and pixels. Between two steps; waits for the device. The ranks share the batches, and each
  /// gets the mean, with the same bits for any number of them. What `before_batch` throws on one ends it on all.
  double loss(const std::function<void()>& before_batch = [] {});
  int64_t count() const { return count_; }

 private:
  void describe(const ImageSet&);
  void measure(int64_t batch);

  engine::Device& device_;
  Trainer& trainer_;
  int64_t count_, padded_;  // images; padded with images of weight 0 to whole batches
  engine::Buffer<uint8_t> pixels_;
  engine::Buffer<kernels::SampleRecipe> recipes_, lower_;
  engine::Buffer<uint32_t> step_;
  engine::Tensor losses_;  // of each batch
  DescribedSamples samples_;
};

}  // namespace ito::model
