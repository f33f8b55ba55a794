#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "engine/io/json_text.h"
#include "kernels/base/options.h"

/// Reads values from JSON files of any origin. nlohmann's own conversions silently truncate a whole number that does
/// not fit, and cut off a fraction.
namespace ito::model {

template <class T>
bool fits(const nlohmann::json& value) {
  if (!value.is_number_integer()) return false;
  if (value.is_number_unsigned()) return value.get<uint64_t>() <= uint64_t(std::numeric_limits<T>::max());
  const int64_t number = value.get<int64_t>();
  return number < 0 ? std::is_signed_v<T> && number >= int64_t(std::numeric_limits<T>::min())
                    : uint64_t(number) <= uint64_t(std::numeric_limits<T>::max());
}

/// The value as a T; `name` is its name in errors. Error: not a whole number where one is needed, or out of the range
/// of T. nlohmann::json::exception: it is of another kind.
template <class T>
T value_as(const nlohmann::json& value, const char* name) {
  if constexpr (is_whole<T>)
    if (!fits<T>(value))
      fail(cat(name, " must be a whole number from ", std::numeric_limits<T>::min(), " to ",
               std::numeric_limits<T>::max(), ", is ", io::json_text(value).substr(0, 40)));
  if constexpr (std::is_same_v<T, float>)
    if (!std::isfinite(value.get<float>()))
      fail(cat(name, " must be finite in f32, is ", io::json_text(value)));
  return value.get<T>();
}

/// Reads object[name] into `to`. Error as above, or it is missing.
template <class T>
void take(const nlohmann::json& object, const char* name, T& to) {
  to = value_as<T>(object.at(name), name);
}
template <class T>
void take(const nlohmann::json& object, const char* name, std::vector<T>& to) {
  const nlohmann::json& list = object.at(name);
  if (!list.is_array()) fail(cat(name, " must be a list"));
  to.clear();
  for (const nlohmann::json& value : list) to.push_back(value_as<T>(value, name));
}

/// Reads object[name] into `to`, if it is there and not null; else `to` stays.
template <class T>
void take_if_there(const nlohmann::json& object, const char* name, T& to) {
  const auto found = object.find(name);
  if (found != object.end() && !found->is_null()) to = value_as<T>(*found, name);
}

/// Parses JSON that is not nested too deeply, since dump() recurses for each level. Error: it is, with this message; or
/// it is not JSON.
inline nlohmann::json parse_shallow(const std::string& text, const char* message) {
  if (!nlohmann::json::accept(text)) fail("it is empty, cut short or not JSON");
  return nlohmann::json::parse(text, [=](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    if (depth > 8) fail(message);
    return true;
  });
}

}  // namespace ito::model
