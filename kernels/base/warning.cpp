#include "kernels/base/warning.h"

namespace ito {

namespace {
WarningSink sink = nullptr;
}

void warn(const std::string& line) {
  if (sink) sink(line);
}

void set_warning_sink(WarningSink wanted) { sink = wanted; }

}  // namespace ito
