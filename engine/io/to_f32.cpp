#include "engine/io/to_f32.h"

#include <bit>
#include <cstring>

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

}  // namespace ito::io
