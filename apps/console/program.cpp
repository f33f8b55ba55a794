#include "apps/console/program.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <new>
#include <vector>

#include "apps/console/build_commit.h"  // written at build time: kCommit
#include "apps/console/stopping.h"
#include "kernels/base/file.h"
#include "kernels/base/names.h"

namespace ito::apps {

namespace {

namespace fs = std::filesystem;

/// The program, or the command of it that was asked for.
const CLI::App& chosen_command(const CLI::App& app) {
  const CLI::App* command = &app;
  for (const CLI::App* sub : app.get_subcommands()) command = sub;
  return *command;
}

/// CLI11 lists what it did not understand; the first of it that looks like a flag is what the user meant to
/// type.
std::string explain(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& command = chosen_command(app);
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  for (const std::string& word : command.remaining(true)) {
    if (word.rfind("--", 0) != 0) continue;
    const std::string flag = word.substr(0, word.find('='));
    return cat("unknown flag ", flag, "; did you mean ", nearest_name(flag, names), "? --help lists all");
  }
  return std::string(error.what()) + "; --help lists all flags";
}

/// `path` is `folder`, or lies below it, by their names alone.
bool is_within(const fs::path& path, const fs::path& folder) {
  std::error_code ignored;
  const fs::path inner = fs::absolute(path, ignored).lexically_normal();
  const fs::path outer = (fs::absolute(folder, ignored) / "").lexically_normal().parent_path();
  return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

/// The flag (or the word without one) that led to a path, with its value: "--out runs/a"; "" where none did.
/// Of several, the one that says the most of it.
std::string flag_of(const CLI::App& app, const fs::path& path) {
  std::string longest, flag;
  for (const CLI::Option* option : chosen_command(app).get_options()) {
    if (option->get_type_name() != "TEXT") continue;
    const std::string value = option->count() ? option->results().back() : option->get_default_str();
    if (value.empty() || value.size() < longest.size() || !is_within(path, value)) continue;
    longest = value;
    flag = option->get_name(option->get_positional());
  }
  return flag.empty() ? "" : cat(flag, " ", longest);
}

/// What the file system refused, by which flag, and what to do.
std::string explain(const CLI::App& app, const fs::filesystem_error& error) {
  const std::string flag = flag_of(app, error.path1()), said = message_of(error);
  if (flag.empty()) return cat(said, "; name another place (--help lists all flags)");
  return cat(flag, ": ", said, "; name another place");
}

/// What poll says of a standard stream without waiting.
int state_of(int stream) {
  pollfd asked{stream, POLLOUT, 0};
  return poll(&asked, 1, 0) == 1 ? asked.revents : 0;
}

/// A standard stream that is closed would be the next file that is opened, and what is printed would go
/// there. Held like this, it refuses to be written.
void hold_standard_streams() {
  static std::vector<File> held;
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (state_of(stream) & POLLNVAL) held.push_back(File::try_open("/dev/null", File::Mode::read));
}

/// The exit code once all that was printed has arrived: 1 and a line where it has not, unless nobody is there
/// to read it any more (`| head`).
int end_output(const CLI::App& app, int code) {
  errno = 0;
  std::cout.flush();
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout) return code;
  const int reason = errno;  // 0 where it was refused before now
  if (state_of(STDOUT_FILENO) & (POLLERR | POLLHUP)) return code;
  std::cerr << app.get_name() << ": standard output: not all of it could be written"
            << (reason ? ": " + reason_of(reason) : "") << "\n";
  return code ? code : 1;
}

/// A bar would end a table's cell.
std::string cell(std::string text) {
  for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
  return text;
}

/// All flags of a program and its commands as Markdown.
std::string markdown(const CLI::App& app, const std::string& name) {
  std::string text;
  for (const CLI::Option* option : app.get_options()) {
    const bool positional = option->get_positional();
    const std::string flag = option->get_name(positional);
    if (option->get_group().empty() || flag == "--help" || flag == "--version") continue;
    const std::string type = option->get_items_expected() ? " " + option->get_type_name() : "";
    const std::string shown = option->get_default_str();
    text += cat("| `", flag, positional ? "" : type, "` | ", cell(option->get_description()), " | ",
                shown.empty() ? (option->get_required() ? "needed" : "") : cat("`", shown, "`"), " |\n");
  }
  if (!text.empty())
    text = cat("\n## ", name, "\n\n", app.get_description(),
               "\n\n| flag | meaning | default |\n| --- | --- | --- |\n", text);
  for (const CLI::App* command : app.get_subcommands({}))
    text += markdown(*command, name + " " + command->get_name());
  return text;
}

/// Those flags of the program, or of its command that runs, by which it needs less memory.
std::string memory_advice(const CLI::App& app) {
  const CLI::App& command = chosen_command(app);
  std::vector<std::string> flags;
  for (const char* flag : {"--batch", "--size", "--preset", "--count", "--pairwise", "--threads"})
    if (command.get_option_no_throw(flag)) flags.emplace_back(flag);
  return flags.empty() ? "end what else needs memory on this machine"
                       : "a smaller " + list_of(flags) + " needs less";
}

/// What --help-markdown throws to end the parsing.
struct MarkdownHelp {};

/// As run_program, but for the output.
int run_body(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  try {
    app.parse(argc, argv);
    return body();
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return 0;
  } catch (const CLI::CallForVersion& version) {
    std::cout << version.what() << "\n";
    return 0;
  } catch (const MarkdownHelp&) {
    std::cout << markdown(app, app.get_name());
    return 0;
  } catch (const CLI::ParseError& e) {
    std::cerr << app.get_name() << ": " << explain(app, e) << "\n";
  } catch (const std::bad_alloc&) {
    std::cerr << app.get_name() << ": out of memory; " << memory_advice(app) << "\n";
  } catch (const OutOfMemory& e) {
    std::cerr << app.get_name() << ": " << e.what() << "; " << memory_advice(app) << "\n";
  } catch (const Stopped& e) {
    std::cerr << app.get_name() << ": " << e.what() << "\n";
    return kStoppedCode;
  } catch (const fs::filesystem_error& e) {
    std::cerr << app.get_name() << ": " << explain(app, e) << "\n";
  } catch (const std::exception& e) {
    std::cerr << app.get_name() << ": " << e.what() << "\n";
  }
  return 1;
}

}  // namespace

int run_program(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  hold_standard_streams();
  app.name(argc > 0 ? fs::path(argv[0]).filename().string() : "");
  app.set_version_flag("--version", [&] { return cat(app.get_name(), " ", version_text()); });
  app.add_flag_callback("--help-markdown", [] { throw MarkdownHelp{}; })->group("")->trigger_on_parse();
  return end_output(app, run_body(app, argc, argv, body));
}

std::string build_commit() { return kCommit; }

std::string version_text() { return cat(ITO_VERSION " (commit ", kCommit, ", " ITO_BUILD " build)"); }

}  // namespace ito::apps
