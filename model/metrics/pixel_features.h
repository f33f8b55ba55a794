#pragma once

#include <cstdint>

namespace ito::model {

/// An image [height,width,3] as 8x8 means: the average colour of each of its 64 boxes, height / 8 by width / 8
/// pixels, a pixel on an edge counting by its share; [kPixelFeatures] numbers p / 127.5 - 1. Between such numbers the
/// Frechet distance (frechet.h) needs no network: FD-pixels8. It sees composition and colours, and no detail. Error:
/// a side below 8 pixels.
inline constexpr int kPixelFeatures = 8 * 8 * 3;
void pixel_features(const uint8_t* image, int height, int width, float* features);

}  // namespace ito::model
