#include "kernels/rk45_step.h"
#include "kernels/sde_denoise.cuh"

// Bytes an element, f and next_in in bf16: slope i reads x and y (8), f (2) and i - 1 slopes and writes one, y (4) and
// next_in (2): 20 + 4 (i - 1). Keeping all seven slopes, instead of running sums of what they are needed for, costs
// about 90 bytes a step, where six evaluations of the smallest network move thousands.
namespace ito::kernels {

inline constexpr int kRk45Threads = 512;  // of a block of rk45_error

template <class F, class Next>
struct Rk45Arguments {
  Rk45Dims dims;
  Rk45Row row;
  SdeDenoiseArguments<F> denoise;
  float *x, *at, *slopes;
  Rk45State* states;
  Rk45Level* levels;
  SdeNextArguments<Next> network, guide;

  Rk45Arguments(const Rk45Dims& d, const Rk45Row& row, In where, const Rk45Operands& o)
      : dims(d),
        row(row),
        denoise({where, o.network.f, o.guide.f, o.limit}),
        x(o.x.as<float>()),
        at(o.at.as<float>()),
        slopes(o.slopes.as<float>()),
        states(o.states),
        levels(o.levels),
        network(o.network),
        guide(o.guide) {}

  __host__ __device__ float* slope(int k) const {
    return slopes + (k - 1) * int64_t(dims.n) * dims.per_image;
  }
  bool can_pack_quads() const {
    return can_pack<kQuad>({dims.per_image}, denoise.x, denoise.f, denoise.guide_f, x, at, slopes,
                           network.next_in, guide.next_in);
  }
};

namespace {

/// k of V elements from `at` on, from the networks asked there.
template <int V, class F, class Next>
__device__ Pack<float, V> slope_of(const Rk45Arguments<F, Next>& args, const Rk45Level& level, int64_t image,
                                   int64_t at) {
  const SdeDenoiseValues<F, V> value(args.denoise, at);
  const Pack<float, V> d = value.denoised(args.denoise, SdeDenoise<float>(level), image);
  Pack<float, V> k;
  for (int i = 0; i < V; ++i) k.v[i] = (value.x.v[i] - d.v[i]) / level.sigma;
  return k;
}

/// Adds the first `slopes` slopes by their weights, in the CPU's order.
template <int V, class F, class Next>
__device__ Pack<float, V> combined(const Rk45Arguments<F, Next>& args, int slopes, int64_t at) {
  Pack<float, V> sum{};
  for (int j = 0; j < slopes; ++j) {
    const Pack<float, V> k = load<V>(args.slope(j + 1) + at);
    for (int i = 0; i < V; ++i) sum.v[i] += args.row.weights[j] * k.v[i];
  }
  return sum;
}

/// Writes y = x + h sum, and the networks' inputs at `next`.
template <int V, class F, class Next>
__device__ void move_on(const Rk45Arguments<F, Next>& args, const Rk45Level& next, float h, int64_t at,
                        const Pack<float, V>& x, const Pack<float, V>& sum) {
  Pack<float, V> y;
  for (int i = 0; i < V; ++i) y.v[i] = x.v[i] + h * sum.v[i];
  store(args.at + at, y);
  args.network.write(next.network, at, y);
  args.guide.write(next.guide, at, y);
}

template <class F, class Next>
__device__ void write_conditions(const Rk45Arguments<F, Next>& args, const Rk45Level& next, int64_t image) {
  if (first_element(1) > 0) return;
  args.network.write_condition(next.network, image);
  args.guide.write_condition(next.guide, image);
}

}  // namespace

template <class F, class Next, int V>
__global__ void __launch_bounds__(kMapThreads) rk45_slope_kernel(Rk45Arguments<F, Next> args, int slope) {
  const int64_t image = blockIdx.y, first = first_element(V);
  const Rk45Level* const levels = args.levels + image * kRk45Slopes;
  write_conditions(args, levels[slope], image);
  if (first >= args.dims.per_image) return;
  const int64_t at = image * args.dims.per_image + first;
  const Pack<float, V> k = slope_of<V>(args, levels[slope - 1], image, at);
  store(args.slope(slope) + at, k);
  Pack<float, V> sum = combined<V>(args, slope - 1, at);
  for (int i = 0; i < V; ++i) sum.v[i] += args.row.weights[slope - 1] * k.v[i];
  move_on(args, levels[slope], float(args.states[image].step), at, load<V>(args.x + at), sum);
}

/// A block sums an image, and its first thread judges.
template <class F, class Next, int V>
__global__ void __launch_bounds__(kRk45Threads)
    rk45_error_kernel(Rk45Arguments<F, Next> args, Rk45Table table) {
  SharedMemory shared;
  const auto slots = shared.take<Rk45Sum>(kRk45Threads);
  const int64_t image = blockIdx.x, start = image * args.dims.per_image;
  const Rk45Level last = args.levels[image * kRk45Slopes + kRk45Slopes - 1];
  const float h = float(args.states[image].step);
  Rk45Sum sum{0};
  for (int64_t first = int64_t(threadIdx.x) * V; first < args.dims.per_image; first += kRk45Threads * V) {
    const int64_t at = start + first;
    const Pack<float, V> k = slope_of<V>(args, last, image, at);
    store(args.slope(kRk45Slopes) + at, k);
    Pack<float, V> error = combined<V>(args, kRk45Slopes - 1, at);
    const Pack<float, V> moved = load<V>(args.at + at);
    for (int i = 0; i < V; ++i) {
      error.v[i] += args.row.weights[kRk45Slopes - 1] * k.v[i];
      sum.add(h * error.v[i], moved.v[i], args.dims.tolerance);
    }
  }
  merge_rows(slots, int(threadIdx.x), kRk45Threads, 0, 1, sum);
  if (threadIdx.x > 0) return;
  Rk45State state = args.states[image];
  judge(args.dims, sqrt(sum.squares / args.dims.per_image), state);
  args.states[image] = state;
  write_levels(table, args.dims.end, state, args.levels + image * kRk45Slopes);
}

template <class F, class Next, int V>
__global__ void __launch_bounds__(kMapThreads) rk45_accept_kernel(Rk45Arguments<F, Next> args) {
  const int64_t image = blockIdx.y, first = first_element(V);
  const Rk45Level next = args.levels[image * kRk45Slopes + 1];
  write_conditions(args, next, image);
  if (first >= args.dims.per_image) return;
  const int64_t at = image * args.dims.per_image + first;
  const Rk45State state = args.states[image];
  const Pack<float, V> before = load<V>(args.x + at), moved = load<V>(args.at + at),
                       last = load<V>(args.slope(kRk45Slopes) + at);
  Pack<float, V> x, k = load<V>(args.slope(1) + at), sum;
  for (int i = 0; i < V; ++i) x.v[i] = resulting(state, before.v[i], moved.v[i], last.v[i]);
  store(args.x + at, x);
  if (moves_on(state)) {
    k = last;
    store(args.slope(1) + at, k);
  }
  for (int i = 0; i < V; ++i) sum.v[i] = args.row.weights[0] * k.v[i];
  move_on(args, next, float(state.step), at, x, sum);
}

void rk45_slope(CudaStream& stream, const Rk45Dims& d, int slope, const Rk45Operands& o) {
  check_rk45_slope(d, slope, o);
  visit_sde_types("rk45", o.network, [&](auto f, auto next) {
    using F = decltype(f);
    using Next = decltype(next);
    const Rk45Arguments<F, Next> args(d, rk45_row(slope), slope == 1 ? In(o.x) : In(o.at), o);
    launch_map<kQuad>("rk45", stream, d.n, d.per_image, args.can_pack_quads(),
                      rk45_slope_kernel<F, Next, kQuad>, rk45_slope_kernel<F, Next, 1>, args, slope);
  });
}

void rk45_error(CudaStream& stream, const Rk45Dims& d, const Rk45Table& table, const Rk45Operands& o) {
  check_rk45_error(d, table, o);
  visit_cuda("rk45", o.network.f.dtype, [&](auto f) {
    using F = decltype(f);
    Rk45Operands read = o;  // it writes no next input
    read.network = {.f = o.network.f}, read.guide = {.f = o.guide.f};
    const Rk45Arguments<F, float> args(d, rk45_error_row(), o.at, read);
    LaunchConfig config;
    config.grid = dim3(unsigned(d.n));
    config.block = dim3(kRk45Threads);
    config.shared_bytes = shared_size<Rk45Sum>(kRk45Threads);
    launch(args.can_pack_quads() ? rk45_error_kernel<F, float, kQuad> : rk45_error_kernel<F, float, 1>,
           config, stream, args, table);
  });
}

void rk45_accept(CudaStream& stream, const Rk45Dims& d, const Rk45Operands& o) {
  check_rk45(d, o);
  visit_sde_types("rk45", o.network, [&](auto f, auto next) {
    using F = decltype(f);
    using Next = decltype(next);
    const Rk45Arguments<F, Next> args(d, rk45_row(1), o.at, o);
    launch_map<kQuad>("rk45", stream, d.n, d.per_image, args.can_pack_quads(),
                      rk45_accept_kernel<F, Next, kQuad>, rk45_accept_kernel<F, Next, 1>, args);
  });
}

}  // namespace ito::kernels
