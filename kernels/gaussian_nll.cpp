#include "kernels/gaussian_nll.h"

#include <cmath>

namespace ito::kernels {

void check_gaussian_nll(int n) {
  if (n < 1) fail(cat("gaussian_nll: ", n, " samples; there must be some"));
}

// A number a sample: too little for a second thread.
void gaussian_nll_weights(CpuStream&, int n, In weight, In u, Out scaled) {
  check_gaussian_nll(n);
  visit(u.dtype, [&](auto t) {
    using A = arithmetic_t<decltype(t)>;
    const A *const weights = weight.as<A>(), *const us = u.as<A>();
    A* const to = scaled.as<A>();
    for (int i = 0; i < n; ++i) to[i] = weights[i] * std::exp(-us[i]);
  });
}

void gaussian_nll_total(CpuStream&, int n, double share, In loss, In u, Out total, Out plain) {
  check_gaussian_nll(n);
  visit(u.dtype, [&](auto t) {
    using A = arithmetic_t<decltype(t)>;
    const A *const losses = loss.as<A>(), *const us = u.as<A>();
    double all = 0, unscaled = 0;
    for (int i = 0; i < n; ++i) {
      all += double(losses[i]) + share * double(us[i]);
      unscaled += double(losses[i]) * std::exp(double(us[i]));
    }
    *total.as<A>() = A(all), *plain.as<A>() = A(unscaled);
  });
}

void gaussian_nll_backward(CpuStream&, int n, double share, In dtotal, In loss, Out du) {
  check_gaussian_nll(n);
  visit(loss.dtype, [&](auto t) {
    using A = arithmetic_t<decltype(t)>;
    const A* const losses = loss.as<A>();
    const A upstream = *dtotal.as<A>();
    A* const to = du.as<A>();
    for (int i = 0; i < n; ++i) to[i] = upstream * (A(share) - losses[i]);
  });
}

}  // namespace ito::kernels
