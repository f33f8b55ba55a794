#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace ito::model {

/// "Smiling, Eyeglasses", or, of many, "Male, Young, Bald and 37 more: 40 in all", for people to read.
std::string short_list(const std::vector<std::string>& names);

/// The attributes of the images that a run learns from, a row for each image: what a network with a condition has been
/// shown, and so what it can be asked to draw. An attribute is 1 or -1, or 0 where it is unknown. Four of them take a
/// byte: 1.6 MB for CelebA's 162,770 rows of 40.
class AttributeRows {
 public:
  /// No rows, without names.
  AttributeRows() = default;
  /// `values` is [count, names]. Error: it is not, or a value is none of -1, 0 and 1.
  AttributeRows(std::vector<std::string> names, const std::vector<float>& values);

  bool empty() const { return count_ == 0; }
  const std::vector<std::string>& names() const { return names_; }  // [K]
  int64_t count() const { return count_; }
  /// Attribute k of a row: -1, 0 or 1.
  int value(int64_t row, size_t k) const;
  std::vector<float> row(int64_t i) const;  // [K]

  bool operator==(const AttributeRows&) const = default;

  /// Writes a safetensors file: `rows`, u8 [count, ceil(K / 4)], two bits an attribute from the lowest up (0: unknown,
  /// 1: 1, 2: -1); the names, as JSON, and a checksum are its metadata. Error: disk full, not writable.
  void save(const std::filesystem::path& file) const;
  /// Error, with the file: it is damaged, or not such a file.
  static AttributeRows load(const std::filesystem::path& file);

 private:
  size_t row_bytes() const { return (names_.size() + 3) / 4; }
  std::string checksum(const std::string& names) const;

  std::vector<std::string> names_;
  int64_t count_ = 0;
  std::vector<uint8_t> packed_;  // [count, row_bytes()]
};

}  // namespace ito::model
