#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/shape.h"

/// Noise and images as NumPy's arrays [N,C,H,W], as PyTorch has them.
namespace ito::apps {

/// A file of noise, as [N,H,W,C] f32; image = [H,W,C]. Error: not .npy, whole numbers, another shape, numbers that
/// are not finite.
std::vector<float> read_noise(const std::string& file, const engine::Shape& image);

/// Writes numbers [N,H,W,C] as [N,C,H,W].
void write_numbers(const std::string& file, const std::vector<float>& numbers, const engine::Shape& image);

}  // namespace ito::apps
