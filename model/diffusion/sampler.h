#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "engine/buffer.h"
#include "engine/captured_step.h"
#include "kernels/base/error.h"
#include "model/diffusion/denoiser.h"
#include "model/diffusion/sampler_plan.h"

namespace ito::model {

/// Images sampled together on a device, 8 or, on a GPU, 64, halved where its memory is too short for one
/// evaluation. It never depends on --count: a library's arithmetic may depend on it, and an image may not.
int sample_chunk(engine::Device&, const Denoiser&, const engine::Shape& image);

/// The model's numbers are not finite, so it is broken.
class NotFinite : public Error {
 public:
  using Error::Error;
};

/// Called after every stage with the number done and the number to do over all chunks.
using SampleProgress = std::function<void(int64_t done, int64_t total)>;

/// Runs one plan for chunks of images of shape image = [H,W,C]; image i depends on its seed alone: its prior
/// is the stream (seed, prior, 0, 0), the noise of stage k the stream (seed, sampler_noise, k, 0). A stage is
/// the network and one kernel, which reads the stage's numbers from the device's memory; on a GPU both are
/// captured and replayed.
class Sampler {
 public:
  Sampler(engine::Device&, const Denoiser&, const SamplerPlan&, const engine::Shape& image, int chunk);
  Sampler(const Sampler&) = delete;  // its steps hold its address
  Sampler& operator=(const Sampler&) = delete;

  /// Samples seeds.size() <= chunk images (the rest of the chunk repeats the last seed): u8 [N,H,W,C] pixels,
  /// round-half-up of 127.5 x + 127.5, clamped to 0..255. NotFinite if a number is not.
  std::vector<uint8_t> sample(const std::vector<uint64_t>& seeds,
                              const std::function<void()>& after_stage = {});
  /// Samples the same images, as the numbers about [-1,1] with which the plan ends: [chunk,H,W,C] f32 on the device.
  Tensor run(const std::vector<uint64_t>& seeds, const std::function<void()>& after_stage = {});

  int chunk() const { return chunk_; }
  int64_t stages() const { return int64_t(plan_.stages.size()); }

 private:
  /// Which buffers a stage works on: stages that agree in it are one captured step.
  struct Wiring {
    int at, start, out;   // of states_: where the network is asked, the step's start, the result
    int newest, history;  // of denoised_: where D_0 goes (-1: nowhere), how many older ones are read
    bool operator<(const Wiring& o) const {
      return std::tie(at, start, out, newest, history) < std::tie(o.at, o.start, o.out, o.newest, o.history);
    }
  };
  void make_steps();
  kernels::SdeStep numbers_of(size_t stage) const;
  void tell_next(size_t stage, kernels::SdeStep&) const;
  void ask_next(kernels::SdeUpdateOperands&);
  Wiring wiring_of(size_t stage, const Wiring& before) const;
  void begin(const std::vector<uint64_t>& seeds);
  void set_numbers(size_t index);
  void run_stage(const Wiring&);
  void update(const kernels::SdeUpdateOperands&, int history, Purpose);

  engine::Device& device_;
  Denoiser denoiser_;
  SamplerPlan plan_;
  engine::Shape image_;
  int chunk_, ring_ = 1;                // ring_: how many denoised images are kept
  Tensor states_[2], input_, c_noise_;  // [N,H,W,C], [M,H,W,C], [M]
  std::vector<Tensor> denoised_;        // [N,H,W,C] each
  engine::Buffer<uint64_t> seeds_;
  engine::Buffer<kernels::SdeStep> table_, current_;  // all stages' numbers; those of the running one
  std::map<Wiring, std::unique_ptr<engine::CapturedStep>> steps_;
};

/// Samples any number of images, chunk by chunk, each prepared by the denoiser (Denoiser::prepare).
std::vector<uint8_t> sample_images(engine::Device&, const Denoiser&, const SamplerPlan&,
                                   const engine::Shape& image, const std::vector<uint64_t>& seeds,
                                   const SampleProgress& progress = {});

}  // namespace ito::model
