#include "model/diffusion/adaptive_flow.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/rk45_step.h"
#include "kernels/threshold.h"

namespace ito::model {

namespace {

using kernels::Rk45Level;
using kernels::Rk45State;
using kernels::Rk45Verdict;

// Between neighbours sigma grows by .03 % at most over EDM's range, so that a line between them is right to f32.
constexpr int kTable = 1 << 15;
constexpr double kFirstStep = 0.1;  // of sigma; the first errors make it right
constexpr int kMostSteps = 3000;    // 250 were taken where the tolerance was the least

}  // namespace

AdaptiveFlow::AdaptiveFlow(SamplerBatch& batch, const FlowPlan& plan)
    : batch_(batch),
      plan_(plan),
      dims_{batch.chunk, int(batch.image.count()), plan.tolerance, plan.least.sigma},
      levels_(batch.device, size_t(batch.chunk) * kernels::kRk45Slopes),
      states_(batch.device, size_t(batch.chunk)),
      slopes_(Tensor::persistent(
          batch.device, {kernels::kRk45Slopes * batch.chunk, batch.image[0], batch.image[1], batch.image[2]},
          engine::DType::f32)),
      reports_(batch.device, 0, size_t(batch.chunk) * sizeof(Rk45State)),
      first_slope_(batch.device, [this] { first_slope(); }),
      step_(batch.device, [this] { step(); }) {
  const double least = std::log(plan.least.sigma), most = std::log(plan.most.sigma);
  for (int i = 0; i < kTable; ++i)
    host_table_.push_back(level(std::exp(least + (most - least) * i / (kTable - 1))));
  table_ = engine::Buffer<Rk45Level>(batch.device, host_table_);
}

Rk45Level AdaptiveFlow::level(double sigma) const {
  const NoiseLevel at = plan_.sde.at_sigma(sigma);
  Rk45Level level;
  batch_.use_level(at, level), batch_.ask_level(at, level);
  level.sigma = float(sigma);
  return level;
}

kernels::Rk45Operands AdaptiveFlow::operands(const Evaluation& e) {
  kernels::Rk45Operands o{.x = batch_.states[0].out(),
                          .at = batch_.states[1].out(),
                          .slopes = slopes_.out(),
                          .network = {.f = e.f.in()},
                          .guide = {.f = e.guide_f.in()},
                          .limit = batch_.limit.in(),
                          .states = states_.data(),
                          .levels = levels_.data()};
  batch_.ask_next(o);
  return o;
}

void AdaptiveFlow::begin() {
  Rk45State state;
  state.sigma = plan_.most.sigma;
  state.step = std::max(-kFirstStep * state.sigma, plan_.least.sigma - state.sigma);
  latest_.assign(size_t(batch_.chunk), state);
  states_.write(latest_.data(), latest_.size());
  std::vector<Rk45Level> levels(levels_.size());
  const kernels::Rk45Table table{host_table_.data(), kTable, std::log(plan_.least.sigma),
                                 std::log(plan_.most.sigma)};
  for (int i = 0; i < batch_.chunk; ++i)
    kernels::write_levels(table, dims_.end, state, levels.data() + i * kernels::kRk45Slopes);
  levels_.write(levels.data(), levels.size());
}

void AdaptiveFlow::first_slope() {
  const Evaluation e = batch_.evaluate();
  batch_.device.launch([&](auto& s) { kernels::rk45_slope(s, dims_, 1, operands(e)); });
}

void AdaptiveFlow::step() {
  const kernels::Rk45Table table{table_.data(), kTable, std::log(plan_.least.sigma),
                                 std::log(plan_.most.sigma)};
  for (int slope = 2; slope <= kernels::kRk45Slopes; ++slope) {
    const Evaluation e = batch_.evaluate();
    batch_.device.launch([&](auto& s) {
      if (slope < kernels::kRk45Slopes) return kernels::rk45_slope(s, dims_, slope, operands(e));
      kernels::rk45_error(s, dims_, table, operands(e));
      kernels::rk45_accept(s, dims_, operands(e));
    });
  }
}

/// Whether all images are there, by what the device has reported.
bool AdaptiveFlow::look(const std::function<void(double part)>& advanced) const {
  const double sigma = slowest(), least = plan_.least.sigma, most = plan_.most.sigma;
  const double part = sigma == 0 ? 1 : std::log(most / sigma) / std::log(most / least);
  if (advanced && part > 0) advanced(part);
  return sigma == 0;
}

Tensor AdaptiveFlow::run(const std::function<void(double part)>& advanced) {
  begin();
  first_slope_.run();
  const int64_t delay = reports_.delay();
  const auto all_are_there = [&](int64_t ago) {
    std::memcpy(latest_.data(), reports_.results(ago), latest_.size() * sizeof(Rk45State));
    return look(advanced);
  };
  for (int64_t i = 0; i < kMostSteps + delay; ++i) {
    reports_.open_inputs();  // waits for the report of two steps ago, while the last one runs
    if (delay > 0 && i >= delay && all_are_there(delay)) return batch_.states[0];
    step_.run();
    reports_.download(states_.data());
    if (delay == 0 && all_are_there(1)) return batch_.states[0];
  }
  fail_advising(
      cat("rk45: after ", kMostSteps, " steps an image is still at sigma ", slowest(), ", its noise level"),
      {"a larger {tolerance}", "another {sampler}"});
}

double AdaptiveFlow::slowest() const {
  double sigma = 0;
  for (const Rk45State& s : latest_)
    if (s.step != 0) sigma = std::max(sigma, s.sigma);
  return sigma;
}

std::optional<double> AdaptiveFlow::failed_at() const {
  for (const Rk45State& s : latest_)
    if (s.verdict == Rk45Verdict::failed) return s.sigma;
  return {};
}

double AdaptiveFlow::evaluations(size_t images) const {
  if (latest_.empty()) fail("rk45: no image has been drawn");
  double steps = 0;
  for (size_t i = 0; i < images; ++i) steps += latest_[i].tries;
  return 1 + (kernels::kRk45Slopes - 1) * steps / double(images);
}

}  // namespace ito::model
