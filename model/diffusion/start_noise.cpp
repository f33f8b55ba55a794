#include "model/diffusion/start_noise.h"

#include <cmath>

#include "kernels/base/error.h"
#include "kernels/random_fill.h"

namespace ito::model {

namespace {

std::vector<float> normal(const RandomKey& key, int64_t count) {
  std::vector<float> noise(static_cast<size_t>(count));
  kernels::fill_normal(key, 0, count, noise.data());
  return noise;
}

double length(const std::vector<float>& a) {
  double sum = 0;
  for (const float x : a) sum += double(x) * x;
  return std::sqrt(sum);
}

/// The angle between a and b, accurate near 0 and pi, too (Kahan's formula); 0 where one of them is all zeros.
double angle(const std::vector<float>& a, const std::vector<float>& b) {
  const double length_a = length(a), length_b = length(b);
  if (length_a == 0 || length_b == 0) return 0;
  double difference = 0, sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = a[i] / length_a, y = b[i] / length_b;
    difference += (x - y) * (x - y), sum += (x + y) * (x + y);
  }
  return 2 * std::atan2(std::sqrt(difference), std::sqrt(sum));
}

}  // namespace

std::vector<float> prior_noise(uint64_t seed, int64_t count) {
  return normal({seed, Purpose::prior, 0, 0}, count);
}

std::vector<float> slerp(const std::vector<float>& a, const std::vector<float>& b, double fraction) {
  constexpr double kLeastSine = 1e-6;  // below it the weights are quotients of rounding errors
  if (a.size() != b.size())
    fail(cat("slerp: noise of ", a.size(), " numbers and of ", b.size(), ": they have one size"));
  if (!(fraction >= 0 && fraction <= 1)) fail(cat("slerp: the fraction is from 0 to 1, not ", fraction));
  if (fraction == 0) return a;
  if (fraction == 1) return b;
  const double w = angle(a, b), sine = std::sin(w);
  const bool linear = sine < kLeastSine;
  const double of_a = linear ? 1 - fraction : std::sin((1 - fraction) * w) / sine;
  const double of_b = linear ? fraction : std::sin(fraction * w) / sine;
  std::vector<float> between(a.size());
  for (size_t i = 0; i < a.size(); ++i) between[i] = float(of_a * a[i] + of_b * b[i]);
  return between;
}

std::vector<float> variation_noise(uint64_t seed, uint64_t number, double spread, int64_t count) {
  std::vector<float> face = prior_noise(seed, count);
  if (number == 0) return face;
  const RandomKey other{seed, Purpose::variation, uint32_t(number), uint32_t(number >> 32)};
  return slerp(face, normal(other, count), spread);
}

std::vector<float> between_noise(uint64_t a, uint64_t b, int64_t k, int64_t n, int64_t count) {
  if (n < 2 || k < 0 || k >= n) fail(cat("there is no noise ", k, " of ", n, " between two"));
  return slerp(prior_noise(a, count), prior_noise(b, count), double(k) / double(n - 1));
}

}  // namespace ito::model
