#include <doctest/doctest.h>

#include <regex>
#include <sstream>

#include "engine/io/atomic_file.h"
#include "tests/helpers.h"
#include "tests/program.h"

/// docs/tour.md says what is true: names are in the files that it names, and its commands run.
namespace ito::tests {
namespace {

const std::filesystem::path kRoot = ITO_SOURCE_DIR;

struct Mention {
  std::string name, file;
};

/// "`name` in `path`" of a page.
std::vector<Mention> mentions(const std::string& page) {
  static const std::regex mention("`([\\w:]+)`\\s+in\\s+`([\\w./]+)`");
  std::vector<Mention> all;
  for (std::sregex_iterator it(page.begin(), page.end(), mention), end; it != end; ++it)
    all.push_back({(*it)[1], (*it)[2]});
  return all;
}

bool is_in(const Mention& m) {
  return std::filesystem::exists(kRoot / m.file) &&
         std::regex_search(io::read_file(kRoot / m.file), std::regex("\\b" + m.name + "\\b"));
}

std::vector<std::string> commands(const std::string& page) {
  std::vector<std::string> all;
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("    ./")) all.push_back(line.substr(6));
  return all;
}

}  // namespace

TEST_CASE("the tour: every name is in the file that it names") {
  const std::vector<Mention> all = mentions(io::read_file(kRoot / "docs/tour.md"));
  CHECK(all.size() > 15);
  for (const Mention& m : all) CHECK_MESSAGE(is_in(m), m.name, " is not in ", m.file);
  CHECK_FALSE(is_in({"describe_sampling", "model/training/trainer.cpp"}));
  CHECK_FALSE(is_in({"describe_sample", "model/training/trainer.cc"}));
}

TEST_CASE("the tour: every command runs as it is written") {
  const TempFolder folder;
  const std::vector<std::string> all = commands(io::read_file(kRoot / "docs/tour.md"));
  CHECK(all.size() > 5);
  for (const std::string& command : all) {
    CAPTURE(command);
    const Ended ended = run_program(folder.path(), command);
    CAPTURE(ended.err);
    CHECK(ended.code == 0);
    CHECK(ended.err.empty());
  }
}

}  // namespace ito::tests
