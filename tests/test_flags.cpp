#include <doctest/doctest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

/// Every flag of every program, as --help lists it, with values that it may not have.
namespace {

struct Output {
  int code = -1;
  std::string text;  // of both streams
};

Output run_line(const std::string& line) {
  Output output;
  FILE* pipe = popen((line + " 2>&1 </dev/null").c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::array<char, 4096> part{};
  for (size_t n; (n = fread(part.data(), 1, part.size(), pipe)) > 0;) output.text.append(part.data(), n);
  const int status = pclose(pipe);
  output.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return output;
}

/// Runs one of the programs.
Output run(const std::string& command) { return run_line(ITO_APP_DIR "/" + command); }

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
                              {"bench_features", ""}};
  if (std::filesystem::exists(ITO_APP_DIR "/make_faces")) all.push_back({"make_faces", "nowhere"});
  return all;
}

/// The flags of one kind ("N", "X", "NAME") in a program's --help.
std::vector<std::string> flags_of(const Program& program, const std::string& kind) {
  const std::string help = run(program.name + " --help").text;
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
  const Output o = run(program.name + " " + needed + " " + flag + "='" + value + "'");
  CAPTURE(program.name);
  CAPTURE(flag);
  CAPTURE(value);
  CAPTURE(o.text);
  CHECK(o.code == 1);
  CHECK(o.text.find(": " + flag + " must be " + allowed) != std::string::npos);
  CHECK(o.text.find("is \"" + value + "\"") != std::string::npos);
  CHECK(o.text.find('\n') == o.text.size() - 1);
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
    CHECK((numbers[program.name] > 0 || program.name == "inspect data"));
  }
}

TEST_CASE("every name of every program is known, or refused with all names and the nearest") {
  int names = 0;
  for (const Program& program : programs()) {
    for (const std::string& flag : flags_of(program, "NAME")) {
      ++names;
      refused(program, flag, "nonesuch", "");
      CHECK(run(program.name + " " + program.needed + " " + flag + "=nonesuch")
                .text.find("; did you mean \"") != std::string::npos);
    }
  }
  CHECK(names > 15);
}

TEST_CASE("--version names the program, its version, commit and build") {
  const std::regex version(
      "[a-z_]+ [0-9.]+ \\(commit [0-9a-f]{7,}(-dirty)?, (CPU|CUDA) build\\)\n"
      "|[a-z_]+ [0-9.]+ \\(commit unknown, (CPU|CUDA) build\\)\n");
  for (Program program : programs()) {
    program.name = program.name.substr(0, program.name.find(' '));
    const Output o = run(program.name + " --version");
    CAPTURE(o.text);
    CHECK(o.code == 0);
    CHECK(std::regex_match(o.text, version));
    CHECK(o.text.rfind(program.name + " ", 0) == 0);
  }
}

TEST_CASE("docs/options.md is what the programs print") {
  if (!std::filesystem::exists(ITO_APP_DIR "/make_faces")) return;  // no cairo: a program less
  std::ifstream file(ITO_SOURCE_DIR "/docs/options.md");
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  const Output made = run_line(ITO_SOURCE_DIR "/scripts/option_tables " ITO_APP_DIR);
  CHECK(made.code == 0);
  CHECK_MESSAGE(made.text == page, "run: scripts/option_tables > docs/options.md");
}

}  // namespace
