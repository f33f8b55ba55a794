#pragma once

#include <string>

namespace ito::apps {

/// Checks, before the work whose result is to be stored there, that the file can be written; "" is no file. Error, with
/// the flag: it cannot.
void check_output(const std::string& flag, const std::string& file);

}  // namespace ito::apps
