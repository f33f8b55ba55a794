#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace ito::model {

/// The images a run learns from, as training sees them; programs fill it from data/. The pixels are u8
/// [count,H,W,C] and stay where they are (usually a memory-mapped cache): the step's first kernel gathers
/// from them, so that there is no loader to wait for.
struct ImageSet {
  const uint8_t* pixels = nullptr;
  int64_t count = 0;
  int height = 0, width = 0, channels = 3;
  std::string crop = "none";          // how they were cropped, for the checkpoint
  std::vector<float> conditions;      // [count,K] if the network has a condition of K numbers; else empty
  std::vector<int32_t> classes = {};  // [count], below K, if the network has K classes; else empty

  /// The condition of an image, k numbers: its own, or 1 at its class and 0 elsewhere.
  void write_condition(int64_t image, int64_t k, float* row) const {
    if (classes.empty()) {
      std::copy_n(conditions.begin() + image * k, k, row);
    } else {
      std::fill_n(row, k, 0.0f);
      row[classes[size_t(image)]] = 1;
    }
  }
};

}  // namespace ito::model
