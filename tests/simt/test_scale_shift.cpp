#include <doctest/doctest.h>

#include "kernels/scale_shift.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using simt::DeviceArray;
using simt::F64Array;
using simt::rounding;

namespace {

/// Numbers of one type for what both passes read.
template <class T>
struct Numbers {
  ScaleShiftDims dims;
  std::vector<float> gamma, beta, dscale, dshift;
  std::vector<T> modulation;

  explicit Numbers(const ScaleShiftDims& d)
      : dims(d),
        gamma(simt::normals<float>(size_t(d.c), 1)),
        beta(simt::normals<float>(size_t(d.c), 2)),
        dscale(simt::normals<float>(size_t(d.n) * size_t(d.c), 3)),
        dshift(simt::normals<float>(dscale.size(), 4)),
        modulation(simt::normals<T>(2 * dscale.size(), 5)) {}
};

/// One type of arrays for the parameters, another for the modulation and its gradient.
template <class Parameters, class Modulation>
struct Arrays {
  Parameters gamma, beta, dscale, dshift, scale, shift, dgamma, dbeta;
  Modulation modulation, dmodulation;

  template <class Stream>
  void run(Stream& stream, const ScaleShiftDims& d) {
    const ScaleShiftInputs inputs{.gamma = gamma.in(), .beta = beta.in(), .modulation = modulation.in()};
    scale_shift_forward(stream, d, inputs, scale.out(), shift.out());
    scale_shift_backward(stream, d, inputs, dscale.in(), dshift.in(),
                         {.dgamma = dgamma.out(), .dbeta = dbeta.out(), .dmodulation = dmodulation.out()});
  }
};

template <class T>
Arrays<DeviceArray<float>, DeviceArray<T>> on_device(CudaStream& s, const Numbers<T>& in, size_t offset = 0) {
  const size_t c = in.gamma.size(), all = in.dscale.size();
  return {{s, in.gamma, offset},      {s, in.beta, offset}, {s, in.dscale, offset}, {s, in.dshift, offset},
          {s, all, offset},           {s, all, offset},     {s, c, offset},         {s, c, offset},
          {s, in.modulation, offset}, {s, 2 * all, offset}};
}

template <class T>
struct Results {
  std::vector<T> dmodulation;
  std::vector<float> scale, shift, dgamma, dbeta;
};

template <class T>
Results<T> run(const Numbers<T>& in, size_t offset = 0) {
  CudaStream stream;
  auto a = on_device(stream, in, offset);
  a.run(stream, in.dims);
  return {a.dmodulation.read(), a.scale.read(), a.shift.read(), a.dgamma.read(), a.dbeta.read()};
}

template <class T>
bool same(const Results<T>& a, const Results<T>& b) {
  using simt::same_bits;
  return same_bits(a.dmodulation, b.dmodulation) && same_bits(a.scale, b.scale) &&
         same_bits(a.shift, b.shift) && same_bits(a.dgamma, b.dgamma) && same_bits(a.dbeta, b.dbeta);
}

/// Against the CPU in f64. Operands are of the order of 1, so that terms which cancel leave a few absolute roundings.
template <class T>
void check_results(const Numbers<T>& in, const Results<T>& got) {
  const size_t c = in.gamma.size(), all = in.dscale.size();
  Arrays<F64Array, F64Array> a{
      F64Array(in.gamma), F64Array(in.beta), F64Array(in.dscale), F64Array(in.dshift),     F64Array(all),
      F64Array(all),      F64Array(c),       F64Array(c),         F64Array(in.modulation), F64Array(2 * all)};
  CpuStream cpu(1);
  a.run(cpu, in.dims);
  const double one = rounding<float>(), many = 8 * one * (1 + std::sqrt(double(in.dims.n)));
  CHECK(simt::count_wrong(got.scale, a.scale.v, 2 * one) == 0);
  CHECK(simt::count_wrong(got.shift, a.shift.v, one, 16 * one) == 0);
  CHECK(simt::count_wrong(got.dmodulation, a.dmodulation.v, rounding<T>(), 16 * one) == 0);
  CHECK(simt::count_wrong(got.dgamma, a.dgamma.v, many, 4 * many) == 0);
  CHECK(simt::count_wrong(got.dbeta, a.dbeta.v, many, 4 * many) == 0);
}

template <class T>
void check(const ScaleShiftDims& d) {
  CAPTURE(d.n);
  CAPTURE(d.c);
  const Numbers<T> in(d);
  simt::machine().set_schedule({});
  const Results<T> first = run(in);
  check_results(in, first);
  for (const simt::Schedule& schedule : simt::all_schedules()) {
    simt::machine().set_schedule(schedule);
    CHECK(same(run(in), first));
  }
  simt::machine().set_schedule({});
}

}  // namespace

TEST_CASE_TEMPLATE("scale_shift agrees with the CPU in f64, under every schedule", T, float, bf16) {
  check<T>({1, 1});
  check<T>({3, 5});
  check<T>({2, 32});   // a whole block of the backward pass
  check<T>({5, 71});   // and parts of one
  check<T>({2, 300});  // more than a block of the forward pass
  check<T>({16, 7});   // as many samples as the sums have rows
  check<T>({41, 33});  // more than that, and no multiple of it
}

TEST_CASE_TEMPLATE("scale_shift takes operands off the alignment of 16 bytes", T, float, bf16) {
  const Numbers<T> in({3, 40});
  const Results<T> aligned = run(in);
  CHECK(same(run(in, 1), aligned));
  simt::with_each_array_unaligned([&] { CHECK(same(run(in), aligned)); });
}

TEST_CASE_TEMPLATE("a sample's numbers do not depend on the others", T, float, bf16) {
  const Numbers<T> in({19, 37});
  const Results<T> all = run(in);
  for (const int n : {0, 18}) {
    Numbers<T> one = in;
    one.dims.n = 1;
    const auto row_of = [n](const auto& v, int width) {
      return std::remove_cvref_t<decltype(v)>(v.begin() + n * width, v.begin() + (n + 1) * width);
    };
    one.dscale = row_of(in.dscale, 37), one.dshift = row_of(in.dshift, 37);
    one.modulation = row_of(in.modulation, 74);
    const Results<T> alone = run(one);
    CHECK(simt::same_bits(alone.scale, row_of(all.scale, 37)));
    CHECK(simt::same_bits(alone.shift, row_of(all.shift, 37)));
    CHECK(simt::same_bits(alone.dmodulation, row_of(all.dmodulation, 74)));
  }
}

TEST_CASE("gradients of a scale and shift that are not wanted are not written") {
  const Numbers<float> in({18, 33});
  const Results<float> all = run(in);
  CudaStream stream;
  auto a = on_device(stream, in);
  const ScaleShiftInputs inputs{.gamma = a.gamma.in(), .beta = a.beta.in(), .modulation = a.modulation.in()};
  scale_shift_backward(stream, in.dims, inputs, a.dscale.in(), a.dshift.in(),
                       {.dmodulation = a.dmodulation.out()});
  CHECK(simt::same_bits(a.dmodulation.read(), all.dmodulation));
  auto b = on_device(stream, in);
  scale_shift_backward(stream, in.dims, inputs, a.dscale.in(), a.dshift.in(),
                       {.dgamma = b.dgamma.out(), .dbeta = b.dbeta.out()});
  CHECK(simt::same_bits(b.dgamma.read(), all.dgamma));
  CHECK(simt::same_bits(b.dbeta.read(), all.dbeta));
}

TEST_CASE("scale_shift refuses f64, sizes that are not positive and half of the parameters' gradients") {
  CudaStream stream;
  double f64 = 0;
  float f32 = 0;
  const Out x{&f64, DType::f64}, y{&f32, DType::f32};
  const ScaleShiftInputs wide{.gamma = x, .beta = x, .modulation = x},
      single{.gamma = y, .beta = y, .modulation = y};
  const char* const message = "scale_shift: f64 exists on the CPU only; on CUDA use f32 or bf16";
  CHECK_THROWS_WITH(scale_shift_forward(stream, {1, 1}, wide, x, x), message);
  CHECK_THROWS_WITH(scale_shift_backward(stream, {1, 1}, wide, x, x, {}), message);
  CHECK_THROWS_WITH(scale_shift_forward(stream, {1, 0}, single, y, y),
                    "scale_shift: 1 samples, 0 channels; both must be positive");
  CHECK_THROWS_WITH(scale_shift_backward(stream, {0, 4}, single, y, y, {}),
                    "scale_shift: 0 samples, 4 channels; both must be positive");
  CHECK_THROWS_WITH(scale_shift_forward(stream, {65536, 1}, single, y, y),
                    "scale_shift: 65536 samples; on CUDA 1 to 65535");
  CHECK_THROWS_WITH(scale_shift_backward(stream, {1, 1}, single, y, y, {.dgamma = y}),
                    "scale_shift: dgamma and dbeta are wanted together or not at all");
  CpuStream cpu(1);
  CHECK_THROWS_AS(scale_shift_backward(cpu, {1, 1}, single, y, y, {.dbeta = y}), ito::Error);
  CHECK_THROWS_AS(scale_shift_forward(cpu, {0, 1}, single, y, y), ito::Error);
}
