#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>

#include "data/celeba_files/celeba.h"
#include "data/pictures/folder.h"
#include "data/pictures/folder_entries.h"
#include "kernels/base/error.h"

/// Where CelebA's parts are.
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
  return whole.filename().empty() ? whole.parent_path() : whole;  // it was given with a slash at its end
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool holds_pictures(const fs::path& folder) {
  return !find_in_folder(folder, [](const FoundFiles& found) { return !found.names.empty(); }).names.empty();
}

/// A list directly in one of the folders, or in its Anno/ or Eval/.
ListFile find_list(const std::vector<fs::path>& folders, const std::string& name) {
  for (const fs::path& above : folders)
    for (const fs::path& folder : {above, above / "Anno", above / "Eval"})
      for (const char* ending : kEndings)
        if (is_file(folder / (name + ending))) return {folder_source(folder), name + ending};
  return {};
}

/// A folder and the folders above it, as long as their names are CelebA's.
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
  FoundFiles found = find_in_folder(pictures);
  if (found.names.empty()) found.fail_empty(how_to_get_pictures(pictures.parent_path()));
  celeba.take(found);
  celeba.source = folder_source(pictures);
  const fs::path whole = complete(pictures);
  celeba.title = title_of(whole);
  find_lists(celeba, upwards(whole));
  return celeba;
}

/// The folder of an archive, with '/' at its end, that holds most of the pictures; if it has CelebA's name,
/// or `any` has.
std::optional<std::string> celeba_folder(const FoundFiles& found, bool any) {
  std::map<std::string_view, size_t> counts;
  for (const std::string& name : found.names)
    ++counts[std::string_view(name).substr(0, name.rfind('/') + 1)];  // "" if there is no '/'
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
  FoundFiles found = find_in_archive(*zip);
  const std::optional<std::string> folder = celeba_folder(found, called_so);
  if (!folder && called_so) found.fail_empty(how_to_get_pictures(path));
  Celeba celeba;
  if (!folder) return celeba;
  celeba.root = path;
  celeba.title = called_so ? title_of(whole.parent_path()) : stem;
  celeba.source = zip_source(zip, *folder);
  std::erase_if(found.names, [&](const std::string& name) {
    return name.compare(0, folder->size(), *folder) != 0 ||
           name.find('/', folder->size()) != std::string::npos;
  });
  for (std::string& name : found.names) name.erase(0, folder->size());
  celeba.take(found);
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
    if (holds_pictures(folder)) return in_folder(folder);
    if (empty.empty() && folder != path) empty = folder;
  }
  for (const fs::path& home : {path, path / "celeba", path / "CelebA"})
    for (const fs::path& zip : {home / kArchive, home / "Img" / kArchive})
      if (is_file(zip)) return in_archive(zip);
  return empty.empty() ? Celeba() : in_folder(empty);  // which reports that it is empty
}

}  // namespace ito::data
