#include "data/picture_source.h"

#include <sys/stat.h>

#include "data/image.h"

namespace ito::data {
namespace {

class FolderSource : public PictureSource {
 public:
  explicit FolderSource(const std::filesystem::path& root) : root_(root) {}
  std::string place(const std::string& name) const override { return (root_ / name).string(); }
  std::vector<uint8_t> read(const std::string& name) const override { return read_bytes(root_ / name); }
  PictureStamp stamp(const std::string& name) const override {
    struct stat status {};
    if (::stat(place(name).c_str(), &status) != 0) return {};
    return {uint64_t(status.st_size), uint64_t(status.st_mtim.tv_sec), uint64_t(status.st_mtim.tv_nsec)};
  }

 private:
  std::filesystem::path root_;
};

}  // namespace

std::shared_ptr<const PictureSource> folder_source(const std::filesystem::path& root) {
  return std::make_shared<FolderSource>(root);
}

}  // namespace ito::data
