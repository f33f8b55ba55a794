#pragma once

#include <memory>

#include "bench/kernel_convolutions.h"

/// The same work by the libraries that our kernels are measured against. Where one is missing or cannot do
/// it, the result's work is empty.
namespace ito::bench {

/// cuDNN on a GPU; oneDNN's direct convolution, in f32, on the CPU.
Beside library_convolution(Operands&, const std::shared_ptr<ConvTensors>&);
/// cuBLASLt on a GPU.
Beside library_product(Operands&, const std::shared_ptr<ProductTensors>&);

}  // namespace ito::bench
