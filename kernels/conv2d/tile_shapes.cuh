#pragma once

#include "kernels/base/math.h"
#include "kernels/conv2d/checks.h"
#include "kernels/conv2d/implicit_gemm.cuh"
#include "kernels/cuda_dispatch.h"

/// What the three passes' launchers share: which tiles a product is cut into.
namespace ito::kernels::conv2d {

template <class T>
struct Shapes;
template <>
struct Shapes<float> {
  using Large = F32Shape<128, 128, 8, 8>;
  using Medium = F32Shape<64, 64, 8, 4>;
  using Narrow = F32Shape<64, 8, 2, 4>;
  using Tall = Medium;
  using Wide = Medium;
  using Flat = Medium;
};

template <>
struct Shapes<bf16> {
  using Large = Bf16Shape<128, 128, 64, 64>;
  using Medium = Bf16Shape<64, 64, 32, 32>;
  using Narrow = Bf16Shape<64, 16, 16, 16>;
  using Tall = Bf16Shape<128, 64, 64, 32>;
  using Wide = Bf16Shape<64, 128, 32, 64>;
  using Flat = Bf16Shape<16, 128, 16, 32>;
};

/// Large tiles where there are enough of them to fill a card: about one for every other multiprocessor.
inline constexpr int64_t kEnoughTiles = 64;

/// A result of pixels x channels. Which tiles it is cut into changes no bits of it, so the choice may look at
/// the number of images.
template <class T, class A, class B, class Output>
void multiply_pixels(CudaStream& stream, const A& a, const B& b, const Output& output, int depths,
                     bool packs) {
  using S = Shapes<T>;
  const int64_t tiles = div_up<int64_t>(output.rows, S::Large::kM) * div_up(output.columns, S::Large::kN);
  const bool few = tiles < kEnoughTiles;
  const auto run = [&](auto shape, auto packs_both) {
    multiply<decltype(shape), packs_both.value, packs_both.value>(stream, a, b, output, depths, depths);
  };
  const std::true_type yes{};
  if (!packs)
    run(typename S::Medium(), std::false_type());
  else if (output.columns <= S::Narrow::kN)
    run(typename S::Narrow(), yes);
  else if (few)
    run(typename S::Medium(), yes);  // NOLINT(bugprone-branch-clone)
  else if (output.columns <= S::Tall::kN)
    run(typename S::Tall(), yes);
  else
    run(typename S::Large(), yes);
}

/// The im2col matrix of x: a row is what one pixel of y sees.
template <class T>
Im2col<T> input_im2col(const Conv2dDims& d, const T* x, const T* x2) {
  const int pixels = d.out_h() * d.out_w();
  return {.x = x,
          .x2 = x2,
          .c1 = d.c1,
          .c2 = d.c2,
          .height = d.h,
          .width = d.w,
          .step = d.stride,
          .first_y = -d.pad_top,
          .first_x = -d.pad_left,
          .direction = 1,
          .pixels = d.n * pixels,
          .entries = d.r * d.s * d.c(),
          .per_image = FastDivmod(pixels),
          .per_row = FastDivmod(d.out_w()),
          .per_tap = FastDivmod(d.c()),
          .taps_x = FastDivmod(d.s)};
}

/// Scratch of every bf16 pass that reads w: room to round it.
inline size_t rounded_bytes(const Conv2dDims& d) {
  return align_up(size_t(d.k) * size_t(d.r) * size_t(d.s) * size_t(d.c()) * sizeof(bf16), kAlign);
}

/// w as T: itself, or rounded into the scratch.
template <class T>
const T* filters_as(CudaStream&, const Conv2dDims&, In w, std::byte* scratch);

/// check(), and what 32-bit indices and CUDA ask for.
void check_cuda_shape(const Conv2dDims&, DType);

}  // namespace ito::kernels::conv2d
