#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ito::data {

/// What one kind of list has to hold.
struct ListRules {
  const char* noun;  // what its columns are, in errors: "attributes"
  int32_t lowest, highest;
  const char* expected;              // the values, in words: "-1, 0 or 1"
  std::vector<std::string> columns;  // those wanted, in this order; empty: all that the header names
};

/// A list of numbers, one line for each picture.
struct ListTable {
  std::vector<std::string> columns;
  std::vector<std::string> pictures;  // [rows], by picture_stem
  std::vector<size_t> by_picture;     // rows in the order of their pictures
  std::vector<int32_t> values;        // [rows, columns]
};

/// Reads a list in any of the forms that CelebA and its copies have; its content shows which. Cells are separated by
/// blanks or, if the first line has any, by commas or semicolons, some in quotes; lines end in LF, CR LF or CR; a byte
/// order mark, empty lines and a count in the first line are skipped (copies exist whose count is wrong).
/// A header names the columns in any order, the picture's being image_id or, between blanks, not named at
/// all; a list without one has the wanted columns. Error, with place and line: anything else.
ListTable parse_list(std::string_view text, const std::string& place, const ListRules& rules);

/// "000001" of "000001.jpg": lists name JPEGs where a copy has PNGs.
std::string_view picture_stem(std::string_view name);

/// The table's values for `pictures`, row by row; `absent` if it has no line for one.
struct PictureRows {
  std::vector<int32_t> values;  // [pictures, columns]
  size_t unused = 0;            // lines whose picture is not among them
};
PictureRows rows_for(const ListTable& table, const std::vector<std::string>& pictures, int32_t absent);

}  // namespace ito::data
