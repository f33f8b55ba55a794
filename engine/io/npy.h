#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/element_type.h"
#include "kernels/base/error.h"

/// NumPy's .npy files (numpy.org, "NEP 1"), versions 1 and 2, little-endian and C order:
/// f4, f8, u1, i4 and i8, which are f32, f64, u8, i32 and i64 here.
namespace ito::io {

struct NpyArray {
  ElementType type = ElementType::f32;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;

  int64_t size() const { return int64_t(bytes.size() / size_of(type)); }
  /// The numbers themselves. Error: stored as another type than T.
  template <class T>
  const T* as() const {
    if (type != element_type_of<T>::value) {
      fail(cat("the array is ", name_of(type), ", expected ", name_of(element_type_of<T>::value)));
    }
    return reinterpret_cast<const T*>(bytes.data());
  }
};

/// The header before the numbers.
struct NpyHeader {
  ElementType type = ElementType::f32;
  std::vector<int64_t> shape;
  uint64_t begin = 0, bytes = 0;  // of the numbers: their first byte, how many bytes
};

constexpr uint64_t kNpyPrefix = 12;  // bytes that include the header's length, in both versions

/// Where the numbers begin, by the first kNpyPrefix bytes (or all, if there are fewer) of `size`.
uint64_t find_npy_data(std::string_view start, uint64_t size);
/// Parses the bytes before the numbers, or more, of a file of `size` bytes. Error: as for read_npy, without a name.
NpyHeader parse_npy_header(std::string_view start, uint64_t size);
/// The bytes before the numbers, version 1; the numbers begin at a multiple of 64.
std::string npy_header(ElementType type, const std::vector<int64_t>& shape);

/// Reads a whole array. Nothing is allocated before the header agrees with the file's true size.
/// Error: not .npy, truncated or too long, Fortran order, big-endian or another type.
NpyArray read_npy(const std::filesystem::path& path);

/// Writes a contiguous array, version 1. The file appears complete or not at all.
void write_npy(const std::filesystem::path& path, ElementType type, const std::vector<int64_t>& shape,
               const void* data);

}  // namespace ito::io
