#include "kernels/pool.h"

#include <algorithm>

#include "kernels/parallel.h"
#include "kernels/pool_window.h"

namespace ito::kernels {

namespace {

constexpr int kChannels = 64;  // that are summed side by side, in registers or the first cache

/// One image of x or dx, and where its pixels are.
template <class T>
struct Image {
  T* data;
  int w, c;
  T* at(int row, int column) const { return data + (int64_t(row) * w + column) * c; }
};

/// to[j] = the largest or the mean of the window's numbers of channel j, for `count` channels from `channel`
/// on.
template <class T, class A>
void pool_window(Pooling kind, const Image<const T>& x, Range rows, Range columns, int channel, int count,
                 T* to) {
  A best[kChannels];
  const T* const first = x.at(rows.first, columns.first) + channel;
  for (int j = 0; j < count; ++j) best[j] = A(first[j]);
  for (int i = rows.first; i <= rows.last; ++i) {
    for (int k = columns.first + (i == rows.first); k <= columns.last; ++k) {
      const T* const from = x.at(i, k) + channel;
      if (kind == Pooling::mean)
        for (int j = 0; j < count; ++j) best[j] += A(from[j]);
      else
        for (int j = 0; j < count; ++j) best[j] = takes_over(A(from[j]), best[j]) ? A(from[j]) : best[j];
    }
  }
  const A divisor = kind == Pooling::mean ? A(rows.count() * columns.count()) : A(1);
  for (int j = 0; j < count; ++j) to[j] = T(best[j] / divisor);
}

/// won[j]: pixel (row, column) holds the window's maximum of channel j, and is the first that does.
template <class T, class A>
void find_winners(const Image<const T>& x, Range rows, Range columns, int row, int column, int channel,
                  int count, A* won) {
  const T* const mine = x.at(row, column) + channel;
  for (int j = 0; j < count; ++j) won[j] = 1;
  for (int i = rows.first; i <= rows.last; ++i) {
    for (int k = columns.first; k <= columns.last; ++k) {
      const T* const other = x.at(i, k) + channel;
      if (i < row || (i == row && k < column))
        for (int j = 0; j < count; ++j) won[j] = takes_over(A(mine[j]), A(other[j])) ? won[j] : 0;
      else if (i > row || k > column)
        for (int j = 0; j < count; ++j) won[j] = takes_over(A(other[j]), A(mine[j])) ? 0 : won[j];
    }
  }
}

/// dx of `count` channels of one pixel: the windows that cover it, row by row.
template <class T, class A>
void gather_gradient(Pooling kind, const PoolDims& d, const Image<const T>& dy, const Image<const T>& x,
                     int row, int column, int channel, int count, T* to) {
  A sum[kChannels] = {}, won[kChannels];
  const Range down = windows_of(row, d.out_h(), d.r, d.stride, d.pad_top);
  const Range across = windows_of(column, d.out_w(), d.s, d.stride, d.pad_left);
  for (int p = down.first; p <= down.last; ++p) {
    for (int q = across.first; q <= across.last; ++q) {
      const T* const from = dy.at(p, q) + channel;
      const Range rows = pixels_of(p, d.h, d.r, d.stride, d.pad_top);
      const Range columns = pixels_of(q, d.w, d.s, d.stride, d.pad_left);
      if (kind == Pooling::mean) {
        const A divisor = A(rows.count() * columns.count());
        for (int j = 0; j < count; ++j) sum[j] += A(from[j]) / divisor;
      } else {
        find_winners(x, rows, columns, row, column, channel, count, won);
        for (int j = 0; j < count; ++j) sum[j] += won[j] != 0 ? A(from[j]) : A(0);
      }
    }
  }
  for (int j = 0; j < count; ++j) to[j] = T(sum[j]);
}

}  // namespace

void check_pool(const PoolDims& d) {
  const int least = d.pad_top < d.pad_left ? d.pad_top : d.pad_left;
  const bool sizes = d.n > 0 && d.h > 0 && d.w > 0 && d.c > 0 && d.r > 0 && d.s > 0 && d.stride > 0;
  const bool paddings = least >= 0 && d.pad_bottom >= 0 && d.pad_right >= 0 && d.pad_top < d.r &&
                        d.pad_bottom < d.r && d.pad_left < d.s && d.pad_right < d.s;
  if (sizes && paddings && d.h + d.pad_top + d.pad_bottom >= d.r && d.w + d.pad_left + d.pad_right >= d.s)
    return;
  fail(cat("pool: windows of ", d.r, "x", d.s, ", stride ", d.stride, ", padding (top ", d.pad_top, ", left ",
           d.pad_left, ", bottom ", d.pad_bottom, ", right ", d.pad_right, ") do not fit [", d.n, ",", d.h,
           ",", d.w, ",", d.c,
           "]: sizes must be positive, a padding less than its window, a window within the padded image"));
}

void pool_forward(CpuStream& stream, Pooling kind, const PoolDims& d, In x, Out y) {
  check_pool(d);
  visit(x.dtype, [&](auto t) {
    using T = decltype(t);
    const T* const images = x.as<T>();
    T* const results = y.as<T>();
    parallel_each(stream, int64_t(d.n) * d.out_h(), [=](int64_t i) {  // one row of y
      const Image<const T> from{images + i / d.out_h() * d.h * d.w * d.c, d.w, d.c};
      const Range rows = pixels_of(int(i % d.out_h()), d.h, d.r, d.stride, d.pad_top);
      T* to = results + i * d.out_w() * d.c;
      for (int q = 0; q < d.out_w(); ++q, to += d.c) {
        const Range columns = pixels_of(q, d.w, d.s, d.stride, d.pad_left);
        for (int j = 0; j < d.c; j += kChannels)
          pool_window<T, arithmetic_t<T>>(kind, from, rows, columns, j, std::min(kChannels, d.c - j), to + j);
      }
    });
  });
}

void pool_backward(CpuStream& stream, Pooling kind, const PoolDims& d, In dy, In x, Out dx) {
  check_pool(d);
  visit(dy.dtype, [&](auto t) {
    using T = decltype(t);
    const T *const gradients = dy.as<T>(), *const images = x.as<T>();
    T* const results = dx.as<T>();
    const int64_t size = int64_t(d.h) * d.w * d.c, out_size = int64_t(d.out_h()) * d.out_w() * d.c;
    parallel_each(stream, int64_t(d.n) * d.h, [=](int64_t i) {  // one row of dx
      const int64_t image = i / d.h;
      const Image<const T> from{gradients + image * out_size, d.out_w(), d.c};
      const Image<const T> input{images ? images + image * size : nullptr, d.w, d.c};
      T* to = results + i * d.w * d.c;
      for (int column = 0; column < d.w; ++column, to += d.c)
        for (int j = 0; j < d.c; j += kChannels)
          gather_gradient<T, arithmetic_t<T>>(kind, d, from, input, int(i % d.h), column, j,
                                              std::min(kChannels, d.c - j), to + j);
    });
  });
}

}  // namespace ito::kernels
