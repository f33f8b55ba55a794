#include "kernels/conv2d/winograd.h"

namespace ito::kernels::conv2d::winograd {
namespace {

/// One vector of channels of one tile; `pixels`: where its 36 inputs start.
template <class Load>
void transform_patch(const float* const (&pixels)[kPoints], const Load& load_at, float* to, ptrdiff_t plane) {
  transform_2d<kPatch, kPatch, Vec>(
      input_points<Vec>, [&](int i, int j) { return load_at(pixels[i * kPatch + j]); },
      [&](int i, int j, Vec v) { store(to + (i * kPatch + j) * plane, v); });
}

}  // namespace

void transform_inputs(const Tiles& tiles, const Source (&sources)[2], const float* zeros, int first, int last,
                      float* to, ptrdiff_t row, ptrdiff_t plane) {
  for (int tile = first; tile < last; ++tile, to += row) {
    const Patch patch = tiles.patch(tile);
    float* at = to;
    for (const Source& source : sources) {
      const float* pixels[kPoints];
      for (int i = 0; i < kPoints; ++i) {
        pixels[i] = patch.pixel[i] < 0 ? zeros : source.data + patch.pixel[i] * source.channels;
      }
      const int whole = source.channels / kLanes * kLanes, rest = source.channels - whole;
      for (int c = 0; c < whole; c += kLanes, at += kLanes) {
        transform_patch(
            pixels, [c](const float* pixel) { return load(pixel + c); }, at, plane);
      }
      if (rest == 0) continue;
      transform_patch(
          pixels, [=](const float* pixel) { return load_part(pixel + whole, rest); }, at, plane);
      at += kLanes;
    }
  }
}

}  // namespace ito::kernels::conv2d::winograd
