#pragma once

#include <cstdint>

namespace ito::model {

/// The least height and width of an image for MS-SSIM-3: the coarsest of its three scales must hold an 11x11
/// window.
inline constexpr int kMsSsim3LeastSide = 41;

/// Multi-scale SSIM of two images u8 [height, width, channels] over three scales: 64, 32 and 16 pixels at 64
/// (Wang, Simoncelli and Bovik, 2003), Gaussian window 11x11 with deviation 1.5, C1 = 2.55^2, C2 = 7.65^2,
/// the first three published weights divided by their sum; each channel alone, then their mean. 1 for equal
/// images. The five scales of the paper need 176 pixels. Error: a side below kMsSsim3LeastSide.
double ms_ssim3(const uint8_t* a, const uint8_t* b, int height, int width, int channels = 3);

}  // namespace ito::model
