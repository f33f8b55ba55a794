#pragma once

#include <cmath>

#include "kernels/rk45.h"

/// The arithmetic of an adaptive step, for both of its implementations.
namespace ito::kernels {

/// A row of the tableau of Dormand and Prince: y = x + h sum_j weights[j] k_{j+1}.
struct Rk45Row {
  float weights[kRk45Slopes];
};

/// Of y_{slope + 1}; the last one is x'.
inline Rk45Row rk45_row(int slope) {
  constexpr double kRows[6][6] = {
      {1. / 5},
      {3. / 40, 9. / 40},
      {44. / 45, -56. / 15, 32. / 9},
      {19372. / 6561, -25360. / 2187, 64448. / 6561, -212. / 729},
      {9017. / 3168, -355. / 33, 46732. / 5247, 49. / 176, -5103. / 18656},
      {35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84},
  };
  Rk45Row row{};
  for (int j = 0; j < slope; ++j) row.weights[j] = float(kRows[slope - 1][j]);
  return row;
}

/// Of the difference between the results of order 5 and 4.
inline Rk45Row rk45_error_row() {
  return {{float(71. / 57600), 0, float(-71. / 16695), float(71. / 1920), float(-17253. / 339200),
           float(22. / 525), float(-1. / 40)}};
}

/// Where in the step k_{i+1} is taken: c_i.
ITO_HOST_DEVICE inline double rk45_node(int i) {
  return i == 0 ? 0 : i == 1 ? 1. / 5 : i == 2 ? 3. / 10 : i == 3 ? 4. / 5 : i == 4 ? 8. / 9 : 1;
}

/// Squares of errors over their tolerance, summed.
struct Rk45Sum {
  double squares;
  ITO_HOST_DEVICE void merge(const Rk45Sum& other) { squares += other.squares; }
  ITO_HOST_DEVICE void add(float error, float moved, double tolerance) {
    const double part = double(error) / (tolerance * (1 + fabs(double(moved))));
    squares += part * part;
  }
};

/// What an error (1 is the most allowed) means for an image.
ITO_HOST_DEVICE inline void judge(const Rk45Dims& d, double error, Rk45State& s) {
  if (s.verdict == Rk45Verdict::failed) return;
  if (s.step == 0) {
    s.verdict = Rk45Verdict::ended;
    return;
  }
  ++s.tries;
  if (error != error) {
    s.verdict = Rk45Verdict::failed, s.step = 0;
    return;
  }
  const bool right = error <= 1;
  const double most = right && s.verdict != Rk45Verdict::rejected ? 10 : 1;
  const double factor = error == 0 ? most : fmin(most, fmax(0.2, 0.9 * pow(error, -0.2)));
  if (right) s.sigma = s.step <= d.end - s.sigma ? d.end : s.sigma + s.step;
  const bool there = right && s.sigma <= d.end;
  s.verdict = there ? Rk45Verdict::reached : right ? Rk45Verdict::accepted : Rk45Verdict::rejected;
  s.step = there ? 0 : fmax(s.step * factor, d.end - s.sigma);
}

ITO_HOST_DEVICE inline SdeNetwork between(const SdeNetwork& a, const SdeNetwork& b, float part) {
  const auto mix = [&](float x, float y) { return x + part * (y - x); };
  SdeNetwork n;
  n.skip = mix(a.skip, b.skip), n.out = mix(a.out, b.out);
  n.next_scale = mix(a.next_scale, b.next_scale), n.next_c_noise = mix(a.next_c_noise, b.next_c_noise);
  return n;
}

/// The level at sigma, which lies within the table.
ITO_HOST_DEVICE inline Rk45Level level_at(const Rk45Table& table, double sigma) {
  const double place =
      (log(sigma) - table.log_least) / (table.log_most - table.log_least) * (table.count - 1);
  const double inside = fmin(fmax(place, 0.), double(table.count - 1));
  const int first = int(fmin(inside, double(table.count - 2)));
  const float part = float(inside - first);
  const Rk45Level &a = table.levels[first], &b = table.levels[first + 1];
  Rk45Level level;
  level.network = between(a.network, b.network, part), level.guide = between(a.guide, b.guide, part);
  level.guidance = a.guidance + part * (b.guidance - a.guidance);
  level.sigma = float(sigma);
  return level;
}

/// The levels of the step that an image tries next.
ITO_HOST_DEVICE inline void write_levels(const Rk45Table& table, double end, const Rk45State& s,
                                         Rk45Level* levels) {
  for (int i = 0; i < kRk45Slopes; ++i)
    levels[i] = level_at(table, fmax(s.sigma + rk45_node(i) * s.step, end));
}

/// x' of an element: `x` and `moved` are the states before and after the step, k its last slope.
ITO_HOST_DEVICE inline float resulting(const Rk45State& s, float x, float moved, float k) {
  switch (s.verdict) {
    case Rk45Verdict::accepted:
      return moved;
    case Rk45Verdict::reached:
      return moved - float(s.sigma) * k;
    case Rk45Verdict::failed:
      return NAN;
    default:
      return x;
  }
}

/// Whether k_7 becomes k_1.
ITO_HOST_DEVICE inline bool moves_on(const Rk45State& s) {
  return s.verdict == Rk45Verdict::accepted || s.verdict == Rk45Verdict::reached;
}

}  // namespace ito::kernels
