#include "data/found_files.h"

#include <algorithm>

#include "kernels/base/error.h"

namespace ito::data {
namespace {

bool is_hidden(std::string_view name) { return name[0] == '.' || name.find("/.") != std::string_view::npos; }

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
  if (row == others_.end()) return others_.push_back({kind, 1, name});
  ++row->count;
  row->first = std::min(row->first, name);  // folders are read in any order
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

/// "5 BMP, 3 GIF"
std::string FoundFiles::counted(FileUse use) const {
  std::string text;
  for (const Others& other : others(use))
    text += cat(text.empty() ? "" : ", ", other.count, " ", other.kind->name);
  return text;
}

std::vector<std::string> FoundFiles::notes() const {
  std::vector<std::string> notes;
  if (const std::string pictures = counted(FileUse::convert); !pictures.empty()) {
    const Others most = others(FileUse::convert)[0];
    notes.push_back(
        cat("left out: ", pictures, "; to use them, ", remedy_for(*most.kind, root_ / most.first)));
  }
  for (const FileUse use : {FileUse::unpack, FileUse::fetch})
    for (const Others& other : others(use))
      notes.push_back(cat("left out: ", other.count, " ", other.kind->name, ", the first is ", other.first,
                          "; to use it, ", remedy_for(*other.kind, root_ / other.first)));
  if (!broken_.empty())
    notes.push_back(cat("left out: ", broken_.size(),
                        " name(s) that lead nowhere (broken links), the first is ",
                        *std::min_element(broken_.begin(), broken_.end())));
  if (!closed_.empty())
    notes.push_back(cat("left out: ", closed_.size(),
                        " folder(s) or file(s) that cannot be opened, the first is ",
                        *std::min_element(closed_.begin(), closed_.end())));
  return notes;
}

void FoundFiles::fail_empty(const std::string& otherwise) const {
  const std::string start = cat(root_.string(), ": no ", kReadFormats, " pictures in it");
  for (const FileUse use : {FileUse::convert, FileUse::unpack, FileUse::fetch}) {
    if (others(use).empty()) continue;
    const Others most = others(use)[0];
    fail(cat(start, ", but ", counted(use), ": ", remedy_for(*most.kind, root_ / most.first)));
  }
  if (!broken_.empty())
    fail(cat(start, ", but ", broken_.size(), " name(s) that lead nowhere (broken links), the first is ",
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
