#pragma once

#include "kernels/dtype.h"
#include "kernels/stream.h"

namespace ito::kernels {

/// What a step needs to know and what it reports; lives on the device, so that nothing is read back inside a
/// step.
struct StepState {
  // written by the host before the step
  uint32_t step = 0;  // number of this step, from 0: noise, dropout
  float learning_rate = 0;
  float ema_decay = 0;  // of this step; 0 copies
  float bias_correction1 =
      1;  // 1 - beta1^t and 1 - beta2^t, where t counts the updates applied, this one included
  float bias_correction2 = 1;
  // written by the step
  float grad_norm = 0;  // before clipping
  float loss = 0;
  uint32_t skipped = 0;  // 1: the gradient's norm was not finite and nothing was changed
};

struct AdamWOptions {
  float beta1 = 0.9f, beta2 = 0.999f, eps = 1e-8f, weight_decay = 0;
  float clip = 1.0f;  // global gradient norm; 0: no clipping
};

/// Elements in a block that share one weight-decay flag; parameters start at multiples of it.
inline constexpr int kParameterAlign = 16;

/// state.grad_norm = sqrt(sum g^2), summed in f64 in a fixed order. First of the two launches of a step.
void gradient_norm(CpuStream&, int64_t count, const float* grad, StepState* state);
void gradient_norm(CudaStream&, int64_t count, const float* grad, StepState* state);

/// One update of all parameters, in one pass: g' = g * min(1, clip / norm); m, v as in Adam;
/// w -= lr * ((m / bc1) / (sqrt(v / bc2) + eps) + weight_decay * w [where decayed[i / 16]]); ema = d ema + (1
/// - d) w. Leaves everything as it is and sets skipped where the norm is not finite. Source: Loshchilov &
/// Hutter, arXiv:1711.05101.
void adamw_update(CpuStream&, int64_t count, const AdamWOptions&, StepState* state, const float* grad,
                  const uint8_t* decayed, float* w, float* m, float* v, float* ema);
void adamw_update(CudaStream&, int64_t count, const AdamWOptions&, StepState* state, const float* grad,
                  const uint8_t* decayed, float* w, float* m, float* v, float* ema);

}  // namespace ito::kernels
