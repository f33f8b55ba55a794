#include "model/training/attribute_rows.h"

#include <nlohmann/json.hpp>

#include "engine/io/json_text.h"
#include "engine/io/safetensors.h"
#include "kernels/base/error.h"
#include "kernels/base/hash.h"

namespace ito::model {

namespace fs = std::filesystem;

namespace {

constexpr const char *kRows = "rows", *kNames = "names", *kChecksum = "checksum";
constexpr unsigned kUnknown = 0, kYes = 1, kNo = 2;  // two bits; 3 is none of them

unsigned bits_of(float value) {
  if (value == 0) return kUnknown;
  if (value == 1) return kYes;
  if (value == -1) return kNo;
  fail(cat("an attribute is 1, -1 or 0 (unknown), and not ", value));
}

const std::string& text_in(const io::SafetensorsReader& reader, const char* name) {
  const auto found = reader.metadata().find(name);
  if (found == reader.metadata().end()) fail(cat("it has no ", name));
  return found->second;
}

std::vector<std::string> names_from(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  std::vector<std::string> names;
  for (const auto& name : json) {
    if (!json.is_array() || !name.is_string()) fail("its names are not a list of texts");
    names.push_back(name);
  }
  if (names.empty()) fail("it has no names");
  return names;
}

}  // namespace

std::string short_list(const std::vector<std::string>& names) {
  constexpr size_t kAll = 6, kFirst = 3;
  const size_t shown = names.size() <= kAll ? names.size() : kFirst;
  std::string text;
  for (size_t i = 0; i < shown; ++i) text += (i ? ", " : "") + names[i];
  return shown == names.size() ? text
                               : cat(text, " and ", names.size() - shown, " more: ", names.size(), " in all");
}

AttributeRows::AttributeRows(std::vector<std::string> names, const std::vector<float>& values)
    : names_(std::move(names)) {
  const size_t k = names_.size();
  if (k == 0 || values.size() % k != 0)
    fail(cat(values.size(), " values are not rows of ", k, " attributes"));
  count_ = int64_t(values.size() / k);
  packed_.assign(size_t(count_) * row_bytes(), 0);
  for (size_t i = 0; i < values.size(); ++i)
    packed_[i / k * row_bytes() + i % k / 4] |= uint8_t(bits_of(values[i]) << (i % k % 4 * 2));
}

int AttributeRows::value(int64_t row, size_t k) const {
  const unsigned bits = packed_[size_t(row) * row_bytes() + k / 4] >> (k % 4 * 2) & 3;
  return bits == kNo ? -1 : int(bits);
}

std::vector<float> AttributeRows::row(int64_t i) const {
  std::vector<float> values(names_.size());
  for (size_t k = 0; k < values.size(); ++k) values[k] = float(value(i, k));
  return values;
}

std::string AttributeRows::checksum(const std::string& names) const {
  return hex(Hash().add(names).add(packed_.data(), packed_.size()).value());
}

void AttributeRows::save(const fs::path& file) const {
  const std::string names = io::json_text(nlohmann::json(names_));
  const io::TensorSpec spec{kRows, io::ElementType::u8, {count_, int64_t(row_bytes())}};
  io::write_safetensors(file, {{spec, packed_.data()}}, {{kNames, names}, {kChecksum, checksum(names)}});
}

AttributeRows AttributeRows::load(const fs::path& file) {
  try {
    const io::SafetensorsReader reader(file);
    const std::string& names = text_in(reader, kNames);
    AttributeRows rows;
    rows.names_ = names_from(names);
    const std::vector<int64_t>& shape = reader.at(kRows).shape;
    if (shape.size() != 2 || shape[0] < 1 || shape[1] != int64_t(rows.row_bytes()))
      fail(cat("its rows are ", io::shape_text(shape), ", and it names ", rows.names_.size(), " attributes"));
    rows.count_ = shape[0];
    rows.packed_ = reader.values<uint8_t>(kRows);
    if (text_in(reader, kChecksum) != rows.checksum(names)) fail("its checksum is another one");
    for (const uint8_t four : rows.packed_)
      if (four & four >> 1 & 0x55) fail("a value in it is none of -1, 0 and 1");
    return rows;
  } catch (const std::exception& e) {
    fail(cat(file.string(), ", the attributes that a model was trained with, is damaged: ", e.what(),
             "; use another checkpoint"));
  }
}

}  // namespace ito::model
