#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/image_list.h"

namespace ito::data {

/// The pictures (.jpg .jpeg .png .pgm .ppm, any case) in a folder or zip archive and all folders below it,
/// links followed, hidden files left out: names relative to `root`, with '/', in byte order. Error: `root` is
/// missing, neither of the two, or holds none; says where CelebA comes from, and offers make_faces.
ImageList list_folder(const std::filesystem::path& root);

/// Error, as above, unless `root` is a folder or a zip archive.
void check_folder(const std::filesystem::path& root);

/// A file whose name ends in .zip, in any case.
bool is_zip(const std::filesystem::path& path);

/// By the name alone: one of the endings above, and not hidden.
bool is_image_name(std::string_view name);

/// The end of a sentence about a folder or archive without pictures: where to get CelebA, or how to draw
/// faces instead.
std::string how_to_get_pictures(const std::filesystem::path& root);

}  // namespace ito::data
