#include "model/diffusion/sampler.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/math.h"

namespace ito::model {

namespace {

using engine::DType;
using kernels::SdeStep;

constexpr size_t kStagesAhead = 32;

// The table's first two entries; stage i is at kFirstStage + i.
constexpr size_t kPrior = 0, kFirstNoise = 1, kFirstStage = 2;

uint8_t quantised(float x) {
  if (!std::isfinite(x))
    throw NotFinite("the model produced a number that is not finite: use an earlier checkpoint",
                    cat(__FILE__, ":", __LINE__));
  return uint8_t(std::clamp(std::floor(127.5f * x + 128.0f), 0.0f, 255.0f));
}

SdeStep noise_only(double keep, double noise, size_t noise_step) {
  SdeStep step;
  step.a = float(keep), step.c = float(noise), step.noise_step = uint32_t(noise_step);
  return step;
}

}  // namespace

int sample_chunk(engine::Device& device, const Denoiser& denoiser, const engine::Shape& image) {
  constexpr int kOnCpu = 8, kOnGpu = 64;
  if (device.backend() == engine::Backend::cpu) return kOnCpu;
  const auto evaluation_bytes = [&](int64_t chunk) {
    engine::DryRun dry(device);
    engine::NoGrad off(device);
    const int64_t asked = denoiser.guided ? 2 * chunk : chunk;
    denoiser.network(Tensor(device, {asked, image[0], image[1], image[2]}, denoiser.compute),
                     Tensor(device, {asked}, DType::f32));
    return dry.peak_bytes();
  };
  int chunk = kOnGpu;
  while (chunk > 1 && evaluation_bytes(chunk) > device.usable_bytes()) chunk /= 2;
  return chunk;
}

Sampler::Sampler(engine::Device& device, const Denoiser& denoiser, const SamplerPlan& plan,
                 const engine::Shape& image, int chunk)
    : device_(device), denoiser_(denoiser), plan_(plan), image_(image), chunk_(chunk) {
  if (plan.stages.empty()) fail("a sampler's plan has no stages");
  for (const Stage& stage : plan.stages) ring_ = std::max(ring_, stage.update.terms());
  const engine::Shape shape{chunk, image[0], image[1], image[2]};
  const int64_t asked = denoiser.guided ? 2 * chunk : chunk;
  for (Tensor& state : states_) state = Tensor::persistent(device, shape, DType::f32);
  for (int i = 0; ring_ > 1 && i < ring_; ++i)
    denoised_.push_back(Tensor::persistent(device, shape, DType::f32));
  input_ = Tensor::persistent(device, {asked, image[0], image[1], image[2]}, denoiser.compute);
  c_noise_ = Tensor::persistent(device, {asked}, DType::f32);
  seeds_ = engine::Buffer<uint64_t>(device, size_t(chunk));
  current_ = engine::Buffer<SdeStep>(device, 1);
  make_steps();
}

/// What the stage's kernel prepares for the evaluation of stage `stage`: its input's scale and condition, the same for
/// the guide.
void Sampler::tell_next(size_t stage, SdeStep& step) const {
  if (stage == plan_.stages.size()) return;
  const Scaling scaling = denoiser_.scaling(plan_.stages[stage].level);
  for (kernels::SdeNetwork* network : {&step.network, &step.guide})
    network->next_scale = float(scaling.c_in), network->next_c_noise = float(scaling.c_noise);
}

/// Where the kernel writes the next evaluation's input. The guide's is the second half of the doubled batch.
void Sampler::ask_next(kernels::SdeUpdateOperands& o) {
  o.network.next_in = input_.out(), o.network.next_c_noise = c_noise_.out();
  if (!denoiser_.guided) return;
  o.guide.next_in = input_.slice(states_[0].count(), states_[0].shape()).out();
  o.guide.next_c_noise = c_noise_.slice(chunk_, {chunk_}).out();
}

SdeStep Sampler::numbers_of(size_t i) const {
  const Stage& stage = plan_.stages[i];
  const Scaling scaling = denoiser_.scaling(stage.level);
  SdeStep step;
  stage.update.write_to(step);
  step.network.skip = float(scaling.c_skip), step.network.out = float(scaling.c_out);
  step.guide = step.network;
  step.guidance = float(denoiser_.guidance);
  step.noise_step = uint32_t(i);
  // Noise that the next stage wants before its evaluation is drawn here, from its own stream.
  const double next_noise = i + 1 < plan_.stages.size() ? plan_.stages[i + 1].noise_before : 0;
  if (next_noise != 0) {
    if (step.c != 0) fail("a sampler's plan draws noise twice between two evaluations");
    step.c = float(next_noise), step.noise_step = uint32_t(i + 1);
  }
  tell_next(i + 1, step);
  return step;
}

void Sampler::make_steps() {
  std::vector<SdeStep> table = {noise_only(0, plan_.prior_sigma, 0),
                                noise_only(1, plan_.stages[0].noise_before, 0)};
  for (SdeStep& step : table) tell_next(0, step);
  for (size_t i = 0; i < plan_.stages.size(); ++i) table.push_back(numbers_of(i));
  table_ = engine::Buffer<SdeStep>(device_, table);
}

/// The buffers of a stage: its result overwrites its start unless the next stage goes back there.
Sampler::Wiring Sampler::wiring_of(size_t i, const Wiring& before) const {
  const std::vector<Stage>& stages = plan_.stages;
  Wiring w;
  w.at = before.out;
  w.start = stages[i].from_start ? before.start : w.at;
  w.out = i + 1 < stages.size() && stages[i + 1].from_start ? 1 - w.start : w.start;
  w.history = std::max(stages[i].update.terms() - 1, 0);
  w.newest = ring_ > 1 ? int(i % size_t(ring_)) : -1;
  return w;
}

/// Copies the numbers of one step to where the kernel reads them.
void Sampler::set_numbers(size_t index) {
  device_.copy(current_.data(), table_.data() + index, sizeof(SdeStep));
}

void Sampler::update(const kernels::SdeUpdateOperands& operands, int history, Purpose purpose) {
  const kernels::SdeUpdateDims dims{chunk_, int(image_.count()), history, purpose};
  device_.launch([&](auto& s) { kernels::sde_update(s, dims, current_.data(), operands); });
}

/// The prior, and what a first evaluation wants added to it.
void Sampler::begin(const std::vector<uint64_t>& seeds) {
  if (seeds.empty() || seeds.size() > size_t(chunk_))
    fail(cat("a chunk takes 1 to ", chunk_, " seeds, not ", seeds.size()));
  std::vector<uint64_t> all(size_t(chunk_), seeds.back());
  std::copy(seeds.begin(), seeds.end(), all.begin());
  seeds_.write(all.data(), all.size());
  kernels::SdeUpdateOperands o{};
  o.seeds = seeds_.data();
  o.x_out = states_[0].out();
  ask_next(o);
  set_numbers(kPrior);
  update(o, 0, Purpose::prior);
  if (plan_.stages[0].noise_before == 0) return;
  o.start = states_[0].in();
  set_numbers(kFirstNoise);
  update(o, 0, Purpose::sampler_noise);
}

void Sampler::run_stage(const Wiring& w) {
  const Tensor f = denoiser_.network(input_, c_noise_);  // [M,H,W,C]
  kernels::SdeUpdateOperands o{};
  o.start = states_[w.start].in(), o.x = states_[w.at].in();
  o.network.f = f.in();
  if (denoiser_.guided) o.guide.f = f.slice(states_[0].count(), states_[0].shape()).in();
  for (int k = 0; k < w.history; ++k)
    o.history[k] = denoised_[size_t(w.newest + ring_ - 1 - k) % size_t(ring_)].in();
  o.seeds = seeds_.data();
  if (w.newest >= 0) o.denoised = denoised_[size_t(w.newest)].out();
  o.x_out = states_[w.out].out();
  ask_next(o);
  update(o, w.history, Purpose::sampler_noise);
}

Tensor Sampler::run(const std::vector<uint64_t>& seeds, const std::function<void()>& after_stage) {
  engine::NoGrad off(device_);
  begin(seeds);
  Wiring wiring{0, 0, 0, -1, 0};
  for (size_t i = 0; i < plan_.stages.size(); ++i) {
    wiring = wiring_of(i, wiring);
    set_numbers(kFirstStage + i);
    auto& step = steps_[wiring];
    if (!step) step = std::make_unique<engine::CapturedStep>(device_, [this, wiring] { run_stage(wiring); });
    step->run();
    if (!after_stage) continue;
    // Progress is what is done, not what is queued.
    if (i % kStagesAhead == kStagesAhead - 1) device_.synchronize();
    after_stage();
  }
  return states_[wiring.out];
}

std::vector<uint8_t> Sampler::sample(const std::vector<uint64_t>& seeds,
                                     const std::function<void()>& after_stage) {
  const Tensor x = run(seeds, after_stage);
  std::vector<float> numbers(seeds.size() * size_t(image_.count()));
  device_.download(numbers.data(), x.data(), numbers.size() * sizeof(float));
  std::vector<uint8_t> pixels(numbers.size());
  std::transform(numbers.begin(), numbers.end(), pixels.begin(), quantised);
  return pixels;
}

std::vector<uint8_t> sample_images(engine::Device& device, const Denoiser& denoiser, const SamplerPlan& plan,
                                   const engine::Shape& image, const std::vector<uint64_t>& seeds,
                                   const SampleProgress& progress) {
  Sampler sampler(device, denoiser, plan, image, sample_chunk(device, denoiser, image));
  const size_t chunk = size_t(sampler.chunk());
  const int64_t total = int64_t(div_up(seeds.size(), chunk)) * sampler.stages();
  std::vector<uint8_t> pixels;
  int64_t done = 0;
  for (size_t first = 0; first < seeds.size(); first += chunk) {
    const size_t last = std::min(first + chunk, seeds.size());
    const std::vector<uint64_t> some(seeds.begin() + std::ptrdiff_t(first),
                                     seeds.begin() + std::ptrdiff_t(last));
    if (denoiser.prepare) denoiser.prepare(some);
    const std::vector<uint8_t> made = sampler.sample(some, [&] {
      if (progress) progress(++done, total);
    });
    pixels.insert(pixels.end(), made.begin(), made.end());
  }
  return pixels;
}

}  // namespace ito::model
