#include "kernels/power_ema.h"

#include "kernels/parallel.h"

namespace ito::kernels {

void check_power_ema(int64_t count) {
  if (count < 1) fail(cat("power_ema: ", count, " parameters; there must be some"));
}

double power_gamma(double sigma_rel) {
  const double most = std::sqrt(1 / 12.0);
  if (!(sigma_rel > 0 && sigma_rel < most))
    fail(cat("the relative width of an average must be above 0 and below ", most, ", is ", sigma_rel));
  const auto width = [](double gamma) { return std::sqrt((gamma + 1) / (gamma + 3)) / (gamma + 2); };
  double low = 0, high = 1 / sigma_rel;  // width(high) < 1 / high
  for (int i = 0; i < 200 && low < high; ++i) {
    const double middle = (low + high) / 2;
    (width(middle) > sigma_rel ? low : high) = middle;
  }
  return (low + high) / 2;
}

void power_ema(CpuStream& stream, int64_t count, const PowerEma& ema, const StepState* state,
               const PowerEmaBuffers& b) {
  check_power_ema(count);
  if (state->skipped) return;
  for (int k = 0; k < kPowerAverages; ++k) {
    const float rest = float(ema.rest(k, double(state->updates)));
    const bool copies = state->updates <= 1;  // the average may hold anything before, which must not show
    const float* const from = b.w;
    float* const to = b.average[k];
    parallel_pieces(stream, count, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) to[i] = copies ? from[i] : to[i] + rest * (from[i] - to[i]);
    });
  }
}

}  // namespace ito::kernels
