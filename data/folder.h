#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/image_list.h"

namespace ito::data {

/// The pictures (.jpg .jpeg .png .pgm .ppm, any case) in a folder and all folders below it, links followed,
/// hidden files left out: names relative to `root`, with '/', in byte order. Error: `root` is missing, not a
/// folder, or holds none; says where CelebA comes from, and offers make_faces.
ImageList list_folder(const std::filesystem::path& root);

/// Error, as above, unless `root` is a folder.
void check_folder(const std::filesystem::path& root);

/// By the name alone: one of the endings above, and not hidden.
bool is_image_name(const std::string& name);

/// The end of a sentence about a folder without pictures: where to get CelebA, or how to draw faces instead.
std::string how_to_get_pictures(const std::filesystem::path& root);

}  // namespace ito::data
