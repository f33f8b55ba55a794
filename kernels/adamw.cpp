#include "kernels/adamw.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/adamw_step.h"
#include "kernels/base/math.h"
#include "kernels/parallel.h"

namespace ito::kernels {
namespace {

struct AdamWScratch {
  std::vector<double> sums;
};

double sum_of_squares(const float* __restrict x, int64_t count) {
  constexpr int kLanes = 16;
  double sums[kLanes] = {};
  const int64_t whole = count / kLanes * kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) {
    for (int k = 0; k < kLanes; ++k) sums[k] += double(x[i + k]) * double(x[i + k]);
  }
  for (int64_t i = whole; i < count; ++i) sums[i - whole] += double(x[i]) * double(x[i]);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int k = 0; k < width; ++k) sums[k] += sums[k + width];
  }
  return sums[0];
}

/// The step is a copy, which no store can change: so the loop is vector code.
void update(AdamWStep step, bool decayed, int64_t count, const float* __restrict grad, float* __restrict w,
            float* __restrict m, float* __restrict v, float* __restrict ema) {
  for (int64_t i = 0; i < count; ++i) step.update(decayed, grad[i], w[i], m[i], v[i], ema[i]);
}

void update_ready(AdamWStep step, bool decayed, int64_t count, const float* __restrict ready,
                  float* __restrict w, float* __restrict ema) {
  for (int64_t i = 0; i < count; ++i) step.update_ready(decayed, ready[i], w[i], ema[i]);
}

}  // namespace

void check_adamw(int64_t count) {
  if (count < 1) fail(cat("adamw: ", count, " parameters; there must be some"));
}

void gradient_norm(CpuStream& stream, int64_t count, const AdamWOptions& options, const EmaOptions& ema,
                   const float* grad, StepState* state, void*) {
  check_adamw(count);
  auto& sums = stream.state<AdamWScratch>().sums;
  const int64_t pieces = div_up(count, kPiece);
  sums.resize(std::max(sums.size(), size_t(pieces)));
  parallel_each(stream, pieces, [&](int64_t i) {
    sums[i] = sum_of_squares(grad + i * kPiece, std::min(kPiece, count - i * kPiece));
  });
  double sum = 0;
  for (int64_t i = 0; i < pieces; ++i) sum += sums[i];
  finish_gradient_norm(sum, options, ema, state);
}

void adamw_update(CpuStream& stream, int64_t count, const AdamWOptions& options, const StepInput* input,
                  const StepState* state, const AdamWBuffers& b) {
  check_adamw(count);
  static_assert(kPiece % kParameterAlign == 0,
                "a piece starts with a block of parameters, which has one flag");
  if (state->skipped) return;
  const AdamWStep step(options, *input, *state);
  parallel_pieces(stream, count, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += kParameterAlign) {
      const uint8_t flags = b.flags[i / kParameterAlign];
      const bool decayed = flags & kDecayed;
      const int64_t count = std::min<int64_t>(kParameterAlign, end - i);
      if (flags & b.ready)
        update_ready(step, decayed, count, b.grad + i, b.w + i, b.ema + i);
      else if (count == kParameterAlign)  // a constant count becomes vector code
        update(step, decayed, kParameterAlign, b.grad + i, b.w + i, b.m + i, b.v + i, b.ema + i);
      else
        update(step, decayed, count, b.grad + i, b.w + i, b.m + i, b.v + i, b.ema + i);
    }
    for (int64_t i = begin; b.half && i < end; ++i) b.half[i] = bf16(b.w[i]);
  });
}

}  // namespace ito::kernels
