#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "engine/io/element_type.h"

namespace ito::io {

/// Receives a tensor's numbers in C order, piece by piece.
using TakeNumbers = std::function<void(std::span<const float>)>;
inline constexpr int64_t kNumbersAPiece = int64_t(1) << 18;  // 1 MiB

/// Whether to_f32 converts the type: f16, bf16, f32 and f64.
bool is_real(ElementType type);
/// `count` stored numbers (little-endian, at any address) as f32; exact except for f64, which is rounded to
/// nearest. Error: not of a real type.
void to_f32(ElementType type, const std::byte* from, int64_t count, float* to);
/// The other way, each number rounded to nearest, ties to even; what is too large becomes infinite. Error: not f16,
/// bf16 or f32.
void from_f32(ElementType type, const float* from, int64_t count, std::byte* to);

}  // namespace ito::io
