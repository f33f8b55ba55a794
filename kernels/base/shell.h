#pragma once

#include <string>
#include <string_view>

namespace ito {

/// A word as a POSIX shell must be given it, for commands that a user pastes: itself where that is safe, else in
/// single quotes ('it'\''s'). A word that could be taken for a flag stays as it is.
inline std::string shell_word(std::string_view word) {
  constexpr std::string_view kSafe =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%^";
  if (!word.empty() && word.find_first_not_of(kSafe) == std::string_view::npos) return std::string(word);
  std::string quoted = "'";
  for (const char c : word) {
    if (c == '\'')
      quoted += "'\\''";
    else
      quoted += c;
  }
  return quoted + "'";
}

}  // namespace ito
