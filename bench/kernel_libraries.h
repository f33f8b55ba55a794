#pragma once

#include <memory>

#include "bench/kernel_convolutions.h"

/// The same work by the libraries that our kernels are measured against. Where one is missing or cannot do
/// it, the baseline's run is empty.
namespace ito::bench {

/// cuDNN on a GPU; oneDNN's direct convolution, in f32, on the CPU.
Baseline library_convolution(Operands&, const std::shared_ptr<ConvTensors>&);
/// cuBLASLt on a GPU.
Baseline library_product(Operands&, const std::shared_ptr<ProductTensors>&);

}  // namespace ito::bench
