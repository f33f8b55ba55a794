#include "kernels/rk45.h"

#include <algorithm>
#include <vector>

#include "kernels/parallel.h"
#include "kernels/rk45_step.h"
#include "kernels/sde_denoise.h"

namespace ito::kernels {
namespace {

struct Rk45Scratch {
  std::vector<Rk45Sum> sums;  // one a tile
};

/// What a step works on within a tile.
struct Rk45Tile {
  SdeTile tile;
  float *x, *at;
  int64_t elements;  // of all images
  float* slopes;

  Rk45Tile(const Rk45Dims& d, const Rk45Operands& o, int64_t i)
      : tile(d.per_image, i),
        x(o.x.as<float>() + tile.at),
        at(o.at.as<float>() + tile.at),
        elements(int64_t(d.n) * d.per_image),
        slopes(o.slopes.as<float>() + tile.at) {}

  float* slope(int k) const { return slopes + (k - 1) * elements; }
};

/// k_slope, from the networks asked at `where`.
void take_slope(const Rk45Operands& o, const Rk45Tile& t, int slope, In where) {
  const Rk45Level& level = o.levels[t.tile.image * kRk45Slopes + slope - 1];
  float d[SdeTile::kMost];
  denoise_tile(SdeDenoise<float>(level), {where, o.network.f, o.guide.f, o.limit}, t.tile, d);
  const float* __restrict y = where.as<float>() + t.tile.at;
  float* __restrict k = t.slope(slope);
  for (int i = 0; i < t.tile.count; ++i) k[i] = (y[i] - d[i]) / level.sigma;
}

/// sum_j weights[j] k_{j+1} of the first `slopes`, by f32 products in that order.
void combine(const Rk45Tile& t, const Rk45Row& row, int slopes, float* __restrict sum) {
  std::fill_n(sum, t.tile.count, 0.0f);
  for (int j = 0; j < slopes; ++j) {
    const float* __restrict k = t.slope(j + 1);
    for (int i = 0; i < t.tile.count; ++i) sum[i] += row.weights[j] * k[i];
  }
}

/// y = x + h times the row's sum, where y_{slope + 1} is asked for, and its inputs.
void move_on(const Rk45Operands& o, const Rk45Tile& t, int slope) {
  float sum[SdeTile::kMost];
  combine(t, rk45_row(slope), slope, sum);
  const float h = float(o.states[t.tile.image].step);
  for (int i = 0; i < t.tile.count; ++i) t.at[i] = t.x[i] + h * sum[i];
  const Rk45Level& next = o.levels[t.tile.image * kRk45Slopes + slope];
  write_next(next.network, t.tile, t.at, o.network);
  write_next(next.guide, t.tile, t.at, o.guide);
}

}  // namespace

void check_rk45(const Rk45Dims& d, const Rk45Operands& o) {
  if (d.n < 1 || d.per_image < 1)
    fail(cat("rk45: ", d.n, " images of ", d.per_image, " elements; both must be positive"));
  if (!(d.tolerance > 0) || !(d.end > 0))
    fail(
        cat("rk45: a tolerance of ", d.tolerance, " and an end at sigma ", d.end, "; both must be positive"));
  if (!o.x || !o.at || !o.slopes) fail("rk45: the state x, at or the slopes are missing");
  if (o.x.dtype != DType::f32 || o.at.dtype != DType::f32 || o.slopes.dtype != DType::f32)
    fail("rk45: the state and its slopes are f32");
  if (!o.states || !o.levels) fail("rk45: the images' states or levels are missing");
  if (!o.network.f) fail("rk45: the network's output f is missing");
  check_sde_networks("rk45", o.at, o.network, o.guide, o.limit);
}

void check_rk45_slope(const Rk45Dims& d, int slope, const Rk45Operands& o) {
  check_rk45(d, o);
  if (slope < 1 || slope >= kRk45Slopes) fail(cat("rk45: slope ", slope, " of 1 .. 6"));
}

void check_rk45_error(const Rk45Dims& d, const Rk45Table& table, const Rk45Operands& o) {
  check_rk45(d, o);
  if (!table.levels || table.count < 2 || !(table.log_least < table.log_most))
    fail("rk45: a table of two levels or more, of rising sigma, is missing");
}

void rk45_slope(CpuStream& stream, const Rk45Dims& d, int slope, const Rk45Operands& o) {
  check_rk45_slope(d, slope, o);
  parallel_each(stream, d.n * SdeTile::tiles_of(d.per_image), [&](int64_t i) {
    const Rk45Tile t(d, o, i);
    take_slope(o, t, slope, slope == 1 ? In(o.x) : In(o.at));
    move_on(o, t, slope);
  });
}

void rk45_error(CpuStream& stream, const Rk45Dims& d, const Rk45Table& table, const Rk45Operands& o) {
  check_rk45_error(d, table, o);
  const int64_t tiles = SdeTile::tiles_of(d.per_image);
  auto& sums = stream.state<Rk45Scratch>().sums;
  sums.resize(std::max(sums.size(), size_t(d.n * tiles)));
  const Rk45Row row = rk45_error_row();
  parallel_each(stream, d.n * tiles, [&](int64_t i) {
    const Rk45Tile t(d, o, i);
    take_slope(o, t, kRk45Slopes, o.at);
    float error[SdeTile::kMost];
    combine(t, row, kRk45Slopes, error);
    const float h = float(o.states[t.tile.image].step);
    Rk45Sum sum{0};
    for (int k = 0; k < t.tile.count; ++k) sum.add(h * error[k], t.at[k], d.tolerance);
    sums[size_t(i)] = sum;
  });
  for (int image = 0; image < d.n; ++image) {
    Rk45Sum sum{0};
    for (int64_t i = 0; i < tiles; ++i) sum.merge(sums[size_t(image * tiles + i)]);
    judge(d, std::sqrt(sum.squares / d.per_image), o.states[image]);
    write_levels(table, d.end, o.states[image], o.levels + image * kRk45Slopes);
  }
}

void rk45_accept(CpuStream& stream, const Rk45Dims& d, const Rk45Operands& o) {
  check_rk45(d, o);
  parallel_each(stream, d.n * SdeTile::tiles_of(d.per_image), [&](int64_t i) {
    const Rk45Tile t(d, o, i);
    const Rk45State& state = o.states[t.tile.image];
    const float* const last = t.slope(kRk45Slopes);
    for (int k = 0; k < t.tile.count; ++k) t.x[k] = resulting(state, t.x[k], t.at[k], last[k]);
    if (moves_on(state)) std::copy_n(last, t.tile.count, t.slope(1));
    move_on(o, t, 1);
  });
}

}  // namespace ito::kernels
