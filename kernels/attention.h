#pragma once

#include "kernels/dtype.h"
#include "kernels/stream.h"

namespace ito::kernels {

/// T tokens, C = heads * D channels.
struct AttentionDims {
  int n, tokens, channels, heads;
  int head_width() const { return channels / heads; }
};

/// [N,T,C] of one dtype; head h owns channels h*D .. (h+1)*D-1.
struct AttentionInputs {
  In q, k, v;
};

/// Per sample and head: y = softmax(q k^T / sqrt(D)) v, softmax exact, in f32 or wider (Vaswani et al.,
/// arXiv:1706.03762, 3.2.1). y is as q. lse [N,heads,T] f32 (f64 if q is): each row's max + ln sum exp, kept for
/// the backward pass.
void attention_forward(CpuStream&, const AttentionDims&, const AttentionInputs&, Out y, Out lse);
void attention_forward(CudaStream&, const AttentionDims&, const AttentionInputs&, Out y, Out lse);

/// As q, k and v.
struct AttentionGradients {
  Out dq, dk, dv;
};

/// With P = softmax: dv = P^T dy, dP = dy v^T, dS = P (dP - rowsum(dP P)), dq = dS k / sqrt(D), dk = dS^T q /
/// sqrt(D).
void attention_backward(CpuStream&, const AttentionDims&, const AttentionInputs&, In dy, In y, In lse,
                        const AttentionGradients&);
void attention_backward(CudaStream&, const AttentionDims&, const AttentionInputs&, In dy, In y, In lse,
                        const AttentionGradients&);

/// Error: sizes that are not positive, or channels that are not a multiple of the heads.
void check_attention(const AttentionDims&);

}  // namespace ito::kernels
