#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/base/philox.h"
#include "kernels/dtype.h"

/// What the tests of kernels share: arrays between guards, filled with NaN until a kernel writes them.
namespace ito::test {

using kernels::In;
using kernels::Out;

template <class T>
double to_double(T value) {
  return double(kernels::arithmetic_t<T>(value));
}

/// Half the distance between 1 and the next number: the largest relative error of one rounding.
template <class T>
constexpr double epsilon() {
  return sizeof(T) == 8 ? 0x1p-53 : sizeof(T) == 4 ? 0x1p-24 : 0x1p-8;
}

template <class T>
class Array {
 public:
  explicit Array(size_t count) : count_(count), all_(count + 2 * kGuard, T(-1234.5f)) {
    for (size_t i = 0; i < count; ++i) data()[i] = T(std::numeric_limits<float>::quiet_NaN());
  }
  explicit Array(const std::vector<double>& values) : Array(values.size()) {
    for (size_t i = 0; i < count_; ++i) data()[i] = T(kernels::arithmetic_t<T>(values[i]));
  }

  size_t size() const { return count_; }
  T* data() { return all_.data() + kGuard; }
  const T* data() const { return all_.data() + kGuard; }
  double operator[](size_t i) const { return to_double(data()[i]); }
  In in() const { return {data(), kernels::dtype_of<T>::value}; }
  Out out() { return {data(), kernels::dtype_of<T>::value}; }

  /// The numbers as they were rounded to T.
  std::vector<double> values() const {
    std::vector<double> result(count_);
    for (size_t i = 0; i < count_; ++i) result[i] = (*this)[i];
    return result;
  }

  bool guards_intact() const {
    for (size_t i = 0; i < kGuard; ++i) {
      if (to_double(all_[i]) != to_double(T(-1234.5f)) ||
          to_double(all_[kGuard + count_ + i]) != to_double(all_[i]))
        return false;
    }
    return true;
  }

  bool same_bits(const Array& other) const {
    return count_ == other.count_ && std::memcmp(data(), other.data(), count_ * sizeof(T)) == 0;
  }

 private:
  static constexpr size_t kGuard = 37;  // odd, so that the data is not aligned
  size_t count_;
  std::vector<T> all_;
};

/// mean + deviation * N(0,1), a different stream for each `seed`.
inline std::vector<double> normals(size_t count, uint64_t seed, double mean = 0, double deviation = 1) {
  std::vector<double> result(count);
  const RandomKey key{seed, Purpose::test, 0, 0};
  for (size_t i = 0; i < count; ++i) result[i] = mean + deviation * random_normal(key, uint32_t(i));
  return result;
}

/// Every number written and within `absolute` + `relative` |expected|; guards intact.
template <class T>
void check_close(const Array<T>& actual, const std::vector<double>& expected, double relative,
                 double absolute) {
  REQUIRE(actual.size() == expected.size());
  CHECK(actual.guards_intact());
  size_t worst = 0, bad = 0;
  double worst_excess = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double excess = std::abs(actual[i] - expected[i]) - (absolute + relative * std::abs(expected[i]));
    if (!(excess <= 0)) ++bad;
    if (!(excess <= worst_excess)) worst = i, worst_excess = excess;
  }
  INFO("element ", worst, " is ", actual[worst], ", expected ", expected[worst], ", tolerance ",
       absolute + relative * std::abs(expected[worst]));
  CHECK(bad == 0);
}

}  // namespace ito::test
