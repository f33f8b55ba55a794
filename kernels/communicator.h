#pragma once

#include <cstdint>
#include <memory>

#include "kernels/cuda_stream.h"
#include "kernels/stream.h"
#include "kernels/wire.h"

namespace ito::kernels {

/// Moves f32 numbers between the ranks of a run, in a stream's order: on a CPU by its wire, on GPUs by NCCL. It sums
/// nothing, except for all_reduce_sum, so that results need not depend on the order in which a library adds. Alone
/// (size() == 1) its calls copy.
class Communicator {
 public:
  /// The wire must outlive it. For GPUs rank 0 makes NCCL's identifier, which the wire brings to the others.
  explicit Communicator(Wire& wire) : wire_(&wire) {}
  /// Connects the GPUs, before anything is captured. Error: NCCL is missing (with what to install) or refuses.
  void connect(CudaStream&);

  Wire& wire() const { return *wire_; }
  int rank() const { return wire_->rank(); }
  int size() const { return wire_->size(); }

  /// Piece p of `from` goes to rank p, and what rank p sent arrives as piece p of `to`; all of `count` numbers.
  void exchange(CpuStream&, const float* from, float* to, int64_t count);
  void exchange(CudaStream&, const float* from, float* to, int64_t count);
  /// `from` of rank p arrives as piece p of `to` on every rank; it may be this rank's piece of `to` itself.
  void gather(CpuStream&, const float* from, float* to, int64_t count);
  void gather(CudaStream&, const float* from, float* to, int64_t count);
  /// data[i] = the sum of every rank's data[i], in an order of the library's own. CPU: refused, see tree_sum.h.
  void all_reduce_sum(CudaStream&, float* data, int64_t count);

 private:
  Wire* wire_;
  std::shared_ptr<void> gpus_;  // NCCL's communicator
};

}  // namespace ito::kernels
