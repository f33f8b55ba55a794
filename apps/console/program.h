#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>

#include "apps/console/flags.h"

namespace ito::apps {

/// Names the app after the file that was started, parses the flags (unknown ones are refused with the nearest
/// name) and runs `body`. An error becomes one line on standard error and exit code 1, or kStoppedCode if a
/// signal stopped the work; warnings (warn()) are lines on standard error, too. Output that cannot be written (a
/// full disk) is an error. If the file system refuses a path, the line names its flag. --help and --version print
/// and return 0; so does --help-markdown, which is for docs/options.md.
int run_program(CLI::App& app, int argc, char** argv, const std::function<int()>& body);

/// What is printed of an error instead of its line; nothing: another process prints it.
using ErrorFilter = std::function<std::optional<std::string>(const std::string& line)>;
void set_error_filter(ErrorFilter filter);

/// main() of a program whose flags are the fields of Request; `body` gets the parsed request. `footer` ends --help.
template <class Request, class Body>
int run_program(const char* purpose, int argc, char** argv, const Body& body, const char* footer = "") {
  CLI::App app{purpose};
  app.footer(footer);
  Flags flags(app);
  flags.add(Request{});
  return run_program(app, argc, argv, [&] { return body(flags.read<Request>()); });
}

/// An error's message and its advice, in the flags that the running program or its command has: "; try --size 14".
/// Advice about options that it has no flags for is left out.
std::string with_flags(const Error& error);

/// The commit this program was built from, followed by "-dirty" if files had been changed; or "unknown".
std::string build_commit();
/// "0.1 (commit 9b20efb12, CPU build)", or CUDA build.
std::string version_text();

}  // namespace ito::apps
