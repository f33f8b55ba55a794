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

std::string without_comments(const std::string& source) {
  return std::regex_replace(source, std::regex("//[^\n]*"), "");
}

/// The functions declared __global__ in CUDA source: the name before the first parenthesis that is not an
/// attribute's.
std::set<std::string> kernels_of(const std::string& source) {
  const std::regex declared(R"(__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\()");
  const std::string code = without_comments(source);
  std::set<std::string> names;
  for (std::sregex_iterator it(code.begin(), code.end(), declared), end; it != end; ++it)
    names.insert((*it)[1]);
  return names;
}

/// How often the word is in CUDA source: once for each kernel.
size_t declarations_in(const std::string& source) {
  const std::regex word("__global__");
  const std::string code = without_comments(source);
  return size_t(std::distance(std::sregex_iterator(code.begin(), code.end(), word), std::sregex_iterator()));
}

/// The kernels of the product below a folder.
std::set<std::string> kernels_below(const std::filesystem::path& folder) {
  std::set<std::string> all;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const auto extension = entry.path().extension();
    if (extension != ".cu" && extension != ".cuh") continue;
    const std::string source = read(entry.path());
    const std::set<std::string> kernels = kernels_of(source);
    CHECK_MESSAGE(declarations_in(source) == kernels.size(), entry.path().filename().string(),
                  " declares a __global__ function in a form this test does not know");
    for (const std::string& kernel : kernels)
      CHECK_MESSAGE(all.insert(kernel).second, "two kernels are called ", kernel);
  }
  return all;
}

}  // namespace

TEST_CASE("the names of kernels are found in source") {
  const auto names = kernels_of(
      "template <int V>\n__global__ void __launch_bounds__(32 * kRows)\n    a_kernel(int) {}\n"
      "// __global__ void no_kernel()\n__global__ void b_kernel(int n) { f(n); }\n");
  CHECK(names == std::set<std::string>{"a_kernel", "b_kernel"});
}

TEST_CASE("every kernel has been executed by a test of its own, benchmarks' by the benchmarks") {
  // The engine's programs are not run where races are looked for, so that what they execute does not count.
  std::set<std::string> alone, by_engine;
  std::ifstream records(SIMT_RECORDS);
  for (std::string record; std::getline(records, record);) {
    const bool engine = record.find("/simt_engine_") != std::string::npos;
    std::ifstream in(record);
    for (std::string line; std::getline(in, line);)
      (engine ? by_engine : alone).insert(line.substr(0, line.find(' ')));
  }
  const std::set<std::string> kernels = kernels_below(ITO_SOURCE_DIR "/kernels");
  CHECK(kernels.size() > 30);
  for (const std::string& kernel : kernels)
    CHECK_MESSAGE(alone.count(kernel) == 1, kernel, " was executed by no test of the kernels");
#ifdef SIMT_BENCH
  for (const std::string& kernel : kernels_below(ITO_SOURCE_DIR "/bench"))
    CHECK_MESSAGE(by_engine.count(kernel) == 1, kernel, " was executed by no test of the benchmarks");
#endif
}
