#pragma once

#include "kernels/cuda_device.cuh"

/// The operands of an implicit matrix product: each tells where its element (line, depth) is, where lines are
/// rows or columns of the result and the depth is summed over. What a line's and a depth's coordinates cost
/// is paid once: line() and depth() work them out, at() puts them together. Depths outside of the operand are
/// not there: they count as zeros. Lines outside may be anything: their sums are never read.
namespace ito::kernels::conv2d {

/// Division by a number known before the launch, for 0 <= n < 2^31, as a multiplication and a shift (Granlund
/// and Montgomery, PLDI 1994).
class FastDivmod {
 public:
  explicit FastDivmod(int by) : by_(unsigned(by)) {
    while ((uint64_t(1) << shift_) < by_) ++shift_;
    factor_ = unsigned((uint64_t(1) << 32) * ((uint64_t(1) << shift_) - by_) / by_ + 1);
  }
  /// n / by, and n % by in `remainder`.
  __device__ int divide(int n, int& remainder) const {
    const unsigned high = unsigned((uint64_t(unsigned(n)) * factor_) >> 32);
    const unsigned quotient = (high + unsigned(n)) >> shift_;
    remainder = int(unsigned(n) - quotient * by_);
    return int(quotient);
  }

 private:
  unsigned by_, factor_ = 0, shift_ = 0;
};

/// Where an element is. If it is not there, it may not be read from this address, though the address is good.
template <class T>
struct Element {
  const T* from;
  bool there;
};

/// The im2col matrix, whose row is what the filter sees from one pixel: taps x channels. It is never stored.
template <class T>
struct Im2col {
  const T *x, *x2;  // x2: the channels from c1 on
  int c1, c2, height, width;
  // Pixel (i, j) sees rows from i * step + first_y on, and columns from j * step + first_x.
  int step, first_y, first_x;
  int direction;                  // 1 or -1: where the next tap looks
  int pixels, entries;            // rows and columns
  FastDivmod per_image, per_row;  // pixels
  FastDivmod per_tap, taps_x;

  struct Pixel {
    int y, x, index;  // of what the first tap sees
  };
  struct Entry {
    const T* data;
    unsigned channels;
    int y, x, shift;  // from what the first tap sees
  };
  static constexpr int kOutside = -(1 << 29);  // however it is shifted, no image is there

  /// i < pixels; `there`: else what it sees is outside.
  __device__ Pixel pixel(int i, bool there = true) const {
    int in_image, column;
    const int image = per_image.divide(i, in_image), row = per_row.divide(in_image, column);
    const int y = row * step + first_y, x = column * step + first_x;
    return {there ? y : kOutside, x, (image * height + y) * width + x};
  }
  __device__ Entry entry(int i, bool there = true) const {
    int channel, column;
    const int tap = per_tap.divide(i, channel), row = taps_x.divide(tap, column);
    const int y = row * direction, x = column * direction;
    const bool second = channel >= c1;
    return {second ? x2 + (channel - c1) : this->x + channel, unsigned(second ? c2 : c1),
            there ? y : kOutside, x, y * width + x};
  }
  __device__ Element<T> at(const Pixel& pixel, const Entry& entry) const {
    const bool there =
        unsigned(pixel.y + entry.y) < unsigned(height) && unsigned(pixel.x + entry.x) < unsigned(width);
    const unsigned index = there ? unsigned(pixel.index + entry.shift) : 0;
    return {entry.data + uint64_t(index) * entry.channels, there};
  }
};

/// Im2col with pixels as lines: of the input for y, of dy for dx.
template <class T>
struct Im2colRows {
  using Type = T;
  static constexpr bool kAlongDepth = true;  // neighbours in memory are neighbours in depth, not lines
  Im2col<T> im2col;
  __device__ auto line(int i) const { return im2col.pixel(i < im2col.pixels ? i : 0); }
  __device__ auto depth(int i) const {
    const bool there = i < im2col.entries;
    return im2col.entry(there ? i : 0, there);
  }
  template <class Line, class Depth>
  __device__ Element<T> at(const Line& line, const Depth& depth) const {
    return im2col.at(line, depth);
  }
};

/// Im2col with entries of the filter as lines, summed over pixels: for dw.
template <class T>
struct Im2colColumns {
  using Type = T;
  static constexpr bool kAlongDepth = false;
  Im2col<T> im2col;
  __device__ auto line(int i) const { return im2col.entry(i < im2col.entries ? i : 0); }
  __device__ auto depth(int i) const {
    const bool there = i < im2col.pixels;
    return im2col.pixel(there ? i : 0, there);
  }
  template <class Line, class Depth>
  __device__ Element<T> at(const Line& line, const Depth& depth) const {
    return im2col.at(depth, line);
  }
};

/// How far an operand's depth is from its first, in elements.
struct Distance {
  uint64_t elements;
  bool there;
};

/// A stored matrix: w [K,R,S,C] with filters as lines, or dy [pixels,K] with channels as lines.
template <class T, bool along_depth>
struct Matrix {
  using Type = T;
  static constexpr bool kAlongDepth = along_depth;
  const T* data;
  int lines, depths;
  __device__ const T* line(int i) const {
    return i >= lines ? data : data + (along_depth ? int64_t(i) * depths : int64_t(i));
  }
  __device__ Distance depth(int i) const {
    const bool there = i < depths;
    const unsigned at = there ? unsigned(i) : 0;
    return {along_depth ? at : uint64_t(at) * unsigned(lines), there};
  }
  __device__ Element<T> at(const T* line, const Distance& depth) const {
    return {line + depth.elements, depth.there};
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
  FastDivmod per_tap, taps_x;
  __device__ const T* line(int i) const { return i < lines ? w + i : w; }
  __device__ Distance depth(int i) const {
    const bool there = i < depths;
    int k, column;
    const int tap = per_tap.divide(there ? i : 0, k), row = taps_x.divide(tap, column);
    return {uint64_t(unsigned(k * rs + first_tap + (row * s + column) * stride)) * unsigned(c), there};
  }
  __device__ Element<T> at(const T* line, const Distance& depth) const {
    return {line + depth.elements, depth.there};
  }
};

}  // namespace ito::kernels::conv2d
