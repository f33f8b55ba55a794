#pragma once

#include <initializer_list>

#include "kernels/conv2d/checks.h"
#include "kernels/conv2d/implicit_gemm.cuh"

/// What the three passes' launchers share: which tiles a product is cut into.
namespace ito::kernels::conv2d {

template <class T>
struct Shapes;
template <>
struct Shapes<float> {
  using Large = F32Shape<128, 128, 8, 8>;
  using Medium = F32Shape<64, 64, 8, 4>;
  using Narrow = F32Shape<64, 8, 2, 4>;
};

template <>
struct Shapes<bf16> {
  using Large = Bf16Shape<128, 128, 64, 64>;
  using Medium = Bf16Shape<64, 64, 32, 32>;
  using Narrow = Bf16Shape<64, 16, 16, 16>;
};

/// Large tiles where there are enough of them to fill a card: about one for every other multiprocessor.
inline constexpr int64_t kEnoughTiles = 64;

inline int64_t tiles_of(int64_t size, int64_t tile) { return (size + tile - 1) / tile; }

/// A result of pixels x channels. Which tiles it is cut into changes no bits of it, so the choice may look at
/// the number of images.
template <class T, class A, class B, class Output>
void multiply_pixels(CudaStream& stream, const A& a, const B& b, const Output& output, int depths,
                     bool wide) {
  using S = Shapes<T>;
  const int64_t tiles = tiles_of(output.rows, S::Large::kM) * tiles_of(output.columns, S::Large::kN);
  if (!wide)
    multiply<typename S::Medium, false>(stream, a, b, output, depths, depths);
  else if (output.columns <= S::Narrow::kN)
    multiply<typename S::Narrow, true>(stream, a, b, output, depths, depths);
  else if (output.columns <= S::Medium::kN || tiles < kEnoughTiles)
    multiply<typename S::Medium, true>(stream, a, b, output, depths, depths);
  else
    multiply<typename S::Large, true>(stream, a, b, output, depths, depths);
}

/// Whether 16-byte accesses may be used: each of the pointers is at a multiple of 16 bytes, null ones too.
inline bool are_aligned(std::initializer_list<const void*> pointers) {
  for (const void* p : pointers)
    if (reinterpret_cast<uintptr_t>(p) % 16 != 0) return false;
  return true;
}

template <class T>
bool are_wide(std::initializer_list<int> channels) {
  for (int c : channels)
    if (c % kWideVector<T> != 0) return false;
  return true;
}

/// Of x, as y's pixels see it.
template <class T>
Patches<T> input_patches(const Conv2dDims& d, const T* x, const T* x2) {
  const int pixels = d.out_h() * d.out_w();
  return {x,
          x2,
          d.c1,
          d.c2,
          d.h,
          d.w,
          d.stride,
          -d.pad_top,
          -d.pad_left,
          1,
          d.n * pixels,
          d.r * d.s * d.c(),
          Divider(pixels),
          Divider(d.out_w()),
          Divider(d.c()),
          Divider(d.s)};
}

/// Scratch of every bf16 pass that reads w: room to round it.
inline size_t rounded_bytes(const Conv2dDims& d) {
  return align_up(size_t(d.k) * size_t(d.r) * size_t(d.s) * size_t(d.c()) * sizeof(bf16));
}

/// w as T: itself, or rounded into the scratch.
template <class T>
const T* filters_as(CudaStream&, const Conv2dDims&, In w, std::byte* scratch);

/// check(), and what 32-bit indices and CUDA ask for.
void check_cuda_shape(const Conv2dDims&, DType);

}  // namespace ito::kernels::conv2d
