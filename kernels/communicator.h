#pragma once

#include <cstdint>
#include <memory>

#include "kernels/cuda_stream.h"
#include "kernels/stream.h"
#include "kernels/wire.h"

namespace ito::kernels {

namespace cuda_library {
class Collectives;
}

/// Moves f32 numbers between the ranks of a run, in a stream's order: on a CPU by its wire, on GPUs by NCCL. It sums
/// nothing, except for all_reduce_sum, so that results need not depend on the order in which a library adds. Alone
/// (size() == 1) its calls copy and need no NCCL.
///
/// Before it goes, the stream must have finished what these calls queued, and no graph with them may be replayed
/// afterwards. NCCL's communicators end together: where an error ends this one, another rank may be gone already. Then
/// NCCL's is left open, as closing it might wait for that rank for ever; the process is to end soon.
class Communicator {
 public:
  /// The wire must outlive it.
  explicit Communicator(Wire& wire) : wire_(&wire) {}

  /// Connects the GPUs, once, before anything is captured; all ranks together. Rank 0 makes NCCL's identifier, which
  /// the wire brings to the others. Error, the same on all ranks: one of them lacks NCCL (with what to install), or has
  /// another version than rank 0. Error: NCCL refuses.
  void connect(CudaStream&);
  void connect(CpuStream&) {}
  /// Error: NCCL has met one since, e.g. another rank that has ended. This costs next to nothing; the calls below ask,
  /// too.
  void check(CudaStream&) const;
  void check(CpuStream&) const {}

  Wire& wire() const { return *wire_; }
  int rank() const { return wire_->rank(); }
  int size() const { return wire_->size(); }

  // On GPUs all three are queued in the stream, also while it is captured. Every rank captures the same calls then,
  // replays as often as the others, and captures again when they do.

  /// Piece p of `from` goes to rank p, and what rank p sent arrives as piece p of `to`; all of `count` numbers. Error:
  /// `from` and `to` overlap; a count below 0.
  void exchange(CpuStream&, const float* from, float* to, int64_t count);
  void exchange(CudaStream&, const float* from, float* to, int64_t count);
  /// `from` of rank p arrives as piece p of `to` on every rank; it may be this rank's piece of `to` itself.
  /// Error: they overlap otherwise; a count below 0.
  void gather(CpuStream&, const float* from, float* to, int64_t count);
  void gather(CudaStream&, const float* from, float* to, int64_t count);
  /// data[i] = the sum of every rank's data[i], in an order of the library's own. Error: a CPU (see tree_sum.h); a
  /// count below 0.
  void all_reduce_sum(CpuStream&, float* data, int64_t count);
  void all_reduce_sum(CudaStream&, float* data, int64_t count);

 private:
  Wire* wire_;
  std::shared_ptr<cuda_library::Collectives> gpus_;  // none before connect(), and with one rank
};

/// What the calls refuse, on any device.
void check_exchange(const Communicator&, const float* from, const float* to, int64_t count);
void check_gather(const Communicator&, const float* from, const float* to, int64_t count);
void check_reduction(int64_t count);

}  // namespace ito::kernels
