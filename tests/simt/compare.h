#pragma once

#include <cmath>
#include <vector>

#include "kernels/base/philox.h"
#include "tests/simt/device_array.h"

/// How the tests of kernels get numbers and compare results with f64.
namespace simt {

/// The largest relative error of one rounding to T; a little more, since what is rounded has errors of its
/// own.
template <class T>
constexpr double rounding() {
  return sizeof(T) == 2 ? 1.01 / (1 << 8) : 1.01 / (1 << 24);
}

inline double to_double(float value) { return value; }
inline double to_double(double value) { return value; }
inline double to_double(ito::bf16 value) { return float(value); }

/// N(0,1) numbers times `deviation`, rounded to T; others for each `sample`.
template <class T>
std::vector<T> normals(size_t count, uint32_t sample, double deviation = 1) {
  const ito::RandomKey key{7, ito::Purpose::test, 0, sample};
  std::vector<T> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = T(float(deviation * random_normal(key, uint32_t(i))));
  return values;
}

/// What the CPU computes with in f64: an operand, from numbers of any type, or a result of `count` numbers.
struct F64Array {
  std::vector<double> v;

  explicit F64Array(size_t count) : v(count, std::nan("")) {}
  template <class T>
  explicit F64Array(const std::vector<T>& values) {
    for (const T& value : values) v.push_back(to_double(value));
  }
  ito::kernels::Out out() { return {v.empty() ? nullptr : v.data(), ito::kernels::DType::f64}; }
  ito::kernels::In in() { return out(); }
};

/// How many results are farther from f64 than `relative` |expected| + `absolute`, or not numbers.
template <class T>
int count_wrong(const std::vector<T>& results, const std::vector<double>& expected, double relative,
                double absolute = 0) {
  if (results.size() != expected.size()) ito::fail("as many results as expected numbers are wanted");
  int wrong = 0;
  for (size_t i = 0; i < results.size(); ++i)
    wrong += !(std::abs(to_double(results[i]) - expected[i]) <= relative * std::abs(expected[i]) + absolute);
  return wrong;
}

/// run() gives a result's values; under every schedule, and twice under the first, they must be the same
/// bits.
template <class Run>
auto under_all_schedules(Run run) {
  machine().set_schedule({});
  const int made = placing().made;  // of each run the same array is off its alignment, if any is
  const auto first = run();
  for (const Schedule& schedule : all_schedules()) {
    machine().set_schedule(schedule);
    placing().made = made;
    if (!same_bits(run(), first)) ito::fail("a result depends on the schedule");
  }
  machine().set_schedule({});
  return first;
}

}  // namespace simt
