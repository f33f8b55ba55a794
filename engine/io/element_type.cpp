#include "engine/io/element_type.h"

#include <array>

namespace ito::io {
namespace {

struct Row {
  ElementType type;
  const char* name;
  size_t size;
};

// In the order of the enumeration, so that a type is its row's index.
constexpr std::array<Row, 13> kTypes{{
    {ElementType::boolean, "BOOL", 1},
    {ElementType::u8, "U8", 1},
    {ElementType::i8, "I8", 1},
    {ElementType::u16, "U16", 2},
    {ElementType::i16, "I16", 2},
    {ElementType::f16, "F16", 2},
    {ElementType::bf16, "BF16", 2},
    {ElementType::u32, "U32", 4},
    {ElementType::i32, "I32", 4},
    {ElementType::f32, "F32", 4},
    {ElementType::u64, "U64", 8},
    {ElementType::i64, "I64", 8},
    {ElementType::f64, "F64", 8},
}};

}  // namespace

size_t size_of(ElementType type) { return kTypes[size_t(type)].size; }
const char* name_of(ElementType type) { return kTypes[size_t(type)].name; }

std::optional<ElementType> element_type_from_name(std::string_view name) {
  for (const Row& row : kTypes) {
    if (name == row.name) return row.type;
  }
  return std::nullopt;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

std::optional<uint64_t> bytes_of(ElementType type, const std::vector<int64_t>& shape) {
  int64_t bytes = int64_t(size_of(type));
  for (const int64_t dimension : shape) {
    if (dimension < 0 || __builtin_mul_overflow(bytes, dimension, &bytes)) return std::nullopt;
  }
  return uint64_t(bytes);
}

}  // namespace ito::io
