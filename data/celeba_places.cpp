#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>

#include "data/celeba.h"
#include "data/folder.h"
#include "data/folder_entries.h"
#include "kernels/base/error.h"

/// Where CelebA's parts lie.
namespace ito::data {
namespace fs = std::filesystem;
namespace {

constexpr std::array kPictureFolders{"img_align_celeba", "img_align_celeba_png"};
constexpr const char* kArchive = "img_align_celeba.zip";
constexpr const char* kPartition = "list_eval_partition";
constexpr const char* kAttributes = "list_attr_celeba";
constexpr const char* kIdentities = "identity_CelebA";
constexpr const char* kLandmarks5 = "list_landmarks_align_celeba";
constexpr std::array kEndings{".txt", ".csv"};

bool is_picture_folder(std::string_view name) {
  return std::find(kPictureFolders.begin(), kPictureFolders.end(), name) != kPictureFolders.end();
}

fs::path complete(const fs::path& path) {
  const fs::path whole = fs::absolute(path).lexically_normal();
  return whole.filename().empty() ? whole.parent_path() : whole;  // it was written with a slash at its end
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

/// Up to `most` names of the pictures right in a folder.
std::vector<std::string> image_names(const fs::path& folder, size_t most = std::string::npos) {
  std::vector<std::string> names;
  visit_folder(folder, [&](const FolderEntry& entry) {
    if (is_image_name(entry.name()) && entry.is_file()) names.emplace_back(entry.name());
    return names.size() < most;
  });
  std::sort(names.begin(), names.end());
  return names;
}

/// A list right in one of the folders, or in Anno/ or Eval/ there.
ListFile find_list(const std::vector<fs::path>& folders, const std::string& name) {
  for (const fs::path& above : folders)
    for (const fs::path& folder : {above, above / "Anno", above / "Eval"})
      for (const char* ending : kEndings)
        if (is_file(folder / (name + ending))) return {folder_source(folder), name + ending};
  return {};
}

/// A folder and those above it, as long as their names are CelebA's.
std::vector<fs::path> upwards(fs::path folder) {
  std::vector<fs::path> folders{folder};
  for (std::string name = folder.filename();
       is_picture_folder(name) || name == "Img" || name == "celeba" || name == "CelebA";
       name = folder.filename()) {
    folder = folder.parent_path();
    folders.push_back(folder);
  }
  return folders;
}

void find_lists(Celeba& celeba, const std::vector<fs::path>& folders) {
  celeba.partition = find_list(folders, kPartition);
  celeba.attributes = find_list(folders, kAttributes);
  celeba.identities = find_list(folders, kIdentities);
  celeba.landmarks = find_list(folders, kLandmarks5);
}

/// The name of the folder that people know CelebA by: the first above the pictures that is not CelebA's own.
std::string title_of(const fs::path& pictures) {
  for (const fs::path& folder : upwards(pictures))
    if (!is_picture_folder(folder.filename().string()) && folder.filename() != "Img")
      return folder.filename();
  return pictures.filename();
}

Celeba in_folder(const fs::path& pictures) {
  Celeba celeba;
  celeba.root = pictures;
  celeba.names = image_names(pictures);
  if (celeba.names.empty())
    fail(cat(pictures.string(), ": no pictures in it. ", how_to_get_pictures(pictures.parent_path())));
  celeba.source = folder_source(pictures);
  const fs::path whole = complete(pictures);
  celeba.title = title_of(whole);
  find_lists(celeba, upwards(whole));
  return celeba;
}

/// The folder of an archive, with '/' at its end, that holds most of the pictures; if it has CelebA's name,
/// or `any` has.
std::optional<std::string> find_in_archive(const io::ZipReader& zip, bool any) {
  std::map<std::string_view, size_t> counts;
  for (const io::ZipEntry& entry : zip.entries()) {
    const std::string_view name = entry.name;
    const size_t slash = name.rfind('/') + 1;  // 0 if there is none
    if (is_image_name(name.substr(slash))) ++counts[name.substr(0, slash)];
  }
  std::optional<std::string> best;
  size_t most = 0;
  for (const auto& [folder, count] : counts) {
    const std::string_view name = folder.substr(0, folder.size() - !folder.empty());
    if (count <= most || !(any || is_picture_folder(name.substr(name.rfind('/') + 1)))) continue;
    best = std::string(folder), most = count;
  }
  return best;
}

/// A list anywhere in an archive: the one with the shortest path.
ListFile find_list(const std::shared_ptr<const io::ZipReader>& zip, const std::string& list) {
  const io::ZipEntry* best = nullptr;
  for (const io::ZipEntry& entry : zip->entries()) {
    const std::string file = entry.name.substr(entry.name.rfind('/') + 1);
    for (const char* ending : kEndings)
      if (file == list + ending && (!best || entry.name.size() < best->name.size())) best = &entry;
  }
  if (!best) return {};
  const size_t slash = best->name.rfind('/') + 1;
  return {zip_source(zip, best->name.substr(0, slash)), best->name.substr(slash)};
}

Celeba in_archive(const fs::path& path) {
  const auto zip = std::make_shared<const io::ZipReader>(path);
  const fs::path whole = complete(path);
  const std::string stem = whole.stem().string();
  const bool called_so = is_picture_folder(stem);
  const std::optional<std::string> folder = find_in_archive(*zip, called_so);
  if (!folder && called_so) fail(cat(path.string(), ": no pictures in it. ", how_to_get_pictures(path)));
  Celeba celeba;
  if (!folder) return celeba;
  celeba.root = path;
  celeba.title = called_so ? title_of(whole.parent_path()) : stem;
  celeba.source = zip_source(zip, *folder);
  for (const io::ZipEntry& entry : zip->entries()) {
    if (entry.name.compare(0, folder->size(), *folder) != 0) continue;
    const std::string name = entry.name.substr(folder->size());
    if (name.find('/') == std::string::npos && is_image_name(name)) celeba.names.push_back(name);
  }
  std::sort(celeba.names.begin(), celeba.names.end());
  find_lists(celeba, upwards(whole.parent_path()));
  for (const auto& [list, name] : {std::pair(&celeba.partition, kPartition),
                                   {&celeba.attributes, kAttributes},
                                   {&celeba.identities, kIdentities},
                                   {&celeba.landmarks, kLandmarks5}})
    if (list->empty()) *list = find_list(zip, name);
  return celeba;
}

/// Folders where CelebA's pictures may be, the likelier first.
std::vector<fs::path> candidates(const fs::path& dir) {
  std::vector<fs::path> folders;
  if (is_picture_folder(complete(dir).filename().string())) folders.push_back(dir);
  for (const fs::path& home : {dir, dir / "celeba", dir / "CelebA"})
    for (const fs::path& base : {home, home / "Img"})
      for (const char* name : kPictureFolders)
        folders.insert(folders.end(), {base / name, base / name / name});
  if (!find_list({dir}, kAttributes).empty() || !find_list({dir}, kPartition).empty()) folders.push_back(dir);
  return folders;
}

}  // namespace

Celeba find_celeba(const fs::path& path) {
  if (is_zip(path)) return in_archive(path);
  fs::path empty;
  for (const fs::path& folder : candidates(path)) {
    if (!is_folder(folder)) continue;
    if (!image_names(folder, 1).empty()) return in_folder(folder);
    if (empty.empty() && folder != path) empty = folder;
  }
  for (const fs::path& home : {path, path / "celeba", path / "CelebA"})
    for (const fs::path& zip : {home / kArchive, home / "Img" / kArchive})
      if (is_file(zip)) return in_archive(zip);
  return empty.empty() ? Celeba() : in_folder(empty);  // which says that it is empty
}

}  // namespace ito::data
