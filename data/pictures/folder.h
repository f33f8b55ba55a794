#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "data/pictures/found_files.h"
#include "data/pictures/image_list.h"

namespace ito::data {

/// The pictures in a folder or zip archive and all folders below it, recognised by their first bytes or their endings
/// (data/pictures/file_kind.h), links followed, hidden files left out: names relative to `root`, with '/', in
/// byte order; the notes list what else was left out. Error: `root` is missing, is neither of the two, or
/// holds no pictures; with what is there instead and what to do about it, or how to get pictures.
ImageList list_folder(const std::filesystem::path& root);

/// Error, as above, unless `root` is a folder or a zip archive.
void check_folder(const std::filesystem::path& root);

/// A file that is a zip archive by its first bytes, or has the ending .zip, in upper or lower case.
bool is_zip(const std::filesystem::path& path);

/// The first bytes of a file: enough to tell its kind. Error: it cannot be read.
std::string first_bytes(const std::filesystem::path& file);
std::string first_bytes(const io::ZipReader& zip, const io::ZipEntry& entry);

/// What is directly in a folder, sorted into pictures and the rest, until `enough` accepts what was found.
FoundFiles find_in_folder(const std::filesystem::path& folder,
                          const std::function<bool(const FoundFiles&)>& enough = {});
/// What is in a whole archive, sorted in the same way. Those made by macOS hold a hidden "._a.jpg" for every a.jpg.
FoundFiles find_in_archive(const io::ZipReader& zip);

/// The end of a sentence about a folder or archive without pictures: where to get CelebA, or how to draw
/// faces instead.
std::string how_to_get_pictures(const std::filesystem::path& root);

}  // namespace ito::data
