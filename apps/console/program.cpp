#include "apps/console/program.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <new>
#include <optional>
#include <vector>

#include "apps/console/build_commit.h"  // written at build time: kCommit
#include "apps/console/stopping.h"
#include "kernels/base/file.h"
#include "kernels/base/names.h"
#include "kernels/base/warning.h"

namespace ito::apps {

namespace {

namespace fs = std::filesystem;

/// The program, or its command that was chosen.
const CLI::App& chosen_command(const CLI::App& app) {
  const CLI::App* command = &app;
  for (const CLI::App* sub : app.get_subcommands()) command = sub;
  return *command;
}

/// CLI11 lists what it did not understand; the first word that looks like a flag is probably a mistyped one.
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

/// The flag (or positional argument) that a path comes from, with its value: "--out runs/a"; "" if it comes from none.
/// Of several, the one with the longest part of the path.
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

/// What run_program runs.
const CLI::App* running = nullptr;

/// A phrase of Advice with the command's flags in place of the options' names; nothing if it lacks one of them.
std::optional<std::string> in_flags(const CLI::App& command, std::string phrase) {
  for (size_t begin = 0; (begin = phrase.find('{', begin)) != std::string::npos;) {
    const size_t end = phrase.find('}', begin);
    std::string flag = "--" + phrase.substr(begin + 1, end - begin - 1);
    std::replace(flag.begin(), flag.end(), '_', '-');
    if (!command.get_option_no_throw(flag)) return {};
    phrase.replace(begin, end + 1 - begin, flag);
  }
  return phrase;
}

/// What the file system refused, which flag it comes from, and what to do.
std::string explain(const CLI::App& app, const fs::filesystem_error& error) {
  const std::string flag = flag_of(app, error.path1()), message = message_of(error);
  if (flag.empty()) return cat(message, "; name another place (--help lists all flags)");
  return cat(flag, ": ", message, "; name another place");
}

/// A standard stream's state by poll, without waiting.
int state_of(int stream) {
  pollfd asked{stream, POLLOUT, 0};
  return poll(&asked, 1, 0) == 1 ? asked.revents : 0;
}

/// If a standard stream is closed, the next file that is opened takes its place, and what is printed would go there.
/// This opens /dev/null for reading instead, which refuses to be written.
void hold_standard_streams() {
  static std::vector<File> held;
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (state_of(stream) & POLLNVAL) held.push_back(File::try_open("/dev/null", File::Mode::read));
}

/// Output that is no terminal's is written in large pieces, so that all of --help is still there when end_output
/// flushes it, and a disk that is full is the reason that end_output gives.
void buffer_output() {
  static char pieces[1 << 16];  // without a buffer of its own glibc ignores the size
  if (!isatty(STDOUT_FILENO)) std::setvbuf(stdout, pieces, _IOFBF, sizeof pieces);
}

/// The exit code after flushing: 1, with an error line, if not all that was printed could be written; unless the
/// reader has left (`| head`).
int end_output(const CLI::App& app, int code) {
  errno = 0;
  std::cout.flush();
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout) return code;
  const int reason = errno;  // 0 if an earlier write was refused
  if (state_of(STDOUT_FILENO) & (POLLERR | POLLHUP)) return code;
  std::cerr << app.get_name() << ": standard output: not all of it could be written"
            << (reason ? ": " + reason_of(reason) : "") << "\n";
  return code ? code : 1;
}

/// Text for a cell of a Markdown table, in which a bar would end the cell.
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
    // A value that may be left out is joined by its equals sign: "--attributes[=NAME,...]".
    const std::string type = (option->get_items_expected() ? " " : "") + option->get_type_name();
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

/// The flags of the running program or command whose smaller values need less memory.
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

ErrorFilter error_filter = [](const std::string& line) { return line; };

void print_error(const CLI::App& app, const std::string& message) {
  if (const auto line = error_filter(app.get_name() + ": " + message)) std::cerr << *line << std::endl;
}

/// run_program without the checks of the output.
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
    print_error(app, explain(app, e));
  } catch (const std::bad_alloc&) {
    print_error(app, "out of memory; " + memory_advice(app));
  } catch (const OutOfMemory& e) {
    print_error(app, cat(e.what(), "; ", memory_advice(app)));
  } catch (const Stopped& e) {
    print_error(app, e.what());
    return kStoppedCode;
  } catch (const fs::filesystem_error& e) {
    print_error(app, explain(app, e));
  } catch (const Error& e) {
    print_error(app, with_flags(e));
  } catch (const std::exception& e) {
    print_error(app, e.what());
  }
  return 1;
}

}  // namespace

int run_program(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  hold_standard_streams();
  buffer_output();
  app.name(argc > 0 ? fs::path(argv[0]).filename().string() : "");
  running = &app;
  set_warning_sink([](const std::string& line) { std::cerr << line << std::endl; });
  app.set_version_flag("--version", [&] { return cat(app.get_name(), " ", version_text()); });
  app.add_flag_callback("--help-markdown", [] { throw MarkdownHelp{}; })->group("")->trigger_on_parse();
  return end_output(app, run_body(app, argc, argv, body));
}

void set_error_filter(ErrorFilter filter) { error_filter = std::move(filter); }

std::string with_flags(const Error& error) {
  std::string message = error.what();
  std::vector<std::string> shown;
  for (const std::string& phrase : error.advice())
    if (const auto text = running ? in_flags(chosen_command(*running), phrase) : std::nullopt)
      shown.push_back(*text);
  if (shown.empty()) return message;
  const bool is_list = message.find('\n') != std::string::npos;
  return cat(message, is_list ? "\n" : "; ", "try ", list_of(shown));
}

std::string build_commit() { return kCommit; }

std::string version_text() { return cat(ITO_VERSION " (commit ", kCommit, ", " ITO_BUILD " build)"); }

}  // namespace ito::apps
