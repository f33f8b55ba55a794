#pragma once

#include "engine/tape.h"
#include "engine/tensor.h"
#include "kernels/dropout.h"
#include "kernels/embedding.h"
#include "kernels/group_norm.h"
#include "kernels/pool.h"

/// Every op there is. Each checks its shapes, launches its kernels and states its gradient, in ops/<op>.cpp.
/// x [N,H,W,C] unless stated otherwise; weights, gradients and statistics are f32 (f64 where x is f64); results
/// have x's dtype.
namespace ito::engine {

using kernels::Activation;
using kernels::Pooling;

/// One tensor, or two side by side along channels, never materialised: what a U-Net's decoder reads.
struct Concat {
  Concat(const Tensor& x) : first(x) {}  // NOLINT: a single tensor is the common case
  Concat(const Tensor& x, const Tensor& skip) : first(x), second(skip) {}
  Tensor first, second;
  int64_t channels() const;
};

/// Zero padding at the four sides, in pixels.
struct Padding {
  int top = 0, left = 0, bottom = 0, right = 0;
  static Padding same(int filter) { return {filter / 2, filter / 2, filter / 2, filter / 2}; }
};

/// What a convolution adds to its sums, in the same pass; any may be undefined.
struct ConvTerms {
  ConvTerms(const Tensor& bias = {}, const Tensor& shift = {}, const Tensor& residual = {})  // NOLINT: a bias
      : bias(bias), shift(shift), residual(residual) {}
  Tensor bias;      // [K]
  Tensor shift;     // [N,K]: a block's time embedding
  Tensor residual;  // [N,P,Q,K]
};

/// y[n,p,q,k] = sum x[n, p stride + r - top, q stride + s - left, c] w[k,r,s,c] + bias[k] + shift[n,k] +
/// residual[n,p,q,k]; w [K,R,S,C].
Tensor conv2d(const Concat& x, const Tensor& w, const ConvTerms& terms, int stride, const Padding& padding);

/// y = act(gamma (x - mean) rstd + beta) over groups of channels (arXiv:1803.08494); gamma, beta [C]. With modulation
/// [N,2C] = [s | b], of x's dtype: y = act((gamma (x - mean) rstd + beta) (1 + s) + b), as in ADM (arXiv:2105.05233).
Tensor group_norm(const Concat& x, const Tensor& gamma, const Tensor& beta, int groups, float eps,
                  Activation activation, const Tensor& modulation = {});

/// y = x w^T + bias + residual over the last dimension; x [..., I], w [O,I], bias [O], residual [..., O];
/// both may be undefined.
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias, const Tensor& residual = {});

/// softmax(q k^T / sqrt(D)) v for each head; q, k, v [N,T,C], heads | C.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, int heads);

/// act(x), any shape.
Tensor activate(const Tensor& x, Activation activation);
/// a + b, and (a + b) * scale; equal shapes.
Tensor add(const Tensor& a, const Tensor& b, double scale = 1);
/// x[n,h,w,c] + bias[n,c]; bias [N,C].
Tensor add_channels(const Tensor& x, const Tensor& bias);
/// scale[n] * x[n,...]; scale [N] is data and gets no gradient.
Tensor scale_samples(const Tensor& x, const Tensor& scale);
/// The same numbers under another shape.
Tensor reshape(const Tensor& x, const Shape& shape);
/// The same numbers in another dtype.
Tensor cast(const Tensor& x, DType dtype);

/// [N,H,W,C] -> [N,2H,2W,C], each pixel four times.
Tensor nearest_up(const Tensor& x);
/// [N,H,W,C] -> [N,H/2,W/2,C], means of 2x2; H and W must be even.
Tensor box_down(const Tensor& x);

/// [N,H,W,C] -> [N,H/p,W/p,p^2 C]: p x p pixels become channels (c p + i) p + j, as in torch. H and W are multiples
/// of p.
Tensor pixel_unshuffle(const Tensor& x, int p);
/// [N,H,W,p^2 C] -> [N,pH,pW,C], its inverse.
Tensor pixel_shuffle(const Tensor& x, int p);

/// Height and width of what is pooled, in pixels.
struct Window {
  int height, width;
};
/// The largest number, or the mean, of each window; padding, less than the window, is no number: a mean
/// divides by the pixels of x it has. The gradient of a maximum goes to the first pixel that holds it.
Tensor pool(const Tensor& x, Pooling kind, const Window& window, int stride, const Padding& padding);

/// Images side by side along the channels: N tensors [N,H,W,C_i] -> [N,H,W,sum of C_i]. Where a convolution
/// or a norm reads two, Concat does without the copy.
Tensor join(const std::vector<Tensor>& parts);

/// x / (1-p) where kept, else 0; the mask is a function of (seed, *step, layer, sample) alone. p = 0 returns
/// x.
Tensor dropout(const Tensor& x, float p, const kernels::DropoutKey& key);

/// [sin(2 pi w c), cos(2 pi w c)]: c [N], w [half] -> [N, 2 half] in `dtype`; without the factor if !two_pi.
/// No gradient.
Tensor gaussian_fourier(const Tensor& c, const Tensor& w, bool two_pi, DType dtype);
/// Transformer position embedding of t [N] -> [N, channels]; channels even. No gradient.
Tensor sinusoidal(const Tensor& t, int channels, const kernels::SinusoidalOptions& options, DType dtype);

/// sum_n weight[n] |y[n] - target[n]|^2 -> [1]; per_sample (may be undefined) [N] receives the summands.
/// y [N,...]; target of y's shape, weight [N], in f32 (f64 if y is). Only y gets a gradient.
Tensor squared_error(const Tensor& y, const Tensor& target, const Tensor& weight, Tensor per_sample = {});

/// sum_n weight[n] e^{-u[n]} |y[n] - target[n]|^2 + share u[n] -> [1], least in u at the logarithm of the weighted
/// error over `share` (kernels/gaussian_nll.h); plain (may be undefined) [1] receives squared_error's value. u [N] is
/// like weight. y and u get gradients.
Tensor gaussian_nll(const Tensor& y, const Tensor& target, const Tensor& weight, const Tensor& u,
                    double share, Tensor plain = {});

/// sum_n weight[n] (sqrt(scale[n] |y[n] - target[n]|^2 + c^2) - c) -> [1], c > 0 (kernels/pseudo_huber.h). y [N,...];
/// target of y's shape, scale and weight [N], in f32 (f64 if y is). Only y gets a gradient.
Tensor pseudo_huber(const Tensor& y, const Tensor& target, const Tensor& scale, const Tensor& weight,
                    double c);

}  // namespace ito::engine
