#include "kernels/threshold.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/parallel.h"
#include "kernels/sde_denoise.h"
#include "kernels/threshold_quantile.h"

namespace ito::kernels {
namespace {

template <class A>
struct LimitScratch {
  std::vector<A> magnitudes;  // [N,D]
};

/// The limit of |D_0| = values[0 .. count - 1], which are reordered.
template <class A>
A limit_of(A* values, int count, const QuantilePosition& position) {
  A* const end = values + count;
  // Sorting needs an order, and a NaN has none.
  if (std::any_of(values, end, [](A v) { return std::isnan(v); })) return std::numeric_limits<A>::quiet_NaN();
  A* const below = values + position.below;
  std::nth_element(values, below, end);
  const A above = position.weight > 0 ? *std::min_element(below + 1, end) : *below;
  return limit_between(*below, above, A(position.weight));
}

template <class A>
void limits(CpuStream& stream, const DynamicLimitDims& d, const SdeStep& step, const DynamicLimitOperands& o,
            A* limit) {
  auto& magnitudes = stream.state<LimitScratch<A>>().magnitudes;
  magnitudes.resize(std::max(magnitudes.size(), size_t(d.n) * size_t(d.per_image)));
  const SdeDenoise<A> numbers(step);
  const QuantilePosition position(d);
  parallel_each(stream, d.n, [&](int64_t image) {
    A* const values = magnitudes.data() + image * d.per_image;
    const int64_t tiles = SdeTile::tiles_of(d.per_image);
    for (int64_t i = 0; i < tiles; ++i) {
      const SdeTile tile(d.per_image, image * tiles + i);
      A* const to = values + tile.begin;
      denoise_tile(numbers, {o.x, o.f, o.guide_f, {}}, tile, to);
      for (int k = 0; k < tile.count; ++k) to[k] = std::abs(to[k]);
    }
    limit[image] = limit_of(values, d.per_image, position);
  });
}

}  // namespace

void check_dynamic_limit(const DynamicLimitDims& d, const DynamicLimitOperands& o, In limit) {
  if (d.n < 1 || d.per_image < 1)
    fail(cat("dynamic_limit: ", d.n, " images of ", d.per_image, " elements; both must be positive"));
  if (!(d.quantile > 0 && d.quantile <= 1))
    fail(cat("dynamic_limit: a quantile is above 0 and at most 1, not ", d.quantile));
  if (!o.x || !o.f) fail("dynamic_limit: the network's output f or its input x is missing");
  if (!limit) fail("dynamic_limit: the limit is missing");
  check_sde_networks("dynamic_limit", o.x, {.f = o.f}, {.f = o.guide_f}, limit);
}

void dynamic_limit(CpuStream& stream, const DynamicLimitDims& d, const SdeStep* step,
                   const DynamicLimitOperands& o, Out limit) {
  check_dynamic_limit(d, o, limit);
  if (o.x.dtype == DType::f64)
    limits(stream, d, *step, o, limit.as<double>());
  else
    limits(stream, d, *step, o, limit.as<float>());
}

}  // namespace ito::kernels
