#include "bench/plain_passes.h"

#include "bench/plain_passes_each.h"
#include "kernels/base/math.h"
#include "kernels/parallel.h"

namespace ito::bench {

namespace {

auto each_on(kernels::CpuStream& stream) {
  return [&stream](int samples, int64_t per_sample, const auto& pass) {
    const int64_t pieces = div_up(per_sample, kernels::kPiece);
    kernels::parallel_each(stream, samples * pieces, [&](int64_t i) {
      const auto element = pass.of(int(i / pieces));
      const int64_t begin = i % pieces * kernels::kPiece;
      for (int64_t e = begin; e < std::min(per_sample, begin + kernels::kPiece); ++e) element(e);
    });
  };
}

}  // namespace

void make_batch_by_passes(kernels::CpuStream& s, const PlainBatch& b) { run_batch_passes(b, each_on(s)); }
void adamw_by_passes(kernels::CpuStream& s, const PlainAdamW& a) { run_adamw_passes(a, each_on(s)); }

}  // namespace ito::bench
