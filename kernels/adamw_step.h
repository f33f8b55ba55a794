#pragma once

#include <cmath>

#include "kernels/adamw.h"

namespace ito::kernels {

/// AdamW's arithmetic for one parameter, the same on CPU and GPU, and the numbers of a step that it needs.
struct AdamWStep {
  float scale;  // of the gradient
  float beta1, beta2;
  float learning_rate;
  float rate;    // learning rate / bias_correction1
  float second;  // 1 / sqrt(bias_correction2)
  float eps;
  float decay;     // learning rate * weight decay
  float ema_rest;  // 1 - EMA decay
  bool copies;     // the average may hold anything before its first step, which must not show

  ITO_HOST_DEVICE AdamWStep(const AdamWOptions& o, const StepInput& input, const StepState& s)
      : scale(gradient_scale(o.clip, s)),
        beta1(o.beta1),
        beta2(o.beta2),
        learning_rate(input.learning_rate),
        rate(input.learning_rate / s.bias_correction1),
        second(1.0f / sqrtf(s.bias_correction2)),
        eps(o.eps),
        decay(input.learning_rate * o.weight_decay),
        ema_rest(1.0f - s.ema_decay),
        copies(s.ema_decay == 0) {}

  /// Running averages move by a fraction of the difference: where both are equal they stay exactly equal.
  ITO_HOST_DEVICE void update(bool decayed, float grad, float& w, float& m, float& v, float& ema) const {
    const float g = grad * scale;
    const float first = m + (1.0f - beta1) * (g - m), square = v + (1.0f - beta2) * (g * g - v);
    m = first, v = square;
    move(decayed, rate * first / (sqrtf(square) * second + eps), w, ema);
  }

  /// For an update that is ready: it is multiplied by the learning rate alone.
  ITO_HOST_DEVICE void update_ready(bool decayed, float ready, float& w, float& ema) const {
    move(decayed, learning_rate * ready, w, ema);
  }

 private:
  ITO_HOST_DEVICE void move(bool decayed, float step, float& w, float& ema) const {
    const float next = w - (step + (decayed ? decay : 0.0f) * w);
    w = next;
    ema = copies ? next : ema + ema_rest * (next - ema);
  }
};

}  // namespace ito::kernels
