#include <algorithm>
#include <initializer_list>

#include "kernels/base/math.h"
#include "kernels/cuda_device.cuh"
#include "kernels/cuda_dispatch.h"
#include "kernels/cuda_launch.h"
#include "kernels/cuda_library/movement.h"

namespace ito::kernels::cuda_library {

inline constexpr int kThreads = 256, kPack = 4;

/// A thread's first element: V neighbouring columns of a row. Grid: packs of all rows.
struct Element {
  int64_t row;
  int column;
  bool exists;
  __device__ Element(int64_t rows, int columns, int width) {
    const int64_t pack = int64_t(blockIdx.x) * kThreads + threadIdx.x;
    const int packs = columns / width;
    row = pack / packs;
    column = int(pack % packs) * width;
    exists = row < rows;
  }
};

inline LaunchConfig config_of(int64_t rows, int columns, int width) {
  const int64_t packs = rows * (columns / width);
  LaunchConfig config;
  config.grid = dim3(unsigned(div_up(packs, kThreads)));
  config.block = dim3(kThreads);
  return config;
}

/// Whether packs of kPack elements may be used; a null operand allows them.
inline bool are_packs(std::initializer_list<In> operands, std::initializer_list<int64_t> pitches) {
  return are_whole_packs<kPack>(pitches) &&
         std::all_of(operands.begin(), operands.end(), [](const In& operand) {
           return are_aligned({operand.data}, kPack * size_of(operand.dtype));
         });
}

/// Moves each element once in and once out, the least there is: 4 bytes from bf16 to bf16, 6 with one side in
/// f32.
template <class From, class To, int V>
__global__ void __launch_bounds__(kThreads)
    copy_columns_kernel(int64_t rows, int width, const From* from, int from_pitch, To* to, int to_pitch) {
  const Element at(rows, width, V);
  if (!at.exists) return;
  const auto values = load<V>(from + at.row * from_pitch + at.column);
  Pack<To, V> result;
  for (int i = 0; i < V; ++i) result.v[i] = narrow<To>(float(values.v[i]));
  store(to + at.row * to_pitch + at.column, result);
}

void copy_columns(CudaStream& stream, int64_t rows, int width, In from, int from_pitch, Out to,
                  int to_pitch) {
  const bool packs = are_packs({from, to}, {width, from_pitch, to_pitch});
  visit_cuda("copy_columns", from.dtype, [&](auto a) {
    visit_cuda("copy_columns", to.dtype, [&](auto b) {
      using A = decltype(a);
      using B = decltype(b);
      launch(packs ? copy_columns_kernel<A, B, kPack> : copy_columns_kernel<A, B, 1>,
             config_of(rows, width, packs ? kPack : 1), stream, rows, width, from.as<A>(), from_pitch,
             to.as<B>(), to_pitch);
    });
  });
}

template <class T, int V>
__device__ void add(float (&sums)[V], const T* from) {
  const auto values = load<V>(from);
  for (int i = 0; i < V; ++i) sums[i] += float(values.v[i]);
}

template <class T>
struct FinishArguments {
  const float* bias;
  const T *shift, *residual;
  int rows_per_shift;
};

/// Moves sums, residual and y once, the least there is once they are not added in the product itself.
template <class Sum, class T, int V>
__global__ void __launch_bounds__(kThreads)
    finish_kernel(int64_t rows, int columns, const Sum* sums, FinishArguments<T> args, T* y) {
  const Element at(rows, columns, V);
  if (!at.exists) return;
  float result[V] = {};
  add(result, sums + at.row * columns + at.column);
  if (args.bias) add(result, args.bias + at.column);
  if (args.shift) add(result, args.shift + at.row / args.rows_per_shift * columns + at.column);
  if (args.residual) add(result, args.residual + at.row * columns + at.column);
  Pack<T, V> rounded;
  for (int i = 0; i < V; ++i) rounded.v[i] = narrow<T>(result[i]);
  store(y + at.row * columns + at.column, rounded);
}

void finish(CudaStream& stream, int64_t rows, int columns, In sums, const Epilogue& e, Out y) {
  const bool packs = are_packs({sums, e.bias, e.shift, e.residual, y}, {columns});
  visit_cuda("finish", y.dtype, [&](auto t) {
    using T = decltype(t);
    const FinishArguments<T> args{e.bias.as<float>(), e.shift.as<T>(), e.residual.as<T>(), e.rows_per_shift};
    const auto run = [&](auto s) {
      using Sum = decltype(s);
      launch(packs ? finish_kernel<Sum, T, kPack> : finish_kernel<Sum, T, 1>,
             config_of(rows, columns, packs ? kPack : 1), stream, rows, columns, sums.as<Sum>(), args,
             y.as<T>());
    };
    sums.dtype == DType::f32 ? run(float()) : run(t);
  });
}

// ---- sums of columns: of parts of the rows, then of the parts ----

inline constexpr int kSumColumns = 32, kSumRows = 16, kMostParts = 256;

struct Total {
  float value;
  __device__ void merge(const Total& other) { value += other.value; }
};

/// sums[part, c] = sum of x[row, c] over the part's rows. Grid: columns x parts. Reads each element of x once
/// (2 bytes in bf16); the parts' sums are one for 256 of them.
template <class T>
__global__ void __launch_bounds__(kSumColumns* kSumRows)
    column_sums_kernel(int64_t rows, int64_t rows_each, int columns, const T* x, float* sums) {
  SharedMemory shared;
  const auto slots = shared.take<Total>(kSumColumns * kSumRows);
  const int column = int(threadIdx.x) % kSumColumns, row = int(threadIdx.x) / kSumColumns;
  const int c = int(blockIdx.x) * kSumColumns + column;
  const int64_t first = int64_t(blockIdx.y) * rows_each;
  const int64_t end = first + rows_each < rows ? first + rows_each : rows;
  Total sum{};
  if (c < columns)
    for (int64_t i = first + row; i < end; i += kSumRows) sum.value += float(x[i * columns + c]);
  merge_rows(slots, row, kSumRows, column, kSumColumns, sum);
  if (row == 0 && c < columns) sums[int64_t(blockIdx.y) * columns + c] = sum.value;
}

/// Parts that the rows are summed in.
inline int parts_of(int64_t rows) {
  constexpr int64_t kLeastRows = 256;
  return int(std::clamp<int64_t>(rows / kLeastRows, 1, kMostParts));
}

size_t column_sums_bytes(int64_t rows, int columns) {
  return sizeof(float) * size_t(parts_of(rows)) * size_t(columns);
}

void column_sums(CudaStream& stream, int64_t rows, int columns, In x, float* sums, void* scratch) {
  const auto sum_parts = [&](auto type, int64_t count, int parts, const void* from, float* to) {
    using T = decltype(type);
    LaunchConfig config;
    config.grid = dim3(unsigned(div_up(columns, kSumColumns)), unsigned(parts));
    config.block = dim3(kSumColumns * kSumRows);
    config.shared_bytes = shared_size<Total>(kSumColumns * kSumRows);
    launch(column_sums_kernel<T>, config, stream, count, div_up(count, parts), columns,
           static_cast<const T*>(from), to);
  };
  const int parts = parts_of(rows);
  float* const partial = parts == 1 ? sums : static_cast<float*>(scratch);
  visit_cuda("column_sums", x.dtype, [&](auto type) { sum_parts(type, rows, parts, x.data, partial); });
  if (parts > 1) sum_parts(float{}, parts, 1, partial, sums);
}

}  // namespace ito::kernels::cuda_library
