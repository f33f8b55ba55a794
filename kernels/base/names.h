#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/error.h"

/// Names that users type (an SDE, a preset, a crop): parsing them, and saying which one was probably meant.
namespace ito {

/// Levenshtein distance: the least number of characters to insert, delete or replace to turn a into b.
inline size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

/// The candidate with the least edit distance to `name`, the first of equals; empty if there is none.
inline std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  const auto nearest = std::min_element(
      candidates.begin(), candidates.end(),
      [&](const auto& a, const auto& b) { return edit_distance(name, a) < edit_distance(name, b); });
  return nearest == candidates.end() ? std::string() : *nearest;
}

/// Throws: unknown <what> "<name>"; did you mean "<nearest>"? Known: a, b, c.
[[noreturn]] inline void fail_unknown_name(std::string_view what, std::string_view name,
                                           const std::vector<std::string>& candidates,
                                           const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  std::string message = cat("unknown ", what, " \"", name, "\"");
  if (!candidates.empty()) message += cat("; did you mean \"", nearest_name(name, candidates), "\"? Known: ");
  for (size_t i = 0; i < candidates.size(); ++i) message += (i ? ", " : "") + candidates[i];
  fail(message, file, line);
}

/// The parts of a comma-separated list: "a,,b" has three, and "" one, which is empty.
inline std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

/// One line of a table of names: the single place where an enumerator's spelling is written.
template <class Value>
struct Named {
  std::string_view name;
  Value value;
};

/// The value called `name` in the table. Unknown: an error that says what it is and offers the nearest name.
template <class Value, size_t n>
Value value_of_name(std::string_view what, std::string_view name, const Named<Value> (&table)[n],
                    const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  std::vector<std::string> names;
  for (const Named<Value>& row : table) {
    if (row.name == name) return row.value;
    names.emplace_back(row.name);
  }
  fail_unknown_name(what, name, names, file, line);
}

/// The name of `value` in the table; an error if it has none.
template <class Value, size_t n>
constexpr std::string_view name_of_value(const Value& value, const Named<Value> (&table)[n]) {
  for (const Named<Value>& row : table)
    if (row.value == value) return row.name;
  fail("a value is missing from its table of names");
}

/// The names of an enumeration, for flags, files and errors. Each enumeration that has any specialises this next to
/// its definition, with `kKind`, what errors call it ("decay"), and `kTable`, a Named<Enum> for each enumerator:
///   template <>
///   struct Names<Decay> {
///     static constexpr std::string_view kKind = "decay";
///     static constexpr Named<Decay> kTable[] = {{"constant", Decay::constant}, {"cosine", Decay::cosine}};
///   };
template <class Enum>
struct Names;

/// An enumeration with a table of names.
template <class Enum>
concept Nameable = requires {
  Names<Enum>::kTable;
};

/// The enumerator of that name; an unknown one is an error that offers the nearest.
template <Nameable Enum>
Enum parse_name(std::string_view name, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return value_of_name(Names<Enum>::kKind, name, Names<Enum>::kTable, file, line);
}

template <Nameable Enum>
constexpr std::string_view name_of(Enum value) {
  return name_of_value(value, Names<Enum>::kTable);
}

}  // namespace ito
