#include "data/faces/drawn_faces_store.h"

#include <algorithm>

#include "data/faces/drawn_faces_lists.h"
#include "engine/io/atomic_file.h"
#include "engine/io/zip.h"
#include "kernels/base/error.h"
#include "kernels/base/parallel.h"

namespace ito::data {
namespace fs = std::filesystem;

FaceStore::FaceStore(const fs::path& path, const std::string& folder_in_archive)
    : path_(path), folder_in_archive_(folder_in_archive) {
  if (folder_in_archive.empty()) {
    source_ = folder_source(path);
  } else if (fs::exists(path)) {
    archive_ = std::make_shared<io::ZipReader>(path);
    source_ = zip_source(archive_, folder_in_archive);
  }
}

std::vector<std::string> FaceStore::names() const {
  std::vector<std::string> names;
  if (!fs::exists(path_)) return names;
  if (archive_) {
    for (const io::ZipEntry& entry : archive_->entries())
      names.push_back(entry.name.starts_with(folder_in_archive_)
                          ? entry.name.substr(folder_in_archive_.size())
                          : "/" + entry.name);
    return names;
  }
  for (const auto& entry : fs::directory_iterator(path_))
    if (entry.path().extension() != kUnfinished) names.push_back(entry.path().filename().string());
  return names;
}

void FaceStore::complete(const std::vector<char>& present, int threads, const Draw& draw) const {
  folder_in_archive_.empty() ? complete_folder(present, threads, draw)
                             : complete_archive(present, threads, draw);
}

void FaceStore::complete_folder(const std::vector<char>& present, int threads, const Draw& draw) const {
  make_folder(path_);
  io::clean_all_leftovers(path_);
  parallel_for(present.size(), threads, [&](size_t i) {
    if (present[i]) return;
    const std::vector<uint8_t> bytes = draw(i);
    io::AtomicFile file(path_ / face_name(i), io::Leftovers::keep);
    file.write(bytes.data(), bytes.size());
    file.commit(false);  // flushing a hundred thousand small files to the disk would take too long
  });
}

void FaceStore::complete_archive(const std::vector<char>& present, int threads, const Draw& draw) const {
  if (archive_ && std::count(present.begin(), present.end(), 0) == 0) return;
  make_folder(path_.parent_path());
  io::ZipWriter zip(path_);
  constexpr size_t kAtOnce = 1024;
  std::vector<std::vector<uint8_t>> pictures;
  for (size_t first = 0; first < present.size(); first += kAtOnce) {
    pictures.assign(std::min(kAtOnce, present.size() - first), {});
    parallel_for(pictures.size(), threads, [&](size_t k) {
      pictures[k] = present[first + k] ? read(face_name(first + k)) : draw(first + k);
    });
    for (size_t k = 0; k < pictures.size(); ++k)
      zip.add(folder_in_archive_ + face_name(first + k), pictures[k].data(), pictures[k].size());
  }
  zip.commit();
}

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) fail(cat("cannot make the folder ", path.string(), ": ", error.message()));
}

}  // namespace ito::data
