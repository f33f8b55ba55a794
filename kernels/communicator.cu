#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/base/error.h"
#include "kernels/communicator.h"
#include "kernels/cuda_library/collectives.h"

namespace ito::kernels {

namespace {

using cuda_library::Collectives, cuda_library::CollectivesId;

/// What a rank reports of its library before any of them connects, since then it would wait for the others.
struct Offer {
  int32_t version;
  char problem[508];  // cut where it is longer
};

std::string version_text(int version) {
  return cat(version / 10000, ".", version / 100 % 100, ".", version % 100);
}

/// Error, the same on every rank: not all have one version of the library.
void agree(Wire& wire) {
  const std::string problem = cuda_library::collectives_problem();
  Offer mine{problem.empty() ? cuda_library::collectives_version() : 0, {}};
  std::copy_n(problem.data(), std::min(problem.size(), sizeof mine.problem - 1), mine.problem);
  std::vector<Offer> all(size_t(wire.size()));
  wire.all_gather(&mine, all.data(), sizeof mine);
  for (size_t rank = 0; rank < all.size(); ++rank)
    if (all[rank].problem[0])
      fail(cat("rank ", rank, " cannot connect its GPU with the others: ", all[rank].problem));
  for (size_t rank = 0; rank < all.size(); ++rank)
    if (all[rank].version != all[0].version)
      fail(cat("rank ", rank, " has NCCL ", version_text(all[rank].version), " and rank 0 has ",
               version_text(all[0].version), ": all need the same one"));
}

Collectives& connected(const std::shared_ptr<Collectives>& gpus, const char* call) {
  if (!gpus) fail(cat(call, ": the ranks' GPUs are not connected (Communicator::connect)"));
  return *gpus;
}

/// Of a rank that is alone.
void copy(CudaStream& stream, const float* from, float* to, int64_t count) {
  if (from != to) stream.copy(to, from, size_t(count) * sizeof(float));
}

}  // namespace

void Communicator::connect(CudaStream& stream) {
  if (size() == 1) return;
  if (gpus_) fail("the ranks' GPUs are connected already");
  if (stream.capturing())
    fail("the ranks' GPUs cannot be connected while a step is captured; connect them before");
  agree(*wire_);
  CollectivesId id{};
  if (rank() == 0) id = cuda_library::new_collectives_id();
  wire_->broadcast(&id, sizeof id);
  gpus_ = cuda_library::connect_collectives(stream, *wire_, id);
}

void Communicator::check(CudaStream&) const {
  if (gpus_) gpus_->check();
}

void Communicator::exchange(CudaStream& stream, const float* from, float* to, int64_t count) {
  check_exchange(*this, from, to, count);
  if (size() == 1) return copy(stream, from, to, count);
  connected(gpus_, "exchange").exchange(stream, from, to, count);
}

void Communicator::gather(CudaStream& stream, const float* from, float* to, int64_t count) {
  check_gather(*this, from, to, count);
  if (size() == 1) return copy(stream, from, to, count);
  connected(gpus_, "gather").gather(stream, from, to, count);
}

void Communicator::all_reduce_sum(CudaStream& stream, float* data, int64_t count) {
  check_reduction(count);
  if (size() > 1) connected(gpus_, "all_reduce_sum").all_reduce_sum(stream, data, count);
}

}  // namespace ito::kernels
