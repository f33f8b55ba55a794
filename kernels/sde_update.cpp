#include "kernels/sde_update.h"

#include <algorithm>

#include "kernels/base/math.h"
#include "kernels/parallel.h"
#include "kernels/random_fill.h"

namespace ito::kernels {
namespace {

constexpr int kTile = 2048;  // elements at a time, in the first-level cache

/// d = skip x + out F for `count` elements; the unconditional half of a guided F is `half` elements further on.
template <class A, class T>
void denoise(const SdeStep& s, bool guided, const A* __restrict x, const T* __restrict f, int64_t half,
             int count, A* __restrict d) {
  const A skip = A(s.skip), out = A(s.out), w = A(s.guidance);
  if (!guided) {
    for (int i = 0; i < count; ++i) d[i] = skip * x[i] + out * A(arithmetic_t<T>(f[i]));
    return;
  }
  for (int i = 0; i < count; ++i) {
    const A null = A(arithmetic_t<T>(f[half + i]));
    d[i] = skip * x[i] + out * (null + w * (A(arithmetic_t<T>(f[i])) - null));
  }
}

/// sum += factor * of, where there is such a tensor.
template <class A>
void add(A factor, const A* of, int64_t at, int count, A* __restrict sum) {
  if (!of) return;
  const A* __restrict from = of + at;
  for (int i = 0; i < count; ++i) sum[i] += factor * from[i];
}

template <class A>
void update_tile(const SdeUpdateDims& dims, const SdeStep& s, const SdeUpdateOperands& o, int image,
                 int begin, int count) {
  const int64_t at = int64_t(image) * dims.per_image + begin, half = int64_t(dims.n) * dims.per_image;
  A sum[kTile] = {}, d[kTile];
  add(A(s.a), o.start.as<A>(), at, count, sum);
  if (o.f) {
    visit(o.f.dtype, [&](auto t) {
      using T = decltype(t);
      denoise<A, T>(s, dims.guided, o.x.as<A>() + at, o.f.as<T>() + at, half, count, d);
    });
    add(A(s.b[0]), d, 0, count, sum);
    if (o.denoised) std::copy(d, d + count, o.denoised.as<A>() + at);
  }
  for (int k = 0; k < dims.history; ++k) add(A(s.b[1 + k]), o.history[k].as<A>(), at, count, sum);
  if (s.c != 0) {
    float z[kTile];
    fill_normal({o.seeds[image], dims.purpose, s.noise_step, 0}, begin, count, z);
    for (int i = 0; i < count; ++i) sum[i] += A(s.c) * A(z[i]);
  }
  std::copy(sum, sum + count, o.x_out.as<A>() + at);
  if (!o.next_in) return;
  visit(o.next_in.dtype, [&](auto t) {
    using T = decltype(t);
    for (int copy = 0; copy <= int(dims.guided); ++copy) {
      T* __restrict next = o.next_in.as<T>() + copy * half + at;
      for (int i = 0; i < count; ++i) next[i] = T(arithmetic_t<T>(A(s.next_scale) * sum[i]));
    }
  });
}

}  // namespace

void check_sde_update(const SdeUpdateDims& d, const SdeUpdateOperands& o) {
  if (d.n < 1 || d.per_image < 1 || d.history < 0 || d.history > kSdeHistory)
    fail(cat("sde_update: n ", d.n, ", per_image ", d.per_image, ", history ", d.history, " (0..",
             kSdeHistory, ")"));
  if (bool(o.x) != bool(o.f))
    fail("sde_update: the network's output f and its input x are given together or not at all");
  if (!o.x_out) fail("sde_update: x_out is missing");
  for (int k = 0; k < d.history; ++k)
    if (!o.history[k]) fail(cat("sde_update: history ", k, " of ", d.history, " is missing"));
}

void sde_update(CpuStream& stream, const SdeUpdateDims& d, const SdeStep* step, const SdeUpdateOperands& o) {
  check_sde_update(d, o);
  if (step->c != 0 && !o.seeds) fail("sde_update: noise (c != 0) needs a seed for each image");
  const int64_t tiles = div_up<int64_t>(d.per_image, kTile);
  parallel_each(stream, d.n * tiles, [&](int64_t task) {
    const int image = int(task / tiles), begin = int(task % tiles) * kTile;
    const int count = std::min(kTile, d.per_image - begin);
    if (o.x_out.dtype == DType::f64)
      update_tile<double>(d, *step, o, image, begin, count);
    else
      update_tile<float>(d, *step, o, image, begin, count);
  });
  if (o.next_c_noise) std::fill_n(o.next_c_noise.as<float>(), d.n * (d.guided ? 2 : 1), step->next_c_noise);
}

}  // namespace ito::kernels
