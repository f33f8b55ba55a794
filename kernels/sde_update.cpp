#include "kernels/sde_update.h"

#include "kernels/parallel.h"
#include "kernels/random_fill.h"
#include "kernels/sde_denoise.h"

namespace ito::kernels {
namespace {

/// sum += factor * of, where there is such a tensor.
template <class A>
void add(A factor, const A* of, int64_t at, int count, A* __restrict sum) {
  if (!of) return;
  const A* __restrict from = of + at;
  for (int i = 0; i < count; ++i) sum[i] += factor * from[i];
}

template <class A>
void update_tile(const SdeUpdateDims& dims, const SdeStep& s, const SdeUpdateOperands& o,
                 const SdeTile& tile) {
  const int64_t at = tile.at;
  const int count = tile.count;
  A sum[SdeTile::kMost] = {}, d[SdeTile::kMost];
  add(A(s.a), o.start.as<A>(), at, count, sum);
  if (o.network.f) {
    denoise_tile(SdeDenoise<A>(s), {o.x, o.network.f, o.guide.f, o.limit}, tile, d);
    add(A(s.b[0]), d, 0, count, sum);
    if (o.denoised) std::copy(d, d + count, o.denoised.as<A>() + at);
    if (s.b_raw != 0) {
      denoise_tile(SdeDenoise<A>(s), {o.x, o.network.f, o.guide.f, {}}, tile, d);
      add(A(s.b_raw), d, 0, count, sum);
    }
  }
  for (int k = 0; k < dims.history; ++k) add(A(s.b[1 + k]), o.history[k].as<A>(), at, count, sum);
  if (s.c != 0) {
    float z[SdeTile::kMost];
    fill_normal({o.seeds[tile.image], dims.purpose, s.noise_step, 0}, tile.begin, count, z);
    for (int i = 0; i < count; ++i) sum[i] += A(s.c) * A(z[i]);
  }
  std::copy(sum, sum + count, o.x_out.as<A>() + at);
  write_next(s.network, tile, sum, o.network);
  write_next(s.guide, tile, sum, o.guide);
}

}  // namespace

void check_sde_networks(const char* op, In x, const SdeNetworkOperands& network,
                        const SdeNetworkOperands& guide, In limit) {
  if (bool(x) != bool(network.f))
    fail(cat(op, ": the network's output f and its input x are given together or not at all"));
  if (guide.f && !network.f) fail(cat(op, ": a guide's output f needs the network's"));
  if (guide.next_in && !network.next_in) fail(cat(op, ": a guide's next input needs the network's"));
  if (guide.f && guide.f.dtype != network.f.dtype)
    fail(cat(op, ": the network's output f is ", name_of(network.f.dtype), ", its guide's ",
             name_of(guide.f.dtype), "; they have one element type"));
  if (guide.next_in && guide.next_in.dtype != network.next_in.dtype)
    fail(cat(op, ": the network's next input is ", name_of(network.next_in.dtype), ", its guide's ",
             name_of(guide.next_in.dtype), "; they have one element type"));
  if (!limit) return;
  if (!network.f) fail(cat(op, ": a limit is of D_0, which needs the network's output f"));
  if (limit.dtype != x.dtype)
    fail(cat(op, ": the limit is ", name_of(limit.dtype), ", x is ", name_of(x.dtype),
             "; they have one element type"));
}

void check_sde_update(const SdeUpdateDims& d, const SdeUpdateOperands& o) {
  if (d.n < 1 || d.per_image < 1 || d.history < 0 || d.history > kSdeHistory)
    fail(cat("sde_update: n ", d.n, ", per_image ", d.per_image, ", history ", d.history, " (0..",
             kSdeHistory, ")"));
  check_sde_networks("sde_update", o.x, o.network, o.guide, o.limit);
  if (!o.x_out) fail("sde_update: x_out is missing");
  for (int k = 0; k < d.history; ++k)
    if (!o.history[k]) fail(cat("sde_update: history ", k, " of ", d.history, " is missing"));
}

void sde_update(CpuStream& stream, const SdeUpdateDims& d, const SdeStep* step, const SdeUpdateOperands& o) {
  check_sde_update(d, o);
  if (step->c != 0 && !o.seeds) fail("sde_update: noise (c != 0) needs a seed for each image");
  parallel_each(stream, d.n * SdeTile::tiles_of(d.per_image), [&](int64_t i) {
    const SdeTile tile(d.per_image, i);
    if (o.x_out.dtype == DType::f64)
      update_tile<double>(d, *step, o, tile);
    else
      update_tile<float>(d, *step, o, tile);
  });
}

}  // namespace ito::kernels
