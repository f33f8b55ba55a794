#pragma once

#include <string>
#include <vector>

#include "bench/kernel_case.h"

namespace ito::bench {

/// How fast one way of moving or computing was.
struct Rate {
  std::string name;
  double per_second = 0;
  Timing timing;
};

/// What the machine reaches in this run, by which everything else is judged.
struct Ceilings {
  Rate copy;                     // bytes read and written
  std::vector<Rate> arithmetic;  // floating-point operations: the best of these is the ceiling

  double bytes_per_second() const { return copy.per_second; }
  double flops_per_second() const;
};

struct CeilingSizes {
  int64_t copied = int64_t(1) << 30;  // bytes
  int product = 8192;                 // rows, columns and depth; CUDA only
  int64_t multiply_adds = 1 << 22;    // of each vector of the loop; CPU only
};

/// Sizes that are large for this device, and fit.
CeilingSizes ceiling_sizes(engine::Device&);

/// A large copy; on CUDA a product of normal numbers in `dtype` by our kernel and by cuBLASLt, on the CPU a
/// loop of f32 multiply-adds in registers on all threads.
Ceilings measure_ceilings(Operands&, Stopwatch&, DType dtype, const CeilingSizes&);

}  // namespace ito::bench
