#include "kernels/pseudo_huber.h"

#include <cmath>

namespace ito::kernels {

void check_pseudo_huber(int n, double c) {
  if (n < 1) fail(cat("pseudo_huber: ", n, " samples; there must be some"));
  if (!(c > 0)) fail(cat("pseudo_huber: c is ", c, "; it must be above 0"));
}

// A number a sample: too little for a second thread.
void pseudo_huber(CpuStream&, int n, double c, const PseudoHuberOperands& o, Out slope, Out total) {
  check_pseudo_huber(n, c);
  visit(o.squares.dtype, [&](auto t) {
    using A = arithmetic_t<decltype(t)>;
    const A *const squares = o.squares.as<A>(), *const scale = o.scale.as<A>(),
                   *const weight = o.weight.as<A>();
    A* const slopes = slope.as<A>();
    double all = 0;
    for (int i = 0; i < n; ++i) {
      const double square = double(squares[i]), root = std::sqrt(square + c * c);
      // root - c, written so that nothing cancels
      all += double(weight[i]) * (square / (root + c));
      slopes[i] = A(double(weight[i]) * double(scale[i]) / (2 * root));
    }
    *total.as<A>() = A(all);
  });
}

}  // namespace ito::kernels
