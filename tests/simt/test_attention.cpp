#include <doctest/doctest.h>

#include <cmath>

#include "kernels/attention.h"
#include "kernels/base/philox.h"
#include "tests/simt/device_array.h"

using namespace ito;
using namespace ito::kernels;
using simt::DeviceArray;

namespace {

/// Half a unit in the last place, relative.
template <class T>
constexpr double kRounding = sizeof(T) == 2 ? 0x1p-8 : 0x1p-24;

template <class T>
std::vector<T> random_values(size_t count, uint32_t sample, double deviation) {
  std::vector<T> values(count);
  for (size_t i = 0; i < count; ++i)
    values[i] = T(float(deviation * random_normal({5, Purpose::test, 0, sample}, uint32_t(i))));
  return values;
}

/// One of q, k, v, dy for each sample n: the same for a sample whatever the batch.
template <class T>
struct Input {
  AttentionDims dims;
  std::vector<T> q, k, v, dy;

  explicit Input(const AttentionDims& d, double size = 1, uint32_t first_sample = 0) : dims(d) {
    const size_t count = size_t(d.tokens) * size_t(d.channels);
    for (int n = 0; n < d.n; ++n) {
      const uint32_t sample = 4 * (first_sample + uint32_t(n));
      const auto append = [&](std::vector<T>& to, uint32_t which, double deviation) {
        const std::vector<T> more = random_values<T>(count, sample + which, deviation);
        to.insert(to.end(), more.begin(), more.end());
      };
      append(q, 0, size), append(k, 1, size), append(v, 2, 1), append(dy, 3, 1);
    }
  }
};

template <class T>
struct Output {
  std::vector<T> y, dq, dk, dv;
  std::vector<float> lse;
};

template <class T>
bool same(const Output<T>& a, const Output<T>& b) {
  using simt::same_bits;
  return same_bits(a.y, b.y) && same_bits(a.lse, b.lse) && same_bits(a.dq, b.dq) && same_bits(a.dk, b.dk) &&
         same_bits(a.dv, b.dv);
}

/// Forward, then backward from what it left. offset: elements off the alignment of 16 bytes.
template <class T>
Output<T> run(const Input<T>& in, const simt::Schedule& schedule = {}, size_t offset = 0) {
  simt::machine().set_schedule(schedule);
  const AttentionDims& d = in.dims;
  CudaStream stream;
  DeviceArray<T> q(stream, in.q, offset), k(stream, in.k, offset), v(stream, in.v, offset),
      dy(stream, in.dy, offset);
  DeviceArray<T> y(stream, in.q.size(), offset), dq(stream, in.q.size(), offset),
      dk(stream, in.q.size(), offset), dv(stream, in.q.size(), offset);
  DeviceArray<float> lse(stream, size_t(d.n) * size_t(d.heads) * size_t(d.tokens));
  const AttentionInputs inputs{.q = q.in(), .k = k.in(), .v = v.in()};
  attention_forward(stream, d, inputs, y.out(), lse.out());
  attention_backward(stream, d, inputs, dy.in(), y.in(), lse.in(),
                     {.dq = dq.out(), .dk = dk.out(), .dv = dv.out()});
  return {y.read(), dq.read(), dk.read(), dv.read(), lse.read()};
}

template <class T>
std::vector<double> as_f64(const std::vector<T>& values) {
  std::vector<double> f64(values.size());
  for (size_t i = 0; i < values.size(); ++i) f64[i] = double(float(values[i]));
  return f64;
}

struct Reference {
  std::vector<double> y, lse, dq, dk, dv;

  template <class T>
  explicit Reference(const Input<T>& in) {
    const AttentionDims& d = in.dims;
    const std::vector<double> q = as_f64(in.q), k = as_f64(in.k), v = as_f64(in.v), dy = as_f64(in.dy);
    for (auto* result : {&y, &dq, &dk, &dv}) result->resize(q.size());
    lse.resize(size_t(d.n) * size_t(d.heads) * size_t(d.tokens));
    const auto at = [](const std::vector<double>& x) { return In{x.data(), DType::f64}; };
    const auto to = [](std::vector<double>& x) { return Out{x.data(), DType::f64}; };
    CpuStream stream(1);
    const AttentionInputs inputs{.q = at(q), .k = at(k), .v = at(v)};
    attention_forward(stream, d, inputs, to(y), to(lse));
    attention_backward(stream, d, inputs, at(dy), at(y), at(lse), {.dq = to(dq), .dk = to(dk), .dv = to(dv)});
  }
};

/// The number of results farther from f64 than `own` of their size and `all` of the largest. least: what
/// counts as the largest where all are smaller, since larger numbers cancel in them.
template <class T>
int wrong(const std::vector<T>& got, const std::vector<double>& expected, double own, double all,
          double least = 0) {
  double largest = least;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  int count = 0;
  for (size_t i = 0; i < expected.size(); ++i)
    count += !(std::abs(double(float(got[i])) - expected[i]) <= own * std::abs(expected[i]) + all * largest);
  return count;
}

/// size: deviation of q and k.
template <class T>
void check_close(const Input<T>& in, const Output<T>& out, double size) {
  const Reference r(in);
  const double width = in.dims.head_width();
  // A score is a sum of D products of size^2 over sqrt(D): its error moves a probability by as much,
  // relatively.
  const double score = (8 + 4 * size * size * std::sqrt(width)) * kRounding<float>;
  // bf16 rounds each probability and each dS once before they are summed, and delta comes from a rounded y.
  const double sum = score + (sizeof(T) == 2 ? 2 * kRounding<T> : 0);
  CHECK(wrong(out.lse, r.lse, 2 * kRounding<float>, score) == 0);
  CHECK(wrong(out.y, r.y, 1.01 * kRounding<T>, sum) == 0);
  CHECK(wrong(out.dv, r.dv, 1.01 * kRounding<T>, 2 * sum) == 0);
  CHECK(wrong(out.dq, r.dq, 1.01 * kRounding<T>, 4 * sum, size) == 0);
  CHECK(wrong(out.dk, r.dk, 1.01 * kRounding<T>, 4 * sum, size) == 0);
}

template <class T>
void check_case(const AttentionDims& d, double size = 1, bool schedules = false) {
  INFO(d.n, " x ", d.tokens, " tokens, ", d.channels, " channels, ", d.heads, " heads, ", sizeof(T),
       " bytes");
  const Input<T> in(d, size);
  const Output<T> out = run(in);
  check_close(in, out, size);
  if (!schedules) return;
  for (const simt::Schedule& schedule : simt::all_schedules()) CHECK(same(run(in, schedule), out));
}

}  // namespace

TEST_CASE_TEMPLATE("attention agrees with f64 for any number of tokens", T, float, bf16) {
  for (const int tokens : {1, 5, 16, 33, 64, 100}) check_case<T>({1, tokens, 16, 2});
}

TEST_CASE_TEMPLATE("attention agrees with f64 for heads of any width", T, float, bf16) {
  for (const int width : {1, 3, 8, 16, 24, 40, 64, 80, 128, 133}) check_case<T>({1, 34, width, 1});
}

TEST_CASE_TEMPLATE("attention takes several samples and heads", T, float, bf16) {
  check_case<T>({2, 20, 9, 3});
  check_case<T>({3, 7, 32, 4});
}

TEST_CASE_TEMPLATE("attention does not depend on the schedule", T, float, bf16) {
  check_case<T>({2, 70, 6, 2}, 1, true);    // several tiles of queries and keys, accesses of one element
  check_case<T>({1, 40, 144, 1}, 1, true);  // several chunks of channels, packs
}

TEST_CASE_TEMPLATE("a sample's bits are the same in any batch", T, float, bf16) {
  const Output<T> batch = run(Input<T>({3, 37, 24, 2}));
  const Output<T> alone = run(Input<T>({1, 37, 24, 2}, 1, 1));
  const auto part = [](const auto& all) {
    const auto third = ptrdiff_t(all.size() / 3);
    return std::vector(all.begin() + third, all.begin() + 2 * third);
  };
  CHECK(
      same(Output<T>{part(batch.y), part(batch.dq), part(batch.dk), part(batch.dv), part(batch.lse)}, alone));
}

TEST_CASE_TEMPLATE("operands off the alignment of 16 bytes give the same bits", T, float, bf16) {
  const Input<T> in({1, 35, 48, 2});
  CHECK(same(run(in, {}, 1), run(in)));
}

TEST_CASE_TEMPLATE("attention: any one operand off the alignment of 16 bytes, to the same bits", T, float,
                   bf16) {
  const Input<T> in({1, 20, 32, 2});
  const auto aligned = run(in);
  simt::with_each_array_unaligned([&] { CHECK(same(run(in), aligned)); });
}

TEST_CASE_TEMPLATE("large scores neither overflow nor lose the softmax", T, float, bf16) {
  check_case<T>({1, 65, 8, 1}, 6);  // scores beyond 80
}

TEST_CASE_TEMPLATE("a constant in every score of a row changes nothing but lse", T, float, bf16) {
  Input<T> in({1, 40, 8, 1}, 0.5);
  const auto with_constant = [&](float sign) {
    for (size_t i = 7; i < in.q.size(); i += 8) in.q[i] = T(sign), in.k[i] = T(282.0f);
    return run(in);
  };
  const double constant = 282 / std::sqrt(8.0);  // e^99.7 is beyond f32
  const Output<T> zero = with_constant(0);
  for (const float sign : {1.0f, -1.0f}) {
    const Output<T> out = with_constant(sign);
    CHECK(out.lse.size() == 40);
    int apart = 0;
    for (size_t i = 0; i < out.lse.size(); ++i)
      apart += !(std::abs(double(out.lse[i]) - zero.lse[i] - sign * constant) < 1e-4);
    CHECK(apart == 0);
    CHECK(wrong(out.y, as_f64(zero.y), kRounding<T>, 1e-4 + kRounding<T>) == 0);
    CHECK(wrong(out.dv, as_f64(zero.dv), kRounding<T>, 1e-4 + kRounding<T>) == 0);
    // In dq the constant's own column is a sum that cancels; in dk it is 0 in one and not in the other.
    const auto others = [](const std::vector<T>& x) {
      std::vector<T> kept;
      for (size_t i = 0; i < x.size(); ++i)
        if (i % 8 != 7) kept.push_back(x[i]);
      return kept;
    };
    CHECK(wrong(others(out.dq), as_f64(others(zero.dq)), kRounding<T>, 1e-4 + 4 * kRounding<T>) == 0);
    CHECK(wrong(others(out.dk), as_f64(others(zero.dk)), kRounding<T>, 1e-4 + 4 * kRounding<T>) == 0);
  }
}

TEST_CASE_TEMPLATE("attention does not hide NaN", T, float, bf16) {
  Input<T> in({1, 70, 8, 1});
  in.k[66 * 8 + 3] = T(NAN);
  const Output<T> out = run(in);
  const auto all_nan = [](const auto& values) {
    return std::all_of(values.begin(), values.end(), [](auto v) { return std::isnan(float(v)); });
  };
  CHECK(all_nan(out.lse));
  CHECK(all_nan(out.y));
  CHECK(all_nan(out.dq));
  CHECK(all_nan(out.dv));
}

TEST_CASE("attention refuses what it cannot do") {
  CudaStream stream;
  double f64[8] = {};
  float x[8] = {};
  const In x64{f64, DType::f64}, x32{x, DType::f32};
  const Out out{x, DType::f32};
  const auto forward = [&](const AttentionDims& d, In in) {
    attention_forward(stream, d, {.q = in, .k = in, .v = in}, out, out);
  };
  CHECK_THROWS_WITH(forward({1, 2, 4, 2}, x64),
                    "attention: f64 exists on the CPU only; on CUDA use f32 or bf16");
  CHECK_THROWS_AS(forward({1, 2, 4, 3}, x32), ito::Error);
  CHECK_THROWS_AS(forward({1, 0, 4, 2}, x32), ito::Error);
  const AttentionGradients gradients{.dq = out, .dk = out, .dv = out};
  CHECK_THROWS_AS(
      attention_backward(stream, {0, 2, 4, 2}, {.q = x32, .k = x32, .v = x32}, x32, x32, x32, gradients),
      ito::Error);
}
