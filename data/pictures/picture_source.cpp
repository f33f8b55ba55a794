#include "data/pictures/picture_source.h"

#include <utility>

#include "data/pictures/image.h"
#include "kernels/base/error.h"
#include "kernels/base/file.h"

namespace ito::data {
namespace {

class FolderSource : public PictureSource {
 public:
  explicit FolderSource(const std::filesystem::path& root)
      : root_(root), folder_(File::try_open(root, File::Mode::names)) {}
  std::string place(const std::string& name) const override { return (root_ / name).string(); }
  std::vector<uint8_t> read(const std::string& name) const override { return read_bytes(root_ / name); }
  PictureStamp stamp(const std::string& name) const override {
    const auto found = folder_.status_of(folder_.is_open() ? name : place(name));
    if (!found) return {};
    return {found->bytes, uint64_t(found->seconds), uint64_t(found->nanoseconds), 0};
  }

 private:
  std::filesystem::path root_;
  File folder_;  // the root, from which names are looked up faster; or not open
};

/// A picture in an archive may unpack to this many bytes, however few it takes there: every decoding thread holds one
/// picture.
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
