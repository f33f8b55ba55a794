#pragma once

#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#define ITO_HOST_DEVICE __host__ __device__
#else
#define ITO_HOST_DEVICE
#endif

namespace ito {

/// bfloat16: the upper half of a float. Converts by round-to-nearest-even; NaN stays NaN.
/// A plain struct, so that the same 16 bits mean the same thing under g++, clang and nvcc.
struct bf16 {
  uint16_t bits;

  bf16() = default;
  ITO_HOST_DEVICE explicit bf16(float value) {
    uint32_t u;
    memcpy(&u, &value, 4);
    const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = nan ? uint16_t((u >> 16) | 0x40u) : uint16_t((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
  ITO_HOST_DEVICE explicit operator float() const {
    const uint32_t u = uint32_t(bits) << 16;
    float value;
    memcpy(&value, &u, 4);
    return value;
  }
};
static_assert(sizeof(bf16) == 2);

}  // namespace ito
