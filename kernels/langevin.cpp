#include "kernels/langevin.h"

#include <algorithm>
#include <vector>

#include "kernels/langevin_step.h"
#include "kernels/parallel.h"
#include "kernels/random_fill.h"
#include "kernels/sde_denoise.h"

namespace ito::kernels {
namespace {

struct LangevinScratch {
  std::vector<LangevinSums> sums;  // one a tile
};

/// D_0 and z of a tile.
template <class A>
struct LangevinTile {
  A d[SdeTile::kMost];
  float z[SdeTile::kMost];

  LangevinTile(const LangevinStep& s, const LangevinOperands& o, const SdeTile& tile) {
    denoise_tile(SdeDenoise<A>(s), {o.x, o.network.f, o.guide.f, o.limit}, tile, d);
    fill_normal({o.seeds[tile.image], Purpose::corrector_noise, s.noise_step, 0}, tile.begin, tile.count, z);
  }
};

template <class A>
void norms(CpuStream& stream, const LangevinDims& d, const LangevinStep& s, const LangevinOperands& o) {
  const int64_t tiles = SdeTile::tiles_of(d.per_image);
  auto& sums = stream.state<LangevinScratch>().sums;
  sums.resize(std::max(sums.size(), size_t(d.n * tiles)));
  parallel_each(stream, d.n * tiles, [&](int64_t i) {
    const SdeTile tile(d.per_image, i);
    const LangevinTile<A> values(s, o, tile);
    const A* const x = o.x.as<A>() + tile.at;
    LangevinSums sum{0, 0};
    for (int k = 0; k < tile.count; ++k) {
      const double z = values.z[k], drift = values.d[k] - x[k];
      sum.merge({z * z, drift * drift});
    }
    sums[size_t(i)] = sum;
  });
  for (int image = 0; image < d.n; ++image) {
    LangevinSums sum{0, 0};
    for (int64_t i = 0; i < tiles; ++i) sum.merge(sums[size_t(image * tiles + i)]);
    A* const to = o.norms.as<A>() + 2 * int64_t(image);
    to[0] = A(sum.noise), to[1] = A(sum.drift);
  }
}

template <class A>
void update(CpuStream& stream, const LangevinDims& d, const LangevinStep& s, const LangevinOperands& o) {
  const A* const squares = o.norms.as<A>();
  LangevinSums batch{0, 0};  // the ratio of the means is that of the sums
  for (int image = 0; image < d.n; ++image) batch.merge(norms_of(squares, image));
  parallel_each(stream, d.n * SdeTile::tiles_of(d.per_image), [&](int64_t i) {
    const SdeTile tile(d.per_image, i);
    const LangevinTile<A> values(s, o, tile);
    const auto move = LangevinMove<A>::of(s, d.batch_norms ? batch : norms_of(squares, tile.image));
    const A* const x = o.x.as<A>() + tile.at;
    A result[SdeTile::kMost];
    for (int k = 0; k < tile.count; ++k) result[k] = move.moved(x[k], values.d[k], A(values.z[k]));
    std::copy(result, result + tile.count, o.x_out.as<A>() + tile.at);
    write_next(s.network, tile, result, o.network);
    write_next(s.guide, tile, result, o.guide);
  });
}

}  // namespace

void check_langevin(const LangevinDims& d, const LangevinOperands& o) {
  if (d.n < 1 || d.per_image < 1)
    fail(cat("langevin: ", d.n, " images of ", d.per_image, " elements; both must be positive"));
  if (!o.x || !o.network.f) fail("langevin: the network's output f or its input x is missing");
  check_sde_networks("langevin", o.x, o.network, o.guide, o.limit);
  if (!o.seeds) fail("langevin: noise needs a seed for each image");
  if (!o.norms) fail("langevin: the norms are missing");
}

void check_langevin_update(const LangevinDims& d, const LangevinOperands& o) {
  check_langevin(d, o);
  if (!o.x_out) fail("langevin: x_out is missing");
}

void langevin_norms(CpuStream& stream, const LangevinDims& d, const LangevinStep* step,
                    const LangevinOperands& o) {
  check_langevin(d, o);
  if (o.x.dtype == DType::f64)
    norms<double>(stream, d, *step, o);
  else
    norms<float>(stream, d, *step, o);
}

void langevin_update(CpuStream& stream, const LangevinDims& d, const LangevinStep* step,
                     const LangevinOperands& o) {
  check_langevin_update(d, o);
  if (o.x.dtype == DType::f64)
    update<double>(stream, d, *step, o);
  else
    update<float>(stream, d, *step, o);
}

}  // namespace ito::kernels
