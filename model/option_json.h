#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/io/json_text.h"
#include "kernels/base/options.h"
#include "model/json_value.h"

/// Options as JSON: visitors over fields() (kernels/base/options.h). A name is a string, a struct of options an object.
namespace ito::model {

/// Fills `json`, an object, with every field; an empty list is left out, as older files lack it, so is an optional
/// without a value, and so is a value with the number that its field names, unless `all` are asked for.
struct WriteJson {
  nlohmann::json& json;
  bool all = false;

  template <class T>
  void operator()(const T& value, const Field& field) const {
    if (!all && is_left_out(value, field)) return;
    if constexpr (Nameable<T>)
      json[field.name] = name_of(value);
    else if constexpr (is_list<T>)
      write_list(value, field);
    else if constexpr (is_optional<T>)
      write_optional(value, field);
    else
      json[field.name] = value;
  }
  template <class Options>
  void object(const char* name, const Options& options) const {
    fields(options, WriteJson{json[name], all});
  }

 private:
  template <class T>
  static bool is_left_out(const T& value, const Field& field) {
    if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>)
      return field.absent_value && double(value) == *field.absent_value;
    return false;
  }
  template <class T>
  void write_list(const std::vector<T>& values, const Field& field) const {
    if (!values.empty()) json[field.name] = values;
  }
  template <class T>
  void write_optional(const std::optional<T>& value, const Field& field) const {
    if (value) (*this)(*value, field);
  }
};

/// Collects the names of the fields of one struct.
struct CollectNames {
  std::vector<std::string>& names;

  template <class T>
  void operator()(const T&, const Field& field) const {
    names.push_back(field.name);
  }
  template <class Options>
  void object(const char* name, const Options&) const {
    names.emplace_back(name);
  }
};

/// Sets every field of `options` from `json`. Error: as below, or `json` has a key that is not a field, such as an
/// option of a later version.
template <class Options>
void read_json(const nlohmann::json& json, Options& options);

/// Sets every field from `json`. Error: a field is missing (unless older files lack it), of another kind or out of its
/// range.
struct ReadJson {
  const nlohmann::json& json;

  template <class T>
  void operator()(T& value, const Field& field) const {
    const auto found = json.find(field.name);
    if (found == json.end() && (field.is_newer || is_optional<T>)) return;
    if (found == json.end()) fail(field.name + " is missing");
    if constexpr (is_optional<T>) {
      (*this)(value.emplace(), field);
    } else if constexpr (std::is_same_v<T, bool>) {
      if (!found->is_boolean()) refuse(field, "true or false", *found);
      value = found->template get<bool>();
    } else if constexpr (is_number<T>) {
      bool readable = found->is_number();
      if constexpr (is_whole<T>) readable = fits<T>(*found);
      if (readable) value = found->template get<T>();
      if (!readable || !field.range.holds(value)) refuse(field, allowed_text<T>(field.range), *found);
    } else if constexpr (is_list<T>) {
      take(json, field.name.c_str(), value);
    } else {
      if (!found->is_string()) refuse(field, "a text", *found);
      value = parse_option<T>(field.name, found->template get<std::string>(), field.range);
    }
  }
  template <class Options>
  void object(const char* name, Options& options) const {
    if (!json.contains(name)) fail(cat(name, " is missing"));
    read_json(json.at(name), options);
  }

 private:
  [[noreturn]] static void refuse(const Field& field, const std::string& allowed,
                                  const nlohmann::json& value) {
    fail_value(field.name, allowed, io::json_text(value));
  }
};

template <class Options>
void read_json(const nlohmann::json& json, Options& options) {
  if (!json.is_object()) fail("options must be an object");
  fields(options, ReadJson{json});
  std::vector<std::string> names;
  fields(options, CollectNames{names});
  for (const auto& [key, value] : json.items())
    if (std::find(names.begin(), names.end(), key) == names.end()) fail_unknown_name("option", key, names);
}

template <class Options>
nlohmann::json json_of(const Options& options, bool all = false) {
  nlohmann::json json = nlohmann::json::object();
  fields(options, WriteJson{json, all});
  return json;
}

}  // namespace ito::model
