#pragma once

#include <vector>

#include "bench/kernel_case.h"
#include "bench/kernel_shapes.h"
#include "kernels/conv2d.h"

/// The table's rows, group by group. Bytes and operations are what the definition of a kernel asks for.
namespace ito::bench {

/// What all cases have in common.
struct Setting {
  engine::Backend backend;
  int batch;
  DType dtype;  // of activations
  model::NetworkConfig network;

  /// Products on a GPU read weights in the activations' dtype, on the CPU in f32.
  DType weights() const { return backend == engine::Backend::cuda ? dtype : DType::f32; }
};

using Cases = std::vector<Case>;

/// One pass of a convolution; its baseline is the library's.
Case convolution_case(const Setting&, const Used<engine::ConvCall>&);
/// All passes of each convolution, and those with an epilogue as a residual block has them.
Cases convolution_cases(const Setting&, const std::vector<Used<engine::ConvCall>>&);
Cases epilogue_cases(const Setting&, const std::vector<Used<engine::ConvCall>>&);
Cases norm_cases(const Setting&, const std::vector<Used<NormShape>>&);
Cases attention_cases(const Setting&, const std::vector<Used<AttentionShape>>&);
Cases product_cases(const Setting&, const std::vector<Used<kernels::LinearDims>>&);
Cases resampling_cases(const Setting&, const std::vector<Used<ImageShape>>&);
/// Elementwise kernels, at the size of the network's first level.
Cases pointwise_cases(const Setting&);
Cases embedding_cases(const Setting&);
/// Around the network: batches, loss, sampler steps, AdamW.
Cases batch_cases(const Setting&);
Cases loss_cases(const Setting&);
Cases sampler_cases(const Setting&);
Cases optimizer_cases(const Setting&, int64_t parameters);

/// Everything over a network's shapes, then the convolutions `more`.
Cases all_cases(const Setting&, const NetworkShapes&, const std::vector<kernels::Conv2dDims>& more);

/// The convolution that the unet.cu project quotes its kernel's speed for: 192 -> 64 channels at 64x64.
kernels::Conv2dDims unet_cu_convolution();

}  // namespace ito::bench
