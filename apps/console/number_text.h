#pragma once

#include <string>

/// How the programs write numbers.
namespace ito::apps {

/// "1:05:09", "4:32", "12 s"
std::string duration(double seconds);
/// "42 %   4:32 left", of work of which the part `done`, above 0, has taken so many seconds.
std::string part_done(double done, double seconds);
/// "35.8 M", "178,451"
std::string thousands(long long n);
/// "1.5 GiB", "12 MiB"
std::string bytes(double n);

}  // namespace ito::apps
