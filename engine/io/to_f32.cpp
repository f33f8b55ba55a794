#include "engine/io/to_f32.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/base/bf16.h"
#include "kernels/base/error.h"

namespace ito::io {
namespace {

template <class T>
T at(const std::byte* from, int64_t i) {
  T value;
  std::memcpy(&value, from + i * int64_t(sizeof(T)), sizeof(T));
  return value;
}

/// IEEE 754's half precision: 1 bit of sign, 5 of exponent (biased by 15), 10 of fraction.
float half_to_f32(uint16_t half) {
  const uint32_t sign = uint32_t(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
  if (exponent == 0) {  // zero or subnormal: fraction 2^-24
    const float size = float(fraction) * 0x1p-24f;
    return sign ? -size : size;
  }
  const uint32_t biased = exponent == 31 ? 255 : exponent + 127 - 15;  // 31: infinity or NaN
  return std::bit_cast<float>(sign | biased << 23 | fraction << 13);
}

/// The same, rounded to nearest, ties to even.
uint16_t f32_to_half(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint16_t sign = uint16_t(bits >> 16 & 0x8000);
  const float size = std::abs(x);
  if (std::isnan(x)) return uint16_t(sign | 0x7e00);
  if (size >= 65520) return uint16_t(sign | 0x7c00);  // half way from the largest number to the next
  // Below 2^-14 halves are multiples of 2^-24, as f32 from .5 to 1 are: adding .5 rounds to them.
  if (size < 0x1p-14f)
    return uint16_t(sign | (std::bit_cast<uint32_t>(size + 0.5f) - std::bit_cast<uint32_t>(0.5f)));
  const uint32_t rebiased = (bits & 0x7fffffff) - ((127 - 15) << 23);
  return uint16_t(sign | ((rebiased + 0xfff + (rebiased >> 13 & 1)) >> 13));
}

template <class T>
void put(std::byte* to, int64_t i, T value) {
  std::memcpy(to + i * int64_t(sizeof(T)), &value, sizeof(T));
}

}  // namespace

bool is_real(ElementType type) {
  return type == ElementType::f16 || type == ElementType::bf16 || type == ElementType::f32 ||
         type == ElementType::f64;
}

void to_f32(ElementType type, const std::byte* from, int64_t count, float* to) {
  if (!is_real(type)) fail(cat("is ", name_of(type), "; F16, BF16, F32 or F64 is expected"));
  for (int64_t i = 0; i < count; ++i) {
    switch (type) {
      case ElementType::f16:
        to[i] = half_to_f32(at<uint16_t>(from, i));
        break;
      case ElementType::bf16:
        to[i] = std::bit_cast<float>(uint32_t(at<uint16_t>(from, i)) << 16);
        break;
      case ElementType::f64:
        to[i] = float(at<double>(from, i));
        break;
      default:
        to[i] = at<float>(from, i);
    }
  }
}

void from_f32(ElementType type, const float* from, int64_t count, std::byte* to) {
  for (int64_t i = 0; i < count; ++i) {
    switch (type) {
      case ElementType::f16:
        put(to, i, f32_to_half(from[i]));
        break;
      case ElementType::bf16:
        put(to, i, bf16(from[i]).bits);
        break;
      case ElementType::f32:
        put(to, i, from[i]);
        break;
      default:
        fail(cat("is to be ", name_of(type), "; F16, BF16 or F32 is expected"));
    }
  }
}

}  // namespace ito::io
