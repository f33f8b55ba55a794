#pragma once

#include <string>

/// What the programs share: the line that shows progress, and how numbers are written.
namespace ito::apps {

/// A line that is rewritten in place on a terminal, and printed now and then elsewhere (a log file, CI).
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

/// Before the work whose result goes there. Error, with the flag, unless such a file can be written; "" is none.
void check_output(const std::string& flag, const std::string& file);

/// "1:05:09", "4:32", "12 s"
std::string duration(double seconds);
/// "35.8 M", "178,451"
std::string thousands(long long n);
/// "1.5 GiB", "12 MiB"
std::string bytes(double n);

}  // namespace ito::apps
