#include "model/diffusion/steps.h"

#include <cmath>

#include "kernels/base/error.h"

namespace ito::model {

int Update::terms() const {
  int n = kTerms;
  while (n > 0 && b[n - 1] == 0) --n;
  return n;
}

void Update::write_to(kernels::SdeStep& step) const {
  step.a = float(a);
  for (int k = 0; k < kTerms; ++k) step.b[k] = float(b[k]);
  step.b_raw = float(b_raw), step.c = float(c);
}

Update rescaled(const Update& update, double mean_before, double mean_after) {
  Update result;
  result.a = update.a * mean_before / mean_after;
  for (int k = 0; k < Update::kTerms; ++k) result.b[k] = update.b[k] / mean_after;
  result.b_raw = update.b_raw / mean_after, result.c = update.c / mean_after;
  return result;
}

Update euler_maruyama(const Sde& sde, const NoiseLevel& at, double dt) {
  if (!(dt > 0)) fail(cat("a reverse step needs dt > 0 (time runs from t to t - dt), not ", dt));
  const double g = sde.diffusion(at.t);
  const double pull = g * g * dt / (at.stddev * at.stddev);  // of the score: pull (a D - x)
  Update update;
  update.a = 1 - sde.drift(at.t) * dt - pull;
  update.b[0] = pull * at.mean;
  update.c = g * std::sqrt(dt);
  return update;
}

Update flow_euler(double from, double to) {
  if (!(from > 0 && to >= 0))
    fail(cat("a flow step needs sigma > 0 before and >= 0 after it, not ", from, " and ", to));
  Update update;
  update.a = to / from;
  update.b[0] = 1 - to / from;
  return update;
}

Update flow_heun(double from, double to) {
  if (!(from > 0 && to > 0))
    fail(cat("Heun's second half needs sigma > 0 on both sides, not ", from, " and ", to));
  // With r = to / from the first half's result is y = r x + (1 - r) D_1. Put in, x keeps the coefficient r:
  const double r = to / from;
  Update update;
  update.a = r;
  update.b[0] = 0.5 * (1 - r) / r;
  update.b[1] = 0.5 * (1 - r) * (2 * r - 1) / r;
  return update;
}

Update reverse_diffusion(const NoiseLevel& from, const NoiseLevel& to, bool vp) {
  if (!vp) {
    Update update = ancestral(from.sigma, to.sigma, 1);  // their means agree
    update.c = std::sqrt((from.sigma - to.sigma) * (from.sigma + to.sigma));
    return update;
  }
  const double ratio = from.mean / to.mean, beta = (1 - ratio) * (1 + ratio);
  const double pull = beta / (from.stddev * from.stddev);  // of the score: pull (a D - x)
  Update update;
  update.a = 2 - ratio - pull;
  update.b[0] = pull * from.mean;
  update.c = std::sqrt(beta);
  return rescaled(update, from.mean, to.mean);
}

Update ancestral(double from, double to, double eta) {
  if (!(from > to && to >= 0))
    fail(cat("an ancestral step needs falling noise levels sigma >= 0, not ", from, " and ", to));
  if (!(eta >= 0 && eta <= 1)) fail(cat("eta must be from 0 to 1, is ", eta));
  const double posterior = to * std::sqrt((from - to) * (from + to)) / from;
  Update update;
  update.c = eta * posterior;
  // down^2 = to^2 - eta^2 posterior^2, written so that nothing cancels: to^2 - posterior^2 = (to^2 / from)^2.
  const double down = std::hypot(to * to / from, std::sqrt((1 - eta) * (1 + eta)) * posterior);
  update.a = down / from;
  update.b[0] = 1 - down / from;
  return update;
}

Update ancestral_large(const NoiseLevel& from, const NoiseLevel& to) {
  Update update = ancestral(from.sigma, to.sigma, 1);
  const double ratio = from.mean / to.mean;
  update.c = std::sqrt((1 - ratio) * (1 + ratio)) / to.mean;
  return update;
}

}  // namespace ito::model
