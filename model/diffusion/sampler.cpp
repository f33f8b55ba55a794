#include "model/diffusion/sampler.h"

#include <algorithm>
#include <cmath>

#include "engine/agreement.h"
#include "kernels/base/math.h"
#include "kernels/threshold.h"
#include "model/diffusion/sample_chunk.h"

namespace ito::model {

namespace {

using engine::DType;
using kernels::LangevinStep;
using kernels::SdeStep;

constexpr size_t kStagesAhead = 32;

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

Sampler::Sampler(engine::Device& device, const Denoiser& denoiser, const SamplerPlan& plan,
                 const engine::Shape& image, int chunk)
    : plan_(plan), batch_(device, denoiser, plan.clip, image, chunk) {
  if (plan.stages.empty() != plan.flow.has_value()) fail("a sampler's plan has stages or a flow");
  if (plan.flow) {
    if (plan.clip.kind == Clip::Kind::dynamic) fail("a flow has no dynamic thresholding");
    flow_ = std::make_unique<AdaptiveFlow>(batch_, *plan.flow);
    return;
  }
  uint32_t steps = 0, corrections = 0;
  for (const Stage& stage : plan.stages) {
    ordinal_.push_back(stage.corrects ? corrections++ : steps++);
    if (!stage.corrects) ring_ = std::max(ring_, stage.update.terms());
  }
  make_buffers();
  make_tables();
}

void Sampler::make_buffers() {
  engine::Device& device = batch_.device;
  for (int i = 0; ring_ > 1 && i < ring_; ++i)
    denoised_.push_back(Tensor::persistent(device, batch_.states[0].shape(), DType::f32));
  if (std::none_of(plan_.stages.begin(), plan_.stages.end(), [](const Stage& s) { return s.corrects; }))
    return;
  norms_ = Tensor::persistent(device, {batch_.chunk, 2}, DType::f32);
  current_correction_ = engine::Buffer<LangevinStep>(device, 1);
}

SdeStep Sampler::numbers_of(size_t i) const {
  const Stage& stage = plan_.stages[i];
  SdeStep step;
  stage.update.write_to(step);
  batch_.use_level(stage.level, step);
  step.noise_step = ordinal_[i];
  if (i + 1 == plan_.stages.size()) return step;
  const Stage& next = plan_.stages[i + 1];
  batch_.ask_level(next.level, step);
  // Noise that the next stage wants before its evaluation is drawn here, from its own stream.
  if (next.noise_before == 0) return step;
  if (step.c != 0) fail("a sampler's plan draws noise twice between two evaluations");
  step.c = float(next.noise_before), step.noise_step = ordinal_[i + 1];
  return step;
}

LangevinStep Sampler::correction_of(size_t i) const {
  const Stage& stage = plan_.stages[i];
  LangevinStep step;
  batch_.use_level(stage.level, step);
  step.alpha = float(stage.langevin.alpha), step.snr = float(stage.langevin.snr);
  step.sigma = float(stage.level.sigma), step.noise_step = ordinal_[i];
  if (i + 1 < plan_.stages.size()) batch_.ask_level(plan_.stages[i + 1].level, step);
  return step;
}

void Sampler::make_tables() {
  std::vector<SdeStep> table;
  std::vector<LangevinStep> corrections;
  for (size_t i = 0; i < plan_.stages.size(); ++i) {
    if (!plan_.stages[i].corrects) {
      table.push_back(numbers_of(i));
      continue;
    }
    corrections.push_back(correction_of(i));
    SdeStep networks;  // for dynamic_limit
    batch_.use_level(plan_.stages[i].level, networks);
    table.push_back(networks);
  }
  table_ = engine::Buffer<SdeStep>(batch_.device, table);
  if (!corrections.empty()) corrections_ = engine::Buffer<LangevinStep>(batch_.device, corrections);
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
void Sampler::set_numbers(size_t stage) {
  batch_.device.copy(batch_.current.data(), table_.data() + stage, sizeof(SdeStep));
  if (!plan_.stages[stage].corrects) return;
  batch_.device.copy(current_correction_.data(), corrections_.data() + ordinal_[stage], sizeof(LangevinStep));
}

void Sampler::run_correction(const Wiring& w, const Evaluation& e) {
  kernels::LangevinOperands o{};
  o.x = batch_.states[w.at].in(), o.network.f = e.f.in(), o.guide.f = e.guide_f.in();
  o.limit = batch_.limit.in(), o.seeds = batch_.seeds.data();
  o.norms = norms_.out(), o.x_out = batch_.states[w.out].out();
  batch_.ask_next(o);
  const kernels::LangevinDims dims{batch_.chunk, int(batch_.image.count()), plan_.batch_norms};
  batch_.device.launch([&](auto& s) {
    kernels::langevin_norms(s, dims, current_correction_.data(), o);
    kernels::langevin_update(s, dims, current_correction_.data(), o);
  });
}

void Sampler::run_stage(const Wiring& w) {
  const Evaluation e = batch_.evaluate();
  if (plan_.clip.kind == Clip::Kind::dynamic) {
    const kernels::DynamicLimitDims dims{batch_.chunk, int(batch_.image.count()), plan_.clip.quantile};
    batch_.device.launch([&](auto& s) {
      kernels::dynamic_limit(s, dims, batch_.current.data(),
                             {batch_.states[w.at].in(), e.f.in(), e.guide_f.in()}, batch_.limit.out());
    });
  }
  if (w.corrects) return run_correction(w, e);
  kernels::SdeUpdateOperands o{};
  o.start = batch_.states[w.start].in(), o.x = batch_.states[w.at].in();
  o.network.f = e.f.in(), o.guide.f = e.guide_f.in(), o.limit = batch_.limit.in();
  for (int k = 0; k < w.history; ++k)
    o.history[k] = denoised_[size_t(w.newest + ring_ - 1 - k) % size_t(ring_)].in();
  o.seeds = batch_.seeds.data();
  if (w.newest >= 0) o.denoised = denoised_[size_t(w.newest)].out();
  o.x_out = batch_.states[w.out].out();
  batch_.ask_next(o);
  batch_.update(o, w.history, Purpose::sampler_noise);
}

Tensor Sampler::run(const std::vector<uint64_t>& seeds, const SampleHooks& hooks) {
  engine::NoGrad off(batch_.device);
  images_ = seeds.size();
  if (flow_) {
    batch_.begin(seeds, hooks.noise, plan_.prior_sigma, plan_.flow->most, 0);
    return flow_->run(hooks.progress);
  }
  batch_.begin(seeds, hooks.noise, plan_.prior_sigma, plan_.stages[0].level, plan_.stages[0].noise_before);
  return run_stages(hooks);
}

Tensor Sampler::run_stages(const SampleHooks& hooks) {
  engine::Device& device = batch_.device;
  looking_ = bool(hooks.look);
  if (looking_ && denoised_.empty())
    denoised_.push_back(Tensor::persistent(device, batch_.states[0].shape(), DType::f32));
  Wiring wiring{0, 0, 0, -1, 0, false};
  for (size_t i = 0; i < plan_.stages.size(); ++i) {
    wiring = wiring_of(i, wiring);
    set_numbers(i);
    auto& step = steps_[wiring];
    if (!step) step = std::make_unique<engine::CapturedStep>(device, [this, wiring] { run_stage(wiring); });
    step->run();
    if (hooks.look && wiring.newest >= 0) hooks.look(i, denoised_[size_t(wiring.newest)]);
    if (!hooks.progress) continue;
    // Progress is what is done, not what is queued.
    if (i % kStagesAhead == kStagesAhead - 1) device.synchronize();
    hooks.progress(double(i + 1) / double(plan_.stages.size()));
  }
  return batch_.states[wiring.out];
}

std::vector<float> Sampler::numbers(const std::vector<uint64_t>& seeds, const SampleHooks& hooks) {
  const Tensor x = run(seeds, hooks);
  std::vector<float> numbers(seeds.size() * size_t(batch_.image.count()));
  batch_.device.download(numbers.data(), x.data(), numbers.size() * sizeof(float));
  if (!all_finite(numbers)) fail_not_finite(seeds, hooks);
  return numbers;
}

/// Samples again, looking for the first step whose denoised images are not finite.
std::string Sampler::first_not_finite(const std::vector<uint64_t>& seeds, const SampleHooks& hooks) {
  std::vector<float> numbers(size_t(batch_.states[0].count()));
  size_t bad = plan_.stages.size();
  run(seeds, {.noise = hooks.noise, .look = [&](size_t stage, const Tensor& denoised) {
                if (bad < plan_.stages.size()) return;
                batch_.device.download(numbers.data(), denoised.data(), numbers.size() * sizeof(float));
                if (!all_finite(numbers)) bad = stage;
              }});
  if (bad == plan_.stages.size()) return cat("the sampler ", plan_.name);
  return cat("evaluation ", bad + 1, " of ", plan_.stages.size(), " of the sampler ", plan_.name,
             ", at sigma ", plan_.stages[bad].level.sigma);
}

void Sampler::fail_not_finite(const std::vector<uint64_t>& seeds, const SampleHooks& hooks) {
  const std::optional<double> failed = flow_ ? flow_->failed_at() : std::nullopt;
  const std::string where = failed  ? cat("a step of the sampler ", plan_.name, " at sigma ", *failed)
                            : flow_ ? cat("the sampler ", plan_.name)
                                    : first_not_finite(seeds, hooks);
  throw NotFinite(
      cat("the model produced a number that is not finite, in ", where, ": use an earlier checkpoint"),
      cat(__FILE__, ":", __LINE__));
}

std::vector<uint8_t> sample_images(engine::Device& device, const Denoiser& denoiser, const SamplerPlan& plan,
                                   const engine::Shape& image, const std::vector<uint64_t>& seeds,
                                   const SampleProgress& progress) {
  kernels::Wire& ranks = device.ranks();
  const size_t chunk = size_t(sample_chunk(device, denoiser, image));
  const double chunks = double(div_up(seeds.size(), chunk));
  std::vector<uint8_t> pixels;
  device.share_conv_plan([&] {
    if (denoiser.prepare) denoiser.prepare({seeds[0]});
    Sampler(device, denoiser, plan, image, int(chunk)).run({seeds[0]});
  });
  engine::together(ranks, [&] {
    Sampler sampler(device, denoiser, plan, image, int(chunk));
    for (size_t c = 0; c * chunk < seeds.size(); ++c) {
      if (!engine::is_own_chunk(ranks, c)) continue;
      const auto first = seeds.begin() + std::ptrdiff_t(c * chunk);
      const std::vector<uint64_t> some(first,
                                       first + std::ptrdiff_t(std::min(chunk, seeds.size() - c * chunk)));
      if (denoiser.prepare) denoiser.prepare(some);
      const std::vector<uint8_t> made = sampler.sample(some, {.progress = [&](double done) {
                                                         if (progress) progress((double(c) + done) / chunks);
                                                       }});
      pixels.insert(pixels.end(), made.begin(), made.end());
    }
  });
  return engine::gather_chunks(ranks, std::move(pixels), seeds.size(), chunk, size_t(image.count()));
}

}  // namespace ito::model
