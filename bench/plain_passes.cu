#include "bench/plain_passes.h"
#include "bench/plain_passes_each.h"
#include "kernels/cuda_map.cuh"

namespace ito::bench {

/// A thread an element. Grid: blocks of a sample x samples.
template <class Pass>
__global__ void __launch_bounds__(kernels::kMapThreads) plain_pass_kernel(int64_t per_sample, Pass pass) {
  const int64_t e = kernels::first_element(1);
  if (e < per_sample) pass.of(int(blockIdx.y))(e);
}

namespace {

auto each_on(kernels::CudaStream& stream) {
  return [&stream](int samples, int64_t per_sample, const auto& pass) {
    using Pass = std::decay_t<decltype(pass)>;
    kernels::launch(plain_pass_kernel<Pass>, kernels::map_config("a plain pass", samples, per_sample, 1),
                    stream, per_sample, pass);
  };
}

}  // namespace

void make_batch_by_passes(kernels::CudaStream& s, const PlainBatch& b) { run_batch_passes(b, each_on(s)); }
void adamw_by_passes(kernels::CudaStream& s, const PlainAdamW& a) { run_adamw_passes(a, each_on(s)); }

}  // namespace ito::bench
