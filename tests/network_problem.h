#pragma once

#include <algorithm>

#include "kernel_arrays.h"
#include "kernels/sde_update.h"

/// What the tests of the sampler's kernels share.
namespace ito::test {

using kernels::SdeNetwork;

/// Networks' answers for x, and D_0 in f64. f has the type F.
template <class A, class F>
struct NetworkProblem {
  int n, per_image;
  bool guided, limits = false;
  SdeNetwork network{0.4f, -1.5f, 0.125f, -0.75f}, guide{-0.3f, 0.8f, 0.25f, 2};
  float guidance = 1;
  Array<A> x, limit;
  Array<F> f, guide_f;
  std::vector<uint64_t> seeds;

  NetworkProblem(int n, int per_image, bool guided)
      : n(n),
        per_image(per_image),
        guided(guided),
        x(normals(size_t(n) * per_image, 2)),
        limit(size_t(n)),
        f(normals(x.size(), 5)),
        guide_f(normals(x.size(), 6)) {
    for (int i = 0; i < n; ++i) {
      limit.data()[i] = A(i % 2 ? 2.5f : 1.0f);
      seeds.push_back(1000 + uint64_t(i) * (1ull << 33));
    }
  }
  /// One image of the problem.
  NetworkProblem alone(int image) const {
    NetworkProblem one(1, per_image, guided);
    one.limits = limits, one.guidance = guidance, one.seeds = {seeds[size_t(image)]};
    one.limit = Array<A>(std::vector<double>{limit[size_t(image)]});
    one.x = part(x, image), one.f = part(f, image), one.guide_f = part(guide_f, image);
    return one;
  }
  /// What is image `image` of a tensor.
  template <class T>
  Array<T> part(const Array<T>& whole, int image) const {
    const std::vector<double> all = whole.values();
    const auto from = all.begin() + std::ptrdiff_t(image) * per_image;
    return Array<T>(std::vector<double>(from, from + per_image));
  }
  std::vector<double> denoised() const { return denoised(limits); }
  std::vector<double> denoised(bool limited) const {
    std::vector<double> result;
    for (size_t i = 0; i < x.size(); ++i) {
      double value = double(network.skip) * x[i] + double(network.out) * f[i];
      const double from = double(guide.skip) * x[i] + double(guide.out) * guide_f[i];
      if (guided) value = from + double(guidance) * (value - from);
      const double most = limit[i / per_image];
      result.push_back(limited ? std::clamp(value, -most, most) / most : value);
    }
    return result;
  }
  /// The normal number of element i of all images.
  double noise(Purpose purpose, uint32_t step, size_t i) const {
    const uint32_t e = uint32_t(i % per_image);
    float z[4];
    normal_block({seeds[i / per_image], purpose, step, 0}, e / 4, z);
    return z[e % 4];
  }
  /// Puts the networks' numbers into an SdeStep or a LangevinStep.
  template <class Step>
  void write_to(Step& step) const {
    step.network = network, step.guide = guide, step.guidance = guidance;
  }
};

/// A network's next input is a power of two times x', so that the only rounding is Next's.
template <class A, class Next>
void check_next(const SdeNetwork& numbers, const Array<A>& y, const Array<Next>& next,
                const Array<float>& c_noise) {
  std::vector<double> scaled;
  for (const double v : y.values()) scaled.push_back(double(numbers.next_scale) * v);
  check_close(next, scaled, epsilon<Next>(), 0);
  check_close(c_noise, std::vector<double>(c_noise.size(), numbers.next_c_noise), 0, 0);
}

}  // namespace ito::test
