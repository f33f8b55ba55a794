#include <doctest/doctest.h>

#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <new>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "apps/console/program.h"
#include "tests/helpers.h"
#include "tests/program.h"

using namespace ito::tests;

/// Every flag of every program, as --help lists it, with values that it may not have.
namespace {

/// Runs one of the programs, in a folder that no test looks into.
Ended run(const std::string& command) {
  static const TempFolder folder;
  return run_program(folder.path(), command);
}

/// A program or a command of one, with what it must be given.
struct Program {
  std::string name, needed;
};

std::vector<Program> programs() {
  std::vector<Program> all = {{"train_celeba", "nowhere"},
                              {"sample", ""},
                              {"evaluate", "nowhere"},
                              {"inspect data", "nowhere"},
                              {"inspect forward", "--input nowhere --c-noise 0 --output nowhere"},
                              {"bench_kernels", ""},
                              {"bench_train", ""},
                              {"bench_data", "nowhere"},
                              {"bench_features", ""},
                              {"bench_samplers", ""},
                              {"bench_strips", ""},
                              {"bench_attributes", ""},
                              {"bench_quality", ""},
                              {"bench_scaling", ""}};
  if (std::filesystem::exists(ITO_APP_DIR "/studio")) all.push_back({"studio", ""});
  if (std::filesystem::exists(ITO_APP_DIR "/make_faces")) all.push_back({"make_faces", "nowhere"});
  return all;
}

/// The flags of one kind ("N", "X", "NAME") in a program's --help.
std::vector<std::string> flags_of(const Program& program, const std::string& kind) {
  const std::string help = run(program.name + " --help").out;
  const std::regex line("^  (--[a-z0-9-]+) " + kind + "(=| |$).*");
  std::vector<std::string> flags;
  std::istringstream lines(help);
  std::smatch match;
  for (std::string text; std::getline(lines, text);)
    if (std::regex_match(text, match, line)) flags.push_back(match[1]);
  return flags;
}

/// One line that names the flag, says what is allowed and shows the value; exit code 1.
void refused(const Program& program, const std::string& flag, const std::string& value,
             const std::string& allowed) {
  // A flag that is needed must not be given twice.
  const std::string needed =
      std::regex_replace(program.needed, std::regex("(^| )" + flag + " [^ ]+"), std::string(" "));
  const Ended o = run(program.name + " " + needed + " " + flag + "='" + value + "'");
  CAPTURE(program.name);
  CAPTURE(flag);
  CAPTURE(value);
  CAPTURE(o.err);
  CHECK(o.code == 1);
  CHECK(contains(o.err, ": " + flag + " must be " + allowed));
  CHECK(contains(o.err, "is \"" + value + "\""));
  CHECK(o.err.find('\n') == o.err.size() - 1);
}

TEST_CASE("every number of every program is decimal and within its range, or refused") {
  std::map<std::string, int> numbers;
  for (const Program& program : programs()) {
    for (const std::string& flag : flags_of(program, "N")) {
      ++numbers[program.name];
      for (const char* value : {"0x10", "1.5", "-1", "18446744073709551616"})
        refused(program, flag, value, "a whole number ");
    }
    for (const std::string& flag : flags_of(program, "X")) {
      ++numbers[program.name];
      for (const char* value : {"nan", "-inf", "1e39", "0x1p3"}) refused(program, flag, value, "a number ");
    }
  }
  CHECK(numbers["train_celeba"] > 25);
  for (const Program& program : programs()) {
    CAPTURE(program.name);
    const bool takes_none = program.name == "inspect data" || program.name == "bench_strips";
    CHECK((numbers[program.name] > 0) != takes_none);
  }
}

TEST_CASE("every name of every program is known, or refused with all names and the nearest") {
  int names = 0;
  for (const Program& program : programs()) {
    for (const std::string& flag : flags_of(program, "NAME")) {
      ++names;
      refused(program, flag, "nonesuch", "");
      CHECK(contains(run(program.name + " " + program.needed + " " + flag + "=nonesuch").err,
                     "; did you mean \""));
    }
  }
  CHECK(names > 15);
}

/// What a program with these flags prints on standard error when its work throws.
std::string error_line(const std::vector<std::string>& flags, const std::function<int()>& work) {
  CLI::App app;
  std::string value;
  for (const std::string& flag : flags) app.add_option(flag, value);
  std::string name = "program";
  char* arguments[] = {name.data()};
  std::ostringstream errors;
  std::streambuf* const usual = std::cerr.rdbuf(errors.rdbuf());
  const int code = ito::apps::run_program(app, 1, arguments, work);
  std::cerr.rdbuf(usual);
  CHECK(code == 1);
  return errors.str();
}

TEST_CASE("out of memory, every program advises flags of its own, and none that it lacks") {
  for (const Program& program : programs()) {
    CAPTURE(program.name);
    std::set<std::string> known;
    for (const char* kind : {"N", "X", "NAME", "TEXT"})
      for (const std::string& flag : flags_of(program, kind)) known.insert(flag);
    const std::vector<std::string> flags(known.begin(), known.end());
    for (const std::string& text :
         {error_line(flags, []() -> int { throw std::bad_alloc(); }),
          error_line(flags, []() -> int { ito::fail_memory("7 MiB were asked for"); })}) {
      CAPTURE(text);
      CHECK(text.rfind("program: out of memory", 0) == 0);
      CHECK((contains(text, "needs less\n") || contains(text, "end what else needs memory")));
      const std::regex word("--[a-z-]+");
      for (std::sregex_iterator it(text.begin(), text.end(), word), end; it != end; ++it)
        CHECK(known.count(it->str()));
    }
  }
  CHECK(contains(error_line({"--batch", "--size"}, []() -> int { throw std::bad_alloc(); }),
                 "out of memory; a smaller --batch or --size needs less"));
}

TEST_CASE("advice about options is printed in the flags that a program has, and not without them") {
  const auto work = []() -> int {
    ito::fail_advising("too small", {"a smaller {size}", "{max_bad_steps} 14 with a lower {lr}", "luck"});
  };
  CHECK(error_line({}, work) == "program: too small; try luck\n");
  CHECK(error_line({"--size", "--lr"}, work) == "program: too small; try a smaller --size or luck\n");
  CHECK(error_line({"--size", "--lr", "--max-bad-steps"}, work) ==
        "program: too small; try a smaller --size, --max-bad-steps 14 with a lower --lr or luck\n");
  CHECK(error_line({"--size"}, []() -> int { ito::fail_advising("a:\n b", {"another {size}"}); }) ==
        "program: a:\n b\ntry another --size\n");
  CHECK(error_line({"--out"}, []() -> int { ito::fail_advising("too small", {"another {size}"}); }) ==
        "program: too small\n");
}

TEST_CASE("--version names the program, its version, commit and build") {
  const std::regex version(
      "[a-z_]+ [0-9.]+ \\(commit [0-9a-f]{7,}(-dirty)?, (CPU|CUDA) build\\)\n"
      "|[a-z_]+ [0-9.]+ \\(commit unknown, (CPU|CUDA) build\\)\n");
  for (Program program : programs()) {
    program.name = program.name.substr(0, program.name.find(' '));
    const Ended o = run(program.name + " --version");
    CAPTURE(o.out);
    CHECK(o.code == 0);
    CHECK(std::regex_match(o.out, version));
    CHECK(o.out.rfind(program.name + " ", 0) == 0);
  }
}

TEST_CASE("docs/options.md holds the tables that the programs print") {
  const std::string page = ito::io::read_file(ITO_SOURCE_DIR "/docs/options.md");
  for (Program program : programs()) {
    program.name = program.name.substr(0, program.name.find(' '));
    CAPTURE(program.name);
    const std::string table = run(program.name + " --help-markdown").out;
    CHECK(contains(table, "\n## " + program.name));
    CHECK_MESSAGE(contains(page, table), "renew it: scripts/option_tables > docs/options.md");
  }
}

}  // namespace
