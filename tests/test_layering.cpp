#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "prose_rules.h"
#include "tree_rules.h"

using namespace tree_rules;
namespace fs = std::filesystem;

namespace {

struct File {
  std::string path, text;
  bool is_source() const {
    const std::string extension = fs::path(path).extension().string();
    return extension == ".h" || extension == ".cpp" || extension == ".cu" || extension == ".cuh";
  }
};

bool is_text(const fs::path& path) {
  static const std::set<std::string> extensions{"",      ".h",  ".cpp", ".cu",  ".cuh",  ".txt",
                                                ".md",   ".py", ".sh",  ".yml", ".json", ".cmake",
                                                ".html", ".js", ".css", ".in"};
  return extensions.count(path.extension().string()) > 0;
}

/// Everything that is the tree's own. Pictures may lie in data/celeba and data/drawn, and are no part of it.
Paths paths_of_tree(const fs::path& root) {
  Paths paths{"CMakeLists.txt", "CMakePresets.json", "LICENSE", "README.md", ".clang-tidy"};
  for (const char* folder :
       {"engine", "kernels", "model", "data", "apps", "bench", "tests", "scripts", "docs", ".ci"}) {
    paths.insert(folder);
    for (fs::recursive_directory_iterator it(root / folder), end; it != end; ++it) {
      const std::string path = it->path().lexically_relative(root).string();
      const bool foreign = path == "data/celeba" || path == "data/drawn" || path.ends_with("__pycache__");
      if (foreign && it->is_directory())
        it.disable_recursion_pending();
      else
        paths.insert(path);
    }
  }
  return paths;
}

/// Its text files, except for the fixtures, which other programs wrote.
std::vector<File> files_of_tree(const fs::path& root) {
  std::vector<File> files;
  for (const std::string& path : paths_of_tree(root)) {
    if (!fs::is_regular_file(root / path) || !is_text(path) || path.starts_with("tests/fixtures/")) continue;
    std::ifstream stream(root / path, std::ios::binary);
    files.push_back({path, {std::istreambuf_iterator<char>(stream), {}}});
  }
  return files;
}

void report(const Complaints& complaints) {
  for (const std::string& complaint : complaints) FAIL_CHECK(complaint);
}

std::string function_of_lines(int lines, const std::string& head) {
  std::string text = head + " {\n";
  for (int i = 0; i < lines - 2; ++i) text += "  if (x) { call({1, 2}); }\n";
  return text + "}\n";
}

}  // namespace

TEST_CASE("the tree: dependencies point one way, third-party headers stay in their places") {
  const std::vector<File> files = files_of_tree(ITO_SOURCE_DIR);
  int sources = 0;
  for (const File& file : files) {
    if (!file.is_source()) continue;
    ++sources;
    report(check_includes(file.path, file.text));
  }
  CHECK(sources > 20);  // the walk did find the tree
}

TEST_CASE("the tree: files, functions and lines fit a reader") {
  for (const File& file : files_of_tree(ITO_SOURCE_DIR)) {
    if (file.is_source()) report(check_sizes(file.path, file.text));
  }
}

TEST_CASE("the tree: no marks of unfinished work") {
  for (const File& file : files_of_tree(ITO_SOURCE_DIR)) report(check_marks(file.path, file.text));
}

TEST_CASE("the tree: only the ground floor opens, locks and flushes files by hand") {
  for (const File& file : files_of_tree(ITO_SOURCE_DIR)) {
    if (file.is_source()) report(check_file_calls(file.path, file.text));
  }
}

TEST_CASE("the tree: JSON becomes text in one place") {
  for (const File& file : files_of_tree(ITO_SOURCE_DIR))
    if (file.is_source()) report(check_json_text(file.path, file.text));
  CHECK(check_json_text("apps/a.cpp", "\n  return json.dump(2);\n").size() == 1);
  CHECK(check_json_text("engine/io/json_text.cpp", "value.dump(2);\n").empty());
  CHECK(check_json_text("apps/a.cpp", "// as dump() does\n  dump(2);\n").empty());
}

TEST_CASE("the tree: only programs and benchmarks name flags") {
  for (const File& file : files_of_tree(ITO_SOURCE_DIR))
    if (file.is_source()) report(check_flags(file.path, file.text));
  for (const char* line :
       {"  fail(\"too small for --size 32\");", "fail(cat(x, \"\\\"a\\\"; use --crop none\"));",
        "const char* kFlag = \"--out\";"}) {
    CAPTURE(line);
    for (const char* path : {"kernels/a.cu", "engine/io/a.cpp", "model/unet/a.h", "data/pictures/a.cpp"})
      CHECK(check_flags(path, line).size() == 1);
    for (const char* path : {"apps/console/a.cpp", "bench/a.cpp", "tests/test_a.cpp"})
      CHECK(check_flags(path, line).empty());
  }
  for (const char* line :
       {"  Field(\"flip\", \"never mirror images\").as(\"--no-flip\"));", "--count;  // \"--count\"",
        "  fail_advising(\"too small\", {\"a smaller {size}\"});", "text += \"a -- b\";"}) {
    CAPTURE(line);
    CHECK(check_flags("model/a.cpp", line).empty());
  }
  CHECK(check_flags("data/a.cpp", "\nfail(\"use --crop none\");\n") ==
        Complaints{
            "data/a.cpp:2: a program's flag (--crop); state the fact, and add ito::Advice with the option's "
            "name"});
}

TEST_CASE("a file that is handled by hand is found, with its line") {
  const auto count = [](const char* path, const char* line) {
    return check_file_calls(path, ito::cat(line, "\n")).size();
  };
  for (const char* line :
       {"  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);", "  file = ::open(path, O_WRONLY);",
        "#include <fcntl.h>", "#  include <sys/file.h>", "  if (flock(file, LOCK_EX) != 0) return;",
        "  return ::pwrite(file, bytes, size, 0);", "  while (pread (file, to, 8, at) < 0) {", "fsync(file);",
        "::fsync(file);", "  const bool cut = !ftruncate(file, 0);", "  open_it(a), fdatasync(a);"}) {
    CAPTURE(line);
    for (const char* path : {"kernels/a.cpp", "engine/io/a.cpp", "model/training/a.h", "data/a.cpp",
                             "apps/a.cpp", "bench/a.cpp"})
      CHECK(count(path, line) == 1);
    CHECK(count("kernels/base/file.cpp", line) == 0);
    CHECK(count("tests/test_a.cpp", line) == 0);
  }
  for (const char* line : {"  stream.open(path);", "  const NpzStream stream = open(name);",
                           "  staging->fsync(now);", "  Device::flock(sheep);",
                           "  // by pwrite() and fsync()", "  my_fsync(file);", "  file.truncate(0);"})
    CHECK(count("data/a.cpp", line) == 0);
  const Complaints complaints = check_file_calls("data/a.cpp", "\n  flock(file, LOCK_EX);\n");
  REQUIRE(complaints.size() == 1);
  CHECK(complaints[0] ==
        "data/a.cpp:2: a file is handled by hand (flock); use ito::File of kernels/base/file.h");
}

TEST_CASE("the tree: files that comments and documents name are there") {
  const Paths tree = paths_of_tree(ITO_SOURCE_DIR);
  for (const File& file : files_of_tree(ITO_SOURCE_DIR)) report(check_paths(file.path, file.text, tree));
}

TEST_CASE("the tree: words that the glossary of docs/style.md avoids are in no comment, text or document") {
  std::string page;
  const std::vector<File> files = files_of_tree(ITO_SOURCE_DIR);
  for (const File& file : files)
    if (file.path == "docs/style.md") page = file.text;
  const std::vector<prose_rules::Row> rows = prose_rules::glossary(page);
  CHECK(rows.size() > 15);
  for (const File& file : files)
    if (file.path != "docs/style.md" && file.path != "LICENSE" && !file.path.starts_with("bench/history/"))
      report(prose_rules::check_words(file.path, file.text, rows));
}

TEST_CASE("a word that the glossary avoids is found in comments and texts, with its line") {
  const std::vector<prose_rules::Row> rows = prose_rules::glossary(
      "| avoid | write |\n| --- | --- |\n| `hither`, `to and fro` | here |\n"
      "| `yonder` (but `yonder star`) | there |\n\n| `no row` | x |\n");
  REQUIRE(rows.size() == 2);
  REQUIRE(rows[0].avoid.size() == 2);
  CHECK(rows[0].avoid[1].size() == 3);
  CHECK(rows[1].allowed.size() == 1);
  const auto check = [&](const char* path, const char* text) {
    return prose_rules::check_words(path, text, rows);
  };
  CHECK(check("a.h", "int hither;\n// Come Hither.\n") == Complaints{"a.h:2: \"Hither\"; write: here"});
  CHECK(check("a.cpp", "fail(\"it is yonder\");") == Complaints{"a.cpp:1: \"yonder\"; write: there"});
  CHECK(check("a.cu", "/* to\n * and fro */ /// to and\n/// fro").size() == 2);
  CHECK(check("a.md", "to, and fro; into and fro").empty());
  CHECK(check("docs/a.md", "The yonder star, thitherto.").empty());
  CHECK(check("docs/a.md", "A yonder star is yonder.").size() == 1);
  CHECK(check("a.cpp", "hither(yonder);").empty());
}

TEST_CASE("an include against the direction is found, with its line") {
  const auto count = [](const char* path, const char* header) {
    return check_includes(path, ito::cat("#pragma once\n  #  include \"", header, "\"  // why\n")).size();
  };
  CHECK(count("kernels/base/a.h", "kernels/dtype.h") == 1);
  CHECK(count("kernels/a.cpp", "engine/tensor.h") == 1);
  CHECK(count("kernels/conv2d/a.h", "model/unet/unet.h") == 1);
  CHECK(count("engine/io/a.cpp", "kernels/dtype.h") == 1);
  CHECK(count("engine/io/a.cpp", "engine/tensor.h") == 1);
  CHECK(count("engine/ops/a.cpp", "data/pictures/image.h") == 1);
  CHECK(count("model/unet/a.cpp", "data/pictures/image.h") == 1);
  CHECK(count("data/a.cpp", "engine/tensor.h") == 1);
  CHECK(count("data/a.cpp", "kernels/dtype.h") == 1);
  CHECK(count("model/unet/a.cpp", "apps/inputs/samples.h") == 1);
  CHECK(count("data/pictures/a.cpp", "data/celeba_files/celeba.h") == 1);
  CHECK(count("data/faces/a.cpp", "data/cache/image_cache.h") == 1);
  CHECK(count("data/cache/a.cpp", "data/celeba_files/lists.h") == 0);
  CHECK(count("apps/console/a.cpp", "apps/inputs/samples.h") == 1);
  CHECK(count("apps/training/a.cpp", "apps/evaluation/sides.h") == 1);
  CHECK(count("apps/a.cpp", "bench/clock.h") == 1);
  CHECK(count("engine/a.cpp", "tensor.h") == 1);  // by path from the root
  CHECK(count("engine/io/a.cpp", "kernels/base/error.h") == 0);
  CHECK(count("engine/a.cpp", "engine/io/npy.h") == 0);
  CHECK(count("data/a.cpp", "kernels/base/philox.h") == 0);
  CHECK(count("data/a.cpp", "engine/io/npy.h") == 0);
  CHECK(count("apps/a.cpp", "data/pictures/image.h") == 0);
  CHECK(count("tests/a.cpp", "source_lexer.h") == 0);
  const Complaints complaints = check_includes("kernels/a.h", "\n\n#include \"engine/a.h\"\n");
  REQUIRE(complaints.size() == 1);
  CHECK(complaints[0] == "kernels/a.h:3: kernels/ may not include \"engine/a.h\"");
}

TEST_CASE("a third-party header outside its place is found") {
  const auto count = [](const char* path, const char* header) {
    return check_includes(path, ito::cat("#include <", header, ">\n")).size();
  };
  CHECK(count("kernels/stream.cpp", "cuda_runtime.h") == 1);
  CHECK(count("engine/device.h", "cublasLt.h") == 1);
  CHECK(count("kernels/cuda_stream.h", "cuda_runtime.h") == 0);
  CHECK(count("kernels/group_norm.cu", "cuda_bf16.h") == 0);
  CHECK(count("kernels/linear.h", "Eigen/Core") == 1);
  CHECK(count("engine/ops/linear.cpp", "Eigen/Dense") == 1);
  CHECK(count("kernels/linear.cpp", "Eigen/Core") == 0);
  CHECK(count("model/metrics/fid.cpp", "Eigen/Eigenvalues") == 0);
  CHECK(count("model/unet/unet.cpp", "dnnl.hpp") == 1);
  CHECK(count("kernels/conv2d/onednn.h", "oneapi/dnnl/dnnl.hpp") == 0);
  CHECK(count("apps/sample.cpp", "stb/stb_image_write.h") == 1);
  CHECK(count("data/jpeg.cpp", "jpeglib.h") == 0);
  CHECK(count("data/cache.cpp", "nlohmann/json.hpp") == 1);
  CHECK(count("kernels/a.cpp", "doctest/doctest.h") == 1);
  CHECK(count("model/training/loop.cpp", "CLI/CLI.hpp") == 1);
  CHECK(count("data/cache.cpp", "filesystem") == 0);
}

TEST_CASE("a long file, line or function is found, however it is written") {
  CHECK(check_sizes("a.cpp", std::string(size_t(kMostLines), '\n')).empty());
  CHECK(check_sizes("a.cpp", std::string(size_t(kMostLines) + 1, '\n')).size() == 1);
  CHECK(check_sizes("a.cpp", "// " + std::string(117, 'x')).empty());
  CHECK(check_sizes("a.cpp", "// " + std::string(118, 'x')).size() == 1);
  std::string accents = "// ";
  for (int i = 0; i < 117; ++i) accents += "\u00fc";
  CHECK(check_sizes("a.cpp", accents).empty());
  for (const char* head :
       {"int f(int x)", "template <class T, int N>\nstatic T Foo<T>::operator()(T x) const noexcept",
        "struct Point at(int i)", "Foo::Foo(int x)\n    : a_{x}, b_(x),\n      c_{1}",
        "TEST_CASE(\"{ not a brace\")", "auto f = [](int x) -> int"}) {
    const int more = int(std::count(head, head + std::strlen(head), '\n'));
    CAPTURE(head);
    CHECK(check_sizes("a.cpp", "int y = 1'000;\n" + function_of_lines(kMostFunctionLines - more, head))
              .empty());
    const std::string in_scopes = "namespace a {\nclass B : C {\n public:\n  // }\n" +
                                  function_of_lines(kMostFunctionLines - more + 1, head) + "};\n}\n";
    const Complaints complaints = check_sizes("a.cpp", in_scopes);
    REQUIRE(complaints.size() == 1);
    CHECK(complaints[0].rfind("a.cpp:5: a function of 81 lines", 0) == 0);
  }
}

TEST_CASE("long things that are no functions are left alone; unpaired braces are not") {
  std::string rows;
  for (int i = 0; i < 100; ++i) rows += "    {1, f(2)},\n";
  CHECK(
      check_sizes("a.cpp", "const std::vector<Row> rows{\n" + rows + "};\nint g() { return 1; }\n").empty());
  CHECK(check_sizes("a.cpp", "const std::vector<Row> rows = {\n" + rows + "};\n").empty());
  CHECK(check_sizes("a.cpp", "enum class A : int {\n" + std::string(100, '\n') + "};\n").empty());
  CHECK(check_sizes("a.cpp", "struct alignas(16) A {\n" + std::string(100, '\n') + "};\n").empty());
  CHECK(check_sizes("a.cpp",
                    "const char* a = R\"x(\n{ \" )\" {\n)x\"; char b = '{', c = '\\'', d = '\"'; /* { */\n")
            .empty());
  CHECK(check_sizes("a.cpp", "#define A(x) \\\n  { x\nint f() { return 0; }\n").empty());
  CHECK(check_sizes("a.cpp", "int f() { {\n}\n").size() == 1);
  CHECK(check_sizes("a.cpp", "int f() { }\n}\n").size() == 1);
}

TEST_CASE("marks of unfinished work are found as words") {
  const std::string mark =
      "TO"
      "DO";
  CHECK(check_marks("a.h", "int x;\n// " + mark + ": later\n") ==
        Complaints{"a.h:2: unfinished work: " + mark});
  CHECK(check_marks("docs/a.md",
                    "This is not imple"
                    "mented.\n")
            .size() == 1);
  CHECK(check_marks("a.cpp",
                    "mkdtemp(\"scratch.XXXXXX\"); mas"
                    "todon();\n")
            .empty());
}

TEST_CASE("a path that leads nowhere is found, with its line") {
  const Paths tree{"kernels/a.h", "tests", "tests/test_a.cpp", "docs", "docs/a.md", "docs/b", "docs/b/c.md"};
  const auto count = [&](const char* path, const std::string& text) {
    return check_paths(path, text, tree).size();
  };
  CHECK(check_paths("kernels/a.h", "int x;\n/* see\n   tests/test_b.cpp. */\n", tree) ==
        Complaints{"kernels/a.h:3: there is no tests/test_b.cpp"});
  CHECK(check_paths("docs/b/c.md", "a\n[b](../a.md#b) [c](c.md) [d](a.md)\n", tree) ==
        Complaints{"docs/b/c.md:2: there is no a.md"});
  CHECK(check_paths("README.md", "`test_a.cpp`, `a.h`, `b.h`", tree) ==
        Complaints{"README.md:1: there is no b.h"});
  CHECK(count("kernels/a.h", "#include \"kernels/b.h\"  // as in kernels/c.h\n") ==
        1);  // g++ checks the other
  CHECK(count("kernels/a.h", "const char* x = \"tests/b.cpp\";  // tests/test_a, tests/, kernels/a.h.\n") ==
        0);
  CHECK(count("scripts/a", "cat $root/docs/a.md docs/z.md $other/docs/y.md ./docs/x.md ${b}docs/w.md\n") ==
        2);
  CHECK(count("CMakeLists.txt", "${CMAKE_SOURCE_DIR}/docs/a.md ${CMAKE_SOURCE_DIR}/docs/x.md") == 1);
  CHECK(count("docs/a.md", "docs/<name>.md docs/* docs/page... runs/a/b build/tests/a data/celeba/a.csv") ==
        0);
  CHECK(count("docs/a.md", "`kernels/foo.h` `tests/test_foo.cpp` `test_square.cpp` <https://a.b/docs/c>") ==
        0);
}
