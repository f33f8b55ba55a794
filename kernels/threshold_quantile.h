#pragma once

#include <cmath>

#include "kernels/threshold.h"

/// A quantile between two sorted values, for both of dynamic_limit's implementations.
namespace ito::kernels {

/// q (D - 1) in two parts: a value's place in the sorted order, and how far the quantile is on the way to the next.
struct QuantilePosition {
  int below;
  double weight;  // 0 <= weight < 1; 0 at the last value

  explicit QuantilePosition(const DynamicLimitDims& d) {
    const double position = d.quantile * (double(d.per_image) - 1);
    below = int(std::floor(position));
    weight = position - below;
  }
};

/// max(1, quantile). Two equal values are not subtracted, so that infinities stay what they are; a NaN stays, too.
template <class A>
ITO_HOST_DEVICE inline A limit_between(A below, A above, A weight) {
  const A quantile = weight == 0 || below == above ? below : below + weight * (above - below);
  return quantile < A(1) ? A(1) : quantile;
}

}  // namespace ito::kernels
