#pragma once

#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/base/options.h"
#include "kernels/base/path_text.h"

/// A request back as the command that asks for it.
namespace ito::apps {

/// A visitor that lists each option's flag and its value as a user types it: "" for a flag that takes none,
/// kAbsent where the option is not set.
struct FlagTexts {
  std::vector<std::pair<std::string, std::string>> list;

  template <class T>
  void operator()(const T& value, const Field& field) {
    if constexpr (is_optional<T>) {
      if (value)
        (*this)(*value, field);
      else
        list.emplace_back(field.flag, kAbsent);
    } else if constexpr (std::is_same_v<T, bool>) {
      list.emplace_back(field.flag, value ? "" : kAbsent);
    } else if constexpr (Nameable<T>) {
      list.emplace_back(field.flag, name_of(value));
    } else if constexpr (is_number<T>) {
      list.emplace_back(field.flag, shortest_text(value));
    } else if constexpr (std::is_same_v<T, std::string>) {
      list.emplace_back(field.flag, value);
    }
  }
  template <class Options>
  void object(const char*, const Options& options) {
    fields(options, *this);
  }

  static constexpr const char* kAbsent = "\n";  // no flag's value
};

/// The program and the flags by which `request` differs from one that was not asked for anything: a line for a shell,
/// which reads back as the same request.
template <class Request>
std::string command_line(const std::string& program, const Request& request) {
  const Request nothing{};
  FlagTexts usual, asked;
  fields(nothing, usual);
  fields(request, asked);
  std::string line = program;
  for (size_t i = 0; i < asked.list.size(); ++i) {
    const auto& [flag, text] = asked.list[i];
    if (flag.empty() || text == usual.list[i].second || text == FlagTexts::kAbsent) continue;
    line += " " + flag;
    // A value that begins with a dash would be taken for a flag.
    if (!text.empty()) line += (text[0] == '-' ? "=" : " ") + shell_quoted(text);
  }
  return line;
}

}  // namespace ito::apps
