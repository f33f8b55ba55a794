#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace ito::io {

/// JSON as text: the one place that makes it, since nlohmann's own dump() throws on a string that is not UTF-8,
/// such as some file names. Such strings are written by as_utf8 (kernels/base/path_text.h). `indent`:
/// spaces a level; -1: one line.
std::string json_text(const nlohmann::json& value, int indent = -1);

}  // namespace ito::io
