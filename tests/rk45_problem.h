#pragma once

#include <cmath>
#include <vector>

#include "kernels/rk45.h"
#include "kernels/rk45_step.h"

/// What the tests of the adaptive flow's kernels share: images at different places of their way.
namespace ito::test {

inline constexpr int kSlopes = kernels::kRk45Slopes;

/// Numbers of three images' states and levels; the rest repeat. The second is about to reach its end.
struct Rk45Setting {
  kernels::Rk45Dims dims;
  std::vector<kernels::Rk45State> states;
  std::vector<kernels::Rk45Level> levels, table;

  Rk45Setting(int n, int per_image, double tolerance) : dims{n, per_image, tolerance, 0.5} {
    for (int i = 0; i < 9; ++i) {
      kernels::Rk45Level l;
      const float at = 0.1f * float(i);
      l.network = {0.4f - at, -1.5f + at, 0.125f + at, -0.75f + at},
      l.guide = {-0.3f, 0.8f + at, 0.25f, 2 - at};
      l.guidance = 1.5f, l.sigma = 0.5f * std::pow(2.0f, 0.5f * float(i));
      table.push_back(l);
    }
    const kernels::Rk45Table t = table_of(table.data());
    for (int i = 0; i < n; ++i) {
      kernels::Rk45State s;
      s.sigma = i % 3 == 1 ? 0.75 : 6.5 - i % 3, s.step = i % 3 == 1 ? -0.25 : -1.0 - i % 3;
      s.verdict = i % 3 == 2 ? kernels::Rk45Verdict::rejected : kernels::Rk45Verdict::accepted, s.tries = i;
      states.push_back(s);
      levels.resize(levels.size() + kSlopes);
      kernels::write_levels(t, dims.end, s, levels.data() + i * kSlopes);
    }
  }
  kernels::Rk45Table table_of(const kernels::Rk45Level* levels_in_place) const {
    return {levels_in_place, int(table.size()), std::log(0.5), std::log(8.0)};
  }
  size_t count() const { return size_t(dims.n) * size_t(dims.per_image); }
};

/// The tableau in f64: rows of y_2 .. y_7 = x', and of the error.
inline std::vector<std::vector<double>> exact_rows() {
  return {{1. / 5},
          {3. / 40, 9. / 40},
          {44. / 45, -56. / 15, 32. / 9},
          {19372. / 6561, -25360. / 2187, 64448. / 6561, -212. / 729},
          {9017. / 3168, -355. / 33, 46732. / 5247, 49. / 176, -5103. / 18656},
          {35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84}};
}

}  // namespace ito::test
