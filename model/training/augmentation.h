#pragma once

#include <array>

#include "kernels/batch_sample.h"
#include "model/unet/config.h"

/// EDM's augmentation of training images that does not leak into samples, since the network is given what was done and
/// samples are drawn with nothing done: Karras et al., arXiv:2206.00364, appendix F.2, after StyleGAN2-ADA,
/// arXiv:2006.06676.
namespace ito::model {

/// What is done to an image, in this order, about its centre. As it is made: nothing.
struct Augmentation {
  bool x_flip = false, y_flip = false;
  double scale = 0;                 // w: 2^(.2 w) times as large
  double angle = 0;                 // turned by it, anticlockwise
  double stretch = 0;               // w: 2^(.2 w) times as long in `direction`, and 2^(-.2 w) times across it
  double direction = 0;             // anticlockwise from the right
  double shift_x = 0, shift_y = 0;  // moved right by .125 shift_x widths and down by .125 shift_y heights
};

/// Each operation but the first with this probability, independently: y_flip is then 0 or 1, the angle U(-pi, pi), the
/// direction 0 or U(-pi, pi), all others N(0, 1). x_flip, which needs no probability, is left to the caller.
Augmentation draw_augmentation(const RandomKey& key, double probability);

/// All but x_flip, which make_batch does by the recipe.
kernels::ImageMap map_of(const Augmentation&, int height, int width);

/// x_flip, y_flip, scale, cos(angle) - 1, sin(angle), stretch cos(direction), stretch sin(direction), shift_x, shift_y:
/// all 0 where nothing was done.
std::array<float, kAugmentationLabels> labels_of(const Augmentation&);

}  // namespace ito::model
