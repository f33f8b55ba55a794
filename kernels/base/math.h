#pragma once

#include <type_traits>

#include "kernels/base/bf16.h"  // ITO_HOST_DEVICE

namespace ito {

/// a / b, rounded up; a >= 0, b > 0, and a + b must fit their common type. Mixed signs are refused: they
/// would turn a negative number into a huge one.
template <class A, class B>
ITO_HOST_DEVICE constexpr auto div_up(A a, B b) {
  static_assert(std::is_integral_v<A> && std::is_integral_v<B> && std::is_signed_v<A> == std::is_signed_v<B>);
  return (a + b - 1) / b;
}

/// The least multiple of b that is not below a, under the same conditions.
template <class A, class B>
ITO_HOST_DEVICE constexpr auto align_up(A a, B b) {
  return div_up(a, b) * b;
}

}  // namespace ito
