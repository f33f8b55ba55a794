#include "data/pictures/folder.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "data/pictures/folder_entries.h"
#include "kernels/base/commands.h"
#include "kernels/base/error.h"
#include "kernels/base/file.h"
#include "kernels/base/path_text.h"

namespace ito::data {
namespace fs = std::filesystem;
namespace {

/// Adds a folder's files, and the names of its folders, until `enough` accepts what is found.
void visit_entries(const fs::path& folder, const std::string& prefix, FoundFiles& found,
                   std::vector<std::string>* folders,
                   const std::function<bool(const FoundFiles&)>& enough = {}) {
  visit_folder(folder, [&](const FolderEntry& entry) {
    const std::string name(entry.name());
    if (name[0] == '.') return true;
    if (entry.is_folder()) {
      if (folders) folders->push_back(name);
    } else if (entry.is_file()) {
      found.add(prefix + name, [&] { return first_bytes(folder / name); });
    } else if (entry.is_broken()) {
      found.add_broken(prefix + name);
    }
    return !enough || !enough(found);
  });
}

/// Walks through a folder and all below it.
class FolderWalk {
 public:
  explicit FolderWalk(const fs::path& root) : found(root), root_(root) { visit(""); }

  FoundFiles found;

 private:
  /// A folder is entered once, whatever links lead to it.
  bool is_new(const fs::path& folder) {
    struct stat status {};
    if (stat(folder.c_str(), &status) != 0) fail(cat(folder.string(), ": ", reason_of(errno)));
    return entered_.insert({status.st_dev, status.st_ino}).second;
  }

  void visit(const std::string& prefix) {
    std::vector<std::string> folders;
    if (is_new(root_ / prefix)) visit_entries(root_ / prefix, prefix, found, &folders);
    std::sort(folders.begin(), folders.end());
    for (const std::string& name : folders) {
      try {
        visit(prefix + name + "/");
      } catch (const Error& error) {  // one folder that cannot be opened does not hide the others
        found.add_closed(prefix + name, error.what());
      }
    }
  }

  fs::path root_;
  std::set<std::pair<dev_t, ino_t>> entered_;
};

}  // namespace

std::string how_to_get_pictures(const fs::path& root) {
  const fs::path folder = is_zip(root) ? fs::absolute(root).parent_path() : root;
  return cat(
      "For CelebA, put img_align_celeba.zip (or what is in it), list_attr_celeba.txt and "
      "list_eval_partition.txt there, from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html; "
      "or draw faces: ",
      commands::kMakeFaces, " ", shell_quoted(folder.string()));
}

std::string first_bytes(const fs::path& path) {
  const File file(path, File::Mode::read);
  std::string bytes(kKindBytes, '\0');
  bytes.resize(file.read_at(0, bytes.data(), bytes.size()));
  return bytes;
}

std::string first_bytes(const io::ZipReader& zip, const io::ZipEntry& entry) {
  std::string bytes(std::min<uint64_t>(kKindBytes, entry.bytes), '\0');
  io::ZipStream(zip, entry).read(bytes.data(), bytes.size());
  return bytes;
}

FoundFiles find_in_folder(const fs::path& folder, const std::function<bool(const FoundFiles&)>& enough) {
  FoundFiles found(folder);
  visit_entries(folder, "", found, nullptr, enough);
  return found;
}

FoundFiles find_in_archive(const io::ZipReader& zip) {
  FoundFiles found(zip.name());
  for (const io::ZipEntry& entry : zip.entries())
    if (entry.name.back() != '/') found.add(entry.name, [&] { return first_bytes(zip, entry); });
  return found;
}

bool is_zip(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return false;
  return has_ending(path.string(), ".zip") ||
         kind_of(first_bytes(path), "").name == kind_of("PK\x03\x04", "").name;
}

void check_folder(const fs::path& root) {
  if (is_zip(root)) return;
  std::error_code error;
  const fs::file_status status = fs::status(root, error);
  if (status.type() == fs::file_type::directory) return;
  if (std::error_code none; status.type() == fs::file_type::not_found && fs::is_symlink(root, none))
    fail(cat(root.string(), ": a broken link to ", fs::read_symlink(root, none).string(),
             ": put back what it points to, or name another folder"));
  if (status.type() == fs::file_type::not_found) {
    fail(cat(root.string(), ": there is no such folder or archive. ", how_to_get_pictures(root)));
  }
  if (error) fail(cat(root.string(), ": ", error.message()));
  const std::string remedy = status.type() == fs::file_type::regular
                                 ? remedy_for(kind_of(first_bytes(root), root.string()), root)
                                 : "";
  fail(cat(root.string(), ": a file, where a folder or a zip archive of pictures is needed",
           remedy.empty() ? "" : "; " + remedy));
}

ImageList list_folder(const fs::path& root) {
  check_folder(root);
  ImageList list;
  list.kind = "folder";
  list.split = "all";
  list.root = root;
  const auto zip = is_zip(root) ? std::make_shared<const io::ZipReader>(root) : nullptr;
  FoundFiles found = zip ? find_in_archive(*zip) : FolderWalk(root).found;
  const fs::path whole = fs::canonical(root);
  list.title = (zip ? whole.stem() : whole.filename()).string();
  list.source = zip ? zip_source(zip, "") : folder_source(root);
  if (found.names.empty()) found.fail_empty(how_to_get_pictures(root));
  list.notes = found.notes();
  std::sort(found.names.begin(), found.names.end());
  list.names = std::move(found.names);
  return list;
}

}  // namespace ito::data
