#include "engine/io/json_text.h"

#include <nlohmann/json.hpp>

#include "kernels/base/path_text.h"

namespace ito::io {

namespace {

using nlohmann::json;

/// The same value with every string, and every name in an object, in UTF-8.
json in_utf8(const json& value) {
  if (value.is_string()) return as_utf8(value.get_ref<const std::string&>());
  json result = value;
  if (value.is_object()) {
    result = json::object();
    for (const auto& [name, member] : value.items()) result[as_utf8(name)] = in_utf8(member);
  } else if (value.is_array()) {
    for (json& element : result) element = in_utf8(element);
  }
  return result;
}

}  // namespace

std::string json_text(const json& value, int indent) {
  try {
    return value.dump(indent);
  } catch (const json::type_error&) {
    return in_utf8(value).dump(indent);
  }
}

}  // namespace ito::io
