#include "data/celeba.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <unordered_map>

#include "data/folder.h"
#include "engine/io/atomic_file.h"
#include "kernels/error.h"
#include "kernels/names.h"

namespace ito::data {
namespace fs = std::filesystem;
namespace {

constexpr int kAll = 3;  // after CelebA's own 0, 1, 2
constexpr Named<int> kSplits[] = {{"train", 0}, {"valid", 1}, {"test", 2}, {"all", kAll}};
constexpr const char* kImages = "img_align_celeba";
constexpr const char* kAttributes = "list_attr_celeba.txt";
constexpr const char* kPartition = "list_eval_partition.txt";
constexpr uint64_t kMaxListBytes = 256 << 20;

/// The lines of a text, cut at blanks; a carriage return is one. Empty lines are passed over.
class Lines {
 public:
  Lines(const fs::path& path, std::string_view text) : path_(path), rest_(text) {}

  bool next() {
    do {
      if (rest_.empty()) return false;
      const size_t end = std::min(rest_.find('\n'), rest_.size());
      cut(rest_.substr(0, end));
      rest_.remove_prefix(std::min(end + 1, rest_.size()));
      ++number_;
    } while (words.empty());
    return true;
  }

  [[noreturn]] void fail_here(const std::string& what) const {
    fail(cat(path_.string(), ": line ", number_, ": ", what));
  }

  std::vector<std::string_view> words;

 private:
  void cut(std::string_view line) {
    words.clear();
    constexpr std::string_view kBlanks = " \t\r\v\f";
    for (size_t begin = line.find_first_not_of(kBlanks); begin != std::string_view::npos;) {
      const size_t end = std::min(line.find_first_of(kBlanks, begin), line.size());
      words.push_back(line.substr(begin, end - begin));
      begin = line.find_first_not_of(kBlanks, end);
    }
  }

  fs::path path_;
  std::string_view rest_;
  size_t number_ = 0;
};

/// The whole of `text` as a number, or -1.
int64_t parse_count(std::string_view text) {
  int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value >= 0 ? value : -1;
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

/// DIR/name or DIR/folder/name; empty if neither is a file.
fs::path find_list(const fs::path& root, const char* folder, const char* name) {
  std::error_code ignored;
  for (const fs::path& path : {root / name, root / folder / name}) {
    if (fs::is_regular_file(path, ignored)) return path;
  }
  return {};
}

std::unordered_map<std::string, int> read_partition(const fs::path& path) {
  const std::string text = io::read_file(path, kMaxListBytes);
  std::unordered_map<std::string, int> split_of;
  for (Lines lines(path, text); lines.next();) {
    const int64_t split = lines.words.size() == 2 ? parse_count(lines.words[1]) : -1;
    if (split < 0 || split > 2)
      lines.fail_here("expected a picture's name and 0 (train), 1 (valid) or 2 (test)");
    split_of[std::string(lines.words[0])] = int(split);
  }
  return split_of;
}

/// The official partition, which is contiguous in the pictures' numbers; -1 for a name without a number.
int split_by_number(const std::string& name) {
  const int64_t number = parse_count(std::string_view(name).substr(0, name.rfind('.')));
  if (number < 0) return -1;
  return number <= 162770 ? 0 : number <= 182637 ? 1 : 2;
}

std::vector<std::string> image_names(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code broken_link;
    if (is_image_name(name) && entry->is_regular_file(broken_link)) names.push_back(name);
  }
  if (error) fail(cat(folder.string(), ": cannot be listed: ", error.message()));
  std::sort(names.begin(), names.end());
  return names;
}

/// Keeps the names of split `wanted`; says in the notes by what, and what was left out.
void keep_split(ImageList& list, int wanted, const fs::path& partition) {
  if (wanted == kAll) return;
  std::unordered_map<std::string, int> split_of;
  if (partition.empty()) {
    list.notes.push_back(cat("there is no ", kPartition, ": splits are by CelebA's numbers"));
  } else {
    split_of = read_partition(partition);
    list.lists.push_back(partition);
  }
  std::vector<std::string> kept;
  size_t unknown = 0;
  for (std::string& name : list.names) {
    int split = -1;
    if (partition.empty()) {
      split = split_by_number(name);
    } else if (const auto found = split_of.find(name); found != split_of.end()) {
      split = found->second;
    }
    unknown += split < 0;
    if (split == wanted) kept.push_back(std::move(name));
  }
  if (unknown > 0) {
    list.notes.push_back(cat(unknown, " picture(s) ",
                             partition.empty() ? "without a number" : "without a line in ",
                             partition.empty() ? "" : kPartition, " are left out"));
  }
  list.names = std::move(kept);
}

void read_row(Lines& lines, size_t row, Attributes& attributes) {
  const size_t columns = attributes.names.size();
  if (lines.words.size() != columns + 1) {
    lines.fail_here(cat(lines.words.size() - 1, " values for ", columns, " attributes"));
  }
  for (size_t c = 0; c < columns; ++c) {
    const std::string_view word = lines.words[c + 1];
    if (word != "1" && word != "-1") {
      lines.fail_here(cat("'", word, "' for ", attributes.names[c], ", where -1 or 1 is expected"));
    }
    if (row != std::string::npos) attributes.values[row * columns + c] = word == "1" ? 1 : -1;
  }
}

}  // namespace

fs::path find_celeba(const fs::path& path) {
  if (is_folder(path / kImages) || is_folder(path / "Img" / kImages)) return path;
  fs::path folder = fs::absolute(path).lexically_normal();
  if (folder.filename().empty()) folder = folder.parent_path();  // it was written with a slash at its end
  if (folder.filename() != kImages || !is_folder(folder)) return {};
  const fs::path parent = folder.parent_path();
  return parent.filename() == "Img" ? parent.parent_path() : parent;
}

void check_split(const std::string& split) { value_of_name("split", split, kSplits); }

ImageList list_celeba(const fs::path& root, const std::string& split) {
  const int wanted = value_of_name("split", split, kSplits);
  ImageList list;
  list.kind = "celeba";
  list.split = split;
  list.title = fs::canonical(root).filename().string();
  list.root = is_folder(root / kImages) ? root / kImages : root / "Img" / kImages;
  list.source = folder_source(list.root);
  list.names = image_names(list.root);
  if (list.names.empty()) fail(cat(list.root.string(), ": no pictures in it. ", how_to_get_pictures(root)));
  const size_t found = list.names.size();
  keep_split(list, wanted, find_list(root, "Eval", kPartition));
  if (list.names.empty()) {
    fail(cat(list.root.string(), ": none of its ", found, " pictures is in split '", split,
             "'; try --split all"));
  }
  list.attribute_list = find_list(root, "Anno", kAttributes);
  if (list.attribute_list.empty()) {
    list.notes.push_back(cat("there is no ", kAttributes, ": the pictures have no attributes"));
  } else {
    list.lists.push_back(list.attribute_list);
  }
  return list;
}

Attributes read_attributes(const fs::path& list, const std::vector<std::string>& pictures) {
  const std::string text = io::read_file(list, kMaxListBytes);
  std::unordered_map<std::string_view, size_t> row_of;
  for (size_t i = 0; i < pictures.size(); ++i) row_of[pictures[i]] = i;
  Lines lines(list, text);
  bool more = lines.next();
  if (more && lines.words.size() == 1 && parse_count(lines.words[0]) >= 0) more = lines.next();
  if (!more) fail(cat(list.string(), ": holds no attribute names"));
  Attributes attributes;
  attributes.names.assign(lines.words.begin(), lines.words.end());
  attributes.values.assign(pictures.size() * attributes.names.size(), 0);
  std::vector<char> seen(pictures.size(), 0);
  while (lines.next()) {
    const auto found = row_of.find(lines.words[0]);
    const size_t row = found == row_of.end() ? std::string::npos : found->second;
    if (row != std::string::npos && seen[row]++) lines.fail_here(cat("a second line for ", lines.words[0]));
    read_row(lines, row, attributes);
  }
  return attributes;
}

}  // namespace ito::data
