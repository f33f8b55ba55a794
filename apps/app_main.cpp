#include "apps/app_main.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "engine/io/atomic_file.h"
#include "kernels/base/clock.h"
#include "kernels/base/error.h"

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

void check_output(const std::string& flag, const std::string& file) {
  namespace fs = std::filesystem;
  if (file.empty()) return;
  std::error_code none;
  const fs::path folder = fs::absolute(file, none).parent_path();
  if (!fs::is_directory(folder, none))
    fail(cat(flag, " ", file, ": there is no folder ", folder.string(), "; make it or name another"));
  if (fs::exists(file, none) && !fs::is_regular_file(file, none))
    fail(cat(flag, " ", file, ": no regular file; name another"));
  try {
    const io::AtomicFile trial(file);  // which is removed again
  } catch (const Error& error) {
    fail(cat(flag, " ", error.what(), "; name another place"));
  }
}

std::string duration(double seconds) {
  const long long s = static_cast<long long>(seconds + 0.5);
  char text[32];
  if (s < 60)
    std::snprintf(text, sizeof text, "%lld s", s);
  else if (s < 3600)
    std::snprintf(text, sizeof text, "%lld:%02lld", s / 60, s % 60);
  else if (s < 48 * 3600)
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  else
    std::snprintf(text, sizeof text, "%.1f days", double(s) / 86400);
  return text;
}

std::string thousands(long long n) {
  std::string digits = std::to_string(n);
  for (int i = int(digits.size()) - 3; i > (n < 0 ? 1 : 0); i -= 3) digits.insert(size_t(i), ",");
  return digits;
}

std::string bytes(double n) {
  char text[32];
  if (n >= 1 << 30)
    std::snprintf(text, sizeof text, "%.2f GiB", n / (1 << 30));
  else
    std::snprintf(text, sizeof text, "%.0f MiB", n / (1 << 20));
  return text;
}

}  // namespace ito::apps
