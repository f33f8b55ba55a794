#pragma once

#include "kernels/dtype.h"
#include "kernels/stream.h"

namespace ito::kernels {

/// T tokens, C = heads * D channels.
struct AttentionDims {
  int n, tokens, channels, heads;
  int head_width() const { return channels / heads; }
};

/// Per sample and head: y = softmax(q k^T / sqrt(D)) v, softmax exact, in f32 or wider (Vaswani et al.,
/// arXiv:1706.03762, 3.2.1). q, k, v, y [N,T,C] of one dtype; head h owns channels h*D .. (h+1)*D-1. lse
/// [N,heads,T] f32 (f64 if q is): each row's max + ln sum exp, kept for the backward pass.
void attention_forward(CpuStream&, const AttentionDims&, In q, In k, In v, Out y, Out lse);
void attention_forward(CudaStream&, const AttentionDims&, In q, In k, In v, Out y, Out lse);

/// With P = softmax: dv = P^T dy, dP = dy v^T, dS = P (dP - rowsum(dP P)), dq = dS k / sqrt(D), dk = dS^T q /
/// sqrt(D).
void attention_backward(CpuStream&, const AttentionDims&, In dy, In q, In k, In v, In y, In lse, Out dq,
                        Out dk, Out dv);
void attention_backward(CudaStream&, const AttentionDims&, In dy, In q, In k, In v, In y, In lse, Out dq,
                        Out dk, Out dv);

}  // namespace ito::kernels
