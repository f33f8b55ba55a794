#pragma once

#include "kernels/cuda_device.cuh"

/// The operands of an implicit matrix product: each gives the address of its element (line, depth), where
/// lines are rows or columns of the result and the depth is summed over. What a line's and a depth's
/// coordinates cost is paid once: line() and depth() work them out, at() puts them together. Outside of the
/// operand, at() is null.
namespace ito::kernels::conv2d {

/// Division by a number known before the launch, for 0 <= n < 2^31, as a multiplication and a shift (Granlund
/// and Montgomery, PLDI 1994).
class Divider {
 public:
  explicit Divider(int by) : by_(unsigned(by)) {
    while ((uint64_t(1) << shift_) < by_) ++shift_;
    factor_ = unsigned((uint64_t(1) << 32) * ((uint64_t(1) << shift_) - by_) / by_ + 1);
  }
  /// n / by, and n % by in `rest`.
  __device__ int divide(int n, int& rest) const {
    const unsigned high = unsigned((uint64_t(unsigned(n)) * factor_) >> 32);
    const unsigned quotient = (high + unsigned(n)) >> shift_;
    rest = int(unsigned(n) - quotient * by_);
    return int(quotient);
  }

 private:
  unsigned by_, factor_ = 0, shift_ = 0;
};

/// The matrix whose row is what the filter sees from one pixel: taps x channels. It is never stored.
template <class T>
struct Patches {
  const T *x, *x2;  // x2: the channels from c1 on
  int c1, c2, height, width;
  int step, first_y, first_x;  // pixel (i, j) sees rows from i * step + first_y on, columns alike
  int direction;               // 1 or -1: where the next tap looks
  int pixels, entries;         // rows and columns
  Divider per_image, per_row;  // pixels
  Divider per_tap, taps_x;

  struct Pixel {
    int image, y, x;
  };
  struct Entry {
    const T* data;
    int channels, y, x;
  };
  static constexpr int kOutside = -(1 << 29);  // however it is shifted, no image is there

  __device__ Pixel pixel(int i) const {
    if (i >= pixels) return {0, kOutside, 0};
    int in_image, column;
    const int image = per_image.divide(i, in_image), row = per_row.divide(in_image, column);
    return {image * height * width, row * step + first_y, column * step + first_x};
  }
  __device__ Entry entry(int i) const {
    if (i >= entries) return {nullptr, 0, kOutside, 0};
    int channel, column;
    const int tap = per_tap.divide(i, channel), row = taps_x.divide(tap, column);
    const bool second = channel >= c1;
    return {second ? x2 + (channel - c1) : x + channel, second ? c2 : c1, row * direction,
            column * direction};
  }
  __device__ const T* at(const Pixel& pixel, const Entry& entry) const {
    const int y = pixel.y + entry.y, x = pixel.x + entry.x;
    if (unsigned(y) >= unsigned(height) || unsigned(x) >= unsigned(width)) return nullptr;
    return entry.data + int64_t(pixel.image + y * width + x) * entry.channels;
  }
};

/// Patches with pixels as lines: of the input for y, of dy for dx.
template <class T>
struct PatchRows {
  using Type = T;
  static constexpr bool kAlongDepth = true;  // neighbours in memory are neighbours in depth, not lines
  Patches<T> patches;
  __device__ auto line(int i) const { return patches.pixel(i); }
  __device__ auto depth(int i) const { return patches.entry(i); }
  template <class Line, class Depth>
  __device__ const T* at(const Line& line, const Depth& depth) const {
    return patches.at(line, depth);
  }
};

/// Patches with entries of the filter as lines, summed over pixels: for dw.
template <class T>
struct PatchColumns {
  using Type = T;
  static constexpr bool kAlongDepth = false;
  Patches<T> patches;
  __device__ auto line(int i) const { return patches.entry(i); }
  __device__ auto depth(int i) const { return patches.pixel(i); }
  template <class Line, class Depth>
  __device__ const T* at(const Line& line, const Depth& depth) const {
    return patches.at(depth, line);
  }
};

/// A stored matrix: w [K,R,S,C] with filters as lines, or dy [pixels,K] with channels as lines.
template <class T, bool along_depth>
struct Matrix {
  using Type = T;
  static constexpr bool kAlongDepth = along_depth;
  const T* data;
  int lines, depths;
  __device__ int64_t line(int i) const {
    return i >= lines ? -1 : along_depth ? int64_t(i) * depths : int64_t(i);
  }
  __device__ int64_t depth(int i) const {
    return i >= depths ? -1 : along_depth ? int64_t(i) : int64_t(i) * lines;
  }
  __device__ const T* at(int64_t line, int64_t depth) const {
    return (line | depth) < 0 ? nullptr : data + line + depth;
  }
};

/// w [K,R,S,C] with input channels as lines; the depth runs over some of its taps, every `stride`th, and
/// within them over K. The taps are those that reach one class of dx's pixels.
template <class T>
struct FilterColumns {
  using Type = T;
  static constexpr bool kAlongDepth = false;
  const T* w;
  int lines, depths;
  int c, rs, s, stride, first_tap;  // first_tap: number among the filter's R x S
  Divider per_tap, taps_x;
  __device__ int64_t line(int i) const { return i >= lines ? -1 : i; }
  __device__ int64_t depth(int i) const {
    if (i >= depths) return -1;
    int k, column;
    const int tap = per_tap.divide(i, k), row = taps_x.divide(tap, column);
    return (int64_t(k) * rs + first_tap + (row * s + column) * stride) * c;
  }
  __device__ const T* at(int64_t line, int64_t depth) const {
    return (line | depth) < 0 ? nullptr : w + line + depth;
  }
};

}  // namespace ito::kernels::conv2d
