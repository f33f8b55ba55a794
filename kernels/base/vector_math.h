#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/base/bf16.h"  // ITO_HOST_DEVICE

/// Elementary functions in f32 without branches or calls, so that a loop over them becomes vector code, and
/// so that CPU and GPU run the same arithmetic (up to where a compiler fuses a multiplication and an
/// addition). Each polynomial is the minimax one for its interval (Remez); the errors stated are measured in
/// tests/test_kernels_random.cpp.
namespace ito {

ITO_HOST_DEVICE inline float float_of_bits(int32_t bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

ITO_HOST_DEVICE inline int32_t bits_of_float(float value) {
  int32_t bits;
  memcpy(&bits, &value, 4);
  return bits;
}

/// e^x within 1 ulp for x clamped to [-87, 88], and so for infinities and NaN: no result is 0, subnormal,
/// infinite or NaN. A sigmoid or a softmax does not tell e^-87 = 1.6e-38 from 0.
ITO_HOST_DEVICE inline float exp_clamped(float x) {
  // Negative floats are ordered as unsigned integers, above all others; the others as signed ones.
  const uint32_t low = uint32_t(bits_of_float(x)), kLow = 0xC2AE0000u;        // bits of -87
  const int32_t high = int32_t(low < kLow ? low : kLow), kHigh = 0x42B00000;  // bits of 88
  x = float_of_bits(high < kHigh ? high : kHigh);
  const float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  const float shifted = x * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0.693145752f) - n * 1.42860677e-6f;  // x - n ln 2; the first product is exact
  // In pairs rather than by Horner's rule: the chain of dependent operations is what a loop waits for.
  const float square = r * r;
  const float high_terms = 0.0416683893f + r * 0.00836873011f + square * 0.00138145714f;
  const float p = 1.0f + (r + square * (0.499999934f + r * 0.166665205f + square * high_terms));
  return float_of_bits(
      int32_t(uint32_t(bits_of_float(p)) + (uint32_t(bits_of_float(shifted)) << 23)));  // 2^n p
}

ITO_HOST_DEVICE inline double exp_clamped(double x) { return exp(x); }

/// ln x within 1 ulp for normal x > 0; anything else is not asked for. x = 2^k m, m in [sqrt(1/2), sqrt(2)),
/// and ln m = 2 atanh(s), s = (m - 1) / (m + 1).
ITO_HOST_DEVICE inline float log_of(float x) {
  const int32_t bits = bits_of_float(x);
  const int32_t exponent = (bits - 0x3F3504F3) >> 23;  // bits of sqrt(1/2)
  const float k = float(exponent);
  const float f = float_of_bits(bits - exponent * 0x00800000) - 1.0f;
  const float s = f / (2.0f + f), z = s * s;
  float p = 0.235835687f;
  p = p * z + 0.285372391f;
  p = p * z + 0.400003361f;
  p = p * z + 0.666666656f;
  const float half_square = 0.5f * f * f;
  // f - f^2/2 + s (f^2/2 + z p) is ln m with its largest term exact.
  const float rest = half_square - (s * (half_square + z * p) + k * 1.42860677e-6f);
  return k * 0.693145752f + (f - rest);
}

/// cos and sin of `turns` whole turns, 0 <= turns <= 1, within 1.5 ulp of the larger one: the reduction to an
/// eighth of a turn is exact, and 2 pi is in the polynomials.
ITO_HOST_DEVICE inline void cos_sin_of_turns(float turns, float* cosine, float* sine) {
  const int32_t quarter = int32_t(turns * 4.0f + 0.5f);
  const float r = turns - 0.25f * float(quarter);
  const float z = r * r;
  float s = -75.4533964f;
  s = s * z + 81.5939370f;
  s = s * z - 41.3416732f;
  s = r * 6.28318548f + r * (z * s - 1.74845553e-7f);  // 2 pi in two parts
  float c = 59.2459643f;
  c = c * z - 85.4437417f;
  c = c * z + 64.9393265f;
  c = c * z - 19.7392087f;
  c = 1.0f + z * c;
  const bool swapped = quarter & 1;
  const float x = swapped ? s : c, y = swapped ? c : s;
  *cosine = (quarter + 1) & 2 ? -x : x;
  *sine = quarter & 2 ? -y : y;
}

}  // namespace ito
