#pragma once

#include <string_view>

#include "data/pictures/image.h"
#include "kernels/base/names.h"

namespace ito::data {

/// Which part of a picture becomes the training image.
/// none: the largest centred rectangle of the target's aspect ratio, for any picture.
/// The others: a square of an aligned CelebA picture (178x218), whose side is in the name: left 25, top 57 in
/// ddim128 (ermongroup/ddim), 19, 39 in c140 (score_sde, NCSN), 15, 35 in c148 (VAEs), 0, 20 in c178 (DCGAN's
/// recipe in PyTorch), 35, 55 in c108 (DCGAN itself).
enum class Crop { none, ddim128, c140, c148, c178, c108 };

inline constexpr int kLargestSide = 4096;  // of a training image, in pixels

/// The part of an image of `size` that is scaled to `target`. Error, without the image's name: a crop other than none
/// for an image that is not 178x218, or for a target that is not square.
Rectangle crop_rectangle(Crop crop, ImageSize size, ImageSize target);

/// "64" is 64x64; "96x64" is 96 high and 64 wide. Error unless both are in 1..kLargestSide.
ImageSize parse_image_size(std::string_view text);

}  // namespace ito::data

template <>
struct ito::Names<ito::data::Crop> {
  using Crop = data::Crop;
  static constexpr std::string_view kKind = "crop";
  static constexpr Named<Crop> kTable[] = {{"ddim128", Crop::ddim128}, {"c140", Crop::c140},
                                           {"c148", Crop::c148},       {"c178", Crop::c178},
                                           {"c108", Crop::c108},       {"none", Crop::none}};
};
