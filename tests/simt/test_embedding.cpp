#include <doctest/doctest.h>

#include "kernels/embedding.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using simt::count_wrong;
using simt::DeviceArray;
using simt::F64Array;

namespace {

// The angle rounds once to f32, less than half a turn: 2 pi 2^-26; sine and cosine are within 1.5 ulp of 1.
const double kSineError = 5 * simt::rounding<float>();

template <class T>
void check_fourier(const std::vector<float>& c, int half, bool two_pi) {
  CAPTURE(half);
  CAPTURE(two_pi);
  CudaStream stream;
  CpuStream cpu(1);
  const int n = int(c.size());
  const auto w = simt::normals<float>(size_t(half), 1, 16);
  DeviceArray<float> at(stream, c), weights(stream, w);
  const auto y = simt::under_all_schedules([&] {
    DeviceArray<T> to(stream, size_t(n) * 2 * half);
    gaussian_fourier(stream, n, half, two_pi, at.in(), weights.in(), to.out());
    return to.read();
  });
  F64Array c_f64(c), w_f64(w), expected(y.size());
  gaussian_fourier(cpu, n, half, two_pi, c_f64.in(), w_f64.in(), expected.out());
  CHECK(count_wrong(y, expected.v, simt::rounding<T>(), kSineError) == 0);
}

template <class T>
void check_sinusoidal(const std::vector<float>& t, int half, const SinusoidalOptions& options) {
  CAPTURE(half);
  CudaStream stream;
  CpuStream cpu(1);
  const int n = int(t.size());
  DeviceArray<float> at(stream, t);
  const auto y = simt::under_all_schedules([&] {
    DeviceArray<T> to(stream, size_t(n) * 2 * half);
    sinusoidal(stream, n, half, options, at.in(), to.out());
    return to.read();
  });
  F64Array t_f64(t), expected(y.size());
  sinusoidal(cpu, n, half, options, t_f64.in(), expected.out());
  CHECK(count_wrong(y, expected.v, simt::rounding<T>(), kSineError) == 0);
}

}  // namespace

TEST_CASE_TEMPLATE("Fourier features and sinusoidal embedding agree with the CPU in f64", T, float, bf16) {
  for (const bool two_pi : {true, false}) {
    check_fourier<T>({-1.5f, 0, 0.7f, 3000, -1e-6f}, 17, two_pi);  // 3000: tens of thousands of turns
    check_fourier<T>({0.25f}, 300, two_pi);                        // more than a block
  }
  for (const SinusoidalOptions& o : {SinusoidalOptions{}, {false, 1, 10000}, {true, 0, 100}}) {
    check_sinusoidal<T>({0, 1, 999, 0.001f}, 17, o);
    check_sinusoidal<T>({37.5f}, 300, o);
  }
}

TEST_CASE("small angles keep their relative accuracy") {
  CudaStream stream;
  const float c = -1.234567e-9f;
  DeviceArray<float> at(stream, std::vector<float>{c}), w(stream, std::vector<float>{1}), y(stream, 2);
  gaussian_fourier(stream, 1, 1, false, at.in(), w.in(), y.out());
  CHECK(std::abs(y.read()[0] - c) <= 4 * simt::rounding<float>() * std::abs(c));
  CHECK(y.read()[1] == 1);
}

TEST_CASE("embeddings refuse f64") {
  CudaStream stream;
  double value = 0;
  const Out x{&value, DType::f64};
  CHECK_THROWS_WITH(gaussian_fourier(stream, 1, 1, true, x, x, x),
                    "gaussian_fourier: f64 exists on the CPU only; on CUDA use f32 or bf16");
  CHECK_THROWS_WITH(sinusoidal(stream, 1, 1, {}, x, x),
                    "sinusoidal: f64 exists on the CPU only; on CUDA use f32 or bf16");
}
