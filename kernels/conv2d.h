#pragma once

#include "kernels/conv_policy.h"
#include "kernels/dtype.h"
#include "kernels/stream.h"

namespace ito::kernels {

/// Cross-correlation of [N,H,W,C] images; C = c1 + c2, where x2 holds the last c2 channels (0: one source).
/// Padding may differ at the two ends: out_h = (h + pad_top + pad_bottom - r) / stride + 1.
struct Conv2dDims {
  int n, h, w, c1, c2 = 0;  // input
  int k, r = 1, s = 1;      // output channels, filter height and width
  int stride = 1;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int c() const { return c1 + c2; }
  int out_h() const { return (h + pad_top + pad_bottom - r) / stride + 1; }
  int out_w() const { return (w + pad_left + pad_right - s) / stride + 1; }
};

enum class ConvPass : uint8_t { forward, backward_data, backward_weights };

/// Scratch a pass needs, in bytes; a fixed function of its arguments, the instruction set and the threads.
/// Runs nothing. A workspace starts at a multiple of 64 bytes, on CUDA of 256; its contents do not matter
/// before or after a pass.
size_t conv2d_workspace_bytes(CpuStream&, const ConvPolicy&, const Conv2dDims&, DType, ConvPass);
size_t conv2d_workspace_bytes(CudaStream&, const ConvPolicy&, const Conv2dDims&, DType, ConvPass);

/// What is added to the sums before they are rounded: bias[k] + shift[n,k] + residual[n,p,q,k]. Any may be
/// null.
struct ConvEpilogue {
  In bias = {};      // [K], f32 (f64 if x is)
  In shift = {};     // [N,K], of x's dtype: a block's time embedding
  In residual = {};  // [N,P,Q,K], of x's dtype: what a block's result is added to
  explicit operator bool() const { return bias || shift || residual; }
};

/// x [N,H,W,c1], x2 [N,H,W,c2], y [N,P,Q,K] of one dtype; w [K,R,S,C] f32 (f64 if x is; on CUDA it may be bf16
/// with bf16 x, and is rounded to it otherwise). workspace: of conv2d_workspace_bytes.
struct ConvForward {
  In x, x2 = {}, w;
  ConvEpilogue epilogue = {};
  Out y, workspace = {};
};
/// y[n,p,q,k] = sum_{r,s,c} x[n, p*stride + r - pad_top, q*stride + s - pad_left, c] * w[k,r,s,c] + epilogue.
/// Sums in f32 or wider; bf16 results are rounded once. y may overlap no operand.
void conv2d_forward(CpuStream&, const ConvPolicy&, const Conv2dDims&, const ConvForward&);
void conv2d_forward(CudaStream&, ConvPolicy&, const Conv2dDims&, const ConvForward&);

/// dx or dx2 may be null: not wanted.
struct ConvBackwardData {
  In dy, w;
  Out dx = {}, dx2 = {}, workspace = {};
};
/// dx = the transposed map of dy.
void conv2d_backward_data(CpuStream&, const ConvPolicy&, const Conv2dDims&, const ConvBackwardData&);
void conv2d_backward_data(CudaStream&, ConvPolicy&, const Conv2dDims&, const ConvBackwardData&);

/// dw [K,R,S,C] and dbias [K] (may be null) are f32 (f64 if x is).
struct ConvBackwardWeights {
  In dy, x, x2 = {};
  Out dw, dbias = {}, workspace = {};
};
/// Sums over n, p, q in a fixed order.
void conv2d_backward_weights(CpuStream&, const ConvPolicy&, const Conv2dDims&, const ConvBackwardWeights&);
void conv2d_backward_weights(CudaStream&, ConvPolicy&, const Conv2dDims&, const ConvBackwardWeights&);

/// "winograd" and so on: what a pass runs for these arguments (for reports and benchmarks).
const char* conv2d_algorithm(const ConvPolicy&, const Conv2dDims&, DType, ConvPass);

}  // namespace ito::kernels

template <>
struct ito::Names<ito::kernels::ConvPass> {
  using Pass = kernels::ConvPass;
  static constexpr std::string_view kKind = "pass of a convolution";
  static constexpr Named<Pass> kTable[] = {{"forward", Pass::forward},
                                           {"backward_data", Pass::backward_data},
                                           {"backward_weights", Pass::backward_weights}};
};
