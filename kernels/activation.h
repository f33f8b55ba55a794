#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/base/vector_math.h"
#include "kernels/special_functions.h"

/// Activations, each known at compile time, with their slopes. Only this header tells them apart; the names that
/// configurations give them are in model/unet/config.h.
namespace ito::kernels {

/// The identity, SiLU v / (1 + e^-v) (Elfwing et al., arXiv:1702.03118), ReLU max(v, 0), whose slope is 0 at 0.
enum class Activation : uint8_t { none, silu, relu };

/// Beyond these a sigmoid is 0 or 1, and what it is multiplied with may be infinite.
template <class A>
inline constexpr A kSigmoidEnds = sizeof(A) == 4 ? A(88) : A(700);

/// v, not below -kSigmoidEnds; NaN stays NaN.
template <class A>
ITO_HOST_DEVICE inline A cut_below(A v) {
  return v < -kSigmoidEnds<A> ? -kSigmoidEnds<A> : v;
}
/// v within +-kSigmoidEnds; NaN stays NaN.
template <class A>
ITO_HOST_DEVICE inline A cut_to_ends(A v) {
  return v > kSigmoidEnds<A> ? kSigmoidEnds<A> : cut_below(v);
}

/// act(v), v in f32 or f64: SiLU within 3 ulp, and within 1e-35 of 0 below -87 and at -infinity.
template <Activation kind, class A>
ITO_HOST_DEVICE inline A activate(A v) {
  if constexpr (kind == Activation::silu) {
    v = cut_below(v);
    return v / (A(1) + exp_clamped(-v));
  }
  if constexpr (kind == Activation::relu) return v > A(0) ? v : A(0);
  return v;
}

/// act'(v).
template <Activation kind, class A>
ITO_HOST_DEVICE inline A activation_slope(A v) {
  if constexpr (kind == Activation::silu) {
    v = cut_to_ends(v);
    const A sigmoid = A(1) / (A(1) + exp_clamped(-v));
    return sigmoid * (A(1) + v * (A(1) - sigmoid));
  }
  if constexpr (kind == Activation::relu) return v > A(0) ? A(1) : A(0);
  return A(1);
}

/// act(v) for GPUs, where an exact division takes longer than moving a bf16 element: SiLU in five instructions, to
/// 7 + |v| units of 2^-24. finite: the caller's v is never infinite, or may become NaN if it is; saves an instruction.
template <Activation kind, bool finite>
ITO_DEVICE inline float fast_activate(float v) {
  if constexpr (kind == Activation::silu) {
    if constexpr (!finite) v = cut_below(v);
    return v * fast_sigmoid(v);
  }
  if constexpr (kind == Activation::relu) return fmaxf(v, 0.0f);
  return v;
}

/// act'(v) in the same way: SiLU's in eight instructions.
template <Activation kind, bool finite>
ITO_DEVICE inline float fast_activation_slope(float v) {
  if constexpr (kind == Activation::silu) {
    if constexpr (!finite) v = cut_to_ends(v);
    const float sigmoid = fast_sigmoid(v);
    return fmaf(v * sigmoid, 1 - sigmoid, sigmoid);
  }
  return activation_slope<kind>(v);
}

/// Calls f with the activation as a type, f(std::integral_constant<Activation, ...>{}); in kernels, too.
#if defined(__CUDACC__)
#pragma nv_exec_check_disable
#endif
template <class F>
ITO_HOST_DEVICE void visit(Activation kind, F&& f) {
  switch (kind) {
    case Activation::none:
      return f(std::integral_constant<Activation, Activation::none>{});
    case Activation::silu:
      return f(std::integral_constant<Activation, Activation::silu>{});
    case Activation::relu:
      return f(std::integral_constant<Activation, Activation::relu>{});
  }
}

}  // namespace ito::kernels
