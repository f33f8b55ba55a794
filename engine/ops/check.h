#pragma once

#include "engine/tensor.h"

/// Checks that every op makes; private to engine/ops.
namespace ito::engine {

inline void expect_rank(const char* op, const char* name, const Tensor& x, int rank) {
  if (!x.defined()) fail(cat(op, ": ", name, " is missing"));
  if (x.shape().rank() != rank)
    fail(cat(op, ": ", name, " must have ", rank, " dimensions, has ", x.shape().str()));
}
inline void expect_shape(const char* op, const char* name, const Tensor& x, const Shape& shape) {
  if (!x.defined()) fail(cat(op, ": ", name, " is missing"));
  if (x.shape() != shape) fail(cat(op, ": ", name, " is ", x.shape().str(), ", expected ", shape.str()));
}
inline void expect_dtype(const char* op, const char* name, const Tensor& x, DType dtype) {
  if (x.dtype() != dtype)
    fail(cat(op, ": ", name, " is ", name_of(x.dtype()), ", expected ", name_of(dtype)));
}
/// Parameters, statistics and losses are f32 where the data is f32 or bf16, and f64 where it is f64.
inline void expect_accumulator(const char* op, const char* name, const Tensor& x, DType data) {
  expect_dtype(op, name, x, kernels::accumulator_dtype(data));
}
/// Weights of products: the same, or bf16 where the data is bf16 and a GPU multiplies them.
inline void expect_weight(const char* op, const Tensor& w, DType data) {
  if (w.dtype() != data || data != DType::bf16) expect_accumulator(op, "w", w, data);
}
/// A gradient of a parameter, if it is wanted.
inline Tensor accumulator_if(bool wanted, const Tensor& w) {
  return wanted && w.defined() ? Tensor(w.device(), w.shape(), kernels::accumulator_dtype(w.dtype()))
                               : Tensor{};
}
inline Tensor like_if(bool wanted, const Tensor& x) { return wanted && x.defined() ? like(x) : Tensor{}; }

}  // namespace ito::engine
