#include "kernels/group_norm.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/activation.h"
#include "kernels/parallel.h"

namespace ito::kernels {
namespace {

/// Elements in a chunk of an image, and its most and fewest pixels. A chunk bounds the length of sums in f32; between
/// chunks sums are in f64.
constexpr int kChunkElements = 8192, kMaxPixels = 256, kMinPixels = 16;

/// One of the two sources: `channels` channels a pixel, the first of which is channel `offset` of the concatenation.
template <class T> struct Source { const T* data; T* result; int channels, offset; };

/// What the calls keep: sums of each chunk, and what each channel of each image is shifted and scaled by.
template <class A> struct Scratch {
  std::vector<A> chunk_sums, channel_terms;
  std::vector<double> channel_sums;
  void hold(const GroupNormDims& d, int chunks, int sums, int terms) {
    const size_t channels = size_t(d.n) * d.c();
    chunk_sums.resize(std::max(chunk_sums.size(), channels * chunks * sums));
    channel_terms.resize(std::max(channel_terms.size(), channels * terms));
    channel_sums.resize(std::max(channel_sums.size(), 2 * channels));
  }
};

/// The division of an image into chunks of whole pixels.
struct Chunks {
  int pixels, hw;
  explicit Chunks(const GroupNormDims& d) : pixels(std::clamp(kChunkElements / d.c(), kMinPixels, kMaxPixels)), hw(d.hw) {}
  int count() const { return (hw + pixels - 1) / pixels; }
  int begin(int chunk) const { return chunk * pixels; }
  int size(int chunk) const { return std::min(pixels, hw - begin(chunk)); }
};

void check(const GroupNormDims& d) {
  if (d.n < 1 || d.hw < 1 || d.c1 < 1 || d.c2 < 0 || d.groups < 1 || d.c() % d.groups != 0) {
    fail(cat("group_norm: ", d.c1, " + ", d.c2, " channels in ", d.groups, " groups, ", d.n, " samples of ", d.hw,
             " pixels; all must be positive and the channels a multiple of the groups"));
  }
}

/// Sums of x - first and (x - first)^2 over pixels, where first is the chunk's first pixel: as it belongs to the chunk, the
/// variance loses at most a factor of the number of pixels to cancellation, whatever the mean is. out: [3][c of both sources].
template <class T, class A>
void sum_chunk(const T* __restrict x, int pixels, int channels, A* __restrict first, A* __restrict sum,
               A* __restrict square) {
  for (int j = 0; j < channels; ++j) first[j] = A(x[j]), sum[j] = 0, square[j] = 0;
  int p = 0;
  for (; p + 4 <= pixels; p += 4) {
    const T* __restrict x0 = x + size_t(p) * channels;
    const T* __restrict x1 = x0 + channels;
    const T* __restrict x2 = x1 + channels;
    const T* __restrict x3 = x2 + channels;
    for (int j = 0; j < channels; ++j) {
      const A d0 = A(x0[j]) - first[j], d1 = A(x1[j]) - first[j], d2 = A(x2[j]) - first[j], d3 = A(x3[j]) - first[j];
      sum[j] += (d0 + d1) + (d2 + d3);
      square[j] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
    }
  }
  for (; p < pixels; ++p) {
    const T* __restrict row = x + size_t(p) * channels;
    for (int j = 0; j < channels; ++j) {
      const A d = A(row[j]) - first[j];
      sum[j] += d, square[j] += d * d;
    }
  }
}

/// Means and deviations of an image's groups from the sums of its chunks: Chan's formula for many sets at once,
/// M2 = sum_b M2_b + count_b (mean_b - mean)^2, in f64.
template <class A>
void combine_chunks(const GroupNormDims& d, const Chunks& chunks, const A* sums, double* total, double* spread, A* mean,
                    A* rstd) {
  const int c = d.c(), width = c / d.groups;
  std::fill(total, total + c, 0.0);
  for (int chunk = 0; chunk < chunks.count(); ++chunk) {
    const A *first = sums + size_t(chunk) * 3 * c, *sum = first + c;
    const double count = chunks.size(chunk);
    for (int j = 0; j < c; ++j) total[j] += count * double(first[j]) + double(sum[j]);
  }
  const double elements = double(width) * d.hw;
  for (int g = 0; g < d.groups; ++g) {
    double group = 0;
    for (int j = g * width; j < (g + 1) * width; ++j) group += total[j];
    for (int j = g * width; j < (g + 1) * width; ++j) total[j] = group / elements;  // from here on, the group's mean
  }
  std::fill(spread, spread + c, 0.0);
  for (int chunk = 0; chunk < chunks.count(); ++chunk) {
    const A *first = sums + size_t(chunk) * 3 * c, *sum = first + c, *square = sum + c;
    const double count = chunks.size(chunk), inverse = 1.0 / count;
    for (int j = 0; j < c; ++j) {
      const double shift = double(sum[j]) * inverse, off = double(first[j]) + shift - total[j];
      spread[j] += double(square[j]) - double(sum[j]) * shift + count * off * off;
    }
  }
  for (int g = 0; g < d.groups; ++g) {
    double group = 0;
    for (int j = g * width; j < (g + 1) * width; ++j) group += spread[j];
    mean[g] = A(total[g * width]);
    rstd[g] = A(1.0 / std::sqrt(std::max(group / elements, 0.0) + double(d.eps)));
  }
}

/// What each channel of an image needs: y = act((x - mean) * scale + beta).
template <class A> struct ChannelTerms {
  A *mean, *scale, *beta;
  ChannelTerms(std::vector<A>& terms, int image, int c, int arrays)
      : mean(terms.data() + size_t(image) * arrays * c), scale(mean + c), beta(scale + c) {}
  void set(const GroupNormDims& d, const A* group_mean, const A* group_rstd, const A* gamma, const A* shift) {
    const int width = d.c() / d.groups;
    for (int j = 0; j < d.c(); ++j) {
      mean[j] = group_mean[j / width], scale[j] = gamma[j] * group_rstd[j / width], beta[j] = shift[j];
    }
  }
};

template <Activation act, class T, class A>
void normalize_chunk(const T* __restrict x, T* __restrict y, int pixels, int channels, int y_stride,
                     const A* __restrict mean, const A* __restrict scale, const A* __restrict beta) {
  for (int p = 0; p < pixels; ++p, x += channels, y += y_stride) {
    for (int j = 0; j < channels; ++j) y[j] = T(activate<act>((A(x[j]) - mean[j]) * scale[j] + beta[j]));
  }
}

template <Activation act, class T>
void forward(CpuStream& stream, const GroupNormDims& d, In x, In x2, In gamma, In beta, Out y, Out mean, Out rstd) {
  using A = arithmetic_t<T>;
  const int c = d.c();
  const Chunks chunks(d);
  auto& scratch = stream.state<Scratch<A>>();
  scratch.hold(d, chunks.count(), 3, 3);
  const Source<T> sources[2] = {{x.as<T>(), nullptr, d.c1, 0}, {x2.as<T>(), nullptr, d.c2, d.c1}};
  const A *gammas = gamma.as<A>(), *betas = beta.as<A>();
  A *means = mean.as<A>(), *rstds = rstd.as<A>();
  T* result = y.as<T>();
  const auto sum = [&](int n, int chunk) {
    A* sums = scratch.chunk_sums.data() + (size_t(n) * chunks.count() + chunk) * 3 * c;
    const size_t pixel = size_t(n) * d.hw + chunks.begin(chunk);
    for (const auto& s : sources) {
      if (s.channels == 0) continue;
      sum_chunk<T, A>(s.data + pixel * s.channels, chunks.size(chunk), s.channels, sums + s.offset, sums + c + s.offset,
                      sums + 2 * c + s.offset);
    }
  };
  const auto combine = [&](int n) {
    double* sums = scratch.channel_sums.data() + size_t(n) * 2 * c;
    A *m = means + size_t(n) * d.groups, *r = rstds + size_t(n) * d.groups;
    combine_chunks<A>(d, chunks, scratch.chunk_sums.data() + size_t(n) * chunks.count() * 3 * c, sums, sums + c, m, r);
    ChannelTerms<A>(scratch.channel_terms, n, c, 3).set(d, m, r, gammas, betas);
  };
  const auto normalize = [&](int n, int chunk) {
    const ChannelTerms<A> t(scratch.channel_terms, n, c, 3);
    const size_t pixel = size_t(n) * d.hw + chunks.begin(chunk);
    for (const auto& s : sources) {
      if (s.channels == 0) continue;
      normalize_chunk<act, T, A>(s.data + pixel * s.channels, result + pixel * c + s.offset, chunks.size(chunk),
                                 s.channels, c, t.mean + s.offset, t.scale + s.offset, t.beta + s.offset);
    }
  };
  parallel_images(stream, d.n, chunks.count(), sum, combine, normalize);
}

/// Adds sum g and sum g (x - mean) over a chunk's pixels, g = dy act'(v).
template <Activation act, class T, class A>
void sum_gradients(const T* __restrict dy, const T* __restrict x, int pixels, int channels, int dy_stride,
                   const A* __restrict mean, const A* __restrict scale, const A* __restrict beta, A* __restrict sum,
                   A* __restrict product) {
  for (int j = 0; j < channels; ++j) sum[j] = 0, product[j] = 0;
  for (int p = 0; p < pixels; ++p, x += channels, dy += dy_stride) {
    for (int j = 0; j < channels; ++j) {
      const A centred = A(x[j]) - mean[j];
      const A g = A(dy[j]) * activation_slope<act>(centred * scale[j] + beta[j]);
      sum[j] += g, product[j] += g * centred;
    }
  }
}

/// dx = scale g + constant + slope (x - mean): the gradient's formula, its group means folded into two terms a channel.
template <Activation act, class T, class A>
void write_gradients(const T* __restrict dy, const T* __restrict x, T* __restrict dx, int pixels, int channels,
                     int dy_stride, const A* __restrict mean, const A* __restrict scale, const A* __restrict beta,
                     const A* __restrict constant, const A* __restrict slope) {
  for (int p = 0; p < pixels; ++p, x += channels, dx += channels, dy += dy_stride) {
    for (int j = 0; j < channels; ++j) {
      const A centred = A(x[j]) - mean[j];
      const A g = A(dy[j]) * activation_slope<act>(centred * scale[j] + beta[j]);
      dx[j] = T(scale[j] * g + (slope[j] * centred + constant[j]));
    }
  }
}

/// From the chunks' sums of an image: its sums of g and g xh a channel, and the two terms of dx.
template <class A>
void combine_gradients(const GroupNormDims& d, int chunks, const A* sums, double* total, const A* rstd, const A* gamma,
                       A* sum_g, A* sum_gx, A* constant, A* slope) {
  const int c = d.c(), width = c / d.groups;
  std::fill(total, total + 2 * c, 0.0);
  for (int chunk = 0; chunk < chunks; ++chunk) {
    for (int j = 0; j < 2 * c; ++j) total[j] += double(sums[size_t(chunk) * 2 * c + j]);
  }
  const double elements = double(width) * d.hw;
  for (int g = 0; g < d.groups; ++g) {
    const double r = rstd[g];
    double mean_h = 0, mean_hx = 0;
    for (int j = g * width; j < (g + 1) * width; ++j) {
      mean_h += double(gamma[j]) * total[j];
      mean_hx += double(gamma[j]) * total[c + j] * r;
      sum_g[j] = A(total[j]), sum_gx[j] = A(total[c + j] * r);
    }
    for (int j = g * width; j < (g + 1) * width; ++j) {
      constant[j] = A(-r * mean_h / elements), slope[j] = A(-r * r * mean_hx / elements);
    }
  }
}

/// dgamma and dbeta: the images' sums, added in their order.
template <class A>
void sum_images(CpuStream& stream, const GroupNormDims& d, const A* partial, A* dgamma, A* dbeta) {
  const int c = d.c();
  parallel_pieces(stream, c, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) {
      double sum_g = 0, sum_gx = 0;
      for (int n = 0; n < d.n; ++n) sum_g += partial[size_t(n) * 2 * c + j], sum_gx += partial[(size_t(n) * 2 + 1) * c + j];
      dbeta[j] = A(sum_g), dgamma[j] = A(sum_gx);
    }
  });
}

template <Activation act, class T>
void backward(CpuStream& stream, const GroupNormDims& d, In dy, In x, In x2, In gamma, In beta, In mean, In rstd, Out dx,
              Out dx2, Out dgamma, Out dbeta, Out partial) {
  using A = arithmetic_t<T>;
  const int c = d.c();
  const Chunks chunks(d);
  auto& scratch = stream.state<Scratch<A>>();
  scratch.hold(d, chunks.count(), 2, 5);
  const Source<T> sources[2] = {{x.as<T>(), dx.as<T>(), d.c1, 0}, {x2.as<T>(), dx2.as<T>(), d.c2, d.c1}};
  const T* dys = dy.as<T>();
  const A *gammas = gamma.as<A>(), *betas = beta.as<A>(), *means = mean.as<A>(), *rstds = rstd.as<A>();
  A* partials = partial.as<A>();
  const auto terms = [&](int n) { return ChannelTerms<A>(scratch.channel_terms, n, c, 5); };
  parallel_for(stream, d.n, [&](int64_t n) {
    terms(int(n)).set(d, means + n * d.groups, rstds + n * d.groups, gammas, betas);
  });
  const auto sum = [&](int n, int chunk) {
    const auto t = terms(n);
    A* sums = scratch.chunk_sums.data() + (size_t(n) * chunks.count() + chunk) * 2 * c;
    const size_t pixel = size_t(n) * d.hw + chunks.begin(chunk);
    for (const auto& s : sources) {
      if (s.channels == 0) continue;
      const int o = s.offset;
      sum_gradients<act, T, A>(dys + pixel * c + o, s.data + pixel * s.channels, chunks.size(chunk), s.channels, c,
                               t.mean + o, t.scale + o, t.beta + o, sums + o, sums + c + o);
    }
  };
  const auto combine = [&](int n) {
    A* constant = terms(n).beta + c;
    A* sum_g = partials + size_t(n) * 2 * c;
    combine_gradients<A>(d, chunks.count(), scratch.chunk_sums.data() + size_t(n) * chunks.count() * 2 * c,
                         scratch.channel_sums.data() + size_t(n) * 2 * c, rstds + size_t(n) * d.groups, gammas, sum_g,
                         sum_g + c, constant, constant + c);
  };
  const auto write = [&](int n, int chunk) {
    const auto t = terms(n);
    const A *constant = t.beta + c, *slope = constant + c;
    const size_t pixel = size_t(n) * d.hw + chunks.begin(chunk);
    for (const auto& s : sources) {
      if (!s.result) continue;
      const int o = s.offset;
      write_gradients<act, T, A>(dys + pixel * c + o, s.data + pixel * s.channels, s.result + pixel * s.channels,
                                 chunks.size(chunk), s.channels, c, t.mean + o, t.scale + o, t.beta + o, constant + o,
                                 slope + o);
    }
  };
  parallel_images(stream, d.n, chunks.count(), sum, combine, write);
  if (dgamma) sum_images<A>(stream, d, partials, dgamma.as<A>(), dbeta.as<A>());
}

}  // namespace

void group_norm_forward(CpuStream& stream, const GroupNormDims& d, In x, In x2, In gamma, In beta, Out y, Out mean,
                        Out rstd) {
  check(d);
  visit(x.dtype, [&](auto t) {
    visit(d.activation, [&](auto act) { forward<act.value, decltype(t)>(stream, d, x, x2, gamma, beta, y, mean, rstd); });
  });
}

void group_norm_backward(CpuStream& stream, const GroupNormDims& d, In dy, In x, In x2, In gamma, In beta, In mean,
                         In rstd, Out dx, Out dx2, Out dgamma, Out dbeta, Out partial) {
  check(d);
  visit(x.dtype, [&](auto t) {
    visit(d.activation, [&](auto act) {
      backward<act.value, decltype(t)>(stream, d, dy, x, x2, gamma, beta, mean, rstd, dx, dx2, dgamma, dbeta, partial);
    });
  });
}

}  // namespace ito::kernels
