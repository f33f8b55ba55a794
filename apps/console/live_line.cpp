#include "apps/console/live_line.h"

#include <unistd.h>

#include <iostream>

#include "kernels/base/clock.h"

namespace ito::apps {

LiveLine::LiveLine() : terminal_(isatty(STDOUT_FILENO)) {}
LiveLine::~LiveLine() { end(); }

void LiveLine::show(const std::string& text) {
  const double interval = terminal_ ? 0.1 : 10;  // seconds
  if (now() - last_ < interval) return;
  last_ = now();
  if (terminal_) {
    const size_t blanks = text.size() < width_ ? width_ - text.size() : 0;
    std::cout << '\r' << text << std::string(blanks, ' ') << std::flush;
    width_ = text.size();
  } else {
    std::cout << text << std::endl;
  }
}

void LiveLine::end() {
  if (terminal_ && width_) std::cout << std::endl;
  width_ = 0;
  last_ = -1e9;
}

}  // namespace ito::apps
