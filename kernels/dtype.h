#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/base/bf16.h"
#include "kernels/base/error.h"
#include "kernels/base/names.h"

namespace ito {

namespace kernels {

/// Element types of a tensor. f64 exists for checks, on the CPU only.
enum class DType : uint8_t { f32, bf16, f64 };

}  // namespace kernels

template <>
struct Names<kernels::DType> {
  static constexpr std::string_view kKind = "element type";
  static constexpr Named<kernels::DType> kTable[] = {
      {"f32", kernels::DType::f32}, {"bf16", kernels::DType::bf16}, {"f64", kernels::DType::f64}};
};

}  // namespace ito

namespace ito::kernels {

inline size_t size_of(DType t) { return t == DType::f32 ? 4 : t == DType::bf16 ? 2 : 8; }

/// The type in which statistics, sums and parameters' gradients are kept: f64 for f64, else f32.
inline DType accumulator_dtype(DType t) { return t == DType::f64 ? DType::f64 : DType::f32; }

template <class T>
struct dtype_of;
template <>
struct dtype_of<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct dtype_of<bf16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct dtype_of<double> {
  static constexpr DType value = DType::f64;
};

/// The arithmetic type of T: double for double, else float.
template <class T>
struct arithmetic {
  using type = float;
};
template <>
struct arithmetic<double> {
  using type = double;
};
template <class T>
using arithmetic_t = typename arithmetic<T>::type;

/// A kernel's operand: a plain pointer and what it points to. Null where an optional operand is absent.
struct In {
  const void* data = nullptr;
  DType dtype = DType::f32;
  explicit operator bool() const { return data != nullptr; }
  template <class T>
  const T* as() const {
    if (data && dtype != dtype_of<T>::value)
      fail(cat("kernel operand is ", name_of(dtype), ", expected ", name_of(dtype_of<T>::value)));
    return static_cast<const T*>(data);
  }
};

struct Out {
  void* data = nullptr;
  DType dtype = DType::f32;
  explicit operator bool() const { return data != nullptr; }
  operator In() const { return {data, dtype}; }
  template <class T>
  T* as() const {
    if (data && dtype != dtype_of<T>::value)
      fail(cat("kernel result is ", name_of(dtype), ", expected ", name_of(dtype_of<T>::value)));
    return static_cast<T*>(data);
  }
};

/// Calls f(T{}) with the C++ type of `t`: the one place where a run-time dtype becomes a template argument.
template <class F>
void visit(DType t, F&& f) {
  switch (t) {
    case DType::f32:
      return f(float{});
    case DType::bf16:
      return f(bf16{});
    case DType::f64:
      return f(double{});
  }
}

}  // namespace ito::kernels
