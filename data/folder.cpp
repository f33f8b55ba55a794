#include "data/folder.h"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <utility>

#include "data/folder_entries.h"
#include "kernels/base/error.h"
#include "kernels/base/path_text.h"

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

/// What a folder or an archive holds.
struct Found {
  std::vector<std::string> names;               // of the pictures
  std::map<std::string, size_t> other_endings;  // how many files of each, for the error
};

class FolderWalk {
 public:
  explicit FolderWalk(const fs::path& root) : root_(root) { visit(""); }

  Found found;

 private:
  /// A folder is entered once, whatever links lead to it.
  bool is_new(const fs::path& folder) {
    struct stat status {};
    return stat(folder.c_str(), &status) == 0 && entered_.insert({status.st_dev, status.st_ino}).second;
  }

  void visit(const std::string& prefix) {
    const fs::path folder = root_ / prefix;
    if (!is_new(folder)) return;
    std::vector<std::string> folders;
    visit_folder(folder, [&](const FolderEntry& entry) {
      const std::string_view name = entry.name();
      if (name[0] == '.') return true;
      if (entry.is_folder()) {
        folders.emplace_back(name);
      } else if (!is_image_name(name)) {
        ++found.other_endings[ending_of(std::string(name))];
      } else if (entry.is_file()) {
        found.names.push_back(prefix + std::string(name));
      }
      return true;
    });
    std::sort(folders.begin(), folders.end());
    for (const std::string& name : folders) visit(prefix + name + "/");
  }

  fs::path root_;
  std::set<std::pair<dev_t, ino_t>> entered_;
};

/// Archives made by macOS hold a hidden "._a.jpg" for every a.jpg.
Found walk_archive(const io::ZipReader& zip) {
  Found found;
  for (const io::ZipEntry& entry : zip.entries()) {
    const std::string& name = entry.name;
    if (name.back() == '/' || name[0] == '.' || name.find("/.") != std::string::npos) continue;
    if (is_image_name(name))
      found.names.push_back(name);
    else
      ++found.other_endings[ending_of(name)];
  }
  return found;
}

/// "12 .webp", or "" where there is nothing else either.
std::string most_frequent(const std::map<std::string, size_t>& endings) {
  const auto most = std::max_element(endings.begin(), endings.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == endings.end()) return "";
  return cat(most->second, " file(s) ",
             most->first.empty() ? "without an ending" : "ending in " + most->first);
}

}  // namespace

bool is_image_name(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || name[0] == '.') return false;
  const std::string_view ending = name.substr(dot);
  const auto equals = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  for (const std::string_view known : {".jpg", ".jpeg", ".png", ".pgm", ".ppm"})
    if (std::equal(ending.begin(), ending.end(), known.begin(), known.end(), equals)) return true;
  return false;
}

std::string how_to_get_pictures(const fs::path& root) {
  const fs::path folder = is_zip(root) ? fs::absolute(root).parent_path() : root;
  return cat(
      "For CelebA, put img_align_celeba.zip (or what is in it), list_attr_celeba.txt and "
      "list_eval_partition.txt there, from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html; "
      "or draw faces: ./make_faces ",
      shell_quoted(folder.string()), " --count 20000");
}

bool is_zip(const fs::path& path) {
  std::error_code ignored;
  return ending_of(path.string()) == ".zip" && fs::is_regular_file(path, ignored);
}

void check_folder(const fs::path& root) {
  if (is_zip(root)) return;
  std::error_code error;
  const fs::file_status status = fs::status(root, error);
  if (status.type() == fs::file_type::directory) return;
  if (status.type() == fs::file_type::not_found) {
    fail(cat(root.string(), ": there is no such folder. ", how_to_get_pictures(root)));
  }
  if (error) fail(cat(root.string(), ": ", error.message()));
  fail(cat(root.string(), ": a file, where a folder or a zip archive of pictures is needed"));
}

ImageList list_folder(const fs::path& root) {
  check_folder(root);
  ImageList list;
  list.kind = "folder";
  list.split = "all";
  list.root = root;
  Found found;
  if (is_zip(root)) {
    const auto zip = std::make_shared<const io::ZipReader>(root);
    found = walk_archive(*zip);
    list.title = fs::canonical(root).stem().string();
    list.source = zip_source(zip, "");
  } else {
    found = FolderWalk(root).found;
    list.title = fs::canonical(root).filename().string();
    list.source = folder_source(root);
  }
  if (found.names.empty()) {
    const std::string others = most_frequent(found.other_endings);
    fail(cat(root.string(), ": no JPEG, PNG, PGM or PPM pictures in it",
             others.empty() ? "" : ", but " + others, ". ", how_to_get_pictures(root)));
  }
  std::sort(found.names.begin(), found.names.end());
  list.names = std::move(found.names);
  return list;
}

}  // namespace ito::data
