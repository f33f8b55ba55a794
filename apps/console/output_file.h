#pragma once

#include <string>

namespace ito::apps {

/// Before the work whose result goes there. Error, with the flag, unless such a file can be written; "" is none.
void check_output(const std::string& flag, const std::string& file);

}  // namespace ito::apps
