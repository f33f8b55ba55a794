#include "kernels/make_batch.h"

#include <algorithm>

#include "kernels/parallel.h"
#include "kernels/random_fill.h"

namespace ito::kernels {
namespace {

constexpr int kColumns = 1024;  // elements of a row at a time, in the first-level cache

/// The image's numbers at elements [begin, begin + count) of a row, mirrored if asked. (2 p - 255) / 255 is
/// p / 127.5 - 1 rounded once, so that levels p and 255 - p are exact opposites.
template <class A>
void read_pixels(const uint8_t* row, bool flip, int width, int c, int begin, int count, A* __restrict x0) {
  if (!flip) {
    for (int i = 0; i < count; ++i) x0[i] = A(2 * int(row[begin + i]) - 255) / A(255);
    return;
  }
  int column = begin / c, channel = begin % c;
  for (int i = 0; i < count; ++i) {
    x0[i] = A(2 * int(row[(width - 1 - column) * c + channel]) - 255) / A(255);
    if (++channel == c) channel = 0, ++column;
  }
}

template <class T>
void make_row(const MakeBatchDims& d, const SampleRecipe& r, const uint8_t* image, int row, T* input,
              arithmetic_t<T>* target) {
  using A = arithmetic_t<T>;
  const int width = d.w * d.c;
  const int64_t start = int64_t(row) * width;
  const RandomKey key{d.seed, d.purpose, *d.step, r.noise_sample};
  A x0[kColumns];
  float z[kColumns];
  for (int begin = 0; begin < width; begin += kColumns) {
    const int count = std::min(kColumns, width - begin);
    read_pixels<A>(image + start, r.flip != 0, d.w, d.c, begin, count, x0);
    fill_normal(key, start + begin, count, z);
    T* __restrict in = input + start + begin;
    A* __restrict out = target + start + begin;
    const A input_x0 = r.input_x0, input_z = r.input_z, target_x0 = r.target_x0, target_z = r.target_z;
    for (int i = 0; i < count; ++i) {
      in[i] = T(input_x0 * x0[i] + input_z * A(z[i]));
      out[i] = target_x0 * x0[i] + target_z * A(z[i]);
    }
  }
}

}  // namespace

void check_make_batch(const MakeBatchDims& d) {
  if (d.n < 1 || d.h < 1 || d.w < 1 || d.c < 1)
    fail(cat("make_batch: [", d.n, ",", d.h, ",", d.w, ",", d.c, "]; sizes must be positive"));
}

void make_batch(CpuStream& stream, const MakeBatchDims& d, const uint8_t* pixels, const SampleRecipe* recipes,
                Out input, Out target) {
  check_make_batch(d);
  visit(input.dtype, [&](auto t) {
    using T = decltype(t);
    T* inputs = input.as<T>();
    auto* targets = target.as<arithmetic_t<T>>();
    const int64_t image = int64_t(d.h) * d.w * d.c;
    parallel_each(stream, int64_t(d.n) * d.h, [=](int64_t i) {
      const int64_t sample = i / d.h;
      const SampleRecipe& r = recipes[sample];
      make_row<T>(d, r, pixels + r.image * uint64_t(image), int(i % d.h), inputs + sample * image,
                  targets + sample * image);
    });
  });
}

}  // namespace ito::kernels
