#include "kernels/adamw.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/parallel.h"

namespace ito::kernels {
namespace {

struct Scratch {
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

/// The numbers of a step that are the same for all parameters.
struct Step {
  float gradient_scale;  // min(1, clip / norm)
  float beta1, beta2;
  float rate;    // learning rate / bias_correction1
  float second;  // 1 / sqrt(bias_correction2)
  float eps;
  float decay;     // learning rate * weight decay
  float ema_rest;  // 1 - EMA decay

  Step(const AdamWOptions& o, float learning_rate, const StepState& s)
      : gradient_scale(o.clip > 0 && s.grad_norm > o.clip ? o.clip / s.grad_norm : 1.0f),
        beta1(o.beta1),
        beta2(o.beta2),
        rate(learning_rate / s.bias_correction1),
        second(1.0f / std::sqrt(s.bias_correction2)),
        eps(o.eps),
        decay(learning_rate * o.weight_decay),
        ema_rest(1.0f - s.ema_decay) {}
};

/// Running averages move by a fraction of the difference: where both are equal they stay exactly equal.
/// A fraction of 1 must copy (the average may hold anything before), hence `copy`.
void update(const Step& s, bool copy, int64_t count, float decay, const float* __restrict grad,
            float* __restrict w, float* __restrict m, float* __restrict v, float* __restrict ema) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = grad[i] * s.gradient_scale;
    const float first = m[i] + (1.0f - s.beta1) * (g - m[i]);
    const float second = v[i] + (1.0f - s.beta2) * (g * g - v[i]);
    const float step = s.rate * first / (std::sqrt(second) * s.second + s.eps);
    const float next = w[i] - (step + decay * w[i]);
    m[i] = first, v[i] = second, w[i] = next;
    ema[i] = copy ? next : ema[i] + s.ema_rest * (next - ema[i]);
  }
}

}  // namespace

void gradient_norm(CpuStream& stream, int64_t count, const AdamWOptions& options, const EmaOptions& ema,
                   const float* grad, StepState* state, void*) {
  auto& sums = stream.state<Scratch>().sums;
  const int64_t pieces = pieces_of(count);
  sums.resize(std::max(sums.size(), size_t(pieces)));
  parallel_for(stream, pieces, [&](int64_t i) {
    sums[i] = sum_of_squares(grad + i * kPiece, std::min(kPiece, count - i * kPiece));
  });
  double sum = 0;
  for (int64_t i = 0; i < pieces; ++i) sum += sums[i];
  finish_gradient_norm(sum, options, ema, state);
}

void adamw_update(CpuStream& stream, int64_t count, const AdamWOptions& options, const StepInput* input,
                  const StepState* state, const AdamWBuffers& b) {
  static_assert(kPiece % kParameterAlign == 0);
  if (state->skipped) return;
  const Step step(options, input->learning_rate, *state);
  const bool copy = state->ema_decay == 0;
  parallel_pieces(stream, count, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += kParameterAlign) {
      const float decay = b.decayed[i / kParameterAlign] ? step.decay : 0.0f;
      // A constant count becomes vector code.
      if (i + kParameterAlign <= end)
        update(step, copy, kParameterAlign, decay, b.grad + i, b.w + i, b.m + i, b.v + i, b.ema + i);
      else
        update(step, copy, end - i, decay, b.grad + i, b.w + i, b.m + i, b.v + i, b.ema + i);
    }
    for (int64_t i = begin; b.half && i < end; ++i) b.half[i] = bf16(b.w[i]);
  });
}

}  // namespace ito::kernels
