#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "kernels/base/options.h"

/// Options as flags of the programs: visitors over fields() (kernels/base/options.h).
namespace ito::apps {

/// A program's flags. Two steps, since what a flag means by default can depend on another flag:
///   flags.add(Options{})    a flag for each field that has help, with that default in --help
///   flags.read_into(o)      after parsing: the checked values of the flags that were given
class Flags {
 public:
  /// `app` must outlive this.
  explicit Flags(CLI::App& app) : app_(&app) {}
  Flags(const Flags&) = delete;
  Flags& operator=(const Flags&) = delete;

  template <class Options>
  void add(const Options& defaults) {
    fields(defaults, Adding{*this});
  }
  /// Error, with what is allowed: a value that its option may not have.
  template <class Options>
  void read_into(Options& options) const {
    fields(options, Reading{*this});
  }
  template <class Options>
  Options read() const {
    Options options;
    read_into(options);
    return options;
  }
  /// Whether a flag, such as "--batch", is on the command line.
  bool given(const std::string& flag) const { return given_.count(flag) > 0; }

  /// Visitors, for fields() and for lists of fields with other names.
  struct Adding {
    Flags& flags;
    template <class T>
    void operator()(const T& value, const Field& field) const {
      if constexpr (!is_list<T>) flags.add_flag(value, field);
    }
    template <class Options>
    void object(const char*, const Options& options) const {
      fields(options, *this);
    }
  };
  struct Reading {
    const Flags& flags;
    template <class T>
    void operator()(T& value, const Field& field) const {
      const auto found = flags.given_.find(field.flag);
      if (found == flags.given_.end()) return;
      if constexpr (is_list<T>)
        return;
      else if constexpr (is_switch<T>)  // "--power-ema=false" turns off what a recipe has turned on
        value = (field.flag.rfind("--no-", 0) != 0) == (found->second != kOff);
      else if constexpr (is_optional<T>)
        value = flags.parsed<typename T::value_type>(field, found->second);
      else
        value = flags.parsed<T>(field, found->second);
    }
    template <class Options>
    void object(const char*, Options& options) const {
      fields(options, *this);
    }
  };

 private:
  /// A bool, or one that neither is given nor has a default: the program decides then.
  template <class T>
  static constexpr bool is_switch = std::is_same_v<T, bool> || std::is_same_v<T, std::optional<bool>>;

  template <class T>
  T parsed(const Field& field, const std::string& text) const {
    if (!field.names.empty() && std::find(field.names.begin(), field.names.end(), text) == field.names.end())
      fail_name(field.flag, field.names, text);
    return parse_option<T>(field.flag, text, field.range);
  }
  template <class T>
  void add_flag(const std::optional<T>&, const Field& field) {
    add_text(field, what_of<T>(field), described<T>(field), "");
  }
  template <class T>
  void add_flag(const T& value, const Field& field) {
    add_text(field, what_of<T>(field), described<T>(field), field.fallback.empty() ? shown(value) : "");
  }
  void add_flag(bool, const Field& field) { add_switch(field.flag, field, field.help); }
  /// "--preview", and "--no-preview" for its opposite.
  void add_flag(const std::optional<bool>&, const Field& field) {
    if (field.flag.empty()) return;
    add_switch(cat(field.flag, ",!--no-", field.flag.substr(2)), field,
               cat(field.help, "; default: ", field.fallback));
  }
  void add_switch(const std::string& flags, const Field& field, const std::string& help);

  void add_text(const Field& field, const std::string& what, const std::string& help,
                const std::string& shown);

  /// The help, with the names or numbers that are allowed, and the default if it is not a fixed value.
  template <class T>
  static std::string described(const Field& field) {
    std::string text = field.help;
    if (!field.names.empty())
      text += ": " + list_of(field.names);
    else if constexpr (Nameable<T>)
      text += ": " + allowed_text<T>(field.range);
    if constexpr (is_number<T>) text += cat(" (", text_of(field.range), ")");
    return field.fallback.empty() ? text : cat(text, "; default: ", field.fallback);
  }
  /// What stands for the value in --help.
  template <class T>
  static std::string what_of(const Field& field) {
    return is_whole<T> ? "N" : is_number<T> ? "X" : Nameable<T> || !field.names.empty() ? "NAME" : "TEXT";
  }
  template <class T>
  static std::string shown(const T& value) {
    if constexpr (Nameable<T>)
      return std::string(name_of(value));
    else if constexpr (is_number<T>)
      return shortest_text(value);
    else
      return value;
  }

  static constexpr const char* kOff = "false";

  CLI::App* app_;
  std::map<std::string, std::string> given_;  // flags on the command line, with their texts
};

}  // namespace ito::apps
