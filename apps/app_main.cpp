#include "apps/app_main.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <iostream>

#include "kernels/base/clock.h"
#include "kernels/base/names.h"

namespace ito::apps {

namespace {

// A signal handler can reach nothing else.
volatile std::sig_atomic_t interrupt_count = 0;

void on_interrupt(int) {
  interrupt_count = interrupt_count + 1;
  if (interrupt_count > 1) _exit(130);
}

/// CLI11 lists what it did not understand; the first of it that looks like a flag is what the user meant to
/// type.
std::string explain(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* command = &app;
  for (const CLI::App* sub : app.get_subcommands()) command = sub;
  std::vector<std::string> names;
  for (const CLI::Option* option : command->get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  for (const std::string& word : command->remaining(true)) {
    if (word.rfind("--", 0) != 0) continue;
    const std::string flag = word.substr(0, word.find('='));
    return cat("unknown flag ", flag, "; did you mean ", nearest_name(flag, names), "? --help lists all");
  }
  return std::string(error.what()) + "; --help lists all flags";
}

}  // namespace

int run_program(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  try {
    app.parse(argc, argv);
    return body();
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return 0;
  } catch (const CLI::ParseError& e) {
    std::cerr << app.get_name() << ": " << explain(app, e) << "\n";
  } catch (const std::bad_alloc&) {
    std::cerr << app.get_name() << ": out of memory; use a smaller --batch or --size\n";
  } catch (const std::exception& e) {
    std::cerr << app.get_name() << ": " << e.what() << "\n";
  }
  return 1;
}

void catch_interrupts() {
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
}

bool interrupted() { return interrupt_count > 0; }

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

int grid_columns(long long n) { return std::max(1, int(std::ceil(std::sqrt(double(n))))); }

}  // namespace ito::apps
