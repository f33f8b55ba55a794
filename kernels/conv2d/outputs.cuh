#pragma once

#include "kernels/conv2d/operands.cuh"

/// Where an implicit matrix product's result goes: write() takes V neighbouring sums of a row.
namespace ito::kernels::conv2d {

/// y [pixels,K] = sums + bias[k] + shift[n,k] + residual[pixel,k], rounded once.
template <class T>
struct ForwardOutput {
  static constexpr int kWidth = kPackWidth<T>;
  static constexpr bool kSumsLines = false;
  T* y;
  const float* bias;
  const T *shift, *residual;
  int rows, columns;
  bool packs;  // kWidth neighbours are aligned, and none is beyond the columns
  FastDivmod per_image;

  template <int V>
  __device__ void write(int row, int column, float (&sums)[V]) const {
    const int64_t at = int64_t(row) * columns + column;
    if (bias) add(sums, bias + column);
    if (shift) {
      int in_image;
      add(sums, shift + int64_t(per_image.divide(row, in_image)) * columns + column);
    }
    if (residual) add(sums, residual + at);
    Pack<T, V> result;
    for (int i = 0; i < V; ++i) result.v[i] = narrow<T>(sums[i]);
    store(y + at, result);
  }

 private:
  template <int V, class From>
  static __device__ void add(float (&sums)[V], const From* from) {
    constexpr int kOnce = V < kPackWidth<From> ? V : kPackWidth<From>;
    static_assert(V % kOnce == 0, "the sums are whole packs of what is added");
#pragma unroll
    for (int first = 0; first < V; first += kOnce) {
      const auto values = load<kOnce>(from + first);
      for (int i = 0; i < kOnce; ++i) sums[first + i] += float(values.v[i]);
    }
  }
};

/// dx and dx2, rounded once. Rows are one class of the input's pixels: (first_y + i stride, first_x + j
/// stride); columns are channels from first_channel on.
template <class T>
struct DataOutput {
  static constexpr int kWidth = kPackWidth<T>;
  static constexpr bool kSumsLines = false;
  T *dx, *dx2;
  int c1, c2, first_channel, height, width, stride, first_y, first_x;
  int rows, columns;
  bool packs;
  FastDivmod per_image, per_row;

  template <int V>
  __device__ void write(int row, int column, float (&sums)[V]) const {
    int in_image, j;
    const int image = per_image.divide(row, in_image), i = per_row.divide(in_image, j);
    const int64_t pixel = (int64_t(image) * height + first_y + i * stride) * width + first_x + j * stride;
    const int channel = first_channel + column;
    Pack<T, V> result;
    for (int e = 0; e < V; ++e) result.v[e] = narrow<T>(sums[e]);
    store(channel < c1 ? dx + pixel * c1 + channel : dx2 + pixel * c2 + (channel - c1), result);
  }
};

/// dw [K, R S C], and dbias [K] as the sums of the lines of dy; one copy of both for each part of the depth.
struct WeightOutput {
  static constexpr int kWidth = 4;
  static constexpr bool kSumsLines = true;
  float *dw, *dbias;  // dbias null: not wanted
  int rows, columns;
  bool packs;

  template <int V>
  __device__ void write(int row, int column, float (&sums)[V]) const {
    Pack<float, V> result;
    for (int i = 0; i < V; ++i) result.v[i] = sums[i];
    store(dw + (int64_t(blockIdx.y) * rows + row) * columns + column, result);
  }
  __device__ void write_line(int row, float sum) const { dbias[int64_t(blockIdx.y) * rows + row] = sum; }
};

}  // namespace ito::kernels::conv2d
