#include "kernels/nearest_noise.h"

#include <algorithm>

#include "kernels/base/error.h"
#include "kernels/batch_sample_row.h"
#include "kernels/parallel.h"
#include "kernels/random_fill.h"

namespace ito::kernels {
namespace {

/// Sixteen running sums, so that additions overlap, added in a fixed order.
double squared_distance(const float* __restrict x, const float* __restrict z, int count) {
  constexpr int kLanes = 16;
  float sums[kLanes] = {};
  const int whole = count / kLanes * kLanes;
  for (int i = 0; i < whole; i += kLanes)
    for (int k = 0; k < kLanes; ++k) sums[k] += (x[i + k] - z[i + k]) * (x[i + k] - z[i + k]);
  for (int i = whole; i < count; ++i) sums[i - whole] += (x[i] - z[i]) * (x[i] - z[i]);
  double sum = 0;
  for (const float lane : sums) sum += double(lane);
  return sum;
}

uint32_t nearest(const MakeBatchDims& d, const SampleImage& image, uint32_t noise_sample, int candidates) {
  float x0[kRowPart], z[kRowPart];
  double distance[kMostNoiseCandidates] = {};
  const int width = d.w * d.c;
  for (int row = 0; row < d.h; ++row) {
    for (int begin = 0; begin < width; begin += kRowPart) {
      const int count = std::min(kRowPart, width - begin);
      read_row<float>(image, row, begin, count, x0);
      for (int k = 0; k < candidates; ++k) {
        fill_normal(noise_key(d, noise_sample, uint32_t(k)), int64_t(row) * width + begin, count, z);
        distance[k] += squared_distance(x0, z, count);
      }
    }
  }
  return uint32_t(std::min_element(distance, distance + candidates) - distance);  // the first of equals
}

}  // namespace

void check_nearest_noise(const MakeBatchDims& d, int candidates) {
  if (d.n < 1 || d.h < 1 || d.w < 1 || d.c < 1)
    fail(cat("nearest_noise: [", d.n, ",", d.h, ",", d.w, ",", d.c, "]; sizes must be positive"));
  if (candidates < 1 || candidates > kMostNoiseCandidates)
    fail(cat("nearest_noise: ", candidates, " candidates; there can be 1 to ", kMostNoiseCandidates));
}

void nearest_noise(CpuStream& stream, const MakeBatchDims& d, const BatchImages& images, int candidates,
                   uint32_t* chosen) {
  check_nearest_noise(d, candidates);
  parallel_each(stream, d.n, [=](int64_t n) {
    chosen[n] = nearest(d, sample_image(d, images, n), images.recipes[n].noise_sample, candidates);
  });
}

}  // namespace ito::kernels
