#include "kernels/pixel_shuffle.h"

#include "kernels/parallel.h"

namespace ito::kernels {
namespace {

/// Calls move(small, large) with each element's places in the two tensors.
template <class Move>
void each_element(CpuStream& stream, const PixelShuffleDims& d, Move move) {
  check_pixel_shuffle(d);
  const int row = d.w * d.p * d.p * d.c, image = d.h * row;  // of the small image
  parallel_each(stream, int64_t(d.n) * d.h, [=](int64_t i) {
    const int first = int(i % d.h) * row;
    const int64_t start = i / d.h * image;
    for (int e = first; e < first + row; ++e) move(start + e, start + pixel_shuffled(d, e));
  });
}

}  // namespace

void check_pixel_shuffle(const PixelShuffleDims& d) {
  if (d.n < 1 || d.h < 1 || d.w < 1 || d.c < 1 || d.p < 1)
    fail(
        cat("pixel_shuffle: [", d.n, ",", d.h, ",", d.w, ",", d.c, "] by ", d.p, "; sizes must be positive"));
  if (int64_t(d.h) * d.w * d.c * d.p * d.p > 0x7fffffff)
    fail("pixel_shuffle: an image may have 2^31 - 1 elements");
}

void pixel_unshuffle(CpuStream& stream, const PixelShuffleDims& d, In large, Out small) {
  visit(large.dtype, [&](auto type) {
    using T = decltype(type);
    const T* const from = large.as<T>();
    T* const to = small.as<T>();
    each_element(stream, d, [=](int64_t s, int64_t l) { to[s] = from[l]; });
  });
}

void pixel_shuffle(CpuStream& stream, const PixelShuffleDims& d, In small, Out large) {
  visit(small.dtype, [&](auto type) {
    using T = decltype(type);
    const T* const from = small.as<T>();
    T* const to = large.as<T>();
    each_element(stream, d, [=](int64_t s, int64_t l) { to[l] = from[s]; });
  });
}

}  // namespace ito::kernels
