#include "kernels/group_norm.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/base/math.h"
#include "kernels/parallel.h"

namespace ito::kernels {
namespace {

/// Elements in a chunk of an image, and its most and fewest pixels. A chunk bounds the length of sums in f32;
/// between chunks sums are in f64.
constexpr int kChunkElements = 8192, kMaxPixels = 256, kMinPixels = 16;

/// The division of an image into chunks of whole pixels: a function of the shape alone.
struct Chunks {
  int hw, c, size, count;

  explicit Chunks(const GroupNormDims& d)
      : hw(d.hw),
        c(d.c()),
        size(std::clamp(kChunkElements / c, kMinPixels, kMaxPixels)),
        count(div_up(hw, size)) {}
  int pixels(int chunk) const { return std::min(size, hw - chunk * size); }
  /// The first pixel of a chunk, counted over all images.
  size_t pixel(int image, int chunk) const { return size_t(image) * hw + size_t(chunk) * size; }
};

/// From one image's gamma and beta to the next's.
int64_t affine_stride(const GroupNormDims& d) { return d.affine_per_sample ? d.c() : 0; }

/// What the calls keep: sums of each chunk, sums of each channel, and the channels' terms.
template <class A>
struct GroupNormScratch {
  std::vector<A> chunk_sums, terms;
  std::vector<double> channel_sums;

  GroupNormScratch& hold(int images, const Chunks& chunks, int sums) {
    const size_t channels = size_t(images) * chunks.c;
    chunk_sums.resize(std::max(chunk_sums.size(), channels * chunks.count * sums));
    channel_sums.resize(std::max(channel_sums.size(), channels * 2));
    terms.resize(std::max(terms.size(), channels * 5));
    return *this;
  }
  A* sums_of(const Chunks& chunks, int sums, int image, int chunk) {
    return chunk_sums.data() + (size_t(image) * chunks.count + chunk) * sums * chunks.c;
  }
};

/// Five numbers a channel of an image: y = act((x - mean) * scale + beta), and dx = scale g + constant +
/// slope (x - mean).
template <class A>
struct Terms {
  A *mean, *scale, *beta, *constant, *slope;

  Terms(GroupNormScratch<A>& scratch, const Chunks& chunks, int image, int offset = 0)
      : mean(scratch.terms.data() + size_t(image) * 5 * chunks.c + offset),
        scale(mean + chunks.c),
        beta(scale + chunks.c),
        constant(beta + chunks.c),
        slope(constant + chunks.c) {}

  void set(const GroupNormDims& d, const A* group_mean, const A* group_rstd, const A* gamma, const A* shift) {
    const int width = d.c() / d.groups;
    for (int j = 0; j < d.c(); ++j) {
      mean[j] = group_mean[j / width], scale[j] = gamma[j] * group_rstd[j / width], beta[j] = shift[j];
    }
  }
};

/// One of the two sources: its channels are channels `offset` .. of the concatenation. dx may be null.
template <class T>
struct NormSource {
  const T* x;
  T* dx;
  int channels, offset;
};

/// A source's rows in a chunk; the rows of y and dy are `stride` apart.
template <class T>
struct Rows {
  const T* x;
  int pixels, channels, stride;
};

template <class T>
Rows<T> rows_of(const Chunks& chunks, const NormSource<T>& s, int image, int chunk) {
  return {s.x + chunks.pixel(image, chunk) * s.channels, chunks.pixels(chunk), s.channels, chunks.c};
}

/// Sums of x - first and (x - first)^2 over pixels, where first is the chunk's first pixel: as it belongs to
/// the chunk, the variance loses at most a factor of the number of pixels to cancellation, whatever the mean
/// is.
template <class T, class A>
void sum_chunk(const Rows<T>& rows, A* __restrict first, A* __restrict sum, A* __restrict square) {
  const int channels = rows.channels;
  for (int j = 0; j < channels; ++j) first[j] = A(rows.x[j]), sum[j] = 0, square[j] = 0;
  int p = 0;
  for (; p + 4 <= rows.pixels; p += 4) {
    const T* x0 = rows.x + size_t(p) * channels;
    const T *x1 = x0 + channels, *x2 = x1 + channels, *x3 = x2 + channels;
#pragma GCC ivdep
    for (int j = 0; j < channels; ++j) {
      const A d0 = A(x0[j]) - first[j], d1 = A(x1[j]) - first[j], d2 = A(x2[j]) - first[j],
              d3 = A(x3[j]) - first[j];
      sum[j] += (d0 + d1) + (d2 + d3);
      square[j] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
    }
  }
  for (; p < rows.pixels; ++p) {
    const T* x = rows.x + size_t(p) * channels;
#pragma GCC ivdep
    for (int j = 0; j < channels; ++j) {
      const A d = A(x[j]) - first[j];
      sum[j] += d, square[j] += d * d;
    }
  }
}

/// Means and deviations of an image's groups from the sums of its chunks: Chan's formula for many sets at
/// once, M2 = sum_b M2_b + count_b (mean_b - mean)^2, in f64. totals: 2 C numbers of scratch.
template <class A>
void combine_chunks(const GroupNormDims& d, const Chunks& chunks, const A* sums, double* totals, A* mean,
                    A* rstd) {
  const int width = d.c() / d.groups;
  const double elements = double(width) * d.hw;
  double *total = totals, *spread = totals + chunks.c;
  std::fill(totals, totals + 2 * chunks.c, 0.0);
  for (int chunk = 0; chunk < chunks.count; ++chunk) {
    const A *first = sums + size_t(chunk) * 3 * chunks.c, *sum = first + chunks.c;
    const double count = chunks.pixels(chunk);
    for (int j = 0; j < chunks.c; ++j) total[j] += count * double(first[j]) + double(sum[j]);
  }
  for (int g = 0; g < d.groups; ++g) {
    double *first = total + g * width, *last = first + width;
    const double group_mean = std::accumulate(first, last, 0.0) / elements;
    std::fill(first, last, group_mean);
    mean[g] = A(group_mean);
  }
  for (int chunk = 0; chunk < chunks.count; ++chunk) {
    const A *first = sums + size_t(chunk) * 3 * chunks.c, *sum = first + chunks.c, *square = sum + chunks.c;
    const double count = chunks.pixels(chunk), inverse = 1.0 / count;
#pragma GCC ivdep
    for (int j = 0; j < chunks.c; ++j) {
      const double shift = double(sum[j]) * inverse, off = double(first[j]) + shift - total[j];
      spread[j] += double(square[j]) - double(sum[j]) * shift + count * off * off;
    }
  }
  for (int g = 0; g < d.groups; ++g) {
    const double* first = spread + g * width;
    const double variance = std::max(std::accumulate(first, first + width, 0.0) / elements, 0.0);
    rstd[g] = A(1.0 / std::sqrt(variance + double(d.eps)));
  }
}

template <Activation act, class T, class A>
void normalize_chunk(const Rows<T>& rows, const Terms<A>& t, T* y) {
  const A *mean = t.mean, *scale = t.scale, *beta = t.beta;
  const T* x = rows.x;
  for (int p = 0; p < rows.pixels; ++p, x += rows.channels, y += rows.stride) {
#pragma GCC ivdep
    for (int j = 0; j < rows.channels; ++j) y[j] = T(activate<act>((A(x[j]) - mean[j]) * scale[j] + beta[j]));
  }
}

template <Activation act, class T>
void forward(CpuStream& stream, const GroupNormDims& d, const GroupNormInputs& in, Out y, Out mean,
             Out rstd) {
  using A = arithmetic_t<T>;
  const Chunks chunks(d);
  auto& scratch = stream.state<GroupNormScratch<A>>().hold(d.n, chunks, 3);
  const NormSource<T> sources[2] = {{in.x.as<T>(), nullptr, d.c1, 0}, {in.x2.as<T>(), nullptr, d.c2, d.c1}};
  const int used = d.c2 > 0 ? 2 : 1;
  const A *gammas = in.gamma.as<A>(), *betas = in.beta.as<A>();
  A *means = mean.as<A>(), *rstds = rstd.as<A>();
  const int64_t stride = affine_stride(d);
  T* result = y.as<T>();
  const auto sum = [&](int n, int chunk) {
    A* sums = scratch.sums_of(chunks, 3, n, chunk);
    for (int i = 0; i < used; ++i) {
      A* first = sums + sources[i].offset;
      sum_chunk<T, A>(rows_of(chunks, sources[i], n, chunk), first, first + chunks.c, first + 2 * chunks.c);
    }
  };
  const auto combine = [&](int n) {
    A *m = means + size_t(n) * d.groups, *r = rstds + size_t(n) * d.groups;
    combine_chunks<A>(d, chunks, scratch.sums_of(chunks, 3, n, 0),
                      scratch.channel_sums.data() + size_t(n) * 2 * chunks.c, m, r);
    Terms<A>(scratch, chunks, n).set(d, m, r, gammas + n * stride, betas + n * stride);
  };
  const auto normalize = [&](int n, int chunk) {
    for (int i = 0; i < used; ++i) {
      const int offset = sources[i].offset;
      normalize_chunk<act, T, A>(rows_of(chunks, sources[i], n, chunk), Terms<A>(scratch, chunks, n, offset),
                                 result + chunks.pixel(n, chunk) * chunks.c + offset);
    }
  };
  parallel_images(stream, d.n, chunks.count, sum, combine, normalize);
}

/// Sums of g and g (x - mean) over a chunk's pixels, g = dy act'(v).
template <Activation act, class T, class A>
void sum_gradients(const Rows<T>& rows, const Terms<A>& t, const T* dy, A* __restrict sum,
                   A* __restrict product) {
  const A *mean = t.mean, *scale = t.scale, *beta = t.beta;
  const T* x = rows.x;
  std::fill(sum, sum + rows.channels, A(0)), std::fill(product, product + rows.channels, A(0));
  for (int p = 0; p < rows.pixels; ++p, x += rows.channels, dy += rows.stride) {
#pragma GCC ivdep
    for (int j = 0; j < rows.channels; ++j) {
      const A centred = A(x[j]) - mean[j];
      const A g = A(dy[j]) * activation_slope<act>(centred * scale[j] + beta[j]);
      sum[j] += g, product[j] += g * centred;
    }
  }
}

/// The gradient's formula, its group means folded into two terms a channel.
template <Activation act, class T, class A>
void write_gradients(const Rows<T>& rows, const Terms<A>& t, const T* dy, T* dx) {
  const A *mean = t.mean, *scale = t.scale, *beta = t.beta, *constant = t.constant, *slope = t.slope;
  const T* x = rows.x;
  for (int p = 0; p < rows.pixels; ++p, x += rows.channels, dx += rows.channels, dy += rows.stride) {
#pragma GCC ivdep
    for (int j = 0; j < rows.channels; ++j) {
      const A centred = A(x[j]) - mean[j];
      const A g = A(dy[j]) * activation_slope<act>(centred * scale[j] + beta[j]);
      dx[j] = T(scale[j] * g + (slope[j] * centred + constant[j]));
    }
  }
}

/// An image's sums of g xh and of g over its pixels, [C] each; null: not wanted.
template <class A>
struct ImageSums {
  A *dgamma, *dbeta;
};

/// From the chunks' sums of an image: its channels' sums of g and g xh, and the two terms of dx.
template <class A>
void combine_gradients(const GroupNormDims& d, const Chunks& chunks, const A* sums, double* totals,
                       const A* rstd, const A* gamma, const ImageSums<A>& out, const Terms<A>& terms) {
  const int width = d.c() / d.groups;
  double *sum_g = totals, *sum_gx = totals + chunks.c;
  std::fill(totals, totals + 2 * chunks.c, 0.0);
  for (int chunk = 0; chunk < chunks.count; ++chunk) {
    for (int j = 0; j < 2 * chunks.c; ++j) totals[j] += double(sums[size_t(chunk) * 2 * chunks.c + j]);
  }
  for (int g = 0; g < d.groups; ++g) {
    const double r = rstd[g], elements = double(width) * d.hw;
    double mean_h = 0, mean_hx = 0;
    for (int j = g * width; j < (g + 1) * width; ++j) {
      mean_h += double(gamma[j]) * sum_g[j] / elements,
          mean_hx += double(gamma[j]) * sum_gx[j] * r / elements;
      if (out.dgamma) out.dbeta[j] = A(sum_g[j]), out.dgamma[j] = A(sum_gx[j] * r);
    }
    for (int j = g * width; j < (g + 1) * width; ++j) {
      terms.constant[j] = A(-r * mean_h), terms.slope[j] = A(-r * r * mean_hx);
    }
  }
}

/// dgamma and dbeta [C]: the images' sums [N,C], added in their order.
template <class A>
void sum_images(CpuStream& stream, const GroupNormDims& d, const ImageSums<A>& images, A* dgamma, A* dbeta) {
  const size_t c = size_t(d.c());
  parallel_pieces(stream, d.c(), [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) {
      double sum_g = 0, sum_gx = 0;
      for (int n = 0; n < d.n; ++n) sum_g += images.dbeta[n * c + j], sum_gx += images.dgamma[n * c + j];
      dbeta[j] = A(sum_g), dgamma[j] = A(sum_gx);
    }
  });
}

template <Activation act, class T>
void backward(CpuStream& stream, const GroupNormDims& d, const GroupNormInputs& in, In dy, In mean, In rstd,
              const GroupNormGradients& out, Out partial) {
  using A = arithmetic_t<T>;
  const Chunks chunks(d);
  auto& scratch = stream.state<GroupNormScratch<A>>().hold(d.n, chunks, 2);
  const NormSource<T> sources[2] = {{in.x.as<T>(), out.dx.as<T>(), d.c1, 0},
                                    {in.x2.as<T>(), out.dx2.as<T>(), d.c2, d.c1}};
  const int used = d.c2 > 0 ? 2 : 1;
  const T* dys = dy.as<T>();
  const A *gammas = in.gamma.as<A>(), *betas = in.beta.as<A>(), *means = mean.as<A>(), *rstds = rstd.as<A>();
  const int64_t stride = affine_stride(d);
  ImageSums<A> images{out.dgamma.as<A>(), out.dbeta.as<A>()};
  if (out.dgamma && !d.affine_per_sample) {
    images.dbeta = partial.as<A>();
    images.dgamma = images.dbeta + int64_t(d.n) * d.c();
  }
  parallel_each(stream, d.n, [&](int64_t n) {
    Terms<A>(scratch, chunks, int(n))
        .set(d, means + n * d.groups, rstds + n * d.groups, gammas + n * stride, betas + n * stride);
  });
  const auto sum = [&](int n, int chunk) {
    for (int i = 0; i < used; ++i) {
      const int offset = sources[i].offset;
      A* sums = scratch.sums_of(chunks, 2, n, chunk) + offset;
      sum_gradients<act, T, A>(rows_of(chunks, sources[i], n, chunk), Terms<A>(scratch, chunks, n, offset),
                               dys + chunks.pixel(n, chunk) * chunks.c + offset, sums, sums + chunks.c);
    }
  };
  const auto combine = [&](int n) {
    ImageSums<A> of_image = images;
    if (images.dgamma) of_image.dgamma += size_t(n) * chunks.c, of_image.dbeta += size_t(n) * chunks.c;
    combine_gradients<A>(d, chunks, scratch.sums_of(chunks, 2, n, 0),
                         scratch.channel_sums.data() + size_t(n) * 2 * chunks.c, rstds + size_t(n) * d.groups,
                         gammas + n * stride, of_image, Terms<A>(scratch, chunks, n));
  };
  const auto write = [&](int n, int chunk) {
    for (int i = 0; i < used; ++i) {
      if (!sources[i].dx) continue;
      const int offset = sources[i].offset;
      write_gradients<act, T, A>(rows_of(chunks, sources[i], n, chunk), Terms<A>(scratch, chunks, n, offset),
                                 dys + chunks.pixel(n, chunk) * chunks.c + offset,
                                 sources[i].dx + chunks.pixel(n, chunk) * sources[i].channels);
    }
  };
  parallel_images(stream, d.n, chunks.count, sum, combine, write);
  if (out.dgamma && !d.affine_per_sample)
    sum_images<A>(stream, d, images, out.dgamma.as<A>(), out.dbeta.as<A>());
}

}  // namespace

void check_group_norm(const GroupNormDims& d) {
  if (d.n < 1 || d.hw < 1 || d.c1 < 1 || d.c2 < 0 || d.groups < 1 || d.c() % d.groups != 0)
    fail(cat("group_norm: ", d.n, " samples of ", d.hw, " pixels, ", d.c1, " + ", d.c2, " channels in ",
             d.groups, " groups; sizes must be positive and the channels a multiple of the groups"));
}

void check_group_norm(const GroupNormDims& d, const GroupNormInputs& in) {
  check_group_norm(d);
  if (!in.x || bool(in.x2) != (d.c2 > 0))
    fail(cat("group_norm: x is needed, and x2 where c2 > 0 alone; c2 is ", d.c2));
}

void check_group_norm(const GroupNormDims& d, const GroupNormInputs& in, const GroupNormGradients& out,
                      Out partial) {
  check_group_norm(d, in);
  if (bool(out.dgamma) != bool(out.dbeta))
    fail("group_norm: dgamma and dbeta are wanted together or not at all");
  if (!partial && !d.affine_per_sample) fail("group_norm: the backward pass needs the scratch `partial`");
}

void group_norm_forward(CpuStream& stream, const GroupNormDims& d, const GroupNormInputs& in, Out y, Out mean,
                        Out rstd) {
  check_group_norm(d, in);
  visit(in.x.dtype, [&](auto t) {
    visit(d.activation, [&](auto act) { forward<act.value, decltype(t)>(stream, d, in, y, mean, rstd); });
  });
}

void group_norm_backward(CpuStream& stream, const GroupNormDims& d, const GroupNormInputs& in, In dy, In mean,
                         In rstd, const GroupNormGradients& out, Out partial) {
  check_group_norm(d, in, out, partial);
  visit(in.x.dtype, [&](auto t) {
    visit(d.activation,
          [&](auto act) { backward<act.value, decltype(t)>(stream, d, in, dy, mean, rstd, out, partial); });
  });
}

}  // namespace ito::kernels
