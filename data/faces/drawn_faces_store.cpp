#include "data/faces/drawn_faces_store.h"

#include <algorithm>

#include "data/faces/drawn_faces_lists.h"
#include "data/pictures/image.h"
#include "engine/io/atomic_file.h"
#include "engine/io/zip.h"
#include "kernels/base/error.h"
#include "kernels/base/parallel.h"

namespace ito::data {
namespace fs = std::filesystem;
namespace {

class FaceFolder : public FaceStore {
 public:
  explicit FaceFolder(const fs::path& path) : path_(path) {}

  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    if (!fs::exists(path_)) return names;
    for (const auto& entry : fs::directory_iterator(path_))
      if (entry.path().extension() != kUnfinished) names.push_back(entry.path().filename().string());
    return names;
  }

  std::vector<uint8_t> read(const std::string& name) const override { return read_bytes(path_ / name); }

  void complete(const std::vector<char>& stands, int threads, const Draw& draw) override {
    make_folder(path_);
    io::clean_all_leftovers(path_);
    parallel_for(stands.size(), threads, [&](size_t i) {
      if (stands[i]) return;
      const std::vector<uint8_t> bytes = draw(i);
      // Not flushed to the disk: a hundred thousand small files would wait.
      io::AtomicFile file(path_ / face_name(i), io::Leftovers::keep);
      file.write(bytes.data(), bytes.size());
      file.commit(false);
    });
  }

 private:
  fs::path path_;
};

class FaceArchive : public FaceStore {
 public:
  FaceArchive(const fs::path& path, const std::string& folder) : path_(path), folder_(folder) {
    if (fs::exists(path)) old_ = std::make_unique<io::ZipReader>(path);
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    if (!old_) return names;
    for (const io::ZipEntry& entry : old_->entries()) {
      const bool ours = entry.name.compare(0, folder_.size(), folder_) == 0;
      names.push_back(ours ? entry.name.substr(folder_.size()) : "/" + entry.name);
    }
    return names;
  }

  std::vector<uint8_t> read(const std::string& name) const override {
    return old_->read(*old_->find(folder_ + name));
  }

  void complete(const std::vector<char>& stands, int threads, const Draw& draw) override {
    if (old_ && std::count(stands.begin(), stands.end(), 0) == 0) return;
    make_folder(path_.parent_path());
    io::ZipWriter zip(path_);
    constexpr size_t kATime = 1024;
    std::vector<std::vector<uint8_t>> pictures;
    for (size_t first = 0; first < stands.size(); first += kATime) {
      pictures.assign(std::min(kATime, stands.size() - first), {});
      parallel_for(pictures.size(), threads, [&](size_t k) {
        pictures[k] = stands[first + k] ? read(face_name(first + k)) : draw(first + k);
      });
      for (size_t k = 0; k < pictures.size(); ++k)
        zip.add(folder_ + face_name(first + k), pictures[k].data(), pictures[k].size());
    }
    zip.commit();
  }

 private:
  fs::path path_;
  std::string folder_;
  std::unique_ptr<io::ZipReader> old_;
};

}  // namespace

std::unique_ptr<FaceStore> face_folder(const fs::path& path) { return std::make_unique<FaceFolder>(path); }

std::unique_ptr<FaceStore> face_archive(const fs::path& path, const std::string& folder) {
  return std::make_unique<FaceArchive>(path, folder);
}

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) fail(cat("cannot make the folder ", path.string(), ": ", error.message()));
}

}  // namespace ito::data
