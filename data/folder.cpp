#include "data/folder.h"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <utility>

#include "kernels/error.h"

namespace ito::data {
namespace fs = std::filesystem;
namespace {

std::string ending_of(const std::string& name) {
  const size_t dot = name.rfind('.');
  std::string ending = dot == std::string::npos ? "" : name.substr(dot);
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return ending;
}

class FolderWalk {
 public:
  explicit FolderWalk(const fs::path& root) : root_(root) { visit(""); }

  std::vector<std::string> names;
  std::map<std::string, size_t> other_endings;  // how many files of each, for the error

 private:
  /// A folder is entered once, whatever links lead to it.
  bool is_new(const fs::path& folder) {
    struct stat status {};
    return stat(folder.c_str(), &status) == 0 && entered_.insert({status.st_dev, status.st_ino}).second;
  }

  void visit(const std::string& prefix) {
    const fs::path folder = root_ / prefix;
    if (!is_new(folder)) return;
    std::error_code error;
    std::vector<std::string> folders;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
      const std::string name = entry->path().filename().string();
      std::error_code broken_link;
      if (name[0] == '.') continue;
      if (entry->is_directory(broken_link)) {
        folders.push_back(name);
      } else if (!is_image_name(name)) {
        ++other_endings[ending_of(name)];
      } else if (entry->is_regular_file(broken_link)) {
        names.push_back(prefix + name);
      }
    }
    if (error) fail(cat(folder.string(), ": cannot be listed: ", error.message()));
    std::sort(folders.begin(), folders.end());
    for (const std::string& name : folders) visit(prefix + name + "/");
  }

  fs::path root_;
  std::set<std::pair<dev_t, ino_t>> entered_;
};

/// "12 .webp", or "" where there is nothing else either.
std::string most_frequent(const std::map<std::string, size_t>& endings) {
  const auto most = std::max_element(endings.begin(), endings.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == endings.end()) return "";
  return cat(most->second, " file(s) ",
             most->first.empty() ? "without an ending" : "ending in " + most->first);
}

}  // namespace

bool is_image_name(const std::string& name) {
  static const std::set<std::string> kEndings = {".jpg", ".jpeg", ".png", ".pgm", ".ppm"};
  return !name.empty() && name[0] != '.' && kEndings.count(ending_of(name)) > 0;
}

std::string how_to_get_pictures(const fs::path& root) {
  return cat(
      "For CelebA, put img_align_celeba/ (from img_align_celeba.zip), list_attr_celeba.txt and "
      "list_eval_partition.txt there, from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html; "
      "or draw faces: ./make_faces ",
      root.string(), " --count 20000");
}

void check_folder(const fs::path& root) {
  std::error_code error;
  const fs::file_status status = fs::status(root, error);
  if (status.type() == fs::file_type::directory) return;
  if (status.type() == fs::file_type::not_found) {
    fail(cat(root.string(), ": there is no such folder. ", how_to_get_pictures(root)));
  }
  if (error) fail(cat(root.string(), ": ", error.message()));
  fail(cat(root.string(), ": a file, where a folder of pictures is needed",
           ending_of(root.string()) == ".zip" ? "; unpack it and name the folder" : ""));
}

ImageList list_folder(const fs::path& root) {
  check_folder(root);
  FolderWalk walk(root);
  if (walk.names.empty()) {
    const std::string others = most_frequent(walk.other_endings);
    fail(cat(root.string(), ": no JPEG, PNG, PGM or PPM pictures in it",
             others.empty() ? "" : ", but " + others, ". ", how_to_get_pictures(root)));
  }
  std::sort(walk.names.begin(), walk.names.end());
  ImageList list;
  list.kind = "folder";
  list.split = "all";
  list.title = fs::canonical(root).filename().string();
  list.root = root;
  list.source = folder_source(root);
  list.names = std::move(walk.names);
  return list;
}

}  // namespace ito::data
