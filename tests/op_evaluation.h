#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/base/philox.h"
#include "kernels/pointwise.h"
#include "tests/op_cases.h"

/// What every check of the op table does with a row: random operands, the result, its gradients, and how far
/// they are from others.
namespace ito::tests {

struct Evaluation {
  std::vector<double> y;
  std::vector<std::vector<double>> gradients;  // of each input with one
};

inline double bf16_rounded(double x) { return double(float(bf16(float(x)))); }

inline std::vector<double> random_numbers(uint32_t stream, int64_t count, double offset, bool as_bf16) {
  std::vector<double> values(static_cast<size_t>(count));
  const RandomKey key{7, Purpose::test, 1, stream};
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = double(float(random_normal(key, uint32_t(i)) + offset));
    if (as_bf16) values[i] = bf16_rounded(values[i]);
  }
  return values;
}

inline bool flag(const std::vector<bool>& flags, size_t i, bool otherwise) {
  return i < flags.size() ? flags[i] : otherwise;
}

using Numbers = std::vector<std::vector<double>>;

inline Numbers inputs_of(const OpCase& c, bool as_bf16) {
  Numbers inputs;
  for (size_t i = 0; i < c.inputs.size(); ++i)
    inputs.push_back(random_numbers(uint32_t(i), c.inputs[i].count(), i == 0 ? c.offset : 0,
                                    as_bf16 && !flag(c.stays_f32, i, false)));
  return inputs;
}

/// So that an output that is not written shows: what the arena hands out next is full of NaN.
inline void fill_with_nan(Device& device) {
  Tensor all(device, {1 << 20}, DType::f32);
  device.launch([&](auto& s) { kernels::fill(s, all.count(), NAN, all.out()); });
}

/// y and the gradients of L = sum(y * cotangent).
inline Evaluation evaluate(Device& device, const OpCase& c, const Numbers& numbers, DType dtype) {
  fill_with_nan(device);
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const DType type = flag(c.stays_f32, i, false) ? kernels::accumulator_dtype(dtype) : dtype;
    Tensor x = Tensor::from(device, c.inputs[i], type, numbers[i].data());
    inputs.push_back(flag(c.smooth, i, true) ? device.tape().watch(x) : x);
  }
  Tensor y = c.apply(inputs);
  Evaluation result{y.to_doubles(), {}};
  const std::vector<double> cotangent = random_numbers(99, y.count(), 0, true);
  device.tape().backward(y, Tensor::from(device, y.shape(), y.dtype(), cotangent.data()));
  for (size_t i = 0; i < inputs.size(); ++i)
    result.gradients.push_back(flag(c.smooth, i, true) ? device.tape().gradient(inputs[i]).to_doubles()
                                                       : std::vector<double>{});
  device.tape().clear();
  return result;
}

inline double largest(const std::vector<double>& v) {
  double m = 0;
  for (double x : v) m = std::max(m, std::abs(x));
  return m;
}

/// Largest difference, relative to the largest number of the reference; NaN counts as infinite.
inline double distance(const std::vector<double>& got, const std::vector<double>& want) {
  if (got.size() != want.size()) return INFINITY;
  double d = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double difference = std::abs(got[i] - want[i]);
    d = std::max(d, std::isfinite(difference) ? difference : INFINITY);
  }
  return d / std::max(largest(want), 1e-30);
}

/// A sum of n products of random signs errs by about eps * sqrt(n); 8 covers what surrounds it (statistics,
/// exp, a second sum).
inline double tolerance(const OpCase& c, double eps) {
  return eps * (8 + 4 * std::sqrt(double(c.reduction))) * (1 + c.offset);
}

}  // namespace ito::tests
