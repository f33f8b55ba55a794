#include "data/picture_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "data/image.h"
#include "kernels/base/error.h"

namespace ito::data {
namespace {

class FolderSource : public PictureSource {
 public:
  explicit FolderSource(const std::filesystem::path& root)
      : root_(root), folder_(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {}
  ~FolderSource() override {
    if (folder_ >= 0) close(folder_);
  }
  FolderSource(const FolderSource&) = delete;
  FolderSource& operator=(const FolderSource&) = delete;
  std::string place(const std::string& name) const override { return (root_ / name).string(); }
  std::vector<uint8_t> read(const std::string& name) const override { return read_bytes(root_ / name); }
  PictureStamp stamp(const std::string& name) const override {
    struct stat status {};
    const bool found = folder_ >= 0 ? fstatat(folder_, name.c_str(), &status, 0) == 0
                                    : ::stat(place(name).c_str(), &status) == 0;
    if (!found) return {};
    return {uint64_t(status.st_size), uint64_t(status.st_mtim.tv_sec), uint64_t(status.st_mtim.tv_nsec), 0};
  }

 private:
  std::filesystem::path root_;
  int folder_;  // the root, so that names are not looked up from the top of the file system; or -1
};

/// A picture in an archive unpacks into so much at most, however little it takes there: every thread that
/// decodes holds one.
constexpr uint64_t kMostPackedPicture = uint64_t(256) << 20;

class ZipSource : public PictureSource {
 public:
  ZipSource(std::shared_ptr<const io::ZipReader> zip, std::string folder)
      : zip_(std::move(zip)), folder_(std::move(folder)) {
    const std::filesystem::path path(zip_->name());
    archive_ = folder_source(path.parent_path())->stamp(path.filename().string());
  }
  std::string place(const std::string& name) const override { return cat(zip_->name(), "/", folder_, name); }
  std::vector<uint8_t> read(const std::string& name) const override {
    const io::ZipEntry* entry = zip_->find(folder_ + name);
    if (!entry) fail(cat(place(name), ": the archive has no such file"));
    return zip_->read(*entry, kMostPackedPicture);
  }
  PictureStamp stamp(const std::string& name) const override {
    const io::ZipEntry* entry = zip_->find(folder_ + name);
    if (!entry) return {};
    return {entry->bytes, archive_.seconds, archive_.nanoseconds, entry->checksum};
  }

 private:
  std::shared_ptr<const io::ZipReader> zip_;
  std::string folder_;
  PictureStamp archive_;
};

}  // namespace

std::shared_ptr<const PictureSource> zip_source(std::shared_ptr<const io::ZipReader> zip,
                                                std::string folder) {
  return std::make_shared<ZipSource>(std::move(zip), std::move(folder));
}

std::shared_ptr<const PictureSource> folder_source(const std::filesystem::path& root) {
  return std::make_shared<FolderSource>(root);
}

}  // namespace ito::data
