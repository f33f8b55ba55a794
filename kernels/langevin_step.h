#pragma once

#include <cmath>

#include "kernels/langevin.h"

/// The arithmetic of a Langevin step, for both of its implementations.
namespace ito::kernels {

/// Sums over elements of squares, or over images of norms: of z, and of D_0 - x.
struct LangevinSums {
  double noise, drift;
  ITO_HOST_DEVICE void merge(const LangevinSums& other) { noise += other.noise, drift += other.drift; }
};

/// |z| and |D_0 - x| of an image, from what langevin_norms has written.
template <class A>
ITO_HOST_DEVICE inline LangevinSums norms_of(const A* squares, int64_t image) {
  return {sqrt(double(squares[2 * image])), sqrt(double(squares[2 * image + 1]))};
}

/// x' = x + pull (D_0 - x) + push z.
template <class A>
struct LangevinMove {
  A pull, push;

  /// norms: of which r is the ratio. In f64, in which no ratio of two f32 numbers overflows.
  ITO_HOST_DEVICE static LangevinMove of(const LangevinStep& s, const LangevinSums& norms) {
    const double r = norms.drift == 0 ? 0 : norms.noise / norms.drift;
    const double reach = double(s.snr) * r * double(s.sigma);
    return {A(2 * double(s.alpha) * reach * reach), A(2 * sqrt(double(s.alpha)) * reach * double(s.sigma))};
  }
  /// Without a move x is returned as it is: x + 0 would turn -0 into 0.
  ITO_HOST_DEVICE A moved(A x, A d, A z) const {
    return pull == 0 && push == 0 ? x : x + (pull * (d - x) + push * z);
  }
};

}  // namespace ito::kernels
