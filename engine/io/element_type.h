#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ito::io {

/// What a stored array is made of. Named as safetensors names them; .npy knows most of them under other
/// names.
enum class ElementType : uint8_t { boolean, u8, i8, u16, i16, f16, bf16, u32, i32, f32, u64, i64, f64 };

size_t size_of(ElementType type);
/// The safetensors name: "F32", "BF16", "BOOL" ...
const char* name_of(ElementType type);
std::optional<ElementType> element_type_from_name(std::string_view name);

/// The stored type of a C++ type. There is none for bf16, whose arrays are passed as raw bytes.
template <class T>
struct element_type_of;
template <>
struct element_type_of<uint8_t> {
  static constexpr ElementType value = ElementType::u8;
};
template <>
struct element_type_of<int8_t> {
  static constexpr ElementType value = ElementType::i8;
};
template <>
struct element_type_of<uint32_t> {
  static constexpr ElementType value = ElementType::u32;
};
template <>
struct element_type_of<int32_t> {
  static constexpr ElementType value = ElementType::i32;
};
template <>
struct element_type_of<uint64_t> {
  static constexpr ElementType value = ElementType::u64;
};
template <>
struct element_type_of<int64_t> {
  static constexpr ElementType value = ElementType::i64;
};
template <>
struct element_type_of<float> {
  static constexpr ElementType value = ElementType::f32;
};
template <>
struct element_type_of<double> {
  static constexpr ElementType value = ElementType::f64;
};

/// "[2, 3, 4]"
std::string shape_text(const std::vector<int64_t>& shape);

/// Bytes of a contiguous array; nothing if a dimension is negative or the product does not fit 63 bits.
std::optional<uint64_t> bytes_of(ElementType type, const std::vector<int64_t>& shape);

}  // namespace ito::io
