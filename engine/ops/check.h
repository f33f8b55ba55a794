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
/// Parameters, statistics and losses are f32 for f32 and bf16, f64 for f64.
inline void expect_wide(const char* op, const char* name, const Tensor& x, DType data) {
  expect_dtype(op, name, x, kernels::wide(data));
}
/// Weights of products: as above, or bf16 with bf16 where a GPU multiplies them.
inline void expect_weight(const char* op, const Tensor& w, DType data) {
  if (w.dtype() != data || data != DType::bf16) expect_wide(op, "w", w, data);
}
/// What gradients of parameters are kept in.
inline Tensor wide_if(bool wanted, const Tensor& w) {
  return wanted && w.defined() ? Tensor(w.device(), w.shape(), kernels::wide(w.dtype())) : Tensor{};
}
inline Tensor like_if(bool wanted, const Tensor& x) { return wanted && x.defined() ? like(x) : Tensor{}; }

}  // namespace ito::engine
