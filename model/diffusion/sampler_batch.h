#pragma once

#include <cstdint>
#include <vector>

#include "engine/buffer.h"
#include "kernels/sde_update.h"
#include "model/diffusion/denoiser.h"
#include "model/diffusion/sampler_plan.h"

namespace ito::model {

/// What the networks return for a batch of images: F of a denoiser and of its guide, which is undefined without one.
struct Evaluation {
  Tensor f, guide_f;
};

/// What samplers of every kind work on: a chunk of images, the networks' next inputs, and seeds, on a device.
struct SamplerBatch {
  SamplerBatch(engine::Device&, const Denoiser&, const Clip&, const engine::Shape& image, int chunk);

  /// The seeds of a chunk (the rest of it repeats the last one), and states[0] = prior_sigma z: z is drawn, or given
  /// [seeds,H,W,C]; then the inputs of an evaluation at `first`, before which `more` noise is added.
  void begin(const std::vector<uint64_t>& of, const float* given, double prior_sigma, const NoiseLevel& first,
             double more);
  /// Evaluates the networks for the inputs that a kernel has prepared.
  Evaluation evaluate() const;
  /// One launch of sde_update with the numbers in `current`.
  void update(const kernels::SdeUpdateOperands&, int history, Purpose);

  /// What joins the networks with their denoised images at a level.
  template <class Step>
  void use_level(const NoiseLevel& level, Step& step) const;
  /// What a kernel prepares for an evaluation at a level: the inputs' scales and conditions.
  template <class Step>
  void ask_level(const NoiseLevel& level, Step& step) const;
  /// Where kernels write the next evaluation's inputs.
  template <class Operands>
  void ask_next(Operands& o);

  const Denoiser& guide() const { return denoiser.guide ? *denoiser.guide : denoiser; }

  engine::Device& device;
  Denoiser denoiser;
  Clip clip;
  engine::Shape image;
  int chunk;
  Tensor states[2], input, c_noise;          // [N,H,W,C], [M,H,W,C], [M]
  Tensor guide_input, guide_c_noise;         // the guide's: the second half of the above, or its own
  Tensor limit;                              // [N]; undefined where nothing is clipped
  engine::Buffer<uint64_t> seeds;            // [N]
  engine::Buffer<kernels::SdeStep> current;  // numbers of the running update

 private:
  template <class Step, class Set>
  void set_networks(const NoiseLevel& level, Step& step, Set set) const {
    set(denoiser.scaling(level), step.network);
    set(guide().scaling(level), step.guide);
  }
};

template <class Step>
void SamplerBatch::use_level(const NoiseLevel& level, Step& step) const {
  set_networks(level, step, [](const Scaling& scaling, kernels::SdeNetwork& network) {
    network.skip = float(scaling.c_skip), network.out = float(scaling.c_out);
  });
  step.guidance = float(denoiser.guidance.at(level.sigma));
}

template <class Step>
void SamplerBatch::ask_level(const NoiseLevel& level, Step& step) const {
  set_networks(level, step, [](const Scaling& scaling, kernels::SdeNetwork& network) {
    network.next_scale = float(scaling.c_in), network.next_c_noise = float(scaling.c_noise);
  });
}

template <class Operands>
void SamplerBatch::ask_next(Operands& o) {
  o.network.next_in = input.slice(0, states[0].shape()).out(), o.network.next_c_noise = c_noise.out();
  if (denoiser.guided()) o.guide.next_in = guide_input.out(), o.guide.next_c_noise = guide_c_noise.out();
}

}  // namespace ito::model
