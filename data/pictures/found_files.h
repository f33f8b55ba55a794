#pragma once

#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "data/pictures/file_kind.h"

namespace ito::data {

/// Sorts what a folder or an archive holds into pictures and what is left out, all of which the notes count. Names are
/// relative to `root`, with '/'.
class FoundFiles {
 public:
  explicit FoundFiles(std::filesystem::path root) : root_(std::move(root)) {}

  /// A file's first kKindBytes, or all of a shorter one; called for names without a picture's ending.
  using Peek = std::function<std::string()>;

  /// Hidden files (".x", "a/.x") are skipped. If peek throws, the file counts as one that cannot be opened.
  void add(const std::string& name, const Peek& peek);
  /// A broken link: it leads nowhere, or to itself.
  void add_broken(const std::string& name) { broken_.push_back(name); }
  /// A folder or a file that cannot be opened, and why.
  void add_closed(const std::string& what, const std::string& why);

  /// The pictures' names.
  std::vector<std::string> names;

  /// What the user should know about the rest, a sentence each.
  std::vector<std::string> notes() const;
  /// Error: there are no pictures here; with what is here instead and what to do about it, or `otherwise` if there is
  /// nothing else.
  [[noreturn]] void fail_empty(const std::string& otherwise) const;

 private:
  struct Others {
    const FileKind* kind;
    size_t count;
    std::string first;
    std::set<std::string> endings;  // in lower case
  };
  std::vector<Others> others(FileUse use) const;
  std::string counted(FileUse use) const;
  std::string remedy(FileUse use) const;

  std::filesystem::path root_;
  std::vector<Others> others_;  // a row for each kind
  std::vector<std::string> broken_;
  std::vector<std::string> closed_;  // "sub: cannot be listed: Permission denied"
};

}  // namespace ito::data
