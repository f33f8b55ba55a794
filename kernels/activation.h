#pragma once

#include <type_traits>

#include "kernels/base/vector_math.h"
#include "kernels/group_norm.h"  // Activation

namespace ito::kernels {

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

/// act(v) for an activation known at compile time, v in f32 or f64. SiLU is v / (1 + e^-v) (Elfwing et al.,
/// arXiv:1702.03118), within 3 ulp, and within 1e-35 of 0 below -87 and at -infinity.
template <Activation kind, class A>
ITO_HOST_DEVICE inline A activate(A v) {
  if constexpr (kind == Activation::silu) {
    v = cut_below(v);
    return v / (A(1) + exp_clamped(-v));
  }
  if constexpr (kind == Activation::relu) return v > A(0) ? v : A(0);
  return v;
}

/// act'(v); ReLU's is 0 at 0.
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

/// Calls f with the activation as a type, f(std::integral_constant<Activation, ...>{}).
template <class F>
void visit(Activation kind, F&& f) {
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
