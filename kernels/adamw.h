#pragma once

#include <cmath>

#include "kernels/dtype.h"
#include "kernels/stream.h"

namespace ito::kernels {

/// What the host tells a step before it runs.
struct StepInput {
  uint32_t step = 0;  // number of this step, from 0: noise, dropout
  float learning_rate = 0;
};

/// What a step reports and leaves for the next one. It lives on the device, so that a step reads nothing back.
struct StepState {
  uint64_t updates = 0;  // applied so far; skipped steps do not count
  float grad_norm = 0;   // before clipping
  uint32_t skipped = 0;  // 1: the loss or the gradient's norm was not finite and nothing was changed
  // of this step's update, all from `updates`
  float bias_correction1 = 1, bias_correction2 = 1;  // 1 - beta^updates
  float ema_decay = 0;                               // 0 copies
  float loss = 0;                                    // written by the kernels that compute it
};

struct AdamWOptions {
  float beta1 = 0.9f, beta2 = 0.999f, eps = 1e-8f, weight_decay = 0;
  float clip = 1.0f;       // global gradient norm; 0: no clipping
  bool rectified = false;  // RAdam (rectify)
};

/// Decay of the weights' moving average: min(decay, (1 + n) / (10 + n)) after n updates, so that it starts
/// quickly; without warm_start always `decay`.
struct EmaOptions {
  double decay = 0.9999;
  bool warm_start = true;

  ITO_HOST_DEVICE double at(double updates) const {
    const double warm = (1 + updates) / (10 + updates);
    return warm_start && warm < decay ? warm : decay;
  }
};

/// Elements in a block that share their flags; parameters start at multiples of it.
inline constexpr int kParameterAlign = 16;

/// Flags of a block: weights that decay (of matrices and filters), and those of hidden layers among them.
inline constexpr uint8_t kDecayed = 1, kHidden = 2;

/// Bytes of gradient_norm's scratch, zero before its first use: a counter, which is left zero, and sums.
inline constexpr size_t kGradientNormScratch = 16 * 1024;

/// state.grad_norm = sqrt(sum g^2), summed in f64 in a fixed order. Where it and state.loss are finite,
/// counts the update and sets its corrections and EMA decay; else sets `skipped`. First of the two launches
/// of a step.
void gradient_norm(CpuStream&, int64_t count, const AdamWOptions&, const EmaOptions&, const float* grad,
                   StepState* state, void* scratch);
void gradient_norm(CudaStream&, int64_t count, const AdamWOptions&, const EmaOptions&, const float* grad,
                   StepState* state, void* scratch);

/// A flat buffer each: gradient, master weights, moments, moving average; half (may be null) receives the
/// weights rounded to bf16. flags: of each block of kParameterAlign elements.
struct AdamWBuffers {
  const float* grad;
  const uint8_t* flags;
  float *w, *m, *v, *ema;
  bf16* half = nullptr;
  uint8_t ready = 0;  // flag of the blocks whose grad is an update already (kernels/muon.h)
};

/// One update of all parameters, in one pass: g' = g * min(1, clip / norm); m, v as in Adam;
/// w -= lr * ((m / bc1) / (sqrt(v / bc2) + eps) + weight_decay * w [where flags[i / 16] has kDecayed]); ema = d
/// ema + (1 - d) w. Where it has `ready`: w -= lr * (grad + weight_decay * w), and m and v stay. Leaves everything
/// as it is where the step is skipped. Source: Loshchilov & Hutter, arXiv:1711.05101.
void adamw_update(CpuStream&, int64_t count, const AdamWOptions&, const StepInput* input,
                  const StepState* state, const AdamWBuffers&);
void adamw_update(CudaStream&, int64_t count, const AdamWOptions&, const StepInput* input,
                  const StepState* state, const AdamWBuffers&);

/// What a gradient is multiplied by: min(1, clip / norm).
ITO_HOST_DEVICE inline float gradient_scale(float clip, const StepState& s) {
  return clip > 0 && s.grad_norm > clip ? clip / s.grad_norm : 1.0f;
}

/// Error: no parameters.
void check_adamw(int64_t count);

/// RAdam (Liu et al., arXiv:1908.03265, algorithm 2) by the two corrections: with l_inf = 2 / (1 - beta2) - 1 and
/// l = l_inf - 2 t beta2^t / (1 - beta2^t) the step is multiplied by
///   sqrt((l - 4) (l - 2) l_inf / ((l_inf - 4) (l_inf - 2) l))
/// where l > 5; in the first few updates, where v is too uncertain, it is the first moment itself. eps is added to the
/// corrected root, as AdamW has it here; PyTorch's RAdam adds it before the correction.
ITO_HOST_DEVICE inline void rectify(double t, const AdamWOptions& o, StepState* state) {
  const double power = pow(double(o.beta2), t), most = 2 / (1 - double(o.beta2)) - 1;
  const double length = most - 2 * t * power / (1 - power);
  if (length > 5) {
    const double squared = (length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length);
    state->bias_correction1 = float(double(state->bias_correction1) / sqrt(squared));
  } else {  // m / (sqrt(v / bc2) + eps) becomes m / eps
    state->bias_correction1 = float(double(state->bias_correction1) / double(o.eps));
    state->bias_correction2 = INFINITY;
  }
}

/// What gradient_norm's last thread does: 1 - beta^t in f64, so that late steps lose nothing.
ITO_HOST_DEVICE inline void finish_gradient_norm(double sum_of_squares, const AdamWOptions& o,
                                                 const EmaOptions& ema, StepState* state) {
  const float norm = float(sqrt(sum_of_squares));
  state->grad_norm = norm;
  state->skipped = !(norm < INFINITY && fabsf(state->loss) < INFINITY);
  if (state->skipped) return;
  const double t = double(state->updates + 1);
  state->ema_decay = float(ema.at(t - 1));
  state->bias_correction1 = float(1 - pow(double(o.beta1), t));
  state->bias_correction2 = float(1 - pow(double(o.beta2), t));
  if (o.rectified) rectify(t, o, state);
  ++state->updates;
}

}  // namespace ito::kernels
