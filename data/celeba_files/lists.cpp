#include "data/celeba_files/lists.h"

#include <algorithm>
#include <limits>

#include "data/celeba_files/list_table.h"
#include "kernels/base/error.h"

namespace ito::data {
namespace {

constexpr uint64_t kMaxListBytes = 256 << 20;
constexpr int32_t kFarthest = 100'000;  // a landmark may lie outside its picture

const ListRules& attribute_rules() {
  static const ListRules rules{"attributes", -1, 1, "-1, 0 or 1", {}};
  return rules;
}

const ListRules& partition_rules() {
  static const ListRules rules{"splits", 0, 2, "0 (train), 1 (valid) or 2 (test)", {"partition"}};
  return rules;
}

const ListRules& identity_rules() {
  static const ListRules rules{
      "identities", 1, std::numeric_limits<int32_t>::max(), "a person's number, 1 or more,", {"identity"}};
  return rules;
}

const ListRules& landmark_rules() {
  static const ListRules rules{"landmarks",
                               -kFarthest,
                               kFarthest,
                               "a number of pixels",
                               {"lefteye_x", "lefteye_y", "righteye_x", "righteye_y", "nose_x", "nose_y",
                                "leftmouth_x", "leftmouth_y", "rightmouth_x", "rightmouth_y"}};
  return rules;
}

/// Calls parse(text, place, pictures) with the list's file.
template <class Parse>
auto read_list(const ListFile& list, const std::vector<std::string>& pictures, Parse parse) {
  const uint64_t size = list.stamp().bytes;
  if (size > kMaxListBytes)
    fail(cat(list.place(), ": has ", size, " bytes; a list of pictures has at most ", kMaxListBytes));
  const std::vector<uint8_t> bytes = list.source->read(list.name);
  return parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, list.place(), pictures);
}

}  // namespace

Attributes parse_attributes(std::string_view text, const std::string& place,
                            const std::vector<std::string>& pictures) {
  ListTable table = parse_list(text, place, attribute_rules());
  const auto has = [&](int32_t value) {
    return std::find(table.values.begin(), table.values.end(), value) != table.values.end();
  };
  // Read as "unknown", the zeros of such a copy would silently lose every "no".
  if (has(0) && !has(-1))
    fail(cat(place,
             ": has 0 and 1 but no -1; 0 means unknown, so if it is meant as \"no\", write -1 instead"));
  const PictureRows rows = rows_for(table, pictures, 0);
  return {std::move(table.columns), {rows.values.begin(), rows.values.end()}};
}

Partition parse_partition(std::string_view text, const std::string& place,
                          const std::vector<std::string>& pictures) {
  PictureRows rows = rows_for(parse_list(text, place, partition_rules()), pictures, -1);
  return {std::move(rows.values), rows.unused};
}

std::vector<int32_t> parse_identities(std::string_view text, const std::string& place,
                                      const std::vector<std::string>& pictures) {
  return rows_for(parse_list(text, place, identity_rules()), pictures, 0).values;
}

std::vector<int32_t> parse_landmarks(std::string_view text, const std::string& place,
                                     const std::vector<std::string>& pictures) {
  return rows_for(parse_list(text, place, landmark_rules()), pictures, 0).values;
}

Attributes read_attributes(const ListFile& list, const std::vector<std::string>& pictures) {
  return read_list(list, pictures, parse_attributes);
}

Partition read_partition(const ListFile& list, const std::vector<std::string>& pictures) {
  return read_list(list, pictures, parse_partition);
}

std::vector<int32_t> read_identities(const ListFile& list, const std::vector<std::string>& pictures) {
  return read_list(list, pictures, parse_identities);
}

std::vector<int32_t> read_landmarks(const ListFile& list, const std::vector<std::string>& pictures) {
  return read_list(list, pictures, parse_landmarks);
}

}  // namespace ito::data
