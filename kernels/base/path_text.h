#pragma once

#include <string>
#include <string_view>

/// Paths as text. Linux allows any bytes but 0 in them; shells and JSON do not.
namespace ito {

/// The text, with every byte that is no part of UTF-8 (RFC 3629) written as %E9. Text that is UTF-8 stays as it is, so
/// doing it twice changes nothing.
std::string as_utf8(std::string_view text);

/// A word as it can be pasted into bash or zsh: as it is, where every character stands for itself; else in quotes.
std::string shell_quoted(const std::string& word);

}  // namespace ito
