#include "kernels/base/vector_math.h"
#include "kernels/cuda_map.cuh"
#include "kernels/embedding.h"

// A sample's vector of 2 half elements is written once, 4 half bytes in bf16 (8 half in f32), and its
// condition read, 4 bytes, which is the minimum; the Fourier features' 4 half bytes of w come from memory
// once for all samples. Too little to matter.
namespace ito::kernels {

/// Sine and cosine of an angle in whole turns, which is reduced in f64. Of the magnitude, so that small
/// angles keep their relative accuracy.
__device__ inline void sin_cos(double turns, float* sine, float* cosine) {
  const double rest = turns - rint(turns);
  cos_sin_of_turns(float(fabs(rest)), cosine, sine);
  if (rest < 0) *sine = -*sine;
}

inline constexpr double kTurnsPerRadian = 0.15915494309189533577;  // 1 / 2 pi

/// Grid: blocks of the frequencies x samples.
template <class T>
__global__ void __launch_bounds__(kMapThreads)
    gaussian_fourier_kernel(int half, bool two_pi, const float* c, const float* w, T* y) {
  const int k = int(first_element(1));
  if (k >= half) return;
  const double product = double(w[k]) * double(c[blockIdx.y]);  // exact
  float sine, cosine;
  sin_cos(two_pi ? product : product * kTurnsPerRadian, &sine, &cosine);
  T* const sines = y + int64_t(blockIdx.y) * 2 * half;
  sines[k] = narrow<T>(sine), sines[half + k] = narrow<T>(cosine);
}

/// Grid: blocks of the frequencies x samples. step: the logarithm of one frequency over the one before it.
template <class T>
__global__ void __launch_bounds__(kMapThreads)
    sinusoidal_kernel(int half, bool flip_sin_to_cos, double step, const float* t, T* y) {
  const int k = int(first_element(1));
  if (k >= half) return;
  float sine, cosine;
  sin_cos(double(t[blockIdx.y]) * exp(step * k) * kTurnsPerRadian, &sine, &cosine);
  T* const first = y + int64_t(blockIdx.y) * 2 * half;
  first[k] = narrow<T>(flip_sin_to_cos ? cosine : sine);
  first[half + k] = narrow<T>(flip_sin_to_cos ? sine : cosine);
}

void gaussian_fourier(CudaStream& stream, int n, int half, bool two_pi, In c, In w, Out y) {
  check_embedding("gaussian_fourier", n, half);
  visit_cuda("gaussian_fourier", y.dtype, [&](auto t) {
    using T = decltype(t);
    launch(gaussian_fourier_kernel<T>, map_config("gaussian_fourier", n, half, 1), stream, half, two_pi,
           c.as<float>(), w.as<float>(), y.as<T>());
  });
}

void sinusoidal(CudaStream& stream, int n, int half, const SinusoidalOptions& options, In t, Out y) {
  check_embedding("sinusoidal", n, half);
  visit_cuda("sinusoidal", y.dtype, [&](auto type) {
    using T = decltype(type);
    const double step = -std::log(double(options.max_period)) / (double(half) - double(options.freq_shift));
    launch(sinusoidal_kernel<T>, map_config("sinusoidal", n, half, 1), stream, half, options.flip_sin_to_cos,
           step, t.as<float>(), y.as<T>());
  });
}

}  // namespace ito::kernels
