#include "model/metrics/ms_ssim.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "kernels/base/error.h"

namespace ito::model {
namespace {

constexpr int kWindow = 11, kScales = 3;
constexpr double kDeviation = 1.5, kC1 = 2.55 * 2.55, kC2 = 7.65 * 7.65;
constexpr std::array<double, kScales> kWeights{0.0448, 0.2856, 0.3001};

/// One channel of an image.
struct Plane {
  int height = 0, width = 0;
  std::vector<double> values;

  Plane(int h, int w) : height(h), width(w), values(size_t(h) * size_t(w)) {}
  double* row(int y) { return values.data() + size_t(y) * size_t(width); }
  const double* row(int y) const { return values.data() + size_t(y) * size_t(width); }
};

std::array<double, kWindow> gaussian() {
  std::array<double, kWindow> g;
  double sum = 0;
  for (int i = 0; i < kWindow; ++i) {
    const int x = i - kWindow / 2;
    sum += g[size_t(i)] = std::exp(-x * x / (2 * kDeviation * kDeviation));
  }
  for (double& v : g) v /= sum;
  return g;
}

/// Uses only windows that lie inside: the result has ten rows and columns fewer.
Plane blurred(const Plane& p) {
  static const std::array<double, kWindow> g = gaussian();
  Plane across(p.height, p.width - kWindow + 1), both(across.height - kWindow + 1, across.width);
  for (int y = 0; y < across.height; ++y)
    for (int k = 0; k < kWindow; ++k)
      for (int x = 0; x < across.width; ++x) across.row(y)[x] += g[size_t(k)] * p.row(y)[x + k];
  for (int y = 0; y < both.height; ++y)
    for (int k = 0; k < kWindow; ++k)
      for (int x = 0; x < both.width; ++x) both.row(y)[x] += g[size_t(k)] * across.row(y + k)[x];
  return both;
}

template <class F>
Plane combined(const Plane& a, const Plane& b, F&& f) {
  Plane result(a.height, a.width);
  for (size_t i = 0; i < result.values.size(); ++i) result.values[i] = f(a.values[i], b.values[i]);
  return result;
}

/// Means over all windows of the contrast and structure term, and of it times the luminance term.
struct Similarity {
  double structure = 0, whole = 0;
};

Similarity similarity(const Plane& a, const Plane& b) {
  const Plane mean_a = blurred(a), mean_b = blurred(b);
  const Plane products = blurred(combined(a, b, [](double x, double y) { return x * y; }));
  const Plane squares = blurred(combined(a, b, [](double x, double y) { return x * x + y * y; }));
  Similarity sum;
  for (size_t i = 0; i < products.values.size(); ++i) {
    const double both = mean_a.values[i] * mean_b.values[i];
    const double each = mean_a.values[i] * mean_a.values[i] + mean_b.values[i] * mean_b.values[i];
    const double structure = (2 * (products.values[i] - both) + kC2) / (squares.values[i] - each + kC2);
    sum.structure += structure;
    sum.whole += structure * (2 * both + kC1) / (each + kC1);
  }
  const double n = double(products.values.size());
  return {sum.structure / n, sum.whole / n};
}

/// 2x2 means; an odd last row or column is its own neighbour.
Plane halved(const Plane& p) {
  Plane half((p.height + 1) / 2, (p.width + 1) / 2);
  for (int y = 0; y < half.height; ++y) {
    const double *upper = p.row(2 * y), *lower = p.row(std::min(2 * y + 1, p.height - 1));
    for (int x = 0; x < half.width; ++x) {
      const int left = 2 * x, right = std::min(2 * x + 1, p.width - 1);
      half.row(y)[x] = (upper[left] + upper[right] + lower[left] + lower[right]) / 4;
    }
  }
  return half;
}

double of_planes(Plane a, Plane b) {
  double sum = 0, product = 1;
  for (const double weight : kWeights) sum += weight;
  for (int scale = 0; scale < kScales; ++scale) {
    const Similarity s = similarity(a, b);
    const bool last = scale == kScales - 1;
    product *= std::pow(std::max(0.0, last ? s.whole : s.structure), kWeights[size_t(scale)] / sum);
    if (!last) a = halved(a), b = halved(b);
  }
  return product;
}

}  // namespace

double ms_ssim3(const uint8_t* a, const uint8_t* b, int height, int width, int channels) {
  if (std::min(height, width) < kMsSsim3LeastSide)
    fail(cat("MS-SSIM-3 needs images of at least ", kMsSsim3LeastSide, " pixels a side, these are ", width,
             "x", height));
  double sum = 0;
  for (int c = 0; c < channels; ++c) {
    Plane first(height, width), second(height, width);
    for (size_t i = 0; i < first.values.size(); ++i) {
      first.values[i] = a[i * size_t(channels) + size_t(c)];
      second.values[i] = b[i * size_t(channels) + size_t(c)];
    }
    sum += of_planes(std::move(first), std::move(second));
  }
  return sum / channels;
}

}  // namespace ito::model
