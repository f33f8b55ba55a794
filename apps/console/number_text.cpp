#include "apps/console/number_text.h"

#include <cstdio>

namespace ito::apps {

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

std::string part_done(double done, double seconds) {
  return std::to_string(int(100 * done)) + " %   " + duration(seconds / done * (1 - done)) + " left";
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
