#pragma once

#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/base/options.h"

namespace ito::apps {

template <class T>
bool is_given(const std::optional<T>& value) {
  return value.has_value();
}
inline bool is_given(bool value) { return value; }
inline bool is_given(const std::string& value) { return !value.empty(); }

/// The names of those options that have been given, in the structs' order. Their values are empty unless they are.
template <class... Options>
std::vector<std::string> given_options(const Options&... options) {
  std::vector<std::string> names;
  const auto add = [&](const auto& value, const Field& field) {
    if (is_given(value)) names.push_back(field.name);
  };
  (fields(options, add), ...);
  return names;
}

}  // namespace ito::apps
