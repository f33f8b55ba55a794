#pragma once

#include <algorithm>
#include <filesystem>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/base/error.h"
#include "source_lexer.h"

/// The rules of the source tree, as functions of one file's path (from the root) and text. Each returns its
/// complaints: "path:line: what is wrong".
namespace tree_rules {

using Complaints = std::vector<std::string>;

constexpr int kMostLines = 500, kMostFunctionLines = 80, kMostColumns = 120;

/// What the files of one folder may include of the tree: prefixes of paths.
struct Layer {
  const char* folder;
  std::vector<const char*> allowed;
};

/// apps -> {model, data} -> engine -> kernels -> kernels/base, which everyone may include; the first row that
/// fits counts.
inline const std::vector<Layer>& layers() {
  static const std::vector<Layer> rows{
      {"kernels/base/", {"kernels/base/"}},
      {"kernels/", {"kernels/"}},
      {"engine/io/", {"engine/io/", "kernels/base/"}},
      {"engine/", {"engine/", "kernels/"}},
      {"model/", {"model/", "engine/", "kernels/"}},
      {"data/pictures/", {"data/pictures/", "engine/io/", "kernels/base/"}},
      {"data/celeba_files/", {"data/celeba_files/", "data/pictures/", "engine/io/", "kernels/base/"}},
      {"data/cache/", {"data/cache/", "data/celeba_files/", "data/pictures/", "engine/io/", "kernels/base/"}},
      {"data/faces/", {"data/faces/", "data/pictures/", "engine/io/", "kernels/base/"}},
      {"data/", {"data/", "engine/io/", "kernels/base/"}},
      {"apps/console/", {"apps/console/", "engine/io/", "kernels/base/"}},
      {"apps/inputs/", {"apps/inputs/", "apps/console/", "model/", "data/", "engine/", "kernels/"}},
      {"apps/sampling/",
       {"apps/sampling/", "apps/inputs/", "apps/console/", "model/", "data/", "engine/", "kernels/"}},
      {"apps/serving/", {"apps/serving/", "kernels/base/"}},
      {"apps/studio/",
       {"apps/studio/", "apps/serving/", "apps/sampling/", "apps/inputs/", "apps/console/", "model/", "data/",
        "engine/", "kernels/"}},
      {"apps/training/",
       {"apps/training/", "apps/inputs/", "apps/console/", "model/", "data/", "engine/", "kernels/"}},
      {"apps/evaluation/",
       {"apps/evaluation/", "apps/inputs/", "apps/console/", "model/", "data/", "engine/", "kernels/"}},
      {"apps/", {"apps/", "model/", "data/", "engine/", "kernels/"}},
      {"bench/", {"bench/", "apps/console/", "model/", "data/", "engine/", "kernels/"}},
  };
  return rows;
}

/// A third-party library: its headers, and the files that may include them, as regular expressions.
struct Library {
  const char* name;
  const char* headers;
  const char* files;
};

inline const std::vector<Library>& libraries() {
  static const std::vector<Library> rows{
      {"CUDA",
       "(cuda|cublas|cudnn|curand|nccl|nvrtc|nvml|nvtx|cooperative_groups|cub/|thrust/"
       "|mma\\.h|vector_types\\.h).*",
       "(.*\\.cuh?|kernels/cuda_.*|tests/simt/.*)"},
      {"Eigen", "(unsupported/)?Eigen/.*",
       "(kernels/.*\\.cpp|kernels/[^/]+/.*\\.h|model/metrics/.*|bench/.*|tests/.*)"},
      {"oneDNN", "(dnnl|oneapi/).*", "(kernels/.*\\.cpp|kernels/[^/]+/.*\\.h|model/metrics/.*|bench/.*)"},
      {"an image codec", "(jpeglib\\.h|jerror\\.h|turbojpeg\\.h|png\\.h|stb|cairo).*",
       "(data|bench|tests)/.*"},
      {"nlohmann-json", "nlohmann/.*", "(engine|model|apps|bench|tests)/.*"},
      {"zlib", "zlib\\.h", "(engine/io/inflate\\.cpp|tests/.*)"},
      {"xxHash", "(xxhash|xxh3|xxh_x86dispatch)\\.h", "kernels/base/.*"},
      {"CLI11", "CLI/.*", "(apps|bench)/.*"},
      {"doctest", "doctest/.*", "tests/.*"},
      {"Boost", "boost/.*", "tests/.*"},
  };
  return rows;
}

inline bool begins_with(const std::string& text, const std::string& start) {
  return text.rfind(start, 0) == 0;
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// Why a file may not include this header of the tree; "" if it may.
inline std::string layer_complaint(const std::string& path, const std::string& header) {
  for (const Layer& layer : layers()) {
    if (!begins_with(path, layer.folder)) continue;
    for (const char* allowed : layer.allowed) {
      if (begins_with(header, allowed)) return "";
    }
    return ito::cat(layer.folder, " may not include \"", header, '"');
  }
  return "";  // tests may include anything
}

/// Why a file may not include this header of another library; "" if it may.
inline std::string library_complaint(const std::string& path, const std::string& header) {
  for (const Library& library : libraries()) {
    if (std::regex_match(header, std::regex(library.headers)) &&
        !std::regex_match(path, std::regex(library.files))) {
      return ito::cat("<", header, "> (", library.name, ") may not be included here");
    }
  }
  return "";
}

/// Dependencies one way, and third-party headers only where they belong.
inline Complaints check_includes(const std::string& path, const std::string& text) {
  static const std::regex include("\\s*#\\s*include\\s*([<\"])([^>\"]+)[>\"].*");
  Complaints complaints;
  const std::vector<std::string> lines = lines_of(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    std::smatch match;
    if (lines[i].find("include") == std::string::npos || !std::regex_match(lines[i], match, include))
      continue;
    const std::string header = match[2];
    std::string complaint = library_complaint(path, header);
    if (complaint.empty() && match[1] == "\"") complaint = layer_complaint(path, header);
    if (!complaint.empty()) complaints.push_back(ito::cat(path, ":", i + 1, ": ", complaint));
  }
  return complaints;
}

/// Files are opened, locked and flushed by ito::File (kernels/base/file.h), which closes them and says what was
/// wrong; tests may do it by hand. A member function of such a name is another one.
inline Complaints check_file_calls(const std::string& path, const std::string& text) {
  static const std::regex product("(kernels|engine|model|data|apps|bench)/.*"), base("kernels/base/.*"),
      call(
          "(?:^|[^\\w.>:]|(?:^|[^\\w])::)"
          "(openat2?|creat|flock|lockf|pread|pwrite|preadv|pwritev|ftruncate|fsync|fdatasync|sync_file_range"
          "|renameat2)\\s*\\(|\\bO_(RDONLY|WRONLY|RDWR|PATH)\\b|#\\s*include\\s*<(fcntl|sys/file)\\.h>");
  Complaints complaints;
  if (!std::regex_match(path, product) || std::regex_match(path, base)) return complaints;
  const std::vector<std::string> lines = lines_of(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    std::smatch match;
    const std::string code = lines[i].substr(0, lines[i].find("//"));
    if (std::regex_search(code, match, call))
      complaints.push_back(ito::cat(path, ":", i + 1, ": a file is handled by hand (",
                                    match[1].matched ? match.str(1) : match.str(),
                                    "); use ito::File of kernels/base/file.h"));
  }
  return complaints;
}

/// JSON becomes text in one place, which does not throw on names of files that are no UTF-8. The headers of
/// safetensors are another matter: their order counts, and names that are no UTF-8 are refused.
inline Complaints check_json_text(const std::string& path, const std::string& text) {
  static const std::regex product("(kernels|engine|model|data|apps|bench)/.*"), call("\\.dump\\s*\\(");
  Complaints complaints;
  if (!std::regex_match(path, product) || path == "engine/io/json_text.cpp" ||
      path == "engine/io/safetensors_writer.cpp")
    return complaints;
  const std::vector<std::string> lines = lines_of(text);
  for (size_t i = 0; i < lines.size(); ++i)
    if (std::regex_search(lines[i].substr(0, lines[i].find("//")), call))
      complaints.push_back(ito::cat(path, ":", i + 1,
                                    ": JSON is written by hand; use io::json_text of engine/io/json_text.h"));
  return complaints;
}

/// Errors below the programs state facts and name options; a program adds its own flags (Advice, kernels/base/error.h).
/// So no text there holds a flag, except for the tables of options, which the flags are made from.
inline Complaints check_flags(const std::string& path, const std::string& text) {
  static const std::regex below("(kernels|engine|model|data)/.*"),
      flag("\"(?:[^\"\\\\]|\\\\.)*?(--[a-z][\\w-]*)");
  static const std::string table = ".as(\"--";
  Complaints complaints;
  if (!std::regex_match(path, below)) return complaints;
  const std::vector<std::string> lines = lines_of(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    std::smatch match;
    const std::string code = lines[i].substr(0, lines[i].find("//"));
    if (code.find(table) == std::string::npos && std::regex_search(code, match, flag))
      complaints.push_back(ito::cat(path, ":", i + 1, ": a program's flag (", match.str(1),
                                    "); state the fact, and add ito::Advice with the option's name"));
  }
  return complaints;
}

/// Lines of a file, lines of each function from its signature to its closing brace, columns of each line.
inline Complaints check_sizes(const std::string& path, const std::string& text) {
  Complaints complaints;
  const std::vector<std::string> lines = lines_of(text);
  if (lines.size() > size_t(kMostLines)) {
    complaints.push_back(
        ito::cat(path, ":", kMostLines, ": a file of ", lines.size(), " lines (at most ", kMostLines, ")"));
  }
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto columns =
        std::count_if(lines[i].begin(), lines[i].end(), [](char c) { return (c & 0xC0) != 0x80; });
    if (columns > kMostColumns)
      complaints.push_back(
          ito::cat(path, ":", i + 1, ": ", columns, " columns (at most ", kMostColumns, ")"));
  }
  bool balanced = true;
  for (const source_lexer::Function& function : source_lexer::functions_of(text, balanced)) {
    const int length = function.last_line - function.first_line + 1;
    if (length <= kMostFunctionLines) continue;
    complaints.push_back(ito::cat(path, ":", function.first_line, ": a function of ", length,
                                  " lines (at most ", kMostFunctionLines,
                                  "): ", function.head.substr(0, 60)));
  }
  if (!balanced)
    complaints.push_back(ito::cat(path, ":1: braces do not pair up, so its functions cannot be measured"));
  return complaints;
}

/// Words that mark unfinished work. Written in halves, so that this file has none of them.
inline Complaints check_marks(const std::string& path, const std::string& text) {
  static const std::regex mark(
      "\\b(TO"
      "DO|FIX"
      "ME|XX"
      "X|HA"
      "CK|TB"
      "D|[Nn]ot (yet )?imple"
      "mented|[Uu]nimple"
      "mented)\\b");
  Complaints complaints;
  const std::vector<std::string> lines = lines_of(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    std::smatch match;
    if (std::regex_search(lines[i], match, mark)) {
      complaints.push_back(ito::cat(path, ":", i + 1, ": unfinished work: ", match.str()));
    }
  }
  return complaints;
}

/// Paths of the tree's files and folders, from its root.
using Paths = std::set<std::string>;

/// Of the examples of how to add something.
inline bool is_example(const std::string& name) {
  static const std::regex example("(.*/)?(test_)?(foo|square)\\..*");
  return std::regex_match(name, example);
}

/// Whether a word names something of the tree: no pattern (page<N>, *.cpp, page_, page...), and nothing that
/// users or programs put there.
inline bool names_path(const std::string& word) {
  static const std::regex path(
      "(engine|kernels|model|data|apps|bench|tests|scripts|docs|\\.ci)/[\\w./-]*[^\\W_]/?");
  static const std::regex other("data/(celeba|drawn)\\b.*|.*\\.\\..*");
  return std::regex_match(word, path) && !std::regex_match(word, other) && !is_example(word);
}

/// The files that comments and documents name are there: paths from the root, maybe without extension;
/// Markdown's links; and files' names in its backticks.
inline Complaints check_paths(const std::string& path, const std::string& text, const Paths& tree) {
  static const std::regex word(
      "(?:\\$root/|\\$\\{CMAKE_SOURCE_DIR\\}/|\\./)?([\\w./*<>${}?~-]+?)\\.?(?![\\w./*<>${}?~-])");
  static const std::regex link("\\]\\(([\\w./-]*[./][\\w./-]*)[)#]"),
      file("`([\\w.-]+\\.(?:h|cpp|cuh?|py|sh))`");
  const bool is_source = std::regex_search(path, std::regex("\\.(h|cpp|cuh?)$"));
  const std::vector<std::string> lines = lines_of(is_source ? source_lexer::comments_only(text) : text);
  Complaints complaints;
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto check = [&](const std::regex& names, auto&& is_there) {
      for (std::sregex_iterator it(lines[i].begin(), lines[i].end(), names), end; it != end; ++it) {
        const std::string name = (*it)[1];
        if (!is_there(name)) complaints.push_back(ito::cat(path, ":", i + 1, ": there is no ", name));
      }
    };
    check(word, [&](const std::string& name) {
      const std::string stem = name.substr(0, name.find_last_not_of('/') + 1);
      return !names_path(name) || tree.count(stem) || tree.count(stem + ".h") || tree.count(stem + ".cpp");
    });
    if (!path.ends_with(".md")) continue;
    check(link, [&, folder = path.substr(0, path.find_last_of('/') + 1)](const std::string& name) {
      return tree.count(
          (std::filesystem::path(folder) / name / "").lexically_normal().parent_path().string());
    });
    check(file, [&](const std::string& name) {
      return is_example(name) ||
             std::any_of(tree.begin(), tree.end(), [end = "/" + name](const std::string& of_tree) {
               return ("/" + of_tree).ends_with(end);
             });
    });
  }
  return complaints;
}

}  // namespace tree_rules
