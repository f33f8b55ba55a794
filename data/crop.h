#pragma once

#include <string>
#include <string_view>

#include "data/image.h"

namespace ito::data {

/// Which part of a picture becomes the training image.
/// none: the largest centred rectangle of the target's aspect ratio, for any picture.
/// ddim128: the face of an aligned CelebA picture (178x218): 128x128 at left 25, top 57, as in
/// ermongroup/ddim.
enum class Crop { none, ddim128 };

inline constexpr int kLargestSide = 4096;  // of a training image, in pixels

std::string crop_name(Crop crop);

/// Error for an unknown name, with the nearest one.
Crop parse_crop(std::string_view name);

/// The part of an image of `size` that is scaled to `target`. Error, without the image's name: ddim128 of
/// another size than 178x218, or for a target that is not square.
Rectangle crop_rectangle(Crop crop, ImageSize size, ImageSize target);

/// "64" is 64x64; "96x64" is 96 high and 64 wide. Error unless both are in 1..kLargestSide.
ImageSize parse_image_size(std::string_view text);

}  // namespace ito::data
