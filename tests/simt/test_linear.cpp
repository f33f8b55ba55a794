// Matrix products on the emulated device, against the CPU's f64 reference.
#include <doctest/doctest.h>

#include "kernels/linear.h"
#include "tests/simt/conv2d_runs.h"

using namespace simt;

namespace {

struct Product {
  LinearDims dims;
  std::vector<float> x, w, dy, bias, residual;
  Product(int m, int in, int out)
      : dims{m, in, out},
        x(random_values(size_t(m) * in, 1)),
        w(random_values(size_t(out) * in, 2)),
        dy(random_values(size_t(m) * out, 3)),
        bias(random_values(size_t(out), 4)),
        residual(random_values(size_t(m) * out, 5)) {}
  Product magnitudes() const {
    Product result = *this;
    for (auto* values : {&result.x, &result.w, &result.dy, &result.bias, &result.residual})
      for (float& v : *values) v = std::fabs(v);
    return result;
  }
};

Results<double> linear_reference(const Product& p) {
  CpuStream stream;
  const auto in = [](const std::vector<double>& v) { return In{v.data(), DType::f64}; };
  const auto out = [](std::vector<double>& v) { return Out{v.data(), DType::f64}; };
  const auto x = converted<double>(p.x), w = converted<double>(p.w), dy = converted<double>(p.dy),
             bias = converted<double>(p.bias), residual = converted<double>(p.residual);
  Results<double> r{std::vector<double>(dy.size()),
                    std::vector<double>(x.size()),
                    {},
                    std::vector<double>(w.size()),
                    std::vector<double>(bias.size())};
  linear_forward(stream, {}, p.dims,
                 {.x = in(x), .w = in(w), .bias = in(bias), .residual = in(residual), .y = out(r.y)});
  linear_backward_data(stream, {}, p.dims, {.dy = in(dy), .w = in(w), .dx = out(r.dx)});
  linear_backward_weights(stream, {}, p.dims,
                          {.dy = in(dy), .x = in(x), .dw = out(r.dw), .dbias = out(r.dbias)});
  return r;
}

template <class T>
Results<T> run_linear(const Product& p, const Schedule& schedule = {}) {
  machine().set_schedule(schedule);
  CudaStream stream;
  ConvPolicy policy;
  const auto bytes = [&](ConvPass pass) {
    return linear_workspace_bytes(stream, policy, p.dims, dtype_of<T>::value, pass) / 4;
  };
  DeviceArray<T> x(stream, converted<T>(p.x)), dy(stream, converted<T>(p.dy)),
      residual(stream, converted<T>(p.residual)), y(stream, dy.read().size()), dx(stream, p.x.size());
  DeviceArray<float> w(stream, p.w), bias(stream, p.bias), dw(stream, p.w.size()),
      dbias(stream, p.bias.size());
  const KeepAligned here;
  DeviceArray<float> forward(stream, bytes(ConvPass::forward)), data(stream, bytes(ConvPass::backward_data)),
      weights(stream, bytes(ConvPass::backward_weights));
  linear_forward(stream, policy, p.dims,
                 {.x = x.in(),
                  .w = w.in(),
                  .bias = bias.in(),
                  .residual = residual.in(),
                  .y = y.out(),
                  .workspace = forward.out()});
  linear_backward_data(stream, policy, p.dims,
                       {.dy = dy.in(), .w = w.in(), .dx = dx.out(), .workspace = data.out()});
  linear_backward_weights(
      stream, policy, p.dims,
      {.dy = dy.in(), .x = x.in(), .dw = dw.out(), .dbias = dbias.out(), .workspace = weights.out()});
  forward.read(), data.read(), weights.read();
  return {y.read(), dx.read(), {}, dw.read(), dbias.read()};
}

template <class T>
void check_linear(const Product& p) {
  const auto& [m, in, out] = p.dims;
  CAPTURE(cat(m, " x ", in, " to ", out));
  const auto got = run_linear<T>(p);
  const auto right = linear_reference(p), magnitude = linear_reference(p.magnitudes());
  CHECK(wrong(got.y, right.y, magnitude.y, in + 2) == 0);
  CHECK(wrong(got.dx, right.dx, magnitude.dx, out) == 0);
  CHECK(wrong(got.dw, right.dw, magnitude.dw, m) == 0);
  CHECK(wrong(got.dbias, right.dbias, magnitude.dbias, m) == 0);
  for (const Schedule& schedule : all_schedules()) CHECK(same(run_linear<T>(p, schedule), got));
}

template <class T>
void check_shapes() {
  check_linear<T>({1, 1, 1});
  check_linear<T>({1, 7, 5});
  check_linear<T>({2, 32, 128});    // a time embedding
  check_linear<T>({67, 24, 72});    // ragged tiles
  check_linear<T>({5, 129, 8});     // no whole vectors
  check_linear<T>({300, 16, 8});    // dw in parts, one narrow tile
  check_linear<T>({37, 136, 144});  // large tiles for dw
}

template <class T>
void check_batches() {
  const Product p(3, 24, 40);
  Product one = p;
  one.dims.m = 1;
  one.x.resize(24), one.dy.resize(40), one.residual.resize(40);
  const auto batch = run_linear<T>(p), single = run_linear<T>(one);
  CHECK(begins_with(batch.y, single.y));
  CHECK(begins_with(batch.dx, single.dx));
}

}  // namespace

TEST_CASE("linear agrees with f64 for any shape, under every schedule") {
  check_shapes<float>();
  check_shapes<bf16>();
}

TEST_CASE_TEMPLATE("linear: any one operand off the alignment of 16 bytes, to the same bits", T, float,
                   bf16) {
  const Product p(37, 24, 40);
  const auto aligned = run_linear<T>(p);
  with_each_array_unaligned([&] { CHECK(same(run_linear<T>(p), aligned)); });
}

TEST_CASE("a row's bits do not depend on the number of rows") {
  check_batches<float>();
  check_batches<bf16>();
}

TEST_CASE("linear takes no bias, no residual and gives no dbias where they are null") {
  const Product p(9, 8, 12);
  Product plain = p;
  std::fill(plain.bias.begin(), plain.bias.end(), 0.0f);
  std::fill(plain.residual.begin(), plain.residual.end(), 0.0f);
  const auto right = run_linear<float>(plain);
  CudaStream stream;
  DeviceArray<float> x(stream, p.x), w(stream, p.w), dy(stream, p.dy), y(stream, p.dy.size()),
      dw(stream, p.w.size());
  ConvPolicy policy;
  linear_forward(stream, policy, p.dims, {.x = x.in(), .w = w.in(), .y = y.out()});
  linear_backward_weights(stream, policy, p.dims, {.dy = dy.in(), .x = x.in(), .dw = dw.out()});
  CHECK(same_bits(y.read(), right.y));
  CHECK(same_bits(dw.read(), right.dw));
}

TEST_CASE("linear refuses what it cannot do") {
  CudaStream stream;
  double wide[4] = {};
  const In x64{wide, DType::f64};
  const Out out{wide, DType::f64};
  ConvPolicy policy;
  CHECK_THROWS_WITH(linear_forward(stream, policy, {1, 2, 2}, {.x = x64, .w = x64, .y = out}),
                    "linear: f64 exists on the CPU only; on CUDA use f32 or bf16");
  CHECK_THROWS_WITH(linear_workspace_bytes(stream, policy, {0, 2, 2}, DType::f32, ConvPass::forward),
                    "linear: sizes must be positive, got M = 0, I = 2, O = 2");
}
