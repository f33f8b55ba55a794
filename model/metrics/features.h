#pragma once

#include <cstdint>

namespace ito::model {

/// Feature vectors of images, one a row: f32 [rows, columns], row-major, owned elsewhere. `columns` is 2048
/// for `pool3` of the FID network.
struct FeatureRows {
  const float* data = nullptr;
  int64_t rows = 0, columns = 0;

  const float* row(int64_t i) const { return data + i * columns; }
};

}  // namespace ito::model
