#include "kernels/dropout.h"

#include <algorithm>

#include "kernels/base/math.h"
#include "kernels/parallel.h"
#include "kernels/random_fill.h"

namespace ito::kernels {
namespace {

constexpr int kTile = 2048;  // elements at a time, in the first-level cache

}  // namespace

void check_dropout(int n, float p, const DropoutKey& key) {
  if (!(p >= 0 && p < 1)) fail(cat("dropout: probability ", p, "; it must be at least 0 and less than 1"));
  if (key.layer >= 4096 || uint64_t(key.first_sample) + uint64_t(n) > (1u << 20)) {
    fail(cat("dropout: layer ", key.layer, ", samples up to ", uint64_t(key.first_sample) + n,
             "; there are at most 4096 layers and ", 1u << 20, " samples"));
  }
}

void dropout(CpuStream& stream, int n, int64_t per_sample, float p, const DropoutKey& key, In x, Out y) {
  check_dropout(n, p, key);
  visit(x.dtype, [&](auto t) {
    using T = decltype(t);
    using A = arithmetic_t<T>;
    const T* from = x.as<T>();
    T* to = y.as<T>();
    const A scale = A(1) / (A(1) - A(p));
    const int64_t tiles = div_up(per_sample, kTile);
    parallel_each(stream, n * tiles, [=](int64_t task) {
      const int64_t sample = task / tiles, begin = task % tiles * kTile, at = sample * per_sample + begin;
      const int count = int(std::min<int64_t>(kTile, per_sample - begin));
      float uniform[kTile];
      const uint32_t stream_sample = (key.first_sample + uint32_t(sample)) | key.layer << 20;
      fill_uniform({key.seed, Purpose::dropout, *key.step, stream_sample}, begin, count, uniform);
#pragma GCC ivdep
      for (int i = 0; i < count; ++i) to[at + i] = T(uniform[i] >= p ? scale * A(from[at + i]) : A(0));
    });
  });
}

}  // namespace ito::kernels
