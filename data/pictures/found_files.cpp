#include "data/pictures/found_files.h"

#include <algorithm>
#include <cctype>

#include "kernels/base/error.h"

namespace ito::data {
namespace {

bool is_hidden(std::string_view name) { return name[0] == '.' || name.find("/.") != std::string_view::npos; }

/// ".gif"; a whole name without an ending.
std::string ending_of(const std::string& name) {
  const std::filesystem::path file(name);
  std::string ending = file.has_extension() ? file.extension().string() : file.filename().string();
  for (char& c : ending) c = char(std::tolower(static_cast<unsigned char>(c)));
  return ending;
}

}  // namespace

void FoundFiles::add(const std::string& name, const Peek& peek) {
  if (is_hidden(name)) return;
  if (has_picture_ending(name)) return names.push_back(name);
  const FileKind* kind = nullptr;
  try {
    kind = &kind_of(peek(), name);
  } catch (const Error& error) {
    return add_closed(name, error.what());
  }
  if (kind->use == FileUse::read) return names.push_back(name);
  const auto row = std::find_if(others_.begin(), others_.end(),
                                [&](const Others& other) { return other.kind->name == kind->name; });
  if (row == others_.end()) return others_.push_back({kind, 1, name, {ending_of(name)}});
  ++row->count;
  row->first = std::min(row->first, name);  // folders are read in any order
  row->endings.insert(ending_of(name));
}

void FoundFiles::add_closed(const std::string& what, const std::string& why) {
  closed_.push_back(cat(what, " (", why, ")"));
}

std::vector<FoundFiles::Others> FoundFiles::others(FileUse use) const {
  std::vector<Others> found;
  for (const Others& other : others_)
    if (other.kind->use == use) found.push_back(other);
  std::sort(found.begin(), found.end(), [](const Others& a, const Others& b) {
    return a.count != b.count ? a.count > b.count : a.kind->name < b.kind->name;
  });
  return found;
}

/// "5 BMP, 3 GIF", "2 zip archives"
std::string FoundFiles::counted(FileUse use) const {
  std::string text;
  const auto plural = [](const Others& other) {
    return other.count > 1 && std::islower(static_cast<unsigned char>(other.kind->name.back())) ? "s" : "";
  };
  for (const Others& other : others(use))
    text += cat(text.empty() ? "" : ", ", other.count, " ", other.kind->name, plural(other));
  return text;
}

/// What to do about the files of one use. What is in an archive has to be unpacked first.
std::string FoundFiles::remedy(FileUse use) const {
  const Others most = others(use)[0];
  std::error_code ignored;
  const bool archive = std::filesystem::is_regular_file(root_, ignored);
  if (!archive && use == FileUse::convert) {
    std::set<std::string> endings;
    for (const Others& other : others(use)) endings.insert(other.endings.begin(), other.endings.end());
    return convert_all(root_, endings);
  }
  if (!archive) return remedy_for(*most.kind, root_ / most.first);
  return remedy_for(kind_of("PK\x03\x04", root_.string()), root_);
}

std::vector<std::string> FoundFiles::notes() const {
  std::vector<std::string> notes;
  // An empty file or a web page without a picture's ending (__init__.py, index.html) is nothing unusual.
  for (const FileUse use : {FileUse::convert, FileUse::unpack})
    if (!others(use).empty())
      notes.push_back(cat("left out: ", counted(use), ", the first is ", others(use)[0].first,
                          "; to use them: ", remedy(use)));
  if (!broken_.empty())
    notes.push_back(cat("left out: ", broken_.size(), " broken link(s), the first is ",
                        *std::min_element(broken_.begin(), broken_.end())));
  if (!closed_.empty())
    notes.push_back(cat("left out: ", closed_.size(),
                        " folder(s) or file(s) that cannot be opened, the first is ",
                        *std::min_element(closed_.begin(), closed_.end())));
  return notes;
}

void FoundFiles::fail_empty(const std::string& otherwise) const {
  const std::string start = cat(root_.string(), ": no ", kReadFormats, " pictures in it");
  for (const FileUse use : {FileUse::convert, FileUse::unpack, FileUse::fetch})
    if (!others(use).empty()) fail(cat(start, ", but ", counted(use), ": ", remedy(use)));
  if (!broken_.empty())
    fail(cat(start, ", but ", broken_.size(), " broken link(s), the first is ",
             *std::min_element(broken_.begin(), broken_.end()), ": put back what they point to, or copy it"));
  if (!closed_.empty())
    fail(cat(start, ", and ", closed_.size(), " folder(s) or file(s) cannot be opened, the first is ",
             *std::min_element(closed_.begin(), closed_.end()), ": change their permissions"));
  if (!others(FileUse::none).empty())
    fail(cat(start, ", but ", counted(FileUse::none), ", the first is ", others(FileUse::none)[0].first, ". ",
             otherwise));
  fail(cat(start, ". ", otherwise));
}

}  // namespace ito::data
