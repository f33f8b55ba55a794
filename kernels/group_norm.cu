#include "kernels/group_norm.h"
#include "kernels/group_norm/slice.cuh"

// Bytes an element in bf16, twice that in f32: forward reads x (2) and writes y (2), backward reads dy and x
// (4) and writes dx (2). That is the minimum, and what is moved where a block can hold its slice; else
// forward reads x twice (6 in all), backward dy and x (10). Statistics are two floats a group; dgamma's and
// dbeta's parts, two floats a channel and image, are written and read once.
namespace ito::kernels::group_norm {

// Unlike activation.h's these divide inexactly: SiLU in 17 instead of 32 instructions and its slope in 19
// instead of 35 (sm_90a), where an H100 issues about 35 while it moves the 4 bytes of a bf16 element.
__device__ inline float activate(Activation activation, float v) {
  if (activation == Activation::silu) return v * sigmoid(v);
  return activation == Activation::relu ? fmaxf(v, 0.0f) : v;
}

__device__ inline float slope(Activation activation, float v) {
  if (activation == Activation::none) return 1;
  if (activation == Activation::relu) return v > 0 ? 1.0f : 0.0f;
  const float s = sigmoid(v);
  return s * (1 + v * (1 - s));
}

// ---- forward ----

/// The number, the mean and the squared deviations of values, for each of V channels.
template <int V>
struct Moments {
  float mean[V], m2[V], count;

  /// One more value a channel, by Welford's recurrence.
  template <class T>
  __device__ void add(const Pack<T, V>& values) {
    count += 1;
    const float share = __fdividef(1.0f, count);
    for (int i = 0; i < V; ++i) {
      const float value = float(values.v[i]), before = value - mean[i];
      mean[i] += before * share;
      m2[i] += before * (value - mean[i]);
    }
  }
  /// Two disjoint sets, by Chan's formula.
  __device__ void merge(const Moments& other) {
    if (other.count == 0) return;
    const float total = count + other.count;
    const float share = __fdividef(other.count, total);
    for (int i = 0; i < V; ++i) {
      const float apart = other.mean[i] - mean[i];
      mean[i] += apart * share;
      m2[i] += other.m2[i] + apart * apart * count * share;
    }
    count = total;
  }
};

/// From the moments of the slice's channels (hw values each) those of its groups: a warp for each group.
__device__ void merge_channels(const Plan& plan, const Place& place, const SharedArray<float>& channel_mean,
                               const SharedArray<float>& channel_m2, const SharedArray<float>& group_mean,
                               const SharedArray<float>& group_rstd, float* mean, float* rstd) {
  const int warp = int(threadIdx.x) / kWarpSize, lane = int(threadIdx.x) % kWarpSize;
  const int size = plan.group_channels;
  for (int group = warp; group < place.channels / size; group += int(blockDim.x) / kWarpSize) {
    float sum = 0;
    for (int c = lane; c < size; c += kWarpSize) sum += channel_mean[group * size + c];
    const float centre = warp_sum(sum) / float(size);
    float m2 = 0;
    for (int c = lane; c < size; c += kWarpSize) {
      const float apart = channel_mean[group * size + c] - centre;
      m2 += channel_m2[group * size + c] + float(plan.hw) * apart * apart;
    }
    const float variance = warp_sum(m2) / (float(size) * float(plan.hw));
    if (lane != 0) continue;
    group_mean[group] = centre;
    group_rstd[group] = 1 / sqrtf(variance + plan.eps);
    const int64_t out = int64_t(place.n) * plan.groups + place.first_channel / size + group;
    mean[out] = group_mean[group];
    rstd[out] = group_rstd[group];
  }
}

template <class T>
struct Forward {
  const T *x, *x2;
  const float *gamma, *beta;
  T* y;
  float *mean, *rstd;
};

/// y of one column of vectors.
template <class T, int V>
__device__ void normalise(const Plan& plan, const Forward<T>& args, const Place& place, int vector,
                          const SharedArray<float>& group_mean, const SharedArray<float>& group_rstd,
                          const SharedArray<Pack<T, V>>& held) {
  const int channel = place.first_channel + vector * V;
  float centre[V], scale[V], shift[V];
  for (int i = 0; i < V; ++i) {
    const int group = (vector * V + i) / plan.group_channels;
    centre[i] = group_mean[group];
    scale[i] = args.gamma[channel + i] * group_rstd[group];
    shift[i] = args.beta[channel + i];
  }
  const Column<const T> source[1] = {source_column(plan, args.x, args.x2, place.n, channel)};
  const Column<T> out = whole_column(plan, args.y, place.n, channel);
  each_pixel<false>(plan, place, vector, source, held, [&](int pixel, const Pack<T, V>(&value)[1]) {
    Pack<T, V> result;
    for (int i = 0; i < V; ++i) {
      const float v = (float(value[0].v[i]) - centre[i]) * scale[i] + shift[i];
      result.v[i] = narrow<T>(activate(plan.activation, v));
    }
    store(out.at(pixel), result);
  });
}

/// Reads x once where the block can hold its slice, else twice. Grid: slices x images.
template <class T, int V>
__global__ void __launch_bounds__(kThreads) group_norm_forward_kernel(Plan plan, Forward<T> args) {
  SharedMemory shared;
  const auto slots = shared.take<Moments<V>>(plan.rows * plan.columns);
  const auto channel_mean = shared.take<float>(plan.slice), channel_m2 = shared.take<float>(plan.slice);
  const auto group_mean = shared.take<float>(plan.slice / plan.group_channels);
  const auto group_rstd = shared.take<float>(plan.slice / plan.group_channels);
  const auto held = shared.take<Pack<T, V>>(plan.held);
  const Place place(plan, V);

  for (int first = 0; first < place.vectors; first += plan.columns) {
    const int vector = first + place.column;
    const bool works = place.row < plan.rows && vector < place.vectors;
    Moments<V> moments{};
    if (works) {
      const Column<const T> source[1] = {
          source_column(plan, args.x, args.x2, place.n, place.first_channel + vector * V)};
      each_pixel<true>(plan, place, vector, source, held,
                       [&](int, const Pack<T, V>(&value)[1]) { moments.add(value[0]); });
    }
    merge_rows(slots, place.row, plan.rows, place.column, plan.columns, moments);
    if (works && place.row == 0)
      for (int i = 0; i < V; ++i) {
        channel_mean[vector * V + i] = moments.mean[i];
        channel_m2[vector * V + i] = moments.m2[i];
      }
  }
  __syncthreads();
  merge_channels(plan, place, channel_mean, channel_m2, group_mean, group_rstd, args.mean, args.rstd);
  __syncthreads();
  if (place.row >= plan.rows) return;
  for (int vector = place.column; vector < place.vectors; vector += plan.columns)
    normalise<T, V>(plan, args, place, vector, group_mean, group_rstd, held);
}

// ---- backward ----

/// What the backward pass knows of V channels.
template <int V>
struct Channels {
  float mean[V], rstd[V], gamma[V], beta[V];

  template <class Arguments>
  __device__ Channels(const Plan& plan, const Arguments& args, int n, int channel) {
    for (int i = 0; i < V; ++i) {
      const int64_t group = int64_t(n) * plan.groups + (channel + i) / plan.group_channels;
      mean[i] = args.mean[group];
      rstd[i] = args.rstd[group];
      gamma[i] = args.gamma[channel + i];
      beta[i] = args.beta[channel + i];
    }
  }
  struct Value {
    float xh, g;  // (x - mean) rstd; dy act'(gamma xh + beta)
  };
  __device__ Value evaluate(int i, Activation activation, float x, float dy) const {
    const float xh = (x - mean[i]) * rstd[i];
    return {xh, dy * slope(activation, gamma[i] * xh + beta[i])};
  }
};

/// Sums of g and of g xh over pixels, for each of V channels.
template <int V>
struct Sums {
  float g[V], gxh[V];
  __device__ void merge(const Sums& other) {
    for (int i = 0; i < V; ++i) g[i] += other.g[i], gxh[i] += other.gxh[i];
  }
};

/// From the sums of the slice's channels the means of h and h xh over its groups (h = gamma g): a warp for
/// each group.
__device__ void average_groups(const Plan& plan, const Place& place, const SharedArray<float>& sum_g,
                               const SharedArray<float>& sum_gxh, const float* gamma,
                               const SharedArray<float>& mean_h, const SharedArray<float>& mean_hxh) {
  const int warp = int(threadIdx.x) / kWarpSize, lane = int(threadIdx.x) % kWarpSize;
  const int size = plan.group_channels;
  const float values = float(size) * float(plan.hw);
  for (int group = warp; group < place.channels / size; group += int(blockDim.x) / kWarpSize) {
    float h = 0, hxh = 0;
    for (int c = group * size + lane; c < (group + 1) * size; c += kWarpSize) {
      h += gamma[place.first_channel + c] * sum_g[c];
      hxh += gamma[place.first_channel + c] * sum_gxh[c];
    }
    h = warp_sum(h) / values;
    hxh = warp_sum(hxh) / values;
    if (lane == 0) mean_h[group] = h, mean_hxh[group] = hxh;
  }
}

template <class T>
struct Backward {
  const T *dy, *x, *x2;
  const float *gamma, *beta, *mean, *rstd;
  T *dx, *dx2;     // null: not wanted
  float* partial;  // [2,N,C]: sums of g and of g xh over the pixels of an image; null: not wanted
};

/// The sums of one column of vectors, over the thread's pixels.
template <class T, int V>
__device__ Sums<V> sum_pixels(const Plan& plan, const Backward<T>& args, const Place& place, int vector,
                              const SharedArray<Pack<T, V>>& held) {
  const int channel = place.first_channel + vector * V;
  const Channels<V> channels(plan, args, place.n, channel);
  const Column<const T> sources[2] = {source_column(plan, args.x, args.x2, place.n, channel),
                                      whole_column(plan, args.dy, place.n, channel)};
  Sums<V> sums{};
  each_pixel<true>(plan, place, vector, sources, held, [&](int, const Pack<T, V>(&value)[2]) {
    for (int i = 0; i < V; ++i) {
      const auto at = channels.evaluate(i, plan.activation, float(value[0].v[i]), float(value[1].v[i]));
      sums.g[i] += at.g;
      sums.gxh[i] += at.g * at.xh;
    }
  });
  return sums;
}

/// dx of one column of vectors.
template <class T, int V>
__device__ void write_dx(const Plan& plan, const Backward<T>& args, const Place& place, int vector,
                         const SharedArray<float>& mean_h, const SharedArray<float>& mean_hxh,
                         const SharedArray<Pack<T, V>>& held) {
  const int channel = place.first_channel + vector * V;
  const Column<T> out = source_column(plan, args.dx, args.dx2, place.n, channel);
  if (!out.data) return;
  const Channels<V> channels(plan, args, place.n, channel);
  const Column<const T> sources[2] = {source_column(plan, args.x, args.x2, place.n, channel),
                                      whole_column(plan, args.dy, place.n, channel)};
  each_pixel<false>(plan, place, vector, sources, held, [&](int pixel, const Pack<T, V>(&value)[2]) {
    Pack<T, V> result;
    for (int i = 0; i < V; ++i) {
      const int group = (vector * V + i) / plan.group_channels;
      const auto at = channels.evaluate(i, plan.activation, float(value[0].v[i]), float(value[1].v[i]));
      result.v[i] =
          narrow<T>(channels.rstd[i] * (channels.gamma[i] * at.g - mean_h[group] - at.xh * mean_hxh[group]));
    }
    store(out.at(pixel), result);
  });
}

/// Reads x and dy once where the block can hold its slices, else twice. Grid: slices x images.
template <class T, int V>
__global__ void __launch_bounds__(kThreads) group_norm_backward_kernel(Plan plan, Backward<T> args) {
  SharedMemory shared;
  const auto slots = shared.take<Sums<V>>(plan.rows * plan.columns);
  const auto sum_g = shared.take<float>(plan.slice), sum_gxh = shared.take<float>(plan.slice);
  const auto mean_h = shared.take<float>(plan.slice / plan.group_channels);
  const auto mean_hxh = shared.take<float>(plan.slice / plan.group_channels);
  const auto held = shared.take<Pack<T, V>>(2 * plan.held);
  const Place place(plan, V);

  for (int first = 0; first < place.vectors; first += plan.columns) {
    const int vector = first + place.column;
    const bool works = place.row < plan.rows && vector < place.vectors;
    Sums<V> sums{};
    if (works) sums = sum_pixels<T, V>(plan, args, place, vector, held);
    merge_rows(slots, place.row, plan.rows, place.column, plan.columns, sums);
    if (works && place.row == 0)
      for (int i = 0; i < V; ++i) {
        sum_g[vector * V + i] = sums.g[i];
        sum_gxh[vector * V + i] = sums.gxh[i];
        if (!args.partial) continue;
        const int c = plan.c1 + plan.c2, channel = place.first_channel + vector * V + i;
        args.partial[int64_t(place.n) * c + channel] = sums.g[i];
        args.partial[int64_t(gridDim.y + place.n) * c + channel] = sums.gxh[i];
      }
  }
  __syncthreads();
  average_groups(plan, place, sum_g, sum_gxh, args.gamma, mean_h, mean_hxh);
  __syncthreads();
  if (place.row >= plan.rows) return;
  for (int vector = place.column; vector < place.vectors; vector += plan.columns)
    write_dx<T, V>(plan, args, place, vector, mean_h, mean_hxh, held);
}

inline constexpr int kReduceChannels = 32, kReduceRows = 16;

/// dbeta and dgamma [C] from partial [2,N,C], images in a fixed order. Block: 32 channels x 16 rows of
/// images.
__global__ void __launch_bounds__(kReduceChannels* kReduceRows)
    group_norm_parameters_kernel(int n, int c, const float* partial, float* dgamma, float* dbeta) {
  SharedMemory shared;
  const auto slots = shared.take<Sums<1>>(kReduceChannels * kReduceRows);
  const int column = int(threadIdx.x) % kReduceChannels, row = int(threadIdx.x) / kReduceChannels;
  const int channel = int(blockIdx.x) * kReduceChannels + column;
  Sums<1> sums{};
  if (channel < c)
    for (int image = row; image < n; image += kReduceRows) {
      sums.g[0] += partial[int64_t(image) * c + channel];
      sums.gxh[0] += partial[int64_t(n + image) * c + channel];
    }
  merge_rows(slots, row, kReduceRows, column, kReduceChannels, sums);
  if (row > 0 || channel >= c) return;
  dbeta[channel] = sums.g[0];
  dgamma[channel] = sums.gxh[0];
}

// ---- launches ----

void check(const GroupNormDims& d, In x, In x2) {
  if (x.dtype == DType::f64) fail("group_norm: f64 exists on the CPU only; on CUDA use f32 or bf16");
  if (d.n < 1 || d.n > 65535 || d.hw < 1 || d.c1 < 1 || d.c2 < 0 || d.groups < 1 || d.c() % d.groups != 0)
    fail(cat("group_norm: n ", d.n, " (1..65535), hw ", d.hw, ", channels ", d.c1, "+", d.c2, ", groups ",
             d.groups, ": sizes must be positive and the channels a multiple of the groups"));
  if (!x || bool(x2) != (d.c2 > 0))
    fail(cat("group_norm: a second source goes with c2 > 0, and c2 is ", d.c2));
}

template <class T, int V>
void launch_forward(CudaStream& stream, const GroupNormDims& d, In x, In x2, In gamma, In beta, Out y,
                    Out mean, Out rstd) {
  const auto [plan, config] = make_plan<T, V>(d, sizeof(Moments<V>), 1, stream.shared_limit());
  const Forward<T> args{x.as<T>(), x2.as<T>(),       gamma.as<float>(), beta.as<float>(),
                        y.as<T>(), mean.as<float>(), rstd.as<float>()};
  launch(group_norm_forward_kernel<T, V>, config, stream, plan, args);
}

template <class T, int V>
void launch_backward(CudaStream& stream, const GroupNormDims& d, const Backward<T>& args, float* dgamma,
                     float* dbeta) {
  const auto [plan, config] = make_plan<T, V>(d, sizeof(Sums<V>), 2, stream.shared_limit());
  launch(group_norm_backward_kernel<T, V>, config, stream, plan, args);
  if (!dgamma) return;
  LaunchConfig reduce;
  reduce.grid = dim3(unsigned((d.c() + kReduceChannels - 1) / kReduceChannels));
  reduce.block = dim3(kReduceChannels * kReduceRows);
  reduce.shared_bytes = shared_size<Sums<1>>(kReduceChannels * kReduceRows);
  launch(group_norm_parameters_kernel, reduce, stream, d.n, d.c(), args.partial, dgamma, dbeta);
}

}  // namespace ito::kernels::group_norm

namespace ito::kernels {

void group_norm_forward(CudaStream& stream, const GroupNormDims& d, In x, In x2, In gamma, In beta, Out y,
                        Out mean, Out rstd) {
  group_norm::check(d, x, x2);
  const auto run = [&](auto type) {
    using T = decltype(type);
    const bool wide = group_norm::is_wide<T>(d, {x.data, x2.data, y.data});
    const auto launch_it =
        wide ? group_norm::launch_forward<T, kWideVector<T>> : group_norm::launch_forward<T, 1>;
    launch_it(stream, d, x, x2, gamma, beta, y, mean, rstd);
  };
  x.dtype == DType::bf16 ? run(bf16{}) : run(float{});
}

void group_norm_backward(CudaStream& stream, const GroupNormDims& d, In dy, In x, In x2, In gamma, In beta,
                         In mean, In rstd, Out dx, Out dx2, Out dgamma, Out dbeta, Out partial) {
  group_norm::check(d, x, x2);
  if (bool(dgamma) != bool(dbeta)) fail("group_norm: dgamma and dbeta are wanted together or not at all");
  if (dgamma && !partial) fail("group_norm: dgamma and dbeta need the scratch `partial`");
  const auto run = [&](auto type) {
    using T = decltype(type);
    const group_norm::Backward<T> args{dy.as<T>(),       x.as<T>(),
                                       x2.as<T>(),       gamma.as<float>(),
                                       beta.as<float>(), mean.as<float>(),
                                       rstd.as<float>(), dx.as<T>(),
                                       dx2.as<T>(),      dgamma ? partial.as<float>() : nullptr};
    const bool wide = group_norm::is_wide<T>(d, {dy.data, x.data, x2.data, dx.data, dx2.data});
    const auto launch_it =
        wide ? group_norm::launch_backward<T, kWideVector<T>> : group_norm::launch_backward<T, 1>;
    launch_it(stream, d, args, dgamma.as<float>(), dbeta.as<float>());
  };
  x.dtype == DType::bf16 ? run(bf16{}) : run(float{});
}

}  // namespace ito::kernels
