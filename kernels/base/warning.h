#pragma once

#include <string>

namespace ito {

/// Reports a line that the user should see though nothing has failed: a GPU that cannot be used, a library that is
/// missing. It goes where the program wants such lines (set_warning_sink); nowhere by default.
void warn(const std::string& line);

/// What warn() does with a line, without its newline. Set once, by main, before anything else runs.
using WarningSink = void (*)(const std::string& line);
void set_warning_sink(WarningSink);

}  // namespace ito
