#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "kernels/cuda_stream.h"
#include "kernels/wire.h"

/// What a Communicator (kernels/communicator.h) asks of a library between GPUs: NCCL (nccl.cu). On the tests' emulator
/// the processes' wire takes its place (tests/simt/reference_collectives.cu).
namespace ito::kernels::cuda_library {

/// This process's GPU, connected with those of the other ranks. Calls are queued in the stream.
class Collectives {
 public:
  Collectives() = default;
  virtual ~Collectives() = default;
  Collectives(const Collectives&) = delete;
  Collectives& operator=(const Collectives&) = delete;
  /// Error: one that came up since, in what had been queued.
  virtual void check() = 0;
  virtual void exchange(CudaStream&, const float* from, float* to, int64_t count) = 0;
  virtual void gather(CudaStream&, const float* from, float* to, int64_t count) = 0;
  virtual void all_reduce_sum(CudaStream&, float* data, int64_t count) = 0;
};

/// Why GPUs cannot be connected, with what to do about it; empty: they can.
std::string collectives_problem();
/// As 10000 major + 100 minor + patch: 22809 is 2.28.9.
int collectives_version();

/// By which the ranks of a group find each other.
struct CollectivesId {
  char bytes[128];
};
CollectivesId new_collectives_id();
/// All ranks together, with the id that one of them made.
std::shared_ptr<Collectives> connect_collectives(CudaStream&, Wire&, const CollectivesId&);

}  // namespace ito::kernels::cuda_library
