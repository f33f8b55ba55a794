#include "kernels/make_batch.h"

#include <algorithm>

#include "kernels/batch_sample_row.h"
#include "kernels/parallel.h"
#include "kernels/random_fill.h"

namespace ito::kernels {
namespace {

/// z + G xi for the input of the next `count` elements.
void perturb(const RandomKey& key, int64_t begin, int count, float input_noise, const float* __restrict z,
             float* __restrict noisy) {
  float xi[kRowPart];
  fill_normal(key, begin, count, xi);
  for (int i = 0; i < count; ++i) noisy[i] = z[i] + input_noise * xi[i];
}

/// A row of one sample.
template <class T>
struct Row {
  const SampleRecipe& recipe;
  const SampleImage& image;
  RandomKey noise, input_noise;
  float input_noise_scale;
  int row;

  void make(T* input, arithmetic_t<T>* target) const {
    using A = arithmetic_t<T>;
    const int width = image.w * image.c;
    const int64_t start = int64_t(row) * width;
    A x0[kRowPart];
    float z[kRowPart], noisy[kRowPart];
    const float* const input_noises = input_noise_scale > 0 ? noisy : z;
    for (int begin = 0; begin < width; begin += kRowPart) {
      const int count = std::min(kRowPart, width - begin);
      read_row<A>(image, row, begin, count, x0);
      fill_normal(noise, start + begin, count, z);
      if (input_noise_scale > 0) perturb(input_noise, start + begin, count, input_noise_scale, z, noisy);
      T* __restrict in = input + start + begin;
      A* __restrict out = target + start + begin;
      const A input_x0 = recipe.input_x0, input_z = recipe.input_z;
      const A target_x0 = recipe.target_x0, target_z = recipe.target_z;
      for (int i = 0; i < count; ++i) {
        in[i] = T(input_x0 * x0[i] + input_z * A(input_noises[i]));
        out[i] = target_x0 * x0[i] + target_z * A(z[i]);
      }
    }
  }
};

}  // namespace

void check_make_batch(const MakeBatchDims& d) {
  if (d.n < 1 || d.h < 1 || d.w < 1 || d.c < 1)
    fail(cat("make_batch: [", d.n, ",", d.h, ",", d.w, ",", d.c, "]; sizes must be positive"));
}

void make_batch(CpuStream& stream, const MakeBatchDims& d, const BatchImages& images, const BatchNoise& noise,
                Out input, Out target) {
  check_make_batch(d);
  visit(input.dtype, [&](auto t) {
    using T = decltype(t);
    T* inputs = input.as<T>();
    auto* targets = target.as<arithmetic_t<T>>();
    const int64_t size = int64_t(d.h) * d.w * d.c;
    parallel_each(stream, int64_t(d.n) * d.h, [=](int64_t i) {
      const int64_t n = i / d.h;
      const SampleRecipe& r = images.recipes[n];
      const Row<T> row{r,
                       sample_image(d, images, n),
                       noise_key(d, r.noise_sample, noise.chosen ? noise.chosen[n] : 0),
                       {d.seed, Purpose::input_noise, *d.step, r.noise_sample},
                       noise.input,
                       int(i % d.h)};
      row.make(inputs + n * size, targets + n * size);
    });
  });
}

}  // namespace ito::kernels
