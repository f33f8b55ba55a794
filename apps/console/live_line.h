#pragma once

#include <string>

namespace ito::apps {

/// A line that is rewritten in place on a terminal, and printed every ten seconds elsewhere (a log file, CI).
class LiveLine {
 public:
  LiveLine();
  ~LiveLine();
  void show(const std::string& text);
  /// Keeps what is shown and goes to the next line.
  void end();

 private:
  bool terminal_;
  double last_ = -1e9;
  size_t width_ = 0;
};

}  // namespace ito::apps
