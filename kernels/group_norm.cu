#include "kernels/base/math.h"
#include "kernels/group_norm.h"
#include "kernels/group_norm/slice.cuh"

// Bytes an element in bf16, twice that in f32: forward reads x (2) and writes y (2), backward reads dy and x
// (4) and writes dx (2). That is the minimum, and what is moved where a block's slice fits into shared memory. Pixels
// that do not fit are read again, mostly from the L2 cache, which has just had them. Statistics are two floats a group;
// dgamma's and dbeta's parts, two floats a channel and image, are written and read once.
namespace ito::kernels::group_norm {

/// What activations may assume: a normalised number is never infinite. From an infinite gamma or beta comes NaN. They
/// have to be fast: an H100 issues about 45 instructions while it moves the 4 bytes of a bf16 element.
inline constexpr bool kFinite = true;

/// A pack of V channels of an array that has a number for each channel of the slice.
template <int V>
__device__ Pack<float, V> of_channels(const SharedArray<float>& array, int pack) {
  Pack<float, V> result;
#pragma unroll
  for (int i = 0; i < V; ++i) result.v[i] = array[pack * V + i];
  return result;
}

// ---- forward ----

/// Moments of V channels: the count of values, and their means and sums of squared deviations.
template <int V>
struct Moments {
  float mean[V], m2[V], count;

  /// Takes in one more value of each channel, by Welford's recurrence.
  __device__ void add(const Pack<float, V>& values) {
    count += 1;
    const float share = fast_reciprocal(count);
#pragma unroll
    for (int i = 0; i < V; ++i) {
      const float before = values.v[i] - mean[i];
      mean[i] = fmaf(before, share, mean[i]);
      m2[i] = fmaf(before, values.v[i] - mean[i], m2[i]);
    }
  }
  /// Takes in the moments of other values, by Chan's formula.
  __device__ void merge(const Moments& other) {
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

/// Computes the groups' moments from those of the slice's channels (hw values each): a warp for each group.
__device__ void merge_channels(const Slicing& slicing, const SlicePosition& position,
                               const SharedArray<float>& channel_mean, const SharedArray<float>& channel_m2,
                               const SharedArray<float>& group_mean, const SharedArray<float>& group_rstd,
                               float* mean, float* rstd) {
  const int warp = int(threadIdx.x) / kWarpSize, lane = int(threadIdx.x) % kWarpSize;
  const int size = slicing.group_channels;
  for (int group = warp; group < position.channels / size; group += int(blockDim.x) / kWarpSize) {
    float sum = 0;
    for (int c = lane; c < size; c += kWarpSize) sum += channel_mean[group * size + c];
    const float centre = warp_sum(sum) / float(size);
    float m2 = 0;
    for (int c = lane; c < size; c += kWarpSize) {
      const float apart = channel_mean[group * size + c] - centre;
      m2 += channel_m2[group * size + c] + float(slicing.hw) * apart * apart;
    }
    const float variance = warp_sum(m2) / (float(size) * float(slicing.hw));
    if (lane != 0) continue;
    group_mean[group] = centre;
    group_rstd[group] = 1 / sqrtf(variance + slicing.eps);
    const int64_t out = int64_t(position.n) * slicing.groups + position.first_channel / size + group;
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

/// Writes y of one column of packs.
template <class T, int V>
__device__ void normalise(const Slicing& slicing, const Forward<T>& args, const SlicePosition& position,
                          int pack, const SharedArray<float>& channel_mean,
                          const SharedArray<float>& channel_scale, const SharedSlice<T, V, 1>& kept) {
  const int channel = position.first_channel + pack * V;
  const Pack<float, V> mean = of_channels<V>(channel_mean, pack);
  const Pack<float, V> scale = of_channels<V>(channel_scale, pack);
  float shift[V];
  for (int i = 0; i < V; ++i) shift[i] = args.beta[channel + i];
  const Column<const T> source[1] = {concat_column(slicing, args.x, args.x2, position.n, channel)};
  const Column<T> out = tensor_column(slicing, args.y, position.n, channel);
  visit(slicing.activation, [&](auto kind) {
    kept.read_again(source, pack, [&](int pixel, const Pack<T, V>(&value)[1]) {
      Pack<float, V> x = widen(value[0]);
#pragma unroll
      for (int i = 0; i < V; ++i)
        x.v[i] =
            fast_activate<decltype(kind)::value, kFinite>(fmaf(x.v[i] - mean.v[i], scale.v[i], shift[i]));
      store(out.at(pixel), narrow<T>(x));
    });
  });
}

/// Grid: slices x images.
template <class T, int V>
__global__ void __launch_bounds__(kThreads) group_norm_forward_kernel(Slicing slicing, Forward<T> args) {
  SharedMemory shared;
  const auto slots = shared.take<Moments<V>>(slicing.rows * slicing.columns);
  const auto channel_mean = shared.take<float>(slicing.slice), channel_m2 = shared.take<float>(slicing.slice);
  const auto group_mean = shared.take<float>(slicing.slice / slicing.group_channels);
  const auto group_rstd = shared.take<float>(slicing.slice / slicing.group_channels);
  const SlicePosition position(slicing, V);
  const SharedSlice<T, V, 1> kept(slicing, position, shared);
  to_sample(slicing, position, args);

  for (int first = 0; first < position.packs; first += slicing.columns) {
    if (first > 0) __syncthreads();  // the slots have been read
    const int pack = first + position.column;
    const bool works = position.row < slicing.rows && pack < position.packs;
    Moments<V> moments{};
    if (works) {
      const Column<const T> source[1] = {
          concat_column(slicing, args.x, args.x2, position.n, position.first_channel + pack * V)};
      kept.read(source, pack, [&](const Pack<T, V>(&value)[1]) { moments.add(widen(value[0])); });
    }
    merge_rows(slots, position.row, slicing.rows, position.column, slicing.columns, moments);
    if (works && position.row == 0)
      for (int i = 0; i < V; ++i) {
        channel_mean[pack * V + i] = moments.mean[i];
        channel_m2[pack * V + i] = moments.m2[i];
      }
  }
  __syncthreads();
  merge_channels(slicing, position, channel_mean, channel_m2, group_mean, group_rstd, args.mean, args.rstd);
  __syncthreads();
  // From here on the two arrays hold what a pixel needs: its group's mean, and gamma rstd.
  for (int c = int(threadIdx.x); c < position.channels; c += int(blockDim.x)) {
    const int group = c / slicing.group_channels;
    channel_mean[c] = group_mean[group];
    channel_m2[c] = args.gamma[position.first_channel + c] * group_rstd[group];
  }
  __syncthreads();
  if (position.row >= slicing.rows) return;
  for (int pack = position.column; pack < position.packs; pack += slicing.columns)
    normalise<T, V>(slicing, args, position, pack, channel_mean, channel_m2, kept);
}

// ---- backward ----

/// Sums of g and of g (x - mean) over pixels, for each of V channels.
template <int V>
struct Sums {
  float g[V], gx[V];
  __device__ void merge(const Sums& other) {
    for (int i = 0; i < V; ++i) g[i] += other.g[i], gx[i] += other.gx[i];
  }
};

template <class T>
struct Backward {
  const T *dy, *x, *x2;
  const float *gamma, *beta, *mean, *rstd;
  T *dx, *dx2;              // null: not wanted
  float *dgammas, *dbetas;  // [N,C]: sums of g xh and of g over the pixels of an image; null: not wanted
};

/// Shared arrays with a number for each channel of the slice: mean and scale, of gamma xh + beta = (x - mean) scale +
/// beta; the sums of g and g xh; and, in place of the sums, level and tilt of dx = g scale + (x - mean) tilt + level.
struct Channels {
  SharedArray<float> mean, scale, sum_g, sum_gxh;

  __device__ Channels(SharedMemory& shared, int slice)
      : mean(shared.take<float>(slice)),
        scale(shared.take<float>(slice)),
        sum_g(shared.take<float>(slice)),
        sum_gxh(shared.take<float>(slice)) {}
  __device__ const SharedArray<float>& level() const { return sum_g; }
  __device__ const SharedArray<float>& tilt() const { return sum_gxh; }
};

/// A pack of V channels' mean, scale and beta, in registers.
template <int V>
struct Normalised {
  Pack<float, V> mean, scale;
  float beta[V];

  __device__ Normalised(const Channels& channels, const float* beta_of, int pack)
      : mean(of_channels<V>(channels.mean, pack)), scale(of_channels<V>(channels.scale, pack)) {
    for (int i = 0; i < V; ++i) beta[i] = beta_of[i];
  }
  /// x becomes x - mean, dy becomes g = dy act'(gamma xh + beta).
  template <Activation kind>
  __device__ void evaluate(Pack<float, V>& x, Pack<float, V>& dy) const {
#pragma unroll
    for (int i = 0; i < V; ++i) {
      x.v[i] -= mean.v[i];
      dy.v[i] *= fast_activation_slope<kind, kFinite>(fmaf(x.v[i], scale.v[i], beta[i]));
    }
  }
};

/// Where a thread reads its column of x and of dy.
template <class T, int V>
struct SourceColumns {
  Column<const T> columns[2];
  __device__ SourceColumns(const Slicing& slicing, const Backward<T>& args, const SlicePosition& position,
                           int pack)
      : columns{concat_column(slicing, args.x, args.x2, position.n, position.first_channel + pack * V),
                tensor_column(slicing, args.dy, position.n, position.first_channel + pack * V)} {}
};

/// Sums one column of packs over the thread's pixels.
template <class T, int V>
__device__ Sums<V> sum_pixels(const Slicing& slicing, const Backward<T>& args, const SlicePosition& position,
                              int pack, const Channels& channels, const SharedSlice<T, V, 2>& kept) {
  const Normalised<V> normalised(channels, args.beta + position.first_channel + pack * V, pack);
  const SourceColumns<T, V> sources(slicing, args, position, pack);
  Sums<V> sums{};
  visit(slicing.activation, [&](auto kind) {
    kept.read(sources.columns, pack, [&](const Pack<T, V>(&value)[2]) {
      Pack<float, V> x = widen(value[0]), g = widen(value[1]);
      normalised.template evaluate<decltype(kind)::value>(x, g);
#pragma unroll
      for (int i = 0; i < V; ++i) {
        sums.g[i] += g.v[i];
        sums.gx[i] = fmaf(g.v[i], x.v[i], sums.gx[i]);
      }
    });
  });
  return sums;
}

/// Computes the groups' means of h = gamma g and of h xh from the sums of the slice's channels: a warp for each group.
__device__ void average_groups(const Slicing& slicing, const SlicePosition& position,
                               const Channels& channels, const float* gamma, const SharedArray<float>& mean_h,
                               const SharedArray<float>& mean_hxh) {
  const int warp = int(threadIdx.x) / kWarpSize, lane = int(threadIdx.x) % kWarpSize;
  const int size = slicing.group_channels;
  const float values = float(size) * float(slicing.hw);
  for (int group = warp; group < position.channels / size; group += int(blockDim.x) / kWarpSize) {
    float h = 0, hxh = 0;
    for (int c = group * size + lane; c < (group + 1) * size; c += kWarpSize) {
      h += gamma[position.first_channel + c] * channels.sum_g[c];
      hxh += gamma[position.first_channel + c] * channels.sum_gxh[c];
    }
    h = warp_sum(h) / values;
    hxh = warp_sum(hxh) / values;
    if (lane == 0) mean_h[group] = h, mean_hxh[group] = hxh;
  }
}

/// Writes dx of one column of packs.
template <class T, int V>
__device__ void write_dx(const Slicing& slicing, const Backward<T>& args, const SlicePosition& position,
                         int pack, const Channels& channels, const SharedSlice<T, V, 2>& kept) {
  const int channel = position.first_channel + pack * V;
  const Column<T> out = concat_column(slicing, args.dx, args.dx2, position.n, channel);
  if (!out.data) return;
  const Normalised<V> normalised(channels, args.beta + channel, pack);
  const Pack<float, V> level = of_channels<V>(channels.level(), pack);
  const Pack<float, V> tilt = of_channels<V>(channels.tilt(), pack);
  const SourceColumns<T, V> sources(slicing, args, position, pack);
  visit(slicing.activation, [&](auto kind) {
    kept.read_again(sources.columns, pack, [&](int pixel, const Pack<T, V>(&value)[2]) {
      Pack<float, V> x = widen(value[0]), g = widen(value[1]);
      normalised.template evaluate<decltype(kind)::value>(x, g);
#pragma unroll
      for (int i = 0; i < V; ++i)
        g.v[i] = fmaf(g.v[i], normalised.scale.v[i], fmaf(x.v[i], tilt.v[i], level.v[i]));
      store(out.at(pixel), narrow<T>(g));
    });
  });
}

/// Grid: slices x images.
template <class T, int V>
__global__ void __launch_bounds__(kThreads) group_norm_backward_kernel(Slicing slicing, Backward<T> args) {
  SharedMemory shared;
  const auto slots = shared.take<Sums<V>>(slicing.rows * slicing.columns);
  const Channels channels(shared, slicing.slice);
  const auto mean_h = shared.take<float>(slicing.slice / slicing.group_channels);
  const auto mean_hxh = shared.take<float>(slicing.slice / slicing.group_channels);
  const SlicePosition position(slicing, V);
  const SharedSlice<T, V, 2> kept(slicing, position, shared);
  to_sample(slicing, position, args);
  const int64_t first_group =
      int64_t(position.n) * slicing.groups + position.first_channel / slicing.group_channels;

  for (int c = int(threadIdx.x); c < position.channels; c += int(blockDim.x)) {
    const int64_t group = first_group + c / slicing.group_channels;
    channels.mean[c] = args.mean[group];
    channels.scale[c] = args.gamma[position.first_channel + c] * args.rstd[group];
  }
  for (int first = 0; first < position.packs; first += slicing.columns) {
    __syncthreads();  // the channels' numbers have been written, and the slots read
    const int pack = first + position.column;
    const bool works = position.row < slicing.rows && pack < position.packs;
    Sums<V> sums{};
    if (works) sums = sum_pixels<T, V>(slicing, args, position, pack, channels, kept);
    merge_rows(slots, position.row, slicing.rows, position.column, slicing.columns, sums);
    if (works && position.row == 0)
      for (int i = 0; i < V; ++i) {
        const int at = pack * V + i, c = slicing.c1 + slicing.c2, channel = position.first_channel + at;
        channels.sum_g[at] = sums.g[i];
        channels.sum_gxh[at] = sums.gx[i] * args.rstd[first_group + at / slicing.group_channels];
        if (!args.dgammas) continue;
        args.dbetas[int64_t(position.n) * c + channel] = channels.sum_g[at];
        args.dgammas[int64_t(position.n) * c + channel] = channels.sum_gxh[at];
      }
  }
  __syncthreads();
  average_groups(slicing, position, channels, args.gamma, mean_h, mean_hxh);
  __syncthreads();
  for (int c = int(threadIdx.x); c < position.channels; c += int(blockDim.x)) {
    const int group = c / slicing.group_channels;
    const float rstd = args.rstd[first_group + group];
    channels.level()[c] = -rstd * mean_h[group];
    channels.tilt()[c] = -rstd * rstd * mean_hxh[group];
  }
  __syncthreads();
  if (position.row >= slicing.rows) return;
  for (int pack = position.column; pack < position.packs; pack += slicing.columns)
    write_dx<T, V>(slicing, args, position, pack, channels, kept);
}

inline constexpr int kReduceChannels = 32, kReduceRows = 16;
static_assert(kReduceChannels * kReduceRows <= 1024, "a block has at most 1024 threads");

/// dgamma and dbeta [C] from those of each image [N,C], in a fixed order. Block: 32 channels x 16 rows of images.
__global__ void __launch_bounds__(kReduceChannels* kReduceRows)
    group_norm_parameters_kernel(int n, int c, const float* dgammas, const float* dbetas, float* dgamma,
                                 float* dbeta) {
  SharedMemory shared;
  const auto slots = shared.take<Sums<1>>(kReduceChannels * kReduceRows);
  const int column = int(threadIdx.x) % kReduceChannels, row = int(threadIdx.x) / kReduceChannels;
  const int channel = int(blockIdx.x) * kReduceChannels + column;
  Sums<1> sums{};
  if (channel < c)
    for (int image = row; image < n; image += kReduceRows) {
      sums.g[0] += dbetas[int64_t(image) * c + channel];
      sums.gx[0] += dgammas[int64_t(image) * c + channel];
    }
  merge_rows(slots, row, kReduceRows, column, kReduceChannels, sums);
  if (row > 0 || channel >= c) return;
  dbeta[channel] = sums.g[0];
  dgamma[channel] = sums.gx[0];
}

// ---- launches ----

template <class T, int V>
void launch_forward(CudaStream& stream, const GroupNormDims& d, const Forward<T>& args) {
  const auto [slicing, config] = make_slicing<T, V>(d, sizeof(Moments<V>), 1, 2, stream.shared_limit());
  launch(group_norm_forward_kernel<T, V>, config, stream, slicing, args);
}

template <class T, int V>
void launch_backward(CudaStream& stream, const GroupNormDims& d, const Backward<T>& args, float* dgamma,
                     float* dbeta) {
  const auto [slicing, config] = make_slicing<T, V>(d, sizeof(Sums<V>), 2, 4, stream.shared_limit());
  launch(group_norm_backward_kernel<T, V>, config, stream, slicing, args);
  if (!dgamma || d.affine_per_sample) return;
  LaunchConfig reduce;
  reduce.grid = dim3(unsigned(div_up(d.c(), kReduceChannels)));
  reduce.block = dim3(kReduceChannels * kReduceRows);
  reduce.shared_bytes = shared_size<Sums<1>>(kReduceChannels * kReduceRows);
  launch(group_norm_parameters_kernel, reduce, stream, d.n, d.c(), args.dgammas, args.dbetas, dgamma, dbeta);
}

}  // namespace ito::kernels::group_norm

namespace ito::kernels {

void group_norm_forward(CudaStream& stream, const GroupNormDims& d, const GroupNormInputs& in, Out y,
                        Out mean, Out rstd) {
  check_group_norm(d, in);
  check_cuda_samples("group_norm", d.n);
  visit_cuda("group_norm", in.x.dtype, [&](auto type) {
    using T = decltype(type);
    const group_norm::Forward<T> args{.x = in.x.as<T>(),
                                      .x2 = in.x2.as<T>(),
                                      .gamma = in.gamma.as<float>(),
                                      .beta = in.beta.as<float>(),
                                      .y = y.as<T>(),
                                      .mean = mean.as<float>(),
                                      .rstd = rstd.as<float>()};
    group_norm::visit_sources<T>(d, {args.x, args.x2, args.y}, [&](auto width) {
      group_norm::launch_forward<T, width.value>(stream, d, args);
    });
  });
}

void group_norm_backward(CudaStream& stream, const GroupNormDims& d, const GroupNormInputs& in, In dy,
                         In mean, In rstd, const GroupNormGradients& out, Out partial) {
  check_group_norm(d, in, out, partial);
  check_cuda_samples("group_norm", d.n);
  float *dgammas = out.dgamma.as<float>(), *dbetas = out.dbeta.as<float>();  // of each sample
  if (dgammas && !d.affine_per_sample) {
    dbetas = partial.as<float>();
    dgammas = dbetas + int64_t(d.n) * d.c();
  }
  visit_cuda("group_norm", in.x.dtype, [&](auto type) {
    using T = decltype(type);
    const group_norm::Backward<T> args{.dy = dy.as<T>(),
                                       .x = in.x.as<T>(),
                                       .x2 = in.x2.as<T>(),
                                       .gamma = in.gamma.as<float>(),
                                       .beta = in.beta.as<float>(),
                                       .mean = mean.as<float>(),
                                       .rstd = rstd.as<float>(),
                                       .dx = out.dx.as<T>(),
                                       .dx2 = out.dx2.as<T>(),
                                       .dgammas = dgammas,
                                       .dbetas = dbetas};
    group_norm::visit_sources<T>(d, {args.dy, args.x, args.x2, args.dx, args.dx2}, [&](auto width) {
      group_norm::launch_backward<T, width.value>(stream, d, args, out.dgamma.as<float>(),
                                                  out.dbeta.as<float>());
    });
  });
}

}  // namespace ito::kernels
