#include <algorithm>
#include <cmath>

#include "kernels/base/error.h"
#include "model/diffusion/samplers.h"

namespace ito::model {
namespace {

/// The order of step i of n: what was asked, and at most one more than there are denoised images before it.
int order_of_step(const Multistep& o, size_t i, size_t n, bool lower_at_end) {
  const size_t order = std::min(size_t(o.order), i + 1);
  return int(lower_at_end ? std::min(order, n - i) : order);
}

void check(const Levels& levels, const Multistep& o) {
  if (levels.empty()) fail("a sampler needs at least one noise level");
  if (o.order < 1 || o.order > 3) fail(cat("a multistep sampler has the order 1, 2 or 3, not ", o.order));
  if (!(o.eta >= 0 && o.eta <= 1)) fail(cat("eta must be from 0 to 1, is ", o.eta));
  for (size_t i = 1; i < levels.size(); ++i)
    if (!(levels[i - 1].sigma > levels[i].sigma))
      fail(cat("noise levels must fall: ", levels[i].sigma, " comes after ", levels[i - 1].sigma));
}

/// One stage a level: step(i) for all but the last one, whose result is D.
template <class Step>
SamplerPlan multistep_plan(const Levels& levels, Step step) {
  SamplerPlan plan;
  plan.prior_sigma = levels[0].sigma;
  for (size_t i = 0; i < levels.size(); ++i) {
    Stage stage;
    stage.level = levels[i];
    if (i + 1 < levels.size())
      stage.update = step(i);
    else
      stage.update.a = 0, stage.update.b[0] = 1;
    plan.stages.push_back(stage);
  }
  return plan;
}

/// Adds factor (D_i - D_j).
void add_difference(Update& update, double factor, int i, int j) {
  update.b[i] += factor;
  update.b[j] -= factor;
}

/// h of the step from level i on: ln(sigma_i / sigma_{i+1}).
double log_step(const Levels& levels, size_t i) { return std::log(levels[i].sigma / levels[i + 1].sigma); }

/// A step of DPM-Solver++ in k-diffusion's form. first: D_0's weight 1 - e^-H with H = h (1 + eta). The second order
/// adds a slope, which 2M weighs by first / 2 and 3M by phi_2 = 1 - first / H (its expansion's exact term).
Update dpm_step(const Levels& levels, size_t i, int order, const Multistep& o) {
  const double h = log_step(levels, i), H = h * (1 + o.eta), first = -std::expm1(-H);
  Update update;
  update.a = levels[i + 1].sigma / levels[i].sigma * std::exp(-o.eta * h);
  update.b[0] = first;
  update.c = levels[i + 1].sigma * std::sqrt(-std::expm1(-2 * o.eta * h));
  if (order == 1) return update;
  const double r0 = log_step(levels, i - 1) / h, phi2 = 1 - first / H;
  if (order == 2) {
    // 2M halves D_0's weight, and so does diffusers in 3M; k-diffusion's 3M takes the exact term.
    const bool half = o.order == 2 || o.lower_order_final;
    add_difference(update, (half ? first / 2 : phi2) / r0, 0, 1);
    return update;
  }
  const double r1 = log_step(levels, i - 2) / h, phi3 = phi2 / H - 0.5;
  // slope: (D_0 - D_1) / r0; before: (D_1 - D_2) / r1. First and second derivative from both.
  const double d1_slope = 1 + r0 / (r0 + r1), d1_before = -r0 / (r0 + r1), d2 = 1 / (r0 + r1);
  add_difference(update, (phi2 * d1_slope - phi3 * d2) / r0, 0, 1);
  add_difference(update, (phi2 * d1_before + phi3 * d2) / r1, 1, 2);
  return update;
}

/// At most three numbers: UniPC's r or rho.
struct Few {
  double v[3] = {};
  int count = 0;
  void add(double x) { v[count++] = x; }
};

/// rho_1 .. rho_n of UniPC: sum_k rho_k r_k^(m-1) = m! phi_m / B for m = 1 .. n. Elimination needs no pivots: the r_k
/// are different, so no leading minor of their powers is 0.
Few unipc_weights(const Few& r, double h) {
  const double H = -h, B = std::expm1(H);
  const int n = r.count;
  if (n == 1) return {{0.5}, 1};  // as published, for the predictor of order 2 and the corrector of order 1
  double rows[3][4] = {};
  double phi = B / H - 1, factorial = 1;
  for (int m = 0; m < n; ++m) {
    factorial *= m + 1;
    for (int k = 0; k < n; ++k) rows[m][k] = std::pow(r.v[k], m);
    rows[m][3] = factorial * phi / B;
    phi = phi / H - 1 / (factorial * (m + 2));
  }
  for (int c = 0; c < n; ++c)
    for (int m = 0; m < n; ++m) {
      if (m == c) continue;
      const double factor = rows[m][c] / rows[c][c];
      for (int k = 0; k < 4; ++k) rows[m][k] -= factor * rows[c][k];
    }
  Few rho;
  for (int k = 0; k < n; ++k) rho.add(rows[k][3] / rows[k][k]);
  return rho;
}

/// r_1 .. r_{order-1} of the step from level i: where the denoised images before it are, in units of its h, negative.
Few earlier(const Levels& levels, size_t i, int order) {
  Few r;
  for (int k = 1; k < order; ++k)
    r.add(std::log(levels[i].sigma / levels[i - size_t(k)].sigma) / log_step(levels, i));
  return r;
}

/// Adds a combination of UniPC: -B sum_k rho_k (m_{i-k} - m_i) / r_k over the images before level i, m_i being
/// D_`newest`.
void add_earlier(Update& update, double factor, const Few& rho, const Few& r, int count, int newest) {
  for (int k = 0; k < count; ++k) add_difference(update, factor * rho.v[k] / r.v[k], newest + k + 1, newest);
}

/// What the corrector adds to the predicted state at level i, whose D is D_0: its own combination of the step from
/// level i - 1 minus the predictor's, both starting from the same corrected state.
void add_correction(Update& update, const Levels& levels, size_t i, int order) {
  const size_t before = i - 1;
  const double h = log_step(levels, before), weight = -std::expm1(-h);  // -B
  Few r = earlier(levels, before, order);
  const Few predictor = order > 1 ? unipc_weights(r, h) : Few{};
  r.add(1);
  const Few corrector = unipc_weights(r, h);
  add_earlier(update, weight, corrector, r, order - 1, 1);
  add_earlier(update, -weight, predictor, r, order - 1, 1);
  add_difference(update, weight * corrector.v[order - 1], 0, 1);
}

Update unipc_step(const Levels& levels, size_t i, const Multistep& o) {
  const size_t n = levels.size();
  const double h = log_step(levels, i), weight = -std::expm1(-h);
  Update correction;
  if (i > 0) add_correction(correction, levels, i, order_of_step(o, i - 1, n, o.lower_order_final));
  const double ratio = levels[i + 1].sigma / levels[i].sigma;
  Update update;
  update.a = ratio;
  for (int k = 0; k < Update::kTerms; ++k) update.b[k] = ratio * correction.b[k];
  update.b[0] += weight;
  const int order = order_of_step(o, i, n, o.lower_order_final);
  if (order == 1) return update;
  const Few r = earlier(levels, i, order);
  add_earlier(update, weight, unipc_weights(r, h), r, r.count, 0);
  return update;
}

}  // namespace

SamplerPlan dpm_solver_plan(const Levels& levels, const Multistep& o) {
  constexpr size_t kFew = 15;
  check(levels, o);
  const size_t n = levels.size();
  return multistep_plan(levels, [&](size_t i) {
    return dpm_step(levels, i, order_of_step(o, i, n, o.lower_order_final && n < kFew), o);
  });
}

SamplerPlan unipc_plan(const Levels& levels, const Multistep& o) {
  check(levels, o);
  return multistep_plan(levels, [&](size_t i) { return unipc_step(levels, i, o); });
}

}  // namespace ito::model
