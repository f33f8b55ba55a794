#include <cxxabi.h>
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <sstream>
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

/// "void a::scale_kernel<float, 4>(int)" -> "scale_kernel".
std::string base_name(const std::string& signature) {
  const std::string head = signature.substr(0, signature.find_first_of("<("));
  const size_t before = head.find_last_of(": ");
  return before == std::string::npos ? head : head.substr(before + 1);
}

/// The symbols that a library defines, and what they stand for.
std::map<std::string, std::string> symbols_of(const std::string& library) {
  const std::unique_ptr<FILE, int (*)(FILE*)> list(
      popen((SIMT_NM " --defined-only '" + library + "'").c_str(), "r"), pclose);
  REQUIRE(list);
  std::map<std::string, std::string> symbols;
  char line[8192], kind, symbol[8192];
  while (std::fgets(line, sizeof line, list.get())) {
    if (std::sscanf(line, "%*x %c %8191s", &kind, symbol) != 2 || (kind != 'T' && kind != 'W')) continue;
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> full(abi::__cxa_demangle(symbol, nullptr, nullptr, &status),
                                                      std::free);
    symbols[symbol] = status == 0 ? full.get() : symbol;
  }
  return symbols;
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

TEST_CASE(
    "every form of every kernel has been executed by a test of its own, benchmarks' kernels by the "
    "benchmarks") {
  // The engine's programs are not run where races are looked for, so that what they execute does not count.
  std::set<std::string> alone, by_engine, symbols;
  std::ifstream records(SIMT_RECORDS);
  for (std::string record; std::getline(records, record);) {
    const bool engine = record.find("/simt_engine_") != std::string::npos;
    std::ifstream in(record);
    for (std::string line; std::getline(in, line);) {
      std::istringstream words(line);
      std::string name, symbol;
      words >> name >> symbol;
      (engine ? by_engine : alone).insert(name);
      if (!engine) symbols.insert(symbol);
    }
  }
  const std::set<std::string> kernels = kernels_below(ITO_SOURCE_DIR "/kernels");
  CHECK(kernels.size() > 30);
  for (const std::string& kernel : kernels)
    CHECK_MESSAGE(alone.count(kernel) == 1, kernel, " was executed by no test of the kernels");
  // And in all forms that there are: types, widths of packs, shapes of tiles.
  int forms = 0;
  for (const auto& [symbol, signature] : symbols_of(SIMT_LIBRARY)) {
    const bool is_within =
        signature.find("{lambda") != std::string::npos;  // a function of its own, not inlined
    if (is_within || kernels.count(base_name(signature)) == 0) continue;
    ++forms;
    CHECK_MESSAGE(symbols.count(symbol) == 1, signature, " was executed by no test of the kernels");
  }
  CHECK(forms > 200);
#ifdef SIMT_BENCH
  for (const std::string& kernel : kernels_below(ITO_SOURCE_DIR "/bench"))
    CHECK_MESSAGE(by_engine.count(kernel) == 1, kernel, " was executed by no test of the benchmarks");
#endif
}
