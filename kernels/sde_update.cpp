#include "kernels/sde_update.h"

#include <algorithm>

#include "kernels/parallel.h"
#include "kernels/random_fill.h"

namespace ito::kernels {
namespace {

constexpr int kTile = 2048;  // elements at a time, in the first-level cache

template <class A>
struct Terms {
  const A* f[kMaxSdeTerms];
  A a, b[kMaxSdeTerms], c, next_scale;
  int count;
};

/// x' of `count` elements from element `at` of the whole tensor into `sum`; z is their noise.
template <class A>
void combine(const Terms<A>& t, const A* __restrict x, const float* __restrict z, int64_t at, int count,
             A* __restrict sum) {
  for (int i = 0; i < count; ++i) sum[i] = t.a * x[i];
  for (int k = 0; k < t.count; ++k) {
    const A* __restrict f = t.f[k] + at;
    for (int i = 0; i < count; ++i) sum[i] += t.b[k] * f[i];
  }
  if (t.c != 0) {
    for (int i = 0; i < count; ++i) sum[i] += t.c * A(z[i]);
  }
}

template <class A>
void update(CpuStream& stream, const SdeUpdateDims& d, const Terms<A>& t, const A* x, const uint64_t* seeds,
            A* x_out, Out next_in) {
  const int64_t tiles = pieces_of(d.per_image, kTile);
  parallel_for(stream, d.n * tiles, [&](int64_t task) {
    const int64_t image = task / tiles, begin = task % tiles * kTile, at = image * d.per_image + begin;
    const int count = int(std::min<int64_t>(kTile, d.per_image - begin));
    A sum[kTile];
    float z[kTile];
    if (t.c != 0) fill_normal({seeds[image], d.purpose, d.step, 0}, begin, count, z);
    combine<A>(t, x + at, z, at, count, sum);
    std::copy(sum, sum + count, x_out + at);
    if (!next_in) return;
    visit(next_in.dtype, [&](auto type) {
      using T = decltype(type);
      T* __restrict next = next_in.as<T>() + at;
      for (int i = 0; i < count; ++i) next[i] = T(arithmetic_t<T>(t.next_scale * sum[i]));
    });
  });
}

}  // namespace

void sde_update(CpuStream& stream, const SdeUpdateDims& d, const SdeCoefficients& coefficients, In x,
                const In (&f)[kMaxSdeTerms], const uint64_t* seeds, Out x_out, Out next_in) {
  if (d.terms < 0 || d.terms > kMaxSdeTerms)
    fail(cat("sde_update: ", d.terms, " terms; at most ", kMaxSdeTerms));
  const auto run = [&](auto type) {
    using A = decltype(type);
    Terms<A> t{{}, A(coefficients.a), {}, A(coefficients.c), A(coefficients.next_scale), d.terms};
    for (int k = 0; k < d.terms; ++k) t.f[k] = f[k].as<A>(), t.b[k] = A(coefficients.b[k]);
    update<A>(stream, d, t, x.as<A>(), seeds, x_out.as<A>(), next_in);
  };
  x.dtype == DType::f64 ? run(double{}) : run(float{});
}

}  // namespace ito::kernels
