#include "kernels/scale_shift.h"

#include "kernels/parallel.h"

namespace ito::kernels {

void check_scale_shift(const ScaleShiftDims& d) {
  if (d.n < 1 || d.c < 1)
    fail(cat("scale_shift: ", d.n, " samples, ", d.c, " channels; both must be positive"));
}

void check_scale_shift(const ScaleShiftDims& d, const ScaleShiftGradients& out) {
  check_scale_shift(d);
  if (bool(out.dgamma) != bool(out.dbeta))
    fail("scale_shift: dgamma and dbeta are wanted together or not at all");
}

void scale_shift_forward(CpuStream& stream, const ScaleShiftDims& d, const ScaleShiftInputs& in, Out scale,
                         Out shift) {
  check_scale_shift(d);
  visit(in.modulation.dtype, [&](auto t) {
    using T = decltype(t);
    using A = arithmetic_t<T>;
    const A *const gamma = in.gamma.as<A>(), *const beta = in.beta.as<A>();
    const T* const modulation = in.modulation.as<T>();
    A *const scales = scale.as<A>(), *const shifts = shift.as<A>();
    const int c = d.c;
    parallel_each(stream, d.n, [=](int64_t n) {
      const T *const s = modulation + n * 2 * c, *const b = s + c;
      for (int j = 0; j < c; ++j) {
        const A factor = A(1) + A(s[j]);
        scales[n * c + j] = gamma[j] * factor;
        shifts[n * c + j] = beta[j] * factor + A(b[j]);
      }
    });
  });
}

void scale_shift_backward(CpuStream& stream, const ScaleShiftDims& d, const ScaleShiftInputs& in, In dscale,
                          In dshift, const ScaleShiftGradients& out) {
  check_scale_shift(d, out);
  visit(in.modulation.dtype, [&](auto t) {
    using T = decltype(t);
    using A = arithmetic_t<T>;
    const A *const gamma = in.gamma.as<A>(), *const beta = in.beta.as<A>();
    const A *const dscales = dscale.as<A>(), *const dshifts = dshift.as<A>();
    const T* const modulation = in.modulation.as<T>();
    A *const dgamma = out.dgamma.as<A>(), *const dbeta = out.dbeta.as<A>();
    T* const dmodulation = out.dmodulation.as<T>();
    const int n = d.n, c = d.c;
    if (dmodulation)
      parallel_each(stream, n, [=](int64_t i) {
        T *const ds = dmodulation + i * 2 * c, *const db = ds + c;
        for (int j = 0; j < c; ++j) {
          ds[j] = T(dscales[i * c + j] * gamma[j] + dshifts[i * c + j] * beta[j]);
          db[j] = T(dshifts[i * c + j]);
        }
      });
    if (dgamma)
      parallel_pieces(stream, c, [=](int64_t begin, int64_t end) {
        for (int64_t j = begin; j < end; ++j) {
          double gamma_sum = 0, beta_sum = 0;
          for (int64_t i = 0; i < n; ++i) {
            const double factor = 1 + double(A(modulation[i * 2 * c + j]));
            gamma_sum += double(dscales[i * c + j]) * factor;
            beta_sum += double(dshifts[i * c + j]) * factor;
          }
          dgamma[j] = A(gamma_sum), dbeta[j] = A(beta_sum);
        }
      });
  });
}

}  // namespace ito::kernels
