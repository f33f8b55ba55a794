#include "data/list_pictures.h"

#include "data/celeba_files/celeba.h"
#include "data/pictures/folder.h"
#include "kernels/base/error.h"

namespace ito::data {

ImageList list_pictures(const std::filesystem::path& path, const std::string& split) {
  check_folder(path);
  const Celeba celeba = find_celeba(path);
  if (!celeba.empty()) return list_celeba(celeba, split.empty() ? "train" : split);
  if (!split.empty() && split != "all") {
    check_split(split);
    fail(cat(path.string(), ": a folder of plain pictures has no split '", split,
             "'; name the folder that holds it, or lay it out as CelebA"));
  }
  return list_folder(path);
}

}  // namespace ito::data
