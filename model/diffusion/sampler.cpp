#include "model/diffusion/sampler.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/math.h"
#include "kernels/pointwise.h"
#include "kernels/threshold.h"

namespace ito::model {

namespace {

using engine::DType;
using kernels::LangevinStep;
using kernels::SdeStep;

constexpr size_t kStagesAhead = 32;

// The table's first entries; stage i is at kFirstStage + i.
constexpr size_t kPrior = 0, kGivenPrior = 1, kFirstNoise = 2, kFirstStage = 3;

SdeStep noise_only(double keep, double noise, size_t noise_step) {
  SdeStep step;
  step.a = float(keep), step.c = float(noise), step.noise_step = uint32_t(noise_step);
  return step;
}

/// F of a denoiser and of its guide for a batch of n images; the guide's is undefined without one.
struct Evaluation {
  Tensor f, guide_f;
  Evaluation(const Denoiser& denoiser, const Tensor& input, const Tensor& c_noise, const Tensor& guide_input,
             const Tensor& guide_c_noise) {
    f = denoiser.network(input, c_noise);
    if (denoiser.guide) guide_f = denoiser.guide->network(guide_input, guide_c_noise);
    if (denoiser.doubled) guide_f = f.slice(guide_input.count(), guide_input.shape());
  }
};

bool all_finite(const std::vector<float>& numbers) {
  return std::all_of(numbers.begin(), numbers.end(), [](float x) { return std::isfinite(x); });
}

}  // namespace

std::vector<uint8_t> quantised(const std::vector<float>& numbers) {
  if (!all_finite(numbers))
    throw NotFinite("the model produced a number that is not finite: use an earlier checkpoint",
                    cat(__FILE__, ":", __LINE__));
  std::vector<uint8_t> pixels(numbers.size());
  std::transform(numbers.begin(), numbers.end(), pixels.begin(),
                 [](float x) { return uint8_t(std::clamp(std::floor(127.5f * x + 128.0f), 0.0f, 255.0f)); });
  return pixels;
}

int sample_chunk(engine::Device& device, const Denoiser& denoiser, const engine::Shape& image) {
  constexpr int kOnCpu = 8, kOnGpu = 64;
  if (device.backend() == engine::Backend::cpu) return kOnCpu;
  const auto evaluation_bytes = [&](int64_t chunk) {
    engine::DryRun dry(device);
    engine::NoGrad off(device);
    const auto input = [&](int64_t n) {
      return Tensor(device, {n, image[0], image[1], image[2]}, denoiser.compute);
    };
    const auto c_noise = [&](int64_t n) { return Tensor(device, {n}, DType::f32); };
    const int64_t asked = denoiser.doubled ? 2 * chunk : chunk;
    const Tensor f = denoiser.network(input(asked), c_noise(asked));
    if (denoiser.guide) denoiser.guide->network(input(chunk), c_noise(chunk));
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
  uint32_t steps = 0, corrections = 0;
  for (const Stage& stage : plan.stages) {
    ordinal_.push_back(stage.corrects ? corrections++ : steps++);
    if (!stage.corrects) ring_ = std::max(ring_, stage.update.terms());
  }
  make_buffers();
  make_tables();
}

void Sampler::make_buffers() {
  const engine::Shape shape{chunk_, image_[0], image_[1], image_[2]};
  const auto batch = [&](int64_t n) {
    return Tensor::persistent(device_, {n, image_[0], image_[1], image_[2]}, denoiser_.compute);
  };
  const int64_t asked = denoiser_.doubled ? 2 * chunk_ : chunk_;
  for (Tensor& state : states_) state = Tensor::persistent(device_, shape, DType::f32);
  for (int i = 0; ring_ > 1 && i < ring_; ++i)
    denoised_.push_back(Tensor::persistent(device_, shape, DType::f32));
  input_ = batch(asked), c_noise_ = Tensor::persistent(device_, {asked}, DType::f32);
  if (denoiser_.doubled)
    guide_input_ = input_.slice(states_[0].count(), shape), guide_c_noise_ = c_noise_.slice(chunk_, {chunk_});
  if (denoiser_.guide)
    guide_input_ = batch(chunk_), guide_c_noise_ = Tensor::persistent(device_, {chunk_}, DType::f32);
  if (plan_.clip.kind != Clip::Kind::none) {
    limit_ = Tensor::persistent(device_, {chunk_}, DType::f32);
    device_.launch([&](auto& s) { kernels::fill(s, chunk_, 1, limit_.out()); });
  }
  seeds_ = engine::Buffer<uint64_t>(device_, size_t(chunk_));
  current_ = engine::Buffer<SdeStep>(device_, 1);
  if (std::none_of(plan_.stages.begin(), plan_.stages.end(), [](const Stage& s) { return s.corrects; }))
    return;
  norms_ = Tensor::persistent(device_, {chunk_, 2}, DType::f32);
  current_correction_ = engine::Buffer<LangevinStep>(device_, 1);
}

/// What joins the networks with their denoised images at a stage.
template <class Step>
void Sampler::set_networks(size_t stage, Step& step) const {
  const NoiseLevel& level = plan_.stages[stage].level;
  const auto set = [&](const Denoiser& denoiser, kernels::SdeNetwork& network) {
    const Scaling scaling = denoiser.scaling(level);
    network.skip = float(scaling.c_skip), network.out = float(scaling.c_out);
  };
  set(denoiser_, step.network);
  set(denoiser_.guide ? *denoiser_.guide : denoiser_, step.guide);
  step.guidance = float(denoiser_.guidance.at(level.sigma));
}

/// What the stage's kernel prepares for the evaluation of stage `stage`: the inputs' scales and conditions.
template <class Step>
void Sampler::tell_next(size_t stage, Step& step) const {
  if (stage == plan_.stages.size()) return;
  const auto set = [&](const Denoiser& denoiser, kernels::SdeNetwork& network) {
    const Scaling scaling = denoiser.scaling(plan_.stages[stage].level);
    network.next_scale = float(scaling.c_in), network.next_c_noise = float(scaling.c_noise);
  };
  set(denoiser_, step.network);
  set(denoiser_.guide ? *denoiser_.guide : denoiser_, step.guide);
}

/// Where the kernel writes the next evaluation's inputs.
template <class Operands>
void Sampler::ask_next(Operands& o) {
  o.network.next_in = input_.slice(0, states_[0].shape()).out(), o.network.next_c_noise = c_noise_.out();
  if (denoiser_.guided()) o.guide.next_in = guide_input_.out(), o.guide.next_c_noise = guide_c_noise_.out();
}

SdeStep Sampler::numbers_of(size_t i) const {
  const Stage& stage = plan_.stages[i];
  SdeStep step;
  stage.update.write_to(step);
  set_networks(i, step);
  step.noise_step = ordinal_[i];
  // Noise that the next stage wants before its evaluation is drawn here, from its own stream.
  const double next_noise = i + 1 < plan_.stages.size() ? plan_.stages[i + 1].noise_before : 0;
  if (next_noise != 0) {
    if (step.c != 0) fail("a sampler's plan draws noise twice between two evaluations");
    step.c = float(next_noise), step.noise_step = ordinal_[i + 1];
  }
  tell_next(i + 1, step);
  return step;
}

LangevinStep Sampler::correction_of(size_t i) const {
  const Stage& stage = plan_.stages[i];
  LangevinStep step;
  set_networks(i, step);
  step.alpha = float(stage.langevin.alpha), step.snr = float(stage.langevin.snr);
  step.sigma = float(stage.level.sigma), step.noise_step = ordinal_[i];
  tell_next(i + 1, step);
  return step;
}

void Sampler::make_tables() {
  std::vector<SdeStep> table = {noise_only(0, plan_.prior_sigma, 0), noise_only(plan_.prior_sigma, 0, 0),
                                noise_only(1, plan_.stages[0].noise_before, 0)};
  for (SdeStep& step : table) tell_next(0, step);
  std::vector<LangevinStep> corrections;
  for (size_t i = 0; i < plan_.stages.size(); ++i) {
    const bool corrects = plan_.stages[i].corrects;
    if (!corrects) {
      table.push_back(numbers_of(i));
      continue;
    }
    corrections.push_back(correction_of(i));
    SdeStep networks;  // for dynamic_limit
    set_networks(i, networks);
    table.push_back(networks);
  }
  table_ = engine::Buffer<SdeStep>(device_, table);
  if (!corrections.empty()) corrections_ = engine::Buffer<LangevinStep>(device_, corrections);
}

/// The buffers of a stage: its result overwrites its start unless the next stage goes back there.
Sampler::Wiring Sampler::wiring_of(size_t i, const Wiring& before) const {
  const std::vector<Stage>& stages = plan_.stages;
  Wiring w{};
  w.at = before.out, w.corrects = stages[i].corrects;
  if (w.corrects) {
    w.start = w.out = w.at, w.newest = -1;
    return w;
  }
  w.start = stages[i].from_start ? before.start : w.at;
  w.out = i + 1 < stages.size() && stages[i + 1].from_start ? 1 - w.start : w.start;
  w.history = std::max(stages[i].update.terms() - 1, 0);
  w.newest = ring_ > 1 || looking_ ? int(ordinal_[i] % uint32_t(ring_)) : -1;
  return w;
}

/// Copies the numbers of one stage to where the kernel reads them.
void Sampler::set_numbers(size_t index) {
  device_.copy(current_.data(), table_.data() + index, sizeof(SdeStep));
  if (index < kFirstStage || !plan_.stages[index - kFirstStage].corrects) return;
  device_.copy(current_correction_.data(), corrections_.data() + ordinal_[index - kFirstStage],
               sizeof(LangevinStep));
}

void Sampler::update(const kernels::SdeUpdateOperands& operands, int history, Purpose purpose) {
  const kernels::SdeUpdateDims dims{chunk_, int(image_.count()), history, purpose};
  device_.launch([&](auto& s) { kernels::sde_update(s, dims, current_.data(), operands); });
}

/// The prior, drawn or given, and what a first evaluation wants added to it.
void Sampler::begin(const std::vector<uint64_t>& seeds, const float* noise) {
  if (seeds.empty() || seeds.size() > size_t(chunk_))
    fail(cat("a chunk takes 1 to ", chunk_, " seeds, not ", seeds.size()));
  std::vector<uint64_t> all(size_t(chunk_), seeds.back());
  std::copy(seeds.begin(), seeds.end(), all.begin());
  seeds_.write(all.data(), all.size());
  kernels::SdeUpdateOperands o{};
  o.seeds = seeds_.data();
  o.x_out = states_[0].out();
  ask_next(o);
  if (noise) {
    const size_t each = size_t(image_.count());
    std::vector<float> given(noise, noise + seeds.size() * each);
    while (given.size() < size_t(chunk_) * each)
      given.insert(given.end(), noise + (seeds.size() - 1) * each, noise + seeds.size() * each);
    device_.upload(states_[0].data(), given.data(), given.size() * sizeof(float));
    o.start = states_[0].in();
  }
  set_numbers(noise ? kGivenPrior : kPrior);
  update(o, 0, Purpose::prior);
  if (plan_.stages[0].noise_before == 0) return;
  o.start = states_[0].in();
  set_numbers(kFirstNoise);
  update(o, 0, Purpose::sampler_noise);
}

void Sampler::run_correction(const Wiring& w, const Tensor& f, const Tensor& guide_f) {
  kernels::LangevinOperands o{};
  o.x = states_[w.at].in(), o.network.f = f.in(), o.guide.f = guide_f.in(), o.limit = limit_.in();
  o.seeds = seeds_.data(), o.norms = norms_.out(), o.x_out = states_[w.out].out();
  ask_next(o);
  const kernels::LangevinDims dims{chunk_, int(image_.count()), plan_.batch_norms};
  device_.launch([&](auto& s) {
    kernels::langevin_norms(s, dims, current_correction_.data(), o);
    kernels::langevin_update(s, dims, current_correction_.data(), o);
  });
}

void Sampler::run_stage(const Wiring& w) {
  const Evaluation e(denoiser_, input_, c_noise_, guide_input_, guide_c_noise_);
  if (plan_.clip.kind == Clip::Kind::dynamic) {
    const kernels::DynamicLimitDims dims{chunk_, int(image_.count()), plan_.clip.quantile};
    device_.launch([&](auto& s) {
      kernels::dynamic_limit(s, dims, current_.data(), {states_[w.at].in(), e.f.in(), e.guide_f.in()},
                             limit_.out());
    });
  }
  if (w.corrects) return run_correction(w, e.f, e.guide_f);
  kernels::SdeUpdateOperands o{};
  o.start = states_[w.start].in(), o.x = states_[w.at].in();
  o.network.f = e.f.in(), o.guide.f = e.guide_f.in(), o.limit = limit_.in();
  for (int k = 0; k < w.history; ++k)
    o.history[k] = denoised_[size_t(w.newest + ring_ - 1 - k) % size_t(ring_)].in();
  o.seeds = seeds_.data();
  if (w.newest >= 0) o.denoised = denoised_[size_t(w.newest)].out();
  o.x_out = states_[w.out].out();
  ask_next(o);
  update(o, w.history, Purpose::sampler_noise);
}

Tensor Sampler::run(const std::vector<uint64_t>& seeds, const SampleHooks& hooks) {
  engine::NoGrad off(device_);
  looking_ = bool(hooks.look);
  if (looking_ && denoised_.empty())
    denoised_.push_back(Tensor::persistent(device_, states_[0].shape(), DType::f32));
  begin(seeds, hooks.noise);
  Wiring wiring{0, 0, 0, -1, 0, false};
  for (size_t i = 0; i < plan_.stages.size(); ++i) {
    wiring = wiring_of(i, wiring);
    set_numbers(kFirstStage + i);
    auto& step = steps_[wiring];
    if (!step) step = std::make_unique<engine::CapturedStep>(device_, [this, wiring] { run_stage(wiring); });
    step->run();
    if (hooks.look && wiring.newest >= 0) hooks.look(i, denoised_[size_t(wiring.newest)]);
    if (!hooks.after_stage) continue;
    // Progress is what is done, not what is queued.
    if (i % kStagesAhead == kStagesAhead - 1) device_.synchronize();
    hooks.after_stage();
  }
  return states_[wiring.out];
}

std::vector<float> Sampler::numbers(const std::vector<uint64_t>& seeds, const SampleHooks& hooks) {
  const Tensor x = run(seeds, hooks);
  std::vector<float> numbers(seeds.size() * size_t(image_.count()));
  device_.download(numbers.data(), x.data(), numbers.size() * sizeof(float));
  if (!all_finite(numbers)) fail_not_finite(seeds, hooks);
  return numbers;
}

/// Samples again, looking for the first step whose denoised images are not finite.
void Sampler::fail_not_finite(const std::vector<uint64_t>& seeds, const SampleHooks& hooks) {
  std::vector<float> numbers(size_t(chunk_) * size_t(image_.count()));
  size_t bad = plan_.stages.size();
  run(seeds, {.noise = hooks.noise, .look = [&](size_t stage, const Tensor& denoised) {
                if (bad < plan_.stages.size()) return;
                device_.download(numbers.data(), denoised.data(), numbers.size() * sizeof(float));
                if (!all_finite(numbers)) bad = stage;
              }});
  const std::string where = bad < plan_.stages.size()
                                ? cat("evaluation ", bad + 1, " of ", plan_.stages.size(), " of the sampler ",
                                      plan_.name, ", at sigma ", plan_.stages[bad].level.sigma)
                                : cat("the sampler ", plan_.name);
  throw NotFinite(
      cat("the model produced a number that is not finite, in ", where, ": use an earlier checkpoint"),
      cat(__FILE__, ":", __LINE__));
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
    const std::vector<uint8_t> made = sampler.sample(some, {.after_stage = [&] {
                                                       if (progress) progress(++done, total);
                                                     }});
    pixels.insert(pixels.end(), made.begin(), made.end());
  }
  return pixels;
}

}  // namespace ito::model
