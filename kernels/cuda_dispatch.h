#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <type_traits>

#include "kernels/dtype.h"

/// What every launcher of a CUDA kernel decides first: the element type, and whether the kernel may move packs,
/// which are V neighbouring elements in one access.
namespace ito::kernels {

/// Error: f64, in which GPUs compute nothing here.
inline void check_cuda_dtype(const char* op, DType dtype) {
  if (dtype == DType::f64) fail(cat(op, ": f64 exists on the CPU only; on CUDA use f32 or bf16"));
}

/// Returns f(T{}), T being the C++ type of `dtype`: float or bf16. Error: f64.
template <class F>
decltype(auto) visit_cuda(const char* op, DType dtype, F&& f) {
  check_cuda_dtype(op, dtype);
  return dtype == DType::bf16 ? f(bf16{}) : f(float{});
}

/// Error: more samples, which are the rows of most grids, than a grid has rows.
inline void check_cuda_samples(const char* op, int64_t samples) {
  if (samples < 1 || samples > 65535) fail(cat(op, ": ", samples, " samples; on CUDA 1 to 65535"));
}

/// Bytes of the largest pack.
inline constexpr size_t kPackBytes = 16;

/// Whether packs of so many bytes may start at each of the pointers; null, an absent operand, allows any.
inline bool are_aligned(std::initializer_list<const void*> pointers, size_t bytes = kPackBytes) {
  return std::all_of(pointers.begin(), pointers.end(),
                     [=](const void* p) { return reinterpret_cast<uintptr_t>(p) % bytes == 0; });
}

/// Whether packs of V elements may start at each of the pointers.
template <int V, class... T>
bool is_aligned(const T*... pointers) {
  return (... && are_aligned({pointers}, sizeof(T) * V));
}

/// Whether each of these counts of neighbouring elements (channels, a row, a sample) is whole packs of V.
template <int V>
bool are_whole_packs(std::initializer_list<int64_t> counts) {
  return std::all_of(counts.begin(), counts.end(), [](int64_t count) { return count % V == 0; });
}

/// Whether V neighbouring elements of every operand are a pack: the counts are whole packs and the pointers aligned.
template <int V, class... T>
bool can_pack(std::initializer_list<int64_t> counts, const T*... pointers) {
  return are_whole_packs<V>(counts) && is_aligned<V>(pointers...);
}

/// Returns f(std::integral_constant<int, width>{}) for the pack width of the kernel to launch: V or 1.
template <int V, class F>
decltype(auto) visit_width(bool packs, F&& f) {
  return packs ? f(std::integral_constant<int, V>{}) : f(std::integral_constant<int, 1>{});
}

}  // namespace ito::kernels
