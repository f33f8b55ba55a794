#pragma once

#include <vector>

#include "kernels/conv2d.h"

namespace ito::engine {

/// A pass of a convolution that was asked for.
struct ConvCall {
  kernels::Conv2dDims dims;
  kernels::ConvPass pass;
};

/// What ops have been asked to compute, in a dry run or not: for reports and benchmarks.
struct Recorder {
  double flops = 0;  // of the forward ops so far: 2 for each multiply-add
  /// Receives every convolution's passes; null: they are not kept.
  std::vector<ConvCall>* conv_calls = nullptr;
};

}  // namespace ito::engine
