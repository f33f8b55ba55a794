#pragma once

#include "engine/staging.h"
#include "kernels/adamw.h"
#include "kernels/make_batch.h"

namespace ito::model {

/// A step's batches as numbers: which images and noise, how much of each, what the network is given. The host
/// writes them before the step, which reads them at fixed addresses of the device's memory.
class BatchInputs {
 public:
  struct Layout {
    int64_t samples = 0;       // of all batches of a step
    int condition = 0;         // numbers of a sample's condition
    int64_t staged_bytes = 0;  // of a sample's pixels, where the images are not on the device
    bool augment = false;
    bool pairs = false;  // of levels, for consistency tuning
  };
  BatchInputs(engine::Device&, const Layout&);

  /// Both sides of it: the host's, to be written between open() and upload(), and the device's.
  struct Parts {
    kernels::StepInput* input;
    kernels::SampleRecipe* recipes;              // [samples]
    float *c_noise, *weight, *condition, *keep;  // [samples], condition [samples,K]; null without one
    kernels::ImageMap* maps;                     // [samples]; null without augmentation
    float* labels;                               // [samples,kAugmentationLabels]; null without augmentation
    kernels::SampleRecipe* lower;                // [samples]: the pairs' lower levels; null without them
    float *lower_c_noise, *share, *scale;        // [samples] each (ConsistencyPoint); null without pairs
    uint8_t* pixels;                             // [samples,H,W,C]; null where nothing is staged
  };
  Parts open() { return parts(staging_.open_inputs()); }
  void upload() { staging_.upload(); }
  Parts on_device() const { return parts(staging_.device_inputs()->data()); }
  /// Numbers of the device's side as a tensor over its memory; `of` is one of on_device()'s pointers.
  engine::Tensor tensor(const float* of, const engine::Shape&) const;

  engine::Staging& staging() { return staging_; }

 private:
  Parts parts(std::byte* base) const;
  static size_t bytes(const Layout&);
  engine::Device& device_;
  Layout layout_;
  engine::Staging staging_;
};

}  // namespace ito::model
