#pragma once

#include "kernels/conv2d/algorithms.h"

namespace ito::kernels::conv2d {

/// Which tiles of filters x entries the weight gradient is cut into, of tile_shapes.cuh's Shapes.
enum class WeightTiles { large, wide, flat, medium };

/// How the CUDA weight gradient is cut: the pixels into parts, each of which gets a sum of its own, such that
/// the tiles of all parts fill a card. A fixed function of the shape and the type.
struct WeightParts {
  WeightTiles tiles;
  int count, pixels_each;
  WeightParts(const Conv2dDims&, DType);
};

/// The parts' copies of dw and dbias; nothing where one part writes the results themselves.
struct WeightWorkspace {
  float *dw = nullptr, *dbias = nullptr;
  size_t bytes = 0;
  WeightWorkspace(const Conv2dDims& d, const WeightParts& parts, std::byte* workspace) {
    if (parts.count == 1) return;
    Carver carver(workspace);
    dw = carver.take<float>(size_t(parts.count) * size_t(d.k) * size_t(d.r) * size_t(d.s) * size_t(d.c()));
    dbias = carver.take<float>(size_t(parts.count) * size_t(d.k));
    bytes = carver.used();
  }
};

}  // namespace ito::kernels::conv2d
