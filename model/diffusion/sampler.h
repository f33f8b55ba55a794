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
#include "kernels/langevin.h"
#include "model/diffusion/adaptive_flow.h"
#include "model/diffusion/sampler_batch.h"
#include "model/diffusion/sampler_plan.h"

namespace ito::model {

/// The model's numbers are not finite, so it is broken.
class NotFinite : public Error {
 public:
  using Error::Error;
};

/// Called again and again with the part of all work that is done, above 0 and up to 1.
using SampleProgress = std::function<void(double done)>;

/// What a caller of the sampler may want besides images.
struct SampleHooks {
  SampleProgress progress = {};  // of the chunk, after every stage
  const float* noise = nullptr;  // [seeds,H,W,C] of unit variance, instead of the seeds' own prior
  /// Called after each stage that is not a corrector's with the denoised images D_0 [chunk,H,W,C], on the device. A
  /// sampler whose steps are not known beforehand has no such stages.
  std::function<void(size_t stage, const Tensor& denoised)> look = {};
};

/// Numbers about [-1, 1] as pixels: round-half-up of 127.5 x + 127.5, clamped to 0..255. NotFinite if one is not.
std::vector<uint8_t> quantised(const std::vector<float>& numbers);

/// Runs one plan for chunks of images of shape image = [H,W,C]; image i depends on its seed alone: its prior
/// is the stream (seed, prior, 0, 0), the noise of step k the stream (seed, sampler_noise, k, 0), that of correction k
/// (seed, corrector_noise, k, 0), so that a corrector leaves the steps' noise as it is. A stage is
/// the network and one kernel (two with a corrector or dynamic thresholding), which reads the stage's numbers from the
/// device's memory; on a GPU all are captured and replayed.
class Sampler {
 public:
  Sampler(engine::Device&, const Denoiser&, const SamplerPlan&, const engine::Shape& image, int chunk);
  Sampler(const Sampler&) = delete;  // its steps hold its address
  Sampler& operator=(const Sampler&) = delete;

  /// Samples seeds.size() <= chunk images (the rest of the chunk repeats the last seed): f32 [N,H,W,C], as the plan
  /// ends. NotFinite, naming the step, if a number is not.
  std::vector<float> numbers(const std::vector<uint64_t>& seeds, const SampleHooks& hooks = {});
  /// The same as pixels, u8.
  std::vector<uint8_t> sample(const std::vector<uint64_t>& seeds, const SampleHooks& hooks = {}) {
    return quantised(numbers(seeds, hooks));
  }
  /// The same on the device, unchecked: [chunk,H,W,C].
  Tensor run(const std::vector<uint64_t>& seeds, const SampleHooks& hooks = {});

  int chunk() const { return batch_.chunk; }
  /// Of the networks, an image, in the last run.
  double evaluations() const { return flow_ ? flow_->evaluations(images_) : plan_.evaluations(); }

 private:
  /// Which buffers a stage works on: stages that agree in it are one captured step.
  struct Wiring {
    int at, start, out;   // of the batch's states: where the network is asked, the step's start, the result
    int newest, history;  // of denoised_: where D_0 goes (-1: nowhere), how many older ones are read
    bool corrects;
    bool operator<(const Wiring& o) const {
      return std::tie(at, start, out, newest, history, corrects) <
             std::tie(o.at, o.start, o.out, o.newest, o.history, o.corrects);
    }
  };
  void make_buffers();
  void make_tables();
  kernels::SdeStep numbers_of(size_t stage) const;
  kernels::LangevinStep correction_of(size_t stage) const;
  Wiring wiring_of(size_t stage, const Wiring& before) const;
  Tensor run_stages(const SampleHooks&);
  void set_numbers(size_t stage);
  void run_stage(const Wiring&);
  void run_correction(const Wiring&, const Evaluation&);
  [[noreturn]] void fail_not_finite(const std::vector<uint64_t>& seeds, const SampleHooks&);
  std::string first_not_finite(const std::vector<uint64_t>& seeds, const SampleHooks&);

  SamplerPlan plan_;
  SamplerBatch batch_;
  size_t images_ = 0;                   // of the last run
  std::unique_ptr<AdaptiveFlow> flow_;  // where the plan has no stages, and nothing of the following is used
  int ring_ = 1;                        // how many denoised images are kept
  std::vector<uint32_t> ordinal_;       // of each stage among those of its kind: steps, or corrections
  Tensor norms_;                        // [N,2]; undefined where the plan needs none
  std::vector<Tensor> denoised_;        // [N,H,W,C] each
  bool looking_ = false;                // D_0 is kept for SampleHooks::look
  engine::Buffer<kernels::SdeStep> table_;  // all stages' numbers; those of the running one are the batch's
  engine::Buffer<kernels::LangevinStep> corrections_, current_correction_;
  std::map<Wiring, std::unique_ptr<engine::CapturedStep>> steps_;
};

/// Samples any number of images, chunk by chunk, each prepared by the denoiser (Denoiser::prepare). The device's ranks
/// share the chunks (all of them call it, and each gets all images); what progress throws on one ends it on all.
std::vector<uint8_t> sample_images(engine::Device&, const Denoiser&, const SamplerPlan&,
                                   const engine::Shape& image, const std::vector<uint64_t>& seeds,
                                   const SampleProgress& progress = {});

}  // namespace ito::model
