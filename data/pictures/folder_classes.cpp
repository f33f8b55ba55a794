#include "data/pictures/folder_classes.h"

#include <algorithm>
#include <map>

#include "data/pictures/folder_entries.h"
#include "kernels/base/error.h"

namespace ito::data {

namespace {

/// The length of the folders that all pictures share: of "a/b/" in a/b/1.png and a/b/c/2.png.
size_t shared_folders(const std::vector<std::string>& pictures) {
  if (pictures.empty()) return 0;
  const std::string& first = pictures[0];
  size_t length = first.rfind('/') + 1;  // 0 where there is none
  for (const std::string& name : pictures) {
    const auto [in_first, in_name] =
        std::mismatch(first.begin(), first.begin() + std::ptrdiff_t(length), name.begin(), name.end());
    const size_t same = size_t(in_first - first.begin());
    if (same < length) length = same == 0 ? 0 : first.rfind('/', same - 1) + 1;
  }
  return length;
}

}  // namespace

FolderClasses classes_of(const std::vector<std::string>& pictures, bool is_archive,
                         const std::string& place) {
  const size_t begin = is_archive ? shared_folders(pictures) : 0;
  std::map<std::string, int32_t> numbers;  // sorted
  std::vector<std::string> folders;
  for (const std::string& name : pictures) {
    const size_t end = name.find('/', begin);
    if (end == std::string::npos)
      fail_advising(cat(place, ": ", name,
                        " lies in no folder of its own, and the folders are the classes: move "
                        "pictures into one folder for each class, such as cat/ and dog/"),
                    {"no {classes}"});
    folders.push_back(name.substr(begin, end - begin));
    numbers[folders.back()] = 0;
  }
  if (numbers.size() < 2)
    fail_advising(
        cat(place, ": all pictures lie in the folder ", numbers.empty() ? "" : numbers.begin()->first,
            ", and it takes two classes, a folder each"),
        {"no {classes}", "the folder above or below"});
  FolderClasses classes;
  for (auto& [name, number] : numbers) {
    number = int32_t(classes.names.size());
    classes.names.push_back(name);
  }
  for (const std::string& folder : folders) classes.of.push_back(numbers.at(folder));
  return classes;
}

std::vector<std::string> folders_without_pictures(const ImageList& list, const FolderClasses& classes) {
  std::vector<std::string> folders;
  if (!std::filesystem::is_directory(list.root)) return folders;
  visit_folder(list.root, [&](const FolderEntry& entry) {
    const std::string name(entry.name());
    if (name[0] != '.' && entry.is_folder() &&
        !std::binary_search(classes.names.begin(), classes.names.end(), name))
      folders.push_back(name);
    return true;
  });
  std::sort(folders.begin(), folders.end());
  return folders;
}

}  // namespace ito::data
