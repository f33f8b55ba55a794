#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

namespace {

std::string read(const std::filesystem::path& path) {
  std::ifstream in(path);
  REQUIRE_MESSAGE(in.good(), "cannot read ", path.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The functions declared __global__ in CUDA source: the name before the first parenthesis that is not an
/// attribute's.
std::set<std::string> kernels_of(std::string source) {
  source = std::regex_replace(source, std::regex("//[^\n]*"), "");
  const std::regex declared(R"(__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\()");
  std::set<std::string> names;
  for (std::sregex_iterator it(source.begin(), source.end(), declared), end; it != end; ++it)
    names.insert((*it)[1]);
  const std::regex word(R"(__global__)");
  const auto words =
      std::distance(std::sregex_iterator(source.begin(), source.end(), word), std::sregex_iterator());
  CHECK_MESSAGE(size_t(words) == names.size(),
                "a __global__ function is declared in a form this test does not know");
  return names;
}

}  // namespace

TEST_CASE("the names of kernels are found in source") {
  const auto names = kernels_of(
      "template <int V>\n__global__ void __launch_bounds__(32 * kRows)\n    a_kernel(int) {}\n"
      "// __global__ void no_kernel()\n__global__ void b_kernel(int n) { f(n); }\n");
  CHECK(names == std::set<std::string>{"a_kernel", "b_kernel"});
}

TEST_CASE("every kernel has been executed by a test") {
  std::set<std::string> executed;
  std::ifstream records(SIMT_RECORDS);
  for (std::string record; std::getline(records, record);) {
    std::ifstream in(record);
    for (std::string line; std::getline(in, line);) executed.insert(line.substr(0, line.find(' ')));
  }
  size_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(ITO_SOURCE_DIR "/kernels")) {
    const auto extension = entry.path().extension();
    if (extension != ".cu" && extension != ".cuh") continue;
    for (const std::string& kernel : kernels_of(read(entry.path()))) {
      ++count;
      CHECK_MESSAGE(executed.count(kernel) == 1, kernel, " in ", entry.path().filename().string(),
                    " was executed by no test");
    }
  }
  CHECK(count > 0);
}
