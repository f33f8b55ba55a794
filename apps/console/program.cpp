#include "apps/console/program.h"

#include <iostream>
#include <new>

#include "apps/console/build_commit.h"  // written at build time: kCommit
#include "apps/console/stopping.h"
#include "kernels/base/names.h"

namespace ito::apps {

namespace {

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
  const CLI::App* command = &app;
  for (const CLI::App* sub : app.get_subcommands()) command = sub;
  std::vector<std::string> flags;
  for (const char* flag : {"--batch", "--size", "--preset", "--count", "--pairwise", "--threads"})
    if (command->get_option_no_throw(flag)) flags.emplace_back(flag);
  return flags.empty() ? "end what else needs memory on this machine"
                       : "a smaller " + list_of(flags) + " needs less";
}

/// What --help-markdown throws to end the parsing.
struct MarkdownHelp {};

}  // namespace

int run_program(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  app.set_version_flag("--version", [&] { return cat(app.get_name(), " ", version_text()); });
  app.add_flag_callback("--help-markdown", [] { throw MarkdownHelp{}; })->group("")->trigger_on_parse();
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
  } catch (const std::exception& e) {
    std::cerr << app.get_name() << ": " << e.what() << "\n";
  }
  return 1;
}

std::string build_commit() { return kCommit; }

std::string version_text() { return cat(ITO_VERSION " (commit ", kCommit, ", " ITO_BUILD " build)"); }

}  // namespace ito::apps
